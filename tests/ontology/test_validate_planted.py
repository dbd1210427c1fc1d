"""One fault of each kind, planted into a faultless release, is found at its file, line and column, and nothing else."""

import clean_release
import pytest
import tiny_release
from clean_release import (
    ASSOCIATION,
    DEPENDENCIES,
    DEPENDENCY,
    DOMAIN,
    IDENTIFIER,
    MODEL_MODULE,
    OWL,
    OWL_REFSET,
    SIMPLE,
    SIMPLE_REFSET,
    VALUE,
    VALUES,
    description,
    member,
    relationship,
)
from tiny_release import (
    ACCEPTABLE,
    AGENT,
    CONCEPT,
    DATE,
    DESCRIPTION,
    FSN,
    IDS,
    IS_A,
    LANGUAGE,
    MAP,
    MODULE,
    PREFERRED,
    RELATIONSHIP,
    US,
    content,
)

from ontology.sctid import make_sctid
from ontology.validation import KINDS, validate

SECOND = make_sctid(2, tiny_release.NAMESPACE, "11")  # the preferred term of the root
UNKNOWN = make_sctid(4711, tiny_release.NAMESPACE, "10")


def found(folder, kinds=None):
    """What validation finds, as (kind, file, line, column, value)."""
    return {
        (p.kind, p.file.removeprefix(f"{folder}/"), p.line, p.column, p.value)
        for p in validate(folder, "rf2").problems()
        if not kinds or p.kind in kinds
    }


def line_of(files, name, wanted):
    """The line of the first row that `wanted` holds for, and the row."""
    place = next(
        i for i, row in enumerate(files[name]) if i and wanted(dict(zip(files[name][0], row, strict=True)))
    )
    return place + 1, files[name][place]


def spoil(name, column, value, wanted=lambda row: True, kind="", also=()):
    """A fault that is one other value in one row."""

    def plant(files):
        line, row = line_of(files, name, wanted)
        row[files[name][0].index(column)] = value
        return {(kind, name, line, column, str(value)), *also}

    return plant


def append(name, make, kind, column, value=None):
    """A fault that is one row too many."""

    def plant(files):
        row = make(files)
        files[name].append(row)
        return {(kind, name, len(files[name]), column, str(value or row[files[name][0].index(column)]))}

    return plant


def synonym(row):
    return row["typeId"] == tiny_release.SYNONYM and row["term"] == "Pyrexia"


def attribute(row):
    return row["typeId"] == AGENT


def without_rows(name, wanted, kind, where, column, value):
    """A fault that is that rows are missing."""

    def plant(files):
        files[name] = [
            files[name][0],
            *(row for row in files[name][1:] if not wanted(dict(zip(files[name][0], row, strict=True)))),
        ]
        line, _ = line_of(files, where, lambda row: row[column] == value)
        return {(kind, where, line, column, str(value))}

    return plant


def nameless(files):
    """The fully specified name of the first concept goes, and with it what the language says of it."""
    assert files[LANGUAGE].pop(1)[5] == files[DESCRIPTION].pop(1)[0]
    return {("no-fsn", CONCEPT, 2, "id", str(IDS["root"]))}


def edge():
    return relationship(IDS["covid"], IDS["fever"])


def cycle(files):
    back = relationship(IDS["pneumonia"], IDS["covid"])
    files[RELATIONSHIP].append(back)
    on = {("pneumonia", "covid"), ("covid", "viral"), ("viral", "pneumonia")}
    rows = {(IDS[a], IDS[b]) for a, b in on}
    return {
        ("cycle", RELATIONSHIP, i + 1, "destinationId", str(row[5]))
        for i, row in enumerate(files[RELATIONSHIP])
        if row[7] == IS_A and (row[4], row[5]) in rows
    }


def retired(files):
    _, row = line_of(files, CONCEPT, lambda row: row["id"] == IDS["asthma"])
    row[2] = 0
    place, edge = line_of(files, RELATIONSHIP, lambda row: row["sourceId"] == IDS["asthma"])
    files[RELATIONSHIP].append(relationship(IDS["covid"], IDS["asthma"], AGENT))
    return {
        ("inactive-concept", RELATIONSHIP, place, "sourceId", str(edge[4])),
        ("inactive-concept", RELATIONSHIP, len(files[RELATIONSHIP]), "destinationId", str(edge[4])),
    }


def again(name, *, other=None, kind="duplicate-row", column="id"):
    def plant(files):
        row = list(files[name][1])
        if other:
            row[files[name][0].index(other[0])] = other[1]
        files[name].append(row)
        return {(kind, name, len(files[name]), column, str(row[files[name][0].index(column)]))}

    return plant


