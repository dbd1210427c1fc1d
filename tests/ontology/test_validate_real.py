"""Real releases: clean ones raise no alarm; what is found in odd ones agrees with plain loops over their lines."""

import re
from pathlib import Path

import pytest
from test_rf2_real import REFUSED, releases

from ontology import InputError, load, load_rf2
from ontology.validation import KINDS, validate

MULTIPLY = [
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678", "5987604321", "6598710432", "7659821043",
    "8765932104", "9876543210",
]  # fmt: skip
TURN = "1576283094"


def right(sctid):
    """Whether the check digit is right, by the table of the dihedral group, a digit at a time."""
    state = 0
    for place, digit in enumerate(reversed(sctid)):
        number = int(digit)
        for _ in range(place % 8):
            number = int(TURN[number])
        state = int(MULTIPLY[state][number])
    return state == 0 and 6 <= len(sctid) <= 18


def rows_of(folder):
    """Every row as (path, line, {column: value}), and the numbers of blank and comment lines."""
    for path in sorted(folder.rglob("*.txt")):
        if not re.match(r"[xz]?(sct|der)\d?_", path.name):
            continue
        header = None
        for number, raw in enumerate(path.read_bytes().split(b"\n"), start=1):
            line = raw.decode().rstrip("\r")
            if not line.strip():
                yield (
                    path,
                    number,
                    "blank-line" if raw or number < path.read_bytes().count(b"\n") + 1 else None,
                )
            elif line.startswith("#"):
                yield path, number, "comment-line"
            elif header is None:
                header = line.split("\t")
            else:
                yield path, number, dict(zip(header, line.split("\t"), strict=False))


def expected(folder):
    """What is wrong with a package that has but one release, or a Snapshot: (kind, path, line, column)."""
    everything = list(rows_of(folder))
    found = {(kind, str(path), line, None) for path, line, kind in everything if isinstance(kind, str)}
    rows = [(path, line, row) for path, line, row in everything if isinstance(row, dict)]
    parts = {
        "sct2_Concept": "0",
        "sct2_Description": "1",
        "sct2_TextDef": "1",
        "sct2_Relationship": "2",
        "sct2_Stated": "2",
    }
    for path, line, row in rows:
        part = next((p for name, p in parts.items() if path.name.startswith(name)), None)
        if part and not right(row["id"]):
            found.add(("check-digit", str(path), line, "id"))
        elif part and row["id"][-2] != part:
            found.add(("partition", str(path), line, "id"))
        if row.get("effectiveTime") == "":
            found.add(("no-effective-time", str(path), line, "effectiveTime"))
    snapshot = [r for r in rows if "Snapshot" in r[0].name]
    if not snapshot:
        return found
    of = {name: [r for r in snapshot if r[0].name.startswith(name)] for name in parts}
    concepts = {row["id"]: row["active"] == "1" for _, _, row in of["sct2_Concept"]}
    inferred = [r for _, _, r in of["sct2_Relationship"] if r["characteristicTypeId"] != "900000000000010007"]
    is_a = [r["sourceId"] for r in inferred if r["typeId"] == "116680003" and r["active"] == "1"]
    is_a = is_a or [
        r["sourceId"] for _, _, r in of["sct2_Stated"] if r["typeId"] == "116680003" and r["active"] == "1"
    ]
    named = {r["conceptId"] for _, _, r in of["sct2_Description"]
             if r["typeId"] == "900000000000003001" and r["active"] == "1" and r["term"].strip()}  # fmt: skip
    for path, line, row in of["sct2_Concept"]:
        if concepts[row["id"]]:
            if row["id"] not in named:
                found.add(("no-fsn", str(path), line, "id"))
            if "138875005" in concepts and row["id"] not in is_a and row["id"] != "138875005":
                found.add(("no-parent", str(path), line, "id"))
    ends = [(r, "conceptId") for r in of["sct2_Description"]]
    ends += [
        (r, c)
        for n in ("sct2_Relationship", "sct2_Stated")
        for r in of[n]
        for c in ("sourceId", "destinationId")
    ]
    for (path, line, row), column in ends:
        value = row.get(column)
        if value and value not in concepts:
            if not right(value):
                found.add(("check-digit", str(path), line, column))
            elif row["active"] == "1":
                found.add(("dangling", str(path), line, column))
    return found


COMPARED = {"blank-line", "comment-line", "no-effective-time", "no-fsn", "no-parent"}


@pytest.mark.parametrize("name", releases() or ["none"])
def test_fixtures_agree_with_plain_loops_over_their_lines(shared, name):
    folder = shared / "data/rf2" / name
    findings = validate(folder, "rf2")
    problems = {(p.kind, p.file, p.line, p.column) for p in findings.problems()}
    core = {"id", "conceptId", "sourceId", "destinationId"}
    here = {
        p for p in problems
        if p[0] in COMPARED or (p[0] in ("check-digit", "partition", "dangling") and p[3] in core)
    }  # fmt: skip
    plain = expected(folder)
    if not any(p.name.endswith(".txt") and "Snapshot" in p.name for p in folder.rglob("*")):
        here = {p for p in here if p[0] not in ("no-fsn", "no-parent", "dangling")}
    if not any(path.read_bytes().find(b"\n138875005\t") >= 0 for path in folder.rglob("sct2_Concept*")):
        here = {p for p in here if p[0] != "no-parent"}  # which one the root is, the plain loop does not know
    if findings.unchecked and any("to be read" in reason for reason in findings.unchecked):
        judged = {"blank-line", "comment-line", "no-effective-time"}
        here, plain = ({p for p in some if p[0] in judged} for some in (here, plain))
    assert here == plain
    if any(part in REFUSED for part in Path(name).parts):
        assert {"only-delta", "no-concept"} & findings.counts().keys()
    assert findings.counts().keys() <= KINDS.keys()


def test_clean_releases_raise_no_alarm(shared, tmp_path):
    from ontology.builtin import write_rf2

    for folder in (shared / "data/rf2/disease-ontology", write_rf2(tmp_path / "builtin")):
        findings = validate(folder)
        assert findings.counts() == {}
        assert sum(findings.rows.values()) > 5000
        assert findings.release_dates[0]


@pytest.mark.parametrize("name", ["DO_RAD_slim", "DO_infectious_disease_slim"])
@pytest.mark.parametrize("suffix", ["obo", "json", "owl"])
def test_other_formats_raise_no_alarm(shared, name, suffix):
    assert validate(shared / f"data/ontologies/{name}.{suffix}").counts() == {}


def test_omop_tables_tell_what_the_load_report_tells(shared):
    folder = shared / "data/omop/synthea27nj"
    findings = validate(folder)
    report = load(folder).report
    dropped = {
        r: n for r, n in report.dropped["relationship"].items() if f"relationship: {r}" not in report.expected
    }
    told = {p.message.partition(": relationship: ")[2]: p.value for p in findings.problems("left-out")}
    inactive = findings.counts()["inactive-concept"]
    assert inactive == sum(n for reason, n in dropped.items() if reason.endswith("is inactive"))
    others = {reason: f"{n:,}" for reason, n in dropped.items() if not reason.endswith("is inactive")}
    assert told == others


def test_mappings_alone_have_no_concepts_to_look_up(shared):
    findings = validate(shared / "data/mappings/mondo_exactmatch_sctid.sssom.tsv")
    assert findings.errors == 0
    assert findings.unchecked


def test_what_is_free_of_errors_loads(shared):
    for name in releases():
        findings = validate(shared / "data/rf2" / name, "rf2")
        try:
            load_rf2(shared / "data/rf2" / name)
        except InputError:
            assert findings.errors
