import csv

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ontology import InputError, load_rf2
from ontology.assemble import assemble
from ontology.disassemble import disassemble
from ontology.parts import Parts
from ontology.readers.sssom import load_mappings, read, read_mappings, recognises
from ontology.report import LoadReport
from tests.searches import LENGTH

HEAD = """# curie_map:
#   DOID: http://purl.obolibrary.org/obo/DOID_
#   S: http://snomed.info/id/
#   X: http://example.org/x#
# license: CC0
subject_id\tpredicate_id\tobject_id\tmapping_justification\tconfidence\tpredicate_modifier
"""
ROWS = """DOID:4\tskos:exactMatch\tS:64572001\tsemapv:Manual\t0.9\t
DOID:5\tskos:broadMatch\tX:7\tsemapv:Manual\t\t
DOID:6\tskos:exactMatch\tX:8\tsemapv:Manual\t1\tNot
sssom:NoTermFound\tskos:exactMatch\tX:9\tsemapv:Manual\t\t
"""


def table(tmp_path, text, name="m.sssom.tsv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_rows_prefixes_and_confidence(tmp_path):
    report = LoadReport()
    path = table(tmp_path, HEAD + ROWS)
    assert recognises(path)
    rows = read_mappings(path, report)
    assert rows.select("subject", "predicate", "object").rows() == [
        ("DOID:4", "skos:exactMatch", "64572001"), ("DOID:5", "skos:broadMatch", "X:7"),
    ]  # fmt: skip
    assert rows["confidence"][0] == 0.9
    assert rows["confidence"].is_nan().to_list() == [False, True]
    assert report.dropped["map"] == {
        "it says that the two do not correspond": 1, "it says that no term was found": 1,
    }  # fmt: skip
    maps = read(path, LoadReport()).maps
    assert maps.select("system", "target", "predicate", "origin").row(0) == (
        "SNOMED", "64572001", "skos:exactMatch", "m.sssom.tsv",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["doid", "sctid", "icd10cm"])
def test_every_row_of_mondo_is_read(shared, name):
    path = shared / f"data/mappings/mondo_exactmatch_{name}.sssom.tsv"
    with path.open() as file:
        rows = list(csv.DictReader((line for line in file if not line.startswith("#")), delimiter="\t",
                                   quoting=csv.QUOTE_NONE))  # fmt: skip
    found = read_mappings(path, LoadReport())
    assert found.height == len(rows)
    assert found["subject"].to_list() == [row["subject_id"] for row in rows]
    expected = [row["object_id"].removeprefix("SCTID:") for row in rows]
    assert found["object"].to_list() == expected


def test_mappings_find_the_concepts_of_an_ontology_on_either_side(shared):
    onto = load_rf2(shared / "data/rf2/disease-ontology")
    names = [
        line.split("\t")
        for line in (shared / "data/rf2/disease-ontology/concepts.tsv").read_text().splitlines()[1:]
    ]
    doid_of = {doid: int(sctid) for sctid, doid, _ in names}
    text = "subject_id\tpredicate_id\tobject_id\tmapping_justification\n"
    with (shared / "data/mappings/mondo_exactmatch_doid.sssom.tsv").open() as file:
        lines = [line.split("\t") for line in file if not line.startswith("#")][1:]
    joined = [(row[0], doid_of[row[3]]) for row in lines if row[3] in doid_of and doid_of[row[3]] in onto]
    assert len(joined) > 5000
    text += "".join(f"{mondo}\tskos:broadMatch\tSCTID:{sctid}\tsemapv:x\n" for mondo, sctid in joined)
    text += "MONDO:1\tskos:exactMatch\tHP:2\tsemapv:x\n"
    report = LoadReport()
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "joined.sssom.tsv"
        path.write_text(text)
        parts = load_mappings(path, onto, report)
    assert parts.maps.height == len(joined)
    assert set(parts.maps["predicate"]) == {
        "skos:narrowMatch"
    }  # the concept is the object, so the match turns round
    assert report.dropped["map"] == {"neither side is a concept of the ontology": 1}
    both = assemble("with maps", Parts.together([disassemble(onto), parts]), LoadReport())
    mondo, sctid = joined[0]
    assert sctid in both.concepts_of(mondo.split(":")[1], "MONDO")


BAD = {
    "column": (HEAD.replace("object_id", "target"), "line 6, column 'object_id'"),
    "fields": (
        HEAD + "DOID:4\tskos:exactMatch\n",
        "line 7, column 'object_id': the line has 2 fields instead of 6",
    ),
    "empty": (HEAD + "\tskos:exactMatch\tX:1\ta\t\t\n", "line 7, column 'subject_id': the field is empty"),
    "confidence": (HEAD + ROWS + "A:1\tskos:x\tX:1\ta\t1.5\t\n", "line 11, column 'confidence'"),
    "yaml": ("# a: [\n" + HEAD, "no YAML"),
    "list": ("# - a\nsubject_id\tobject_id\n", "no YAML mapping"),
    "map": ("# curie_map: [1]\n" + HEAD.split("\n", 5)[5] + ROWS, "curie_map is no mapping"),
    "nothing": ("# a: b\n", "no table below"),
    "twice": (
        HEAD.replace("object_id", "subject_id"),
        "line 6, column 'subject_id': the column occurs twice",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused_with_their_place(tmp_path, case):
    text, message = BAD[case]
    with pytest.raises(InputError, match=message):
        read(table(tmp_path, text), LoadReport())


def spoiled(tmp_path_factory, place, piece, cut):
    data = (HEAD + ROWS).encode()
    path = tmp_path_factory.mktemp("s") / "m.sssom.tsv"
    path.write_bytes(data[:place] + piece + data[place + cut :])
    try:
        found = read(path, LoadReport())
    except InputError:
        return
    assert found.maps.height <= 6


PIECES = st.one_of(
    st.binary(max_size=5), st.sampled_from([b"\t", b"\n", b"#", b"\xff", b"&a *a", b": [", b"!!python/x"])
)
EDITS = (st.integers(0, len(HEAD + ROWS)), PIECES, st.integers(0, 60))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(*EDITS)
def test_a_spoiled_table_gives_maps_or_an_input_error(tmp_path_factory, place, piece, cut):
    spoiled(tmp_path_factory, place, piece, cut)


@pytest.mark.slow
@settings(max_examples=LENGTH, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(*EDITS)
def test_spoiled_tables_at_length(tmp_path_factory, place, piece, cut):
    spoiled(tmp_path_factory, place, piece, cut)
