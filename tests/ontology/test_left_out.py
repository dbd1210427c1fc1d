"""What a format loses of an ontology is what `left_out` says, to the row; everything else comes back."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from test_obo import awkward

from mhdiff.cli import main
from ontology import InputError, load, load_rf2
from ontology.builtin import write_rf2
from ontology.disassemble import disassemble
from ontology.export import FORMATS
from ontology.left_out import CONTENT, LACKS, left_out
from ontology.parts import SCHEMAS
from ontology.writers import rf2

FILES = {"obo": "o.obo", "obograph": "o.json", "turtle": "o.ttl", "owl": "o.owl", "rf2": "o", "parquet": "p"}
# What each entry is about: a table, what tells its rows apart, and the columns that are lost.
ABOUT = {
    "modules and effectiveTimes of concepts": [
        (table, ["sctid"], ["module", "effective_time"]) for table in ("concepts", "inactive")
    ],
    "reasons of inactivation": [("inactive", ["sctid"], ["reason"])],
    "historical associations": [("history", ["source", "refset", "target"], [])],
    "preferences of FSNs and definitions": [("terms", ["sctid", "term", "kind"], ["preferred"])],
    "languages of terms": [("terms", ["sctid", "term", "kind"], ["language"])],
    "case significances": [("terms", ["sctid", "term", "kind"], ["case_significance"])],
    "ids of descriptions": [("terms", ["sctid", "term", "kind"], ["id"])],
    "acceptabilities in language reference sets": [("dialects", ["refset", "id", "preferred"], [])],
    "ids of relationships": [
        ("relations", ["source", "type", "target", "group"], ["id"]),
        ("values", ["source", "type", "value", "group"], ["id"]),
    ],
    "stated relationships": [("stated", ["source", "type", "target", "group", "id"], [])],
    "axioms": [("axioms", ["sctid", "axiom"], [])],
    "concrete values": [("values", ["source", "type", "value", "group"], [])],
}
# The tables and columns that no format loses without saying so under another name.
ALWAYS = {
    "concepts": ["sctid", "defined"],
    "inactive": ["sctid", "defined"],
    "terms": ["sctid", "term", "kind"],
    "relations": ["source", "type", "target", "group"],
    "values": ["source", "type", "value", "group"],
    "history": ["source", "refset", "target"],
}
MAP = list(SCHEMAS["maps"])
# What is lost with something larger, and so not counted once more.
_TERMS = ("terms other than the preferred ones", "terms other than FSN and preferred term")
WITHIN = {
    "reasons of inactivation": ("inactive concepts",),
    "languages of terms that are no language tag": ("languages of terms",),
    "numbers of role groups": ("role groups of relations",),
    "attributes of a role group that is there twice": ("role groups of relations",),
    "maps other than cross-references": ("maps",),
    "origins of cross-references": ("maps",),
    "rules, groups and confidences of cross-references": ("maps",),
    "maps of no reference set, kept beside it in maps.tsv": ("maps",),
    "members of reference sets other than subsets": ("members of reference sets",),
    "terms other than FSN and preferred term": _TERMS,
    "preferences of FSNs and definitions": _TERMS,
    "terms of other kinds, written as acceptable synonyms": _TERMS,
    "blank terms": _TERMS,
}


@pytest.fixture(scope="module")
def sources(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("s")
    subprocess.run(
        [sys.executable, str(shared / "tools/make_rf2.py"), "--out", str(folder / "s"), "--scale", "0.01",
         "--extension", "40", "--stray-quotes", "4"], check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    data = shared / "data"
    packages = sorted((folder / "s").iterdir(), key=lambda p: "International" not in p.name)
    snowstorm = data / "rf2/snowstorm/src/main/resources/dummy-snomed-content/RF2Release"
    return {
        "builtin": load_rf2(write_rf2(folder / "b")),
        "synthetic": load_rf2(packages),
        "disease ontology": load_rf2(data / "rf2/disease-ontology"),
        "snowstorm": load_rf2(snowstorm, check_dependencies=False),
        "radiology slim": load(data / "ontologies/DO_RAD_slim.obo"),
        "infectious slim": load(data / "ontologies/DO_infectious_disease_slim.obo"),
        "awkward": awkward(),
    }


SOURCES = (
    "builtin", "synthetic", "disease ontology", "snowstorm", "radiology slim", "awkward",
    pytest.param("infectious slim", marks=pytest.mark.slow),  # as the other slim
)  # fmt: skip


def rows(parts, table, columns):
    """The rows as a multiset; a confidence that is not given equals another one."""
    return Counter(
        tuple(None if value != value else value for value in row)
        for row in getattr(parts, table).select(columns).rows()
    )


def lost(before, after, table, key, columns=()):
    return (rows(before, table, [*key, *columns]) - rows(after, table, [*key, *columns])).total()


def written(ontology, form, tmp_path):
    if form == "rf2":
        return rf2.write(ontology, tmp_path / "o", namespace=9999009, effective_time=20260101)
    return FORMATS[form](ontology, tmp_path / FILES[form])


@pytest.mark.parametrize("form", [form for form in FILES if form not in ("rf2", "owl")])
@pytest.mark.parametrize("source", SOURCES)
def test_what_is_left_out_is_counted_to_the_row_and_nothing_else_is(source, form, sources, tmp_path):
    ontology = sources[source]
    said = left_out(ontology, form)
    before = disassemble(ontology)
    after = disassemble(load(written(ontology, form, tmp_path)))
    for what, places in ABOUT.items():
        assert sum(lost(before, after, *place) for place in places) == said.get(what, 0), what
    for table, key in ALWAYS.items():
        assert rows(before, table, key) == rows(after, table, key), table
    preferred = (pl.col("kind") == "synonym") & pl.col("preferred")
    first = [
        Counter(parts.terms.filter(preferred).select("sctid", "term").rows()) for parts in (before, after)
    ]
    assert first[0] == first[1]
    assert rows(before, "maps", MAP) == rows(after, "maps", MAP)
    members = sum(frame.height for kind, frame in before.members.items() if kind not in after.members)
    assert members == sum(n for what, n in said.items() if what.startswith("members of reference sets"))
    for kind in after.members:
        columns = [c for c in before.members[kind].columns if c != "id"]
        assert after.members[kind].select(columns).rows() == before.members[kind].select(columns).rows()
    if form == "parquet":
        assert said == {}


def grouped(parts):
    """What each role group says, without its number, and what stands in none."""
    groups = {}
    for table, target in (("relations", "target"), ("values", "value")):
        for source, kind, value, group in (
            getattr(parts, table).select("source", "type", target, "group").rows()
        ):
            groups.setdefault((source, group or (kind, value)), set()).add((kind, value))
    return Counter(
        (source, frozenset(said), isinstance(group, int)) for (source, group), said in groups.items()
    )


@pytest.mark.parametrize("source", SOURCES)
def test_owl_loses_what_is_said_and_keeps_the_role_groups_as_such(source, sources, tmp_path):
    ontology = sources[source]
    said = left_out(ontology, "owl")
    before = disassemble(ontology)
    after = disassemble(load(written(ontology, "owl", tmp_path)))
    exact = {what: places for what, places in ABOUT.items() if what not in ("ids of relationships", "axioms")}
    for what, places in exact.items():
        if what in LACKS["owl"]:
            assert sum(lost(before, after, *place) for place in places) == said.get(what, 0), what
    # their texts go, and those that a reader words alike again come back
    assert lost(before, after, "axioms", ["sctid", "axiom"]) <= said.get("axioms", 0)
    for table in ("concepts", "inactive", "terms", "history"):
        assert rows(before, table, ALWAYS[table]) == rows(after, table, ALWAYS[table]), table
    assert set(grouped(before)) == set(grouped(after))
    again = grouped(before) - grouped(after)
    assert sum(len(content) * n for (_, content, _), n in again.items()) == said.get(
        "attributes of a role group that is there twice", 0
    )
    assert lost(before, after, "maps", ["sctid", "system", "target", "predicate"]) == said.get(
        "maps other than cross-references", 0
    )
    kept = after.maps.height
    origins = before.maps.filter(pl.col("predicate") == "oboInOwl:hasDbXref")["origin"] != ""
    assert min(kept, int(origins.sum())) == said.get("origins of cross-references", 0)
    assert not after.members


@pytest.mark.parametrize("source", SOURCES)
def test_rf2_brings_back_everything_under_the_sctids_that_it_gave(source, sources, tmp_path):
    """OBO -> RF2 with a namespace -> back, and RF2 -> RF2: the identifiers beside the files undo the renaming."""
    ontology = sources[source]
    said = left_out(ontology, "rf2")
    folder = written(ontology, "rf2", tmp_path)
    table = pl.read_csv(
        folder / "identifiers.tsv", separator="\t", quote_char=None, schema_overrides={"kind": pl.String}
    )
    known = {row["sctid"]: row["content"] for row in table.filter(kind="10").iter_rows(named=True)}
    before, after = disassemble(ontology), disassemble(load_rf2(folder, check_dependencies=False))

    def named(parts, name, columns):
        keys = {"sctid", "source", "type", "target", "component", "refset"} & set(columns)
        found = Counter()
        for row in getattr(parts, name).select(columns).iter_rows(named=True):
            found[
                tuple(known.get(v, ontology.identifier(v)) if k in keys else v for k, v in row.items())
            ] += 1
        return found

    for name in ("concepts", "inactive", "relations", "values"):
        assert named(before, name, ALWAYS[name]) == named(after, name, ALWAYS[name]), name
    assert named(before, "history", ["source", "refset"]) == named(after, "history", ["source", "refset"])
    kinds = ["sctid", "term", "kind"]
    others = before.terms["kind"] == "other"
    assert int(others.sum()) == said.get("terms of other kinds, written as acceptable synonyms", 0)
    before.terms = before.terms.with_columns(
        kind=pl.when(pl.col("kind") == "other")
        .then(pl.lit("synonym"))
        .otherwise(pl.col("kind").cast(pl.String))
    )
    assert named(before, "terms", kinds) == named(after, "terms", kinds)
    gone = before.maps.height - after.maps.height
    assert gone == said.get("maps of no reference set, kept beside it in maps.tsv", 0)
    beside = folder / "maps.tsv"
    assert gone == (beside.read_text(encoding="utf-8").count("\n") - 1 if beside.exists() else 0)
    assert {kind: frame.height for kind, frame in after.members.items()} == {
        {"subset": "reference set"}.get(kind, kind): frame.height for kind, frame in before.members.items()
    }
    if not len(ontology.codes):
        assert rows(before, "maps", MAP) == rows(after, "maps", MAP)


def test_every_writer_says_what_it_lacks():
    assert LACKS.keys() == FORMATS.keys()
    assert {what for lacks in LACKS.values() for what in lacks} == CONTENT.keys()
    with pytest.raises(InputError, match="no format 'word'"):
        left_out(awkward(), "word")


def test_forms_for_other_tools_count_what_only_edges_keep(sources, tmp_path):
    ontology = sources["synthetic"]
    said = left_out(ontology, "graphml")
    assert said["concrete values"] == ontology.values.height
    assert said["maps"] == ontology.maps.height
    assert said["inactive concepts"] == ontology.inactive.height
    grouped = int((ontology.relations.group != 0).sum())
    assert left_out(ontology, "pykeen")["role groups of relations"] == grouped
    assert "role groups of relations" not in said


def test_the_command_says_what_is_left_out(tmp_path, capsys):
    out = tmp_path / "o.obo"
    assert main(["ontology", "export", "builtin", "--format", "obo", "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["left_out"]["case significances"] > 0
    for what, count in document["left_out"].items():
        assert f"{count:,} {what}" in printed.err
    out = tmp_path / "p"
    assert main(["ontology", "export", "builtin", "--format", "parquet", "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["left_out"] == {}
    assert "left out: nothing" in printed.err


def test_the_table_in_the_docs_is_that_of_the_code():
    """`docs/loading.md` has a column for every format and a row for what any of them loses."""
    text = (Path(__file__).resolve().parents[2] / "docs/loading.md").read_text(encoding="utf-8")
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.split("## What each format carries")[1].split("\n## ")[0].splitlines()
        if line.startswith("|")
    ]
    header, _, *lines = table
    forms = [re.sub(r"`", "", name) for name in header[1:]]
    assert set(forms) == LACKS.keys()
    said = {line[0]: dict(zip(forms, line[1:], strict=True)) for line in lines}
    for what in CONTENT:
        for form in forms:
            lacking = {what, *WITHIN.get(what, ())} & set(LACKS[form])
            assert (said[what][form] == "no") == bool(lacking), (what, form)


def test_characters_that_xml_cannot_hold_become_a_blank_and_are_counted(tmp_path):
    ontology = awkward("a\x0bb")
    several = int(ontology.terms["term"].str.contains("\x0b").sum()) + ontology.inactive_terms.height
    for form in ("owl", "graphml"):
        assert left_out(ontology, form)["terms with characters that XML cannot hold"] == several
        path = FORMATS[form](ontology, tmp_path / form)
        ElementTree.parse(path)
        assert "a b" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("form", ["turtle", "rf2", "obo", "parquet"])
def test_blank_terms_are_kept_or_counted(form, tmp_path):
    ontology = awkward("  ")
    before = disassemble(ontology).terms
    blank = int((before["term"].str.strip_chars() == "").sum())
    assert blank > 3
    assert left_out(ontology, form).get("blank terms", 0) == (blank if form in ("turtle", "rf2") else 0)
    after = disassemble(load(written(ontology, form, tmp_path))).terms
    assert before.height - after.height == left_out(ontology, form).get("blank terms", 0)