def second_file(files):
    row = [*files[CONCEPT][1][:4], 900000000000073002]
    files[CONCEPT.replace("TINY", "MORE")] = [files[CONCEPT][0], row]
    # files are read by name: MORE comes before TINY
    return {("duplicate-id", CONCEPT, 2, "id", str(row[0]))}


def types_retired(files):
    """The concept of an attribute becomes inactive, with its own parent."""
    _, row = line_of(files, CONCEPT, lambda row: row["id"] == AGENT)
    row[2] = 0
    of = files[RELATIONSHIP]
    own = {
        ("inactive-concept", RELATIONSHIP, i + 1, "sourceId", str(AGENT))
        for i, row in enumerate(of)
        if row[4] == AGENT
    }
    typed = {
        ("relationship-type", RELATIONSHIP, i + 1, "typeId", str(AGENT))
        for i, row in enumerate(of)
        if row[7] == AGENT
    }
    assert own
    assert typed
    return own | typed


def new_module(files):
    clean_release.add_concept(files, UNKNOWN, "Local module")
    files[CONCEPT][-1][3] = UNKNOWN
    return {("module-without-dependency", CONCEPT, len(files[CONCEPT]), "moduleId", str(UNKNOWN))}


def mismatched(files):
    files[DEPENDENCIES].append(member(DEPENDENCY, MODULE, DATE, "20250101"))
    files[DEPENDENCIES][-1][3] = MODEL_MODULE
    return {("dependency-version", DEPENDENCIES, 3, "targetEffectiveTime", "20250101")}


def old_description(files):
    _, row = line_of(files, DESCRIPTION, synonym)
    row[2] = 0
    place, told = line_of(files, LANGUAGE, lambda other: other["referencedComponentId"] == row[0])
    return {("inactive-description", LANGUAGE, place, "referencedComponentId", str(told[5]))}


def reordered(files):
    header = files[CONCEPT][0]
    files[CONCEPT] = [[row[0], row[2], row[1], *row[3:]] for row in files[CONCEPT]]
    assert files[CONCEPT][0] != header
    return {("header-order", CONCEPT, 1, None, "")}


