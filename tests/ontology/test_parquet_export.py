"""The Parquet tables, read back without loss, and the triples for PyKEEN."""

import csv
import json

import numpy as np
import polars as pl
import pytest
import torch
from test_obo import awkward

from ontology import InputError, load_rf2
from ontology.assemble import assemble
from ontology.builtin import write_rf2
from ontology.readers import parquet_tables
from ontology.report import LoadReport
from ontology.writers import parquet, pykeen


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    return load_rf2(write_rf2(tmp_path_factory.mktemp("rf2") / "builtin"))


def test_nothing_is_lost(builtin, tmp_path):
    folder = parquet.write(builtin, tmp_path / "out")
    assert parquet_tables.recognises(folder)
    again = parquet_tables.open_tables(folder)
    assert again.fingerprint == builtin.fingerprint
    assert (again.name, again.layers, again.report) == (builtin.name, builtin.layers, builtin.report)
    report = LoadReport()
    assert assemble("x", parquet_tables.read(folder, report), report).fingerprint == builtin.fingerprint
    assert report.rows["relationship"]["used"] == len(builtin.relations)


def test_nothing_is_lost_of_every_fixture(shared, tmp_path):
    for name in ("disease-ontology",):
        onto = load_rf2(shared / "data/rf2" / name)
        assert (
            parquet_tables.open_tables(parquet.write(onto, tmp_path / name)).fingerprint == onto.fingerprint
        )


def test_codes_that_are_no_sctids_have_their_identifiers(tmp_path):
    onto = awkward()
    folder = parquet.write(onto, tmp_path / "out")
    nodes, edges = pl.read_parquet(folder / "nodes.parquet"), pl.read_parquet(folder / "edges.parquet")
    assert nodes.schema["sctid"] == pl.Int64
    assert dict(nodes.select("sctid", "identifier").iter_rows()) == {
        s: onto.identifier(s) for s in onto.sctids.tolist()
    }
    assert "within" in edges["type_name"].to_list()
    assert edges.height == len(onto.relations)
    assert parquet_tables.open_tables(folder).fingerprint == onto.fingerprint


def test_an_older_export_is_replaced_and_nothing_else(builtin, tmp_path):
    parquet.write(builtin, tmp_path / "out")
    parquet.write(awkward(), tmp_path / "out")
    assert len(parquet_tables.open_tables(tmp_path / "out")) == 4
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").write_text("x")
    for write in (parquet.write, pykeen.write):
        with pytest.raises(InputError, match="is not replaced"):
            write(builtin, tmp_path / "mine")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda f: (f / "edges.parquet").unlink(), "is missing"),
        (lambda f: (f / "edges.parquet").write_bytes(b"x"), "checksum differs"),
        (lambda f: (f / "manifest.json").write_text("{"), "no JSON"),
        (lambda f: (f / "manifest.json").unlink(), "holds no manifest.json"),
        (lambda f: change(f, version=99), "version 99"),
        (lambda f: change(f, format="x"), "no manifest of"),
        (lambda f: change(f, tables=[]), "'tables' is missing or of the wrong kind"),
        (lambda f: change(f, tables={}), "names no file"),
        (lambda f: change(f, fingerprint="x"), "do not give the ontology"),
    ],
)
def test_damage_is_refused(tmp_path, damage, problem):
    folder = parquet.write(awkward(), tmp_path / "out")
    damage(folder)
    with pytest.raises(InputError, match=problem) as caught:
        parquet_tables.open_tables(folder)
    assert caught.value.remedy


def change(folder, **entries):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **entries}), encoding="utf-8")


def test_triples_are_the_relations_without_groups(builtin):
    rows, entities, relations = pykeen.triples(builtin)
    assert (rows.dtype, rows.shape[1]) == (np.int64, 3)
    assert relations["116680003"] == 0
    assert list(entities.values()) == list(range(len(builtin)))
    r = builtin.relations
    expected = set(zip(r.source.tolist(), r.type.tolist(), r.target.tolist(), strict=True))
    assert len(rows) == len(expected)
    assert set(map(tuple, rows.tolist())) == expected


def test_the_tables_agree_with_the_triples(builtin, tmp_path):
    folder = pykeen.write(builtin, tmp_path / "out")
    rows, entities, relations = pykeen.triples(builtin)

    def table(name):
        with (folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))

    assert [[entities[h], relations[r], entities[t]] for h, r, t in table("triples.tsv")] == rows.tolist()
    header, *lines = table("entity_to_id.tsv")
    assert header == ["id", "identifier", "label"]
    assert {identifier: int(number) for number, identifier, _ in lines} == entities
    assert [identifier for _, identifier, _ in table("relation_to_id.tsv")[1:]] == list(relations)


def test_pykeen_takes_them(builtin, tmp_path):
    from pykeen.triples import CoreTriplesFactory, TriplesFactory  # takes seconds, so only here

    rows, entities, relations = pykeen.triples(builtin)
    core = CoreTriplesFactory(torch.as_tensor(rows), num_entities=len(entities), num_relations=len(relations))
    assert core.num_triples == len(rows)
    path = pykeen.write(builtin, tmp_path / "out") / "triples.tsv"
    read = TriplesFactory.from_path(path, entity_to_id=entities, relation_to_id=relations)
    assert torch.equal(read.mapped_triples, core.mapped_triples)
    alone = TriplesFactory.from_path(path)  # by its own numbers
    assert alone.num_triples == len(rows)
    assert set(alone.relation_to_id) == set(relations)
    assert set(alone.entity_to_id) == {
        name for name, number in entities.items() if (rows[:, ::2] == number).any()
    }
