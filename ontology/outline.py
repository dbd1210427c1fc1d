"""A concept's neighbourhood as text: a small tree, and below it terms, attributes by role group, maps and history.

SNOMED CT Concept › Clinical finding › Disease › Disorder of lung  19829001
└─ Pneumonia  233604007
   ├─ Bacterial pneumonia  53084003  (45 below)
   └─ … 17 more children
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ontology.few import Few
from ontology.neighbourhood import Attribute, Name, Neighbourhood, Term

_STATES = {True: "", False: "  (inactive)", None: "  (unknown here)"}
_LINEAGE = 4  # this many ancestors of a parent are named; of longer lines the middle is left out


def outline(of: Neighbourhood) -> str:
    """Draw a neighbourhood as text.

    Args:
        of: What `ontology.neighbourhood.neighbourhood` gave.

    Returns:
        Lines without the last line feed.
    """
    lines = [f"{of.concept.identifier}  {of.concept.fsn}", *(f"  {line}" for line in _facts(of))]
    if of.concept.active:
        lines += ["", *(f"  {line}" for line in _tree(of))]
    sections = {
        "terms": _terms(of.terms),
        "attributes": _attributes(of.attributes),
        "history": _history(of),
        "attributes of other concepts that lead here": _inbound(of),
        "maps": _maps(of.maps),
        "inactive concepts that lead here": [
            *(f"{_named(link.name)}  ({link.relation})" for link in of.former.shown), *_more(of.former)
        ],
    }  # fmt: skip
    for title, rows in sections.items():
        if rows:
            lines += ["", f"  {title}", *(f"    {row}" for row in rows)]
    return "\n".join(lines)


def _named(name: Name) -> str:
    return f"{name.identifier}  {name.term}" if name.term != name.identifier else name.identifier


def _more(few: Few[Any], what: str = "") -> list[str]:
    return [f"… {few.more:,} more of {few.total:,}{f' {what}' if what else ''}"] if few.more else []


def _branches(rows: Sequence[str]) -> list[str]:
    return [f"{'└─' if i == len(rows) - 1 else '├─'} {row}" for i, row in enumerate(rows)]


def _facts(of: Neighbourhood) -> list[str]:
    if of.concept.active:
        status = f"active, {'fully defined' if of.fully_defined else 'primitive'}"
        first = (
            f"{status}; depth {of.depth}, {of.ancestors:,} concepts above, {of.descendants:,} concepts below"
        )
    else:
        reason = of.reason.term if of.reason else "no reason is given"
        first = f"inactive: {reason}"
    where = []
    if of.module:
        where.append(f"module {_named(of.module)}")
    if of.effective_time:
        where.append(f"effectiveTime {of.effective_time}")
    if of.layer:
        where.append(f"layer {of.layer}")
    return [first, *(["; ".join(where)] if where else [])]


def _tree(of: Neighbourhood) -> list[str]:
    lines = []
    for parent in of.parents.shown:
        above = [name.term for name in parent.lineage]
        if len(above) > _LINEAGE:
            left_out = len(above) - _LINEAGE
            above = [*above[:2], f"… {left_out} more …", *above[-(_LINEAGE - 2) :]]
        lines.append(" › ".join((*above, f"{parent.name.term}  {parent.name.identifier}")))
    lines += _more(of.parents, "parents")
    rows = [
        f"{child.name.term}  {child.name.identifier}"
        + (f"  ({child.descendants:,} below)" if child.descendants else "")
        for child in of.children.shown
    ]
    stem, indent = ("└─ ", "   ") if lines else ("", "")
    return [
        *lines,
        f"{stem}{of.concept.term}  {of.concept.identifier}",
        *(indent + row for row in _branches([*rows, *_more(of.children, "children")])),
    ]


def _terms(terms: Sequence[Term]) -> list[str]:
    rows = []
    for term in terms:
        preferred = [dialect for dialect, is_so in term.dialects.items() if is_so]
        acceptable = [dialect for dialect, is_so in term.dialects.items() if not is_so]
        said = [f"preferred in {', '.join(preferred)}"] if preferred else []
        said += [f"acceptable in {', '.join(acceptable)}"] if acceptable else []
        if not said and term.preferred and term.kind == "synonym":
            said = ["preferred"]
        rows.append(f"{term.kind:<10}  {term.term}" + (f"  ({'; '.join(said)})" if said else ""))
    return rows


def _attributes(attributes: Few[Attribute]) -> list[str]:
    rows = []
    groups = list(dict.fromkeys(attribute.group for attribute in attributes.shown))
    for group in groups:
        rows.append(f"role group {group}" if group else "in no role group")
        rows += _branches([
            f"{a.relation}: {_named(a.target) if a.target else a.shown}"
            for a in attributes.shown
            if a.group == group
        ])  # fmt: skip
    return rows + _more(attributes)


def _history(of: Neighbourhood) -> list[str]:
    if of.concept.active:
        return []
    rows = [f"{link.relation}: {_named(link.name)}{_STATES[link.name.active]}" for link in of.history.shown]
    rows += _more(of.history)
    leads = f"leads to {of.ends.total:,} active" if of.ends.total else "leads to no active concept"
    rows.append(f"{of.outcome}: {leads}")
    ends = [
        f"{_named(end.name)}  ({end.kind}, confidence {end.confidence:.2f}"
        + (f", by way of {', '.join(n.identifier for n in end.path[1:-1])})" if len(end.path) > 2 else ")")
        for end in of.ends.shown
    ]
    return [*rows, *_branches([*ends, *_more(of.ends)])]


def _inbound(of: Neighbourhood) -> list[str]:
    counts = of.inbound_counts or {}
    rows = [f"<- {link.relation} of {_named(link.name)}" for link in of.inbound.shown]
    if of.inbound.more:
        each = ", ".join(f"{name} of {count:,}" for name, count in counts.items())
        rows += [f"… {of.inbound.more:,} more of {of.inbound.total:,}: {each}"]
    return rows


def _maps(maps: Few[dict[str, Any]]) -> list[str]:
    rows = [
        f"{row['system']}  {row['target'] or 'no code'}  {row['rule']}  {row['advice']}".rstrip()
        for row in maps.shown
    ]
    return rows + _more(maps)