WRONG = 900000000000441003
PLANTED = {
    "own check digit": append(RELATIONSHIP, lambda f: [clean_release.sctid("relationship") + 1, *edge()[1:]],
                              "check-digit", "id"),
    "check digit of a reference": spoil(RELATIONSHIP, "destinationId", IDS["bacterium"] + 1, attribute, "check-digit"),
    "check digit of a type": spoil(RELATIONSHIP, "typeId", AGENT + 1, attribute, "check-digit"),
    "own partition": append(DESCRIPTION, lambda f: [clean_release.sctid("relationship"),
                                                    *description(IDS["fever"])[1:]], "partition", "id"),
    "partition of a reference": append(DESCRIPTION, lambda f: description(f[DESCRIPTION][1][0]), "partition",
                                       "conceptId"),
    "partition of a member": append(LANGUAGE, lambda f: member(US, IDS["fever"], ACCEPTABLE), "partition",
                                    "referencedComponentId"),
    "no identifier": spoil(RELATIONSHIP, "id", "x12", attribute, "identifier"),
    "19 digits": spoil(RELATIONSHIP, "destinationId", "9" * 19, attribute, "identifier"),
    "member without id": spoil(SIMPLE_REFSET, "id", "", kind="identifier"),
    "no target": spoil(ASSOCIATION, "targetComponentId", "", kind="identifier"),
    "no value": spoil(VALUE, "valueId", "duplicate", kind="identifier"),
    "group": spoil(RELATIONSHIP, "relationshipGroup", "-1", attribute, "number"),
    "map group": spoil(MAP, "mapGroup", "one", kind="number"),
    "active of a concept": spoil(CONCEPT, "active", "2", kind="active"),
    "active of a description": spoil(DESCRIPTION, "active", "", kind="active"),
    "active of a member": spoil(MAP, "active", "true", kind="active"),
    "date": spoil(LANGUAGE, "effectiveTime", "2026-01-01", kind="effective-time"),
    "no day": spoil(CONCEPT, "effectiveTime", "20250230", kind="effective-time"),
    "date of a dependency": spoil(DEPENDENCIES, "targetEffectiveTime", "soon", kind="effective-time"),
    "later": spoil(RELATIONSHIP, "effectiveTime", "20270101", kind="later-than-release"),
    "no time": spoil(CONCEPT, "effectiveTime", "", kind="no-effective-time"),
    "definition status": spoil(CONCEPT, "definitionStatusId", WRONG, kind="definition-status"),
    "type of an fsn": spoil(DESCRIPTION, "typeId", WRONG, lambda row: row["typeId"] == FSN, "description-type"),
    "case": spoil(DESCRIPTION, "caseSignificanceId", WRONG, kind="case-significance"),
    "characteristic": spoil(RELATIONSHIP, "characteristicTypeId", WRONG, attribute, "characteristic-type"),
    "modifier": spoil(RELATIONSHIP, "modifierId", 900000000000450001, attribute, "modifier"),
    "all": spoil(RELATIONSHIP, "modifierId", 900000000000452009, attribute, "universal-modifier"),
    "acceptability": spoil(LANGUAGE, "acceptabilityId", WRONG, kind="acceptability"),
    "empty term": spoil(DESCRIPTION, "term", "", synonym, "empty-term"),
    "spaces": spoil(DESCRIPTION, "term", "Py  rexia", synonym, "untrimmed-term"),
    "language": spoil(DESCRIPTION, "languageCode", "English", synonym, "language-code"),
    "concrete value": spoil(VALUES, "value", "38.5", kind="concrete-value"),
    "rule": spoil(MAP, "mapRule", "IFA 248152002 | Female | AND", kind="map-rule"),
    "axiom": spoil(OWL, "owlExpression", f"SubClassOf(:{IDS['fever']}", kind="owl-axiom"),
    "axiom of another": spoil(OWL, "referencedComponentId", IDS["cough"], kind="owl-component"),
    "axiom on an unknown": append(OWL, lambda f: member(OWL_REFSET, IDS["cough"],
                                                        f"SubClassOf(:{IDS['cough']} :{UNKNOWN})"),
                                  "dangling", "owlExpression", UNKNOWN),
    "duplicate row": again(CONCEPT),
    "duplicate member row": again(MAP),
    "duplicate id": again(CONCEPT, other=("definitionStatusId", 900000000000073002), kind="duplicate-id"),
    "other time in a snapshot": again(CONCEPT, other=("effectiveTime", "20250101"), kind="duplicate-id"),
    "second file": second_file,
    "identifier twice": again(IDENTIFIER, column="alternateIdentifier"),
    "unknown concept of a term": append(DESCRIPTION, lambda f: description(UNKNOWN), "dangling", "conceptId"),
    "unknown source": append(RELATIONSHIP, lambda f: relationship(UNKNOWN, IDS["fever"]), "dangling", "sourceId"),
    "unknown module": spoil(SIMPLE_REFSET, "moduleId", UNKNOWN, kind="dangling"),
    "unknown refset": spoil(SIMPLE_REFSET, "refsetId", UNKNOWN, kind="dangling"),
    "unknown member": append(SIMPLE_REFSET, lambda f: member(SIMPLE, UNKNOWN), "dangling", "referencedComponentId"),
    "unknown target": spoil(ASSOCIATION, "targetComponentId", UNKNOWN, kind="dangling"),
    "unknown description": append(LANGUAGE, lambda f: member(US, clean_release.sctid("description"), ACCEPTABLE),
                                  "dangling", "referencedComponentId"),
    "unknown mapped": spoil(MAP, "referencedComponentId", UNKNOWN, kind="dangling"),
    "unknown identified": spoil(IDENTIFIER, "referencedComponentId", UNKNOWN, kind="dangling"),
    "unknown source of a value": spoil(VALUES, "sourceId", UNKNOWN, kind="dangling"),
    "retired concept": retired,
    "unknown type": spoil(RELATIONSHIP, "typeId", UNKNOWN, attribute, "relationship-type"),
    "retired type": types_retired,
    "self-loop": append(RELATIONSHIP, lambda f: relationship(IDS["fever"], IDS["fever"]), "self-loop", "destinationId"),
    "cycle": cycle,
    "no parent": without_rows(RELATIONSHIP, lambda row: row["sourceId"] == IDS["lung"], "no-parent", CONCEPT, "id",
                              IDS["lung"]),
    "no fsn": nameless,
    "two fsns": append(DESCRIPTION, lambda f: description(IDS["fever"], FSN, "Hot (finding)"), "several-fsns",
                       "conceptId"),
    "two preferred": spoil(LANGUAGE, "acceptabilityId", PREFERRED, lambda row: row["acceptabilityId"] == ACCEPTABLE,
                           "several-preferred"),
    "conflict": append(LANGUAGE, lambda f: [member(US, 0, 0)[0], *f[LANGUAGE][1][1:6], ACCEPTABLE],
                       "acceptability-conflict", "acceptabilityId"),
    "said twice": append(SIMPLE_REFSET, lambda f: [member(SIMPLE, 0)[0], *f[SIMPLE_REFSET][1][1:]],
                         "duplicate-member", "referencedComponentId"),
    "no uuid": spoil(MAP, "id", "m1", kind="member-id"),
    "old description": old_description,
    "no preferred term": without_rows(LANGUAGE, lambda row: row["referencedComponentId"] == SECOND,
                                      "no-preferred-term", CONCEPT, "id", IDS["root"]),
    "relationship twice": append(RELATIONSHIP, lambda f: [clean_release.sctid("relationship"), *f[RELATIONSHIP][1][1:]],
                                 "duplicate-relationship", "id"),
    "lonely module": new_module,
    "dependency": mismatched,
    "order of columns": reordered,
}  # fmt: skip
# Faults of another kind of planting; the other tests of validation name them.
ELSEWHERE = {
    "unreadable", "no-release", "only-delta", "missing-file", "no-concept", "header", "encoding", "column-count",
    "byte-order-mark", "blank-line", "comment-line", "short-row", "release-date", "retired-by-layer", "layers-differ",
    "releases-differ", "damaged", "inconsistent", "refused", "no-name", "left-out", "tolerated",
}  # fmt: skip


