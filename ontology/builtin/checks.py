"""What must hold for the tables: every name known and said once, one root, no cycle, real codes.

Each check raises an `InputError` that names file, line and column, so that a typing error in a table is
found at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ontology.builtin.rows import Row

_KEY = re.compile(r"[a-z][a-z0-9_]*")
_FSN = re.compile(r"\S.* \([^()]+\)")
_ICD10 = re.compile(r"[A-Z]\d\d(\.\d{1,2})?")
_LOINC = re.compile(r"\d{1,7}-\d")

RelationParts = tuple[str, str, str, int]


def normalised(term: str) -> str:
    """Give a term as a reader of notes compares it: without case, hyphens and plural endings.

    Args:
        term: The term.
    """
    words = re.findall(r"[^\W_]+", term.lower().replace("'s", ""))
    return " ".join(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words)


def check_concepts(rows: Sequence[Row], *, root: str, attribute: str) -> list[RelationParts]:
    """Check the concept tables.

    Args:
        rows: All rows of all concept tables.
        root: Key of the only concept without parents.
        attribute: Key of the concept above all attributes.

    Returns:
        The relations as (source, attribute, target, group).

    Raises:
        InputError: At the first row that is wrong.
    """
    keys: dict[str, Row] = {}
    _once(rows, "key", keys)
    _once(rows, "item", {})
    terms: dict[str, str] = {}
    for row in rows:
        if not row["item"].isdigit() or int(row["item"]) < 1:
            raise row.error("item", f"{row['item']!r} is no item number", "Take an unused number from 1 on")
        if not _KEY.fullmatch(row["key"]):
            raise row.error("key", f"{row['key']!r} is no key", "Use small letters, digits and underscores")
        if not _FSN.fullmatch(row["fsn"]):
            raise row.error("fsn", "no semantic tag in brackets at its end", "As in 'Cough (finding)'")
        if not row["preferred"]:
            raise row.error("preferred", "no preferred term")
        _check_terms(row, terms)
        _check_parents(row, keys, root)
    _check_cycles(keys)
    attributes = {key for key in keys if attribute in _above(key, keys)} - {attribute}
    return [parts for row in rows for parts in _relations(row, keys, attributes)]


def check_maps(
    keys: Iterable[str],
    *,
    icd10: Sequence[Row],
    loinc: Sequence[Row],
    labs: Sequence[Row],
    sites: Sequence[Row],
) -> None:
    """Check the tables that refer to concepts.

    Args:
        keys: Keys of all concepts.
        icd10: Rows of the ICD-10 map.
        loinc: Rows of the LOINC map.
        labs: Rows of the laboratory measurements.
        sites: Rows of the image sites.

    Raises:
        InputError: At the first row that is wrong.
    """
    known = set(keys)
    for rows, columns in ((icd10, ["key"]), (loinc, ["key"]), (labs, ["observable"]), (sites, ["site"])):
        _known(rows, columns, known)
    _known([row for row in labs if row["lowered"]], ["lowered"], known)
    _known([row for row in labs if row["raised"]], ["raised"], known)
    for row in icd10:
        if not _ICD10.fullmatch(row["code"]):
            raise row.error("code", f"{row['code']!r} is no ICD-10 code")
    for row, column in [*((row, "code") for row in loinc), *((row, "loinc") for row in labs)]:
        if not _LOINC.fullmatch(row[column]) or not _mod10(row[column]):
            raise row.error(column, f"{row[column]!r} is no LOINC code: its check digit or its form is wrong")
    _once(labs, "loinc", {})
    for row in labs:
        low, high = row.number("ref_low"), row.number("ref_high")
        least, most = row.number("plausible_low"), row.number("plausible_high")
        if not least <= low < high < most or (row["lowered"] and least == low):
            raise row.error("ref_low", "not plausible_low <= ref_low < ref_high < plausible_high")
        if not row["decimals"].isdigit():
            raise row.error("decimals", f"{row['decimals']!r} is no number of decimals")
    for row in sites:
        for column in ("x", "y", "rx", "ry"):
            if not 0 < row.number(column) < 1:
                raise row.error(column, "not a share of the image between 0 and 1")


def _once(rows: Iterable[Row], column: str, seen: dict[str, Row]) -> None:
    for row in rows:
        first = seen.setdefault(row[column], row)
        if first is not row:
            raise row.error(column, f"{row[column]!r} is already at {first.path.name}, line {first.line}")


def _known(rows: Iterable[Row], columns: Iterable[str], known: set[str]) -> None:
    for row in rows:
        for column in columns:
            if row[column] not in known:
                raise row.error(column, f"no concept has the key {row[column]!r}")


def _check_terms(row: Row, terms: dict[str, str]) -> None:
    """Hold that a term names one concept; the FSN without its tag may repeat the concept's own term."""
    name = row["fsn"].rpartition(" (")[0]
    own: set[str] = set()
    said = [("preferred", row["preferred"]), *(("synonyms", synonym) for synonym in row.many("synonyms"))]
    for column, term in said:
        if not term or term.casefold() in own:
            raise row.error(column, f"the term {term!r} is empty or said twice")
        own.add(term.casefold())
    for column, term in [("fsn", name), *said]:
        other = terms.setdefault(normalised(term), row["key"])
        if other != row["key"]:
            raise row.error(column, f"the term {term!r} already names {other!r}", "A term names one concept")


def _check_parents(row: Row, keys: dict[str, Row], root: str) -> None:
    parents = row.many("parents")
    if not parents and row["key"] != root:
        raise row.error("parents", "no parent", f"Only {root!r} has none")
    for parent in parents:
        if parent not in keys:
            raise row.error("parents", f"no concept has the key {parent!r}")
    if len(set(parents)) < len(parents):
        raise row.error("parents", "the same parent twice")


def _check_cycles(keys: dict[str, Row]) -> None:
    """Take away, again and again, what has no parents left; whatever remains is in or below a cycle."""
    waiting = {key: set(row.many("parents")) for key, row in keys.items()}
    while ready := {key for key, parents in waiting.items() if not parents}:
        waiting = {key: parents - ready for key, parents in waiting.items() if key not in ready}
    if waiting:
        # Walking up inside the remainder must come back to a concept of the cycle itself.
        path = [min(waiting)]
        while (above := min(waiting[path[-1]])) not in path:
            path.append(above)
        cycle = path[path.index(above) :]
        raise keys[cycle[0]].error("parents", f"a cycle: {' is a '.join([*cycle, cycle[0]])}")


def _above(key: str, keys: dict[str, Row]) -> set[str]:
    found = {key}
    for parent in keys[key].many("parents"):
        found |= _above(parent, keys)
    return found


def _relations(row: Row, keys: dict[str, Row], attributes: set[str]) -> Iterable[RelationParts]:
    """Read `attribute=target, attribute=target | ...`: commas inside a role group, bars between groups."""
    for group, text in enumerate(row.many("relations"), start=1):
        for pair in text.split(","):
            name, equals, target = (part.strip() for part in pair.partition("="))
            if not equals or name not in attributes:
                raise row.error(
                    "relations", f"{name!r} is no attribute", f"Use {' '.join(sorted(attributes))}"
                )
            if target not in keys:
                raise row.error("relations", f"no concept has the key {target!r}")
            yield row["key"], name, target, group


def _mod10(code: str) -> bool:
    """Tell whether the check digit of a LOINC code is right."""
    digits = [int(digit) for digit in reversed(code.replace("-", ""))]
    return sum(sum(divmod(digit * (1 + position % 2), 10)) for position, digit in enumerate(digits)) % 10 == 0
