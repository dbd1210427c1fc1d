"""The same release as RF2, OBO, OBO graph, Turtle and OWL gives the same concepts, edges and terms."""

import socket
import subprocess
import sys
from collections import Counter

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ontology import InputError, load, load_rf2
from ontology.builtin import write_rf2
from ontology.export import FORMATS

FILES = {"obo": "o.obo", "obograph": "o.json", "turtle": "o.ttl", "owl": "o.owl", "rf2": "o", "parquet": "p"}


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    return load_rf2(write_rf2(tmp_path_factory.mktemp("b") / "rf2"))


@pytest.fixture(scope="module")
def synthetic(shared, tmp_path_factory):
    out = tmp_path_factory.mktemp("s") / "s"
    subprocess.run(
        [sys.executable, str(shared / "tools/make_rf2.py"), "--out", str(out), "--scale", "0.01", "--extension", "40",
         "--stray-quotes", "4"], check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return load_rf2(sorted(out.iterdir(), key=lambda p: "International" not in p.name))


def edges(ontology, *, renumbered):
    """Edges with their group; or each source's groups as a set of sets, since OWL has no numbers for them."""
    relations = ontology.relations
    rows = list(zip(
        ontology.sctids[relations.source].tolist(), ontology.relation_types[relations.type].tolist(),
        ontology.sctids[relations.target].tolist(), relations.group.tolist(), strict=True,
    ))  # fmt: skip
    values = ontology.values.select("concept", "type", "value", "group").rows()
    rows += [(int(ontology.sctids[c]), kind, value, group) for c, kind, value, group in values]
    if not renumbered:
        return set(rows)
    groups = {}
    for source, kind, target, group in rows:
        groups.setdefault((source, group or (kind, target)), set()).add((kind, target))
    return {(source, frozenset(content), group == 0) for (source, group), content in groups.items()}


def said(ontology, kinds=("fsn", "synonym", "definition")):
    node = pl.Series(ontology.sctids[ontology.terms["concept"].to_numpy()])
    rows = ontology.terms.with_columns(sctid=node).filter(pl.col("kind").is_in(list(kinds)))
    preferred = (pl.col("preferred") & (pl.col("kind") == "synonym")).alias("preferred")
    return rows.select("sctid", "term", pl.col("kind").cast(pl.String), preferred).unique().sort(pl.all())


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("which", ["builtin", "synthetic"])
def test_every_form_says_the_same(which, form, request, tmp_path):
    ontology = request.getfixturevalue(which)
    again = load(FORMATS[form](ontology, tmp_path / FILES[form]))
    assert again.sctids.tolist() == ontology.sctids.tolist()
    assert again.defined.tolist() == ontology.defined.tolist()
    assert edges(again, renumbered=form == "owl") == edges(ontology, renumbered=form == "owl")
    assert_frame_equal(said(again), said(ontology))
    assert again.inactive["sctid"].to_list() == ontology.inactive["sctid"].to_list()
    assert again.history.rows() == ontology.history.rows()
    if form in ("rf2", "parquet"):
        assert again.fingerprint == ontology.fingerprint


TURTLE = "@prefix skos: <http://www.w3.org/2004/02/skos/core#> . <http://snomed.info/id/22298006> a skos:Concept ; "
OWL = """<?xml version="1.0"?>{doctype}
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:owl="http://www.w3.org/2002/07/owl#"
 xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#">
 <owl:Ontology rdf:about="http://example.org/o">{imports}</owl:Ontology>
 <owl:Class rdf:about="http://snomed.info/id/22298006"><rdfs:label>{label}</rdfs:label></owl:Class>
</rdf:RDF>"""
LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "ha"}">' for i in range(9))


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize(
    ("doctype", "label"),
    [(f"<!DOCTYPE rdf:RDF [{LAUGHS}]>", "&l8;"),
     ('<!DOCTYPE rdf:RDF [<!ENTITY x SYSTEM "file:///etc/hostname">]>', "&x;"),
     ('<!DOCTYPE rdf:RDF [<!ENTITY x SYSTEM "http://example.org/x">]>', "&x;"),
     ('<!DOCTYPE rdf:RDF SYSTEM "http://example.org/x.dtd">', "x")],
    ids=["laughs", "file", "http", "dtd"],
)  # fmt: skip
@pytest.mark.parametrize("form", ["owl", "rdf"])
def test_entities_are_refused(tmp_path, no_network, doctype, label, form):
    path = tmp_path / "o.owl"
    path.write_text(OWL.format(doctype=doctype, label=label, imports=""))
    with pytest.raises(InputError) as caught:
        load(path, form)
    assert str(path) in str(caught.value)


def test_imports_are_counted_and_never_fetched(tmp_path, no_network):
    path = tmp_path / "o.owl"
    imports = '<owl:imports rdf:resource="http://example.org/other.owl"/>'
    path.write_text(OWL.format(doctype="", label="Infarction", imports=imports))
    ontology = load(path)
    assert ontology.sctids.tolist() == [22298006]
    assert any(
        "import" in what for what in (*ontology.report.tolerated, *map(str, ontology.report.files_not_read))
    )


def test_a_remote_context_is_refused(tmp_path, no_network):
    path = tmp_path / "o.jsonld"
    path.write_text(
        '{"@context": "http://example.org/context.jsonld", "@id": "http://example.org/x", "a": "b"}'
    )
    with pytest.raises(InputError):
        load(path, "rdf")


BROKEN = {
    "o.ttl": (TURTLE + "skos:prefLabel 'x' ; ; ; ] .", "line 1"),
    "o.owl": (OWL.format(doctype="", label="<", imports=""), "does not parse"),
    "o.nt": ("<http://a> <http://b> .\n", "line 1"),
    "o.obo": ("format-version: 1.4\n\n[Term]\nid: X:1\nis_a: \n", "line"),
    "o.json": ('{"graphs": [{"nodes": [{"id": 5}]}]}', "graphs"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_documents_are_refused_with_their_place(tmp_path, name):
    text, place = BROKEN[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=place):
        load(tmp_path / name)


def test_the_slims_of_the_disease_ontology_agree(shared):
    """OBO, OBO graph and OWL of one slim: the same classes and the same is-a."""
    for slim in ("DO_RAD_slim", "DO_infectious_disease_slim"):
        found = {}
        for ending in ("obo", "json", "owl"):
            ontology = load(shared / f"data/ontologies/{slim}.{ending}")
            up = ontology.relations.type == 0
            pairs = zip(ontology.relations.source[up], ontology.relations.target[up], strict=True)
            names = [ontology.identifier(int(sctid)) for sctid in ontology.sctids]
            found[ending] = Counter((names[s], names[t]) for s, t in pairs), sorted(names)
        assert found["obo"] == found["json"] == found["owl"]
