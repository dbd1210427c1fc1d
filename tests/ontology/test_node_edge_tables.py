import csv

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ontology import InputError, Ontology, load, load_tables
from ontology.identifiers import IS_A, REPLACED_BY
from tests.searches import examples

NODES = """id,name,synonyms,definition,parents,active
MYLAB:1,Lung thing,,,,
MYLAB:2,"Nodule, small",Nodulus|Little nodule,"A ""small"" thing",MYLAB:1,true
MYLAB:3,Odd,,,MYLAB:1|MYLAB:2,1
MYLAB:4,Gone,Was here,,,false
22298006,Infarction,,,MYLAB:1,
"""
EDGES = """source,target,type,group
MYLAB:2,22298006,finding site,1
MYLAB:3,22298006,MYLAB:near,
MYLAB:3,MYLAB:404,finding site,2
"""
MORE = {
    "terms.tsv": 'id\tterm\tkind\tpreferred\nMYLAB:3\t"open quote\tsynonym\t\n',
    "mappings.csv": "id,system,code,confidence\nMYLAB:2,icd10,R91.1,0.5\n",
    "history.csv": "id,target,association\nMYLAB:4,MYLAB:3,replaced_by\n",
    "notes.txt": "nothing",
}


@pytest.fixture
def folder(tmp_path):
    files = {"nodes.csv": NODES, "edges.csv": EDGES, **MORE}
    for name, text in files.items():
        (tmp_path / "own").mkdir(exist_ok=True)
        (tmp_path / "own" / name).write_text(text)
    return tmp_path / "own"


def test_tables_give_an_ontology(folder, tmp_path):
    onto = load(folder)
    assert len(onto) == sum(1 for row in csv.DictReader(NODES.splitlines()) if row["active"] != "false")
    node = int(onto.sctids[onto.index("MYLAB:2")])
    assert onto.term(node) == "Nodule, small"
    assert onto.synonyms(node) == ["Nodule, small", "Nodulus", "Little nodule"]
    assert onto.terms.filter(kind="definition")["term"].to_list() == ['A "small" thing']
    assert [onto.identifier(int(p)) for p in onto.parents(node)] == ["MYLAB:1"]
    assert onto.synonyms(int(onto.sctids[onto.index("MYLAB:3")]))[-1] == '"open quote'
    assert onto.relation_types[0] == IS_A
    assert {onto.relation_name(int(t)) for t in onto.relation_types} == {"is a", "finding site", "MYLAB:near"}
    assert onto.report.dropped["relationship"] == {"the destination is unknown": 1}
    assert onto.report.files_not_read[0]["file"] == "notes.txt"
    (mapped,) = onto.map("R911", "ICD-10")
    assert (mapped.sctid, mapped.confidence, mapped.origin) == (node, 0.5, "mappings.csv")
    assert onto.inactive_terms["term"].to_list() == ["Gone", "Gone", "Was here"]
    assert onto.history["refset"].to_list() == [REPLACED_BY]
    assert onto.normalise("MYLAB:4").status == "replaced"
    assert Ontology.open(onto.save(tmp_path / "o")).fingerprint == onto.fingerprint
    assert 22298006 in onto
    with pytest.raises(InputError, match=r"strict.*destination is unknown"):
        load_tables(folder, strict=True)


def test_parquet_says_the_same_as_csv(folder):
    expected = load(folder)
    for name in ("nodes", "edges"):
        frame = pl.read_csv(folder / f"{name}.csv", infer_schema=False)
        if name == "nodes":
            frame = frame.with_columns(pl.col("synonyms").fill_null("").str.split("|"))
        frame.write_parquet(folder / f"{name}.parquet")
        (folder / f"{name}.csv").unlink()
    assert load(folder).fingerprint == expected.fingerprint


BAD = {
    "no id": ("nodes.csv", NODES + ",x,,,,\n", "nodes.csv, line 7, column 'id': there is no identifier"),
    "no name": ("nodes.csv", NODES + "MYLAB:9,,,,,\n", "line 7, column 'name'"),
    "twice": (
        "nodes.csv",
        NODES + "MYLAB:1,again,,,,\n",
        "line 7, column 'id': 'MYLAB:1' is there already, on line 2",
    ),
    "truth": ("nodes.csv", NODES + "MYLAB:9,x,,,,maybe\n", "line 7, column 'active'.*neither true nor false"),
    "column": ("nodes.csv", "id,label\n1,x\n", "line 1, column 'name'.*Its columns are: id, name"),
    "empty": ("nodes.csv", "", "nodes.csv: the table cannot be read"),
    "group": ("edges.csv", EDGES + "MYLAB:1,MYLAB:2,x:y,-1\n", "edges.csv, line 5, column 'group'"),
    "kind": ("terms.tsv", "id\tterm\tkind\nMYLAB:1\tx\tslang\n", "line 2, column 'kind'.*Kinds: fsn"),
    "confidence": (
        "mappings.csv",
        "id,system,code,confidence\nMYLAB:2,x,y,2\n",
        "line 2, column 'confidence'",
    ),
    "association": (
        "history.csv",
        "id,target,association\nMYLAB:4,MYLAB:3,eaten by\n",
        "line 2, column 'association'",
    ),
    "circle": ("edges.csv", "source,target\nMYLAB:1,MYLAB:2\n", "goes in circles.*Lung thing"),
    "two tables": ("concepts.csv", NODES, "are both a table of nodes"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused_with_their_place(folder, case):
    name, text, message = BAD[case]
    (folder / name).write_text(text)
    with pytest.raises(InputError, match=message):
        load(folder, "tables")


def test_a_folder_without_nodes_is_refused(tmp_path):
    with pytest.raises(InputError, match="no table of nodes"):
        load(tmp_path, "tables")
    with pytest.raises(InputError, match="no reader recognises"):
        load(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "none")


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["nodes.csv", "edges.csv", "terms.tsv"]), st.integers(0, 300), st.binary(max_size=6))
def test_spoiled_tables_give_an_ontology_or_an_input_error(tmp_path_factory, name, place, piece):
    folder = tmp_path_factory.mktemp("t")
    for file, text in {"nodes.csv": NODES, "edges.csv": EDGES, **MORE}.items():
        data = text.encode()
        (folder / file).write_bytes(data[:place] + piece + data[place + 2 :] if file == name else data)
    try:
        onto = load(folder, "tables")
    except InputError:
        return
    assert len(onto) > 0
