"""What `mhdiff graph build` and `info` say of a graph to a person."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

_SHOWN = 5
_UNITS = (
    ("unit_unrecognised", "units that UCUM does not have", "{code} {unit!r} ({events:,})"),
    ("unit_differs", "units other than the code's usual one", "{code} {unit!r}, not {usual!r} ({events:,})"),
    (
        "unit_not_of_range",
        "units other than that of the reference range",
        "{code} {unit!r}, range in {range_unit!r} ({events:,})",
    ),
)
_LABS = (
    ("unit_missing", "labs without a unit"),
    (
        "abnormal_without_a_finding",
        "abnormal labs without a finding in the ontology (the observable stands for them)",
    ),
)


def lines_of(document: dict[str, Any]) -> list[str]:
    """Put a graph's description into lines.

    Args:
        document: What `PatientGraph.describe` gives.
    """
    made, coverage = document["ontology"], document["coverage"]
    return [
        f"graph     {document['fingerprint'][:12]}, task {document['task']}",
        f"ontology  {made['name']} ({made['fingerprint'][:12]})",
        f"cohort    {document['cohort']['kind']} ({document['cohort']['fingerprint'][:12]})",
        f"units     {_units(document.get('analytes'))}",
        f"view      {_view(document['view'])}",
        *(f"then      {_short(transform)}" for transform in document["transforms"]),
        "",
        "nodes",
        *(f"  {count:>9,}  {kind}" for kind, count in document["counts"]["nodes"].items()),
        "edges",
        *(f"  {count:>9,}  {kind}" for kind, count in document["counts"]["edges"].items()),
        *_features(document["features"]),
        *_slice(document["slice"]),
        *_edits(document["edits"]),
        *_structure(document["structure"]),
        *_modalities(document),
        *_blinded(coverage.get("blinded", {})),
        *_labs(coverage),
    ]


def _units(table: dict[str, str] | None) -> str:
    return f"table of analytes {table['sha256'][:12]}" if table else "not told by which table of analytes"


def _view(view: dict[str, Any]) -> str:
    """Write a view: its kind, and what is not as usual."""
    told = [view["kind"]]
    if "hops" in view:
        told.append(f"{view['hops']} hops")
    if view.get("layers"):
        told.append(f"{view['layers']} layers")
    for name in ("relations", "merge", "split", "inverse", "groups", "values"):
        if view.get(name) is not None:
            told.append(f"{name} {json.dumps(view[name], ensure_ascii=False)}")
    return ", ".join(told)


def _short(text: str, width: int = 90) -> str:
    return text if len(text) <= width else f"{text[: width - 4]} ...)"


def _features(features: dict[str, dict[str, list[int]]]) -> Iterable[str]:
    for place, known in features.items():
        yield f"features  {place}: " + ", ".join(
            f"{name} [{', '.join(map(str, shape))}]" if shape else name for name, shape in known.items()
        )


def _slice(part: dict[str, Any]) -> Iterable[str]:
    concepts, relations = part["concepts"], part["relations"]
    yield ""
    yield (
        f"of the ontology's {concepts['ontology']:,} concepts the view kept {concepts['kept']:,}, "
        f"left {concepts['left_out']:,} out, and {concepts['blinded']:,} are blinded"
    )
    reasons = {
        name: relations[name]
        for name in ("at_a_concept_left_out", "not_chosen", "at_a_blinded_concept", "repeated")
        if relations[name]
    }
    yield (
        f"of its {relations['ontology']:,} relations it kept {relations['kept']:,}"
        + ("; left out " if reasons else "")
        + ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in reasons.items())
    )
    if values := part.get("values"):
        counts = {name: n for name, n in values.items() if isinstance(n, int)}
        yield "concrete values: " + ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in counts.items())
        if values["texts_left_out"]:
            yield f"  texts without a column: {values['texts_left_out']}"


def _edits(edits: list[dict[str, Any]]) -> Iterable[str]:
    for edit in edits:
        counts = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in edit.items() if name != "edit")
        yield f"{_short(edit['edit'])}: {counts}"


def _structure(told: dict[str, Any]) -> Iterable[str]:
    def name(row: dict[str, Any]) -> str:
        return f"{row['term']} ({row['concept']})" if row["term"] else str(row["concept"])

    yield ""
    isolated, chain, hops = told["isolated"], told["longest_is_a_chain"], told["hops"]
    first = f": {'; '.join(name(row) for row in isolated['first'])}" if isolated["count"] else ""
    more = ", ..." if isolated["count"] > len(isolated["first"]) else ""
    yield f"isolated concepts  {isolated['count']:,}{first}{more}"
    yield f"components         {told['components']:,}, the largest has {told['largest_component']:,} concepts"
    if chain is None:
        yield "longest is-a chain none: there is no is-a, or it runs in a circle"
    elif chain["concepts"]:
        yield f"longest is-a chain {chain['steps']:,} steps: " + " > ".join(
            row["term"] or str(row["concept"]) for row in chain["concepts"]
        )
    if hops["pairs"]:
        how = (
            "exact"
            if hops["exact"]
            else f"from {hops['starts']} concepts, so the diameter is at least the most"
        )
        yield (
            f"hops apart         {hops['mean']:.1f} (mean), {hops['median']} (median), "
            f"{hops['p95']} (95th percentile), {hops['max']} at most ({how})"
        )
    elif chain is not None and not chain["concepts"]:
        yield "hops apart         there are no concepts"


def _modalities(document: dict[str, Any]) -> Iterable[str]:
    patient = document["concepts_per_patient"]
    if patient["patients"]:
        yield ""
        yield (
            f"concepts a patient: {patient['mean']:.1f} (mean), {patient['median']:g} (median), "
            f"{patient['p95']:g} (95th percentile), {patient['min']:g} to {patient['max']:g}"
        )
    for name, part in document["coverage"].get("modalities", {}).items():
        yield ""
        yield (
            f"{name}: {part['events']:,} events of {part['samples']:,} samples, "
            f"{part['coverage']:.1%} gave evidence; {part['samples_with_evidence']:,} samples have any"
        )
        yield "  outcomes  " + ", ".join(f"{key} {n:,}" for key, n in part["outcomes"].items())
        yield "  polarity  " + (", ".join(f"{key} {n:,}" for key, n in part["polarities"].items()) or "none")
        if name in document["tokens"]:
            size = document["tokens"][name]
            yield (
                f"  concepts  {part['concepts']:,} different; an observation: {size['median']:g} (median), "
                f"{size['p95']:g} (95th percentile), {size['max']:g} at most"
            )
        if part["top_unmapped"]:
            named = ", ".join(f"{row['code']} ({row['events']:,})" for row in part["top_unmapped"][:_SHOWN])
            yield f"  unmapped  {part['codes_unmapped']:,} of {part['codes']:,} codes: {named}"


def _blinded(blinded: dict[str, Any]) -> Iterable[str]:
    if not blinded:
        return
    yield ""
    yield f"blinded: {blinded['concepts']:,} concepts, {blinded['rows_dropped']:,} rows out"
    for name, part in blinded["modalities"].items():
        yield (
            f"  {name}: {part['rows']:,} rows of {part['concepts']:,} concepts in {part['samples']:,} samples; "
            f"{part['events_left_empty']:,} events gave nothing else"
        )
    for row in blinded["dropped"][:_SHOWN]:
        each = ", ".join(f"{name} {n:,}" for name, n in row["modalities"].items())
        yield f"  {row['rows']:>6,}  {row['term']} ({row['concept']}): {each}"
    if blinded["not_in_ontology"]:
        yield f"  not in this ontology: {', '.join(map(str, blinded['not_in_ontology']))}"


def _labs(coverage: dict[str, Any]) -> Iterable[str]:
    labs = coverage.get("labs", {})
    for key, text in _LABS:
        if labs.get(key):
            yield f"{text}: " + ", ".join(f"{code} ({n:,})" for code, n in labs[key].items())
    for key, text, form in _UNITS:
        if labs.get(key):
            yield f"{text}: " + ", ".join(form.format(**row) for row in labs[key])
    if coverage.get("text_not_read"):
        yield f"events with a text beside a code, whose text was not read: {coverage['text_not_read']:,}"