@pytest.fixture
def planted(tmp_path):
    return clean_release.files(), tmp_path / f"tiny_{DATE}"


def test_a_faultless_release_has_no_problem(planted):
    files, folder = planted
    assert found(tiny_release.write(folder, files)) == set()
    bare = tiny_release.write(folder.with_name("bare"), clean_release.files(metadata=False))
    assert found(bare) == set()
    assert "modules" in validate(bare).unchecked[0]


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_fault_is_found_at_its_place_and_nothing_else(planted, case):
    files, folder = planted
    expected = PLANTED[case](files)
    assert found(tiny_release.write(folder, files)) == expected
    for kind, *_ in expected:
        assert KINDS[kind].remedy


@pytest.mark.parametrize("case", ["active of a concept", "unknown target", "cycle", "axiom", "date"])
def test_remarks_line_ends_and_a_byte_order_mark_move_no_line(planted, case):
    files, folder = planted
    expected = PLANTED[case](files)
    name = next(iter(expected))[1]
    lines = content(files[name]).split(b"\r\n")
    moved = [b"# a comment", b"", lines[0], b"#", *lines[1:]]
    files[name] = b"\xef\xbb\xbf" + b"\n".join(moved)
    result = found(tiny_release.write(folder, files))
    remarks = {
        ("byte-order-mark", name, 1, None, ""), ("comment-line", name, 1, None, ""),
        ("blank-line", name, 2, None, ""), ("comment-line", name, 4, None, ""),
    }  # fmt: skip
    assert result == remarks | {
        (kind, file, line + 3, column, value) for kind, file, line, column, value in expected
    }


def test_every_kind_has_its_test():
    files = clean_release.files()
    kinds = set()
    for plant in PLANTED.values():
        kinds |= {
            kind for kind, *_ in plant({name: [list(row) for row in rows] for name, rows in files.items()})
        }
    assert kinds | ELSEWHERE == set(KINDS)
    assert not kinds & ELSEWHERE


def test_several_faults_are_all_found(planted):
    files, folder = planted
    cases = [
        "check digit of a reference",
        "active of a member",
        "date",
        "axiom",
        "unknown target",
        "case",
        "self-loop",
    ]
    expected = set().union(*(PLANTED[case](files) for case in cases))
    assert len(expected) == len(cases)
    assert found(tiny_release.write(folder, files)) == expected


def test_a_row_that_is_at_fault_is_not_told_on_twice(planted):
    """Of a concept whose name's row is cut off nothing is said but that; nor of the member that names the row."""
    files, folder = planted
    line, row = line_of(files, DESCRIPTION, lambda row: row["typeId"] == FSN)
    del row[8]
    assert found(tiny_release.write(folder, files)) == {
        ("column-count", DESCRIPTION, line, "caseSignificanceId", "")
    }


def test_short_rows_of_text_are_told(planted):
    files, folder = planted
    del files[DOMAIN][1][11:]
    assert found(tiny_release.write(folder, files)) == {("short-row", DOMAIN, 2, "d", "")}
