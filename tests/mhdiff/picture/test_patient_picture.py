"""`mhdiff graph view` through the real command line: what is drawn, what is left out, and what is refused."""

import html
import json
import re

import networkx as nx
import pytest
from many_concepts import HOSTILE, patient, terminology

from graph_builders import PatientGraph, Permuted
from mhdiff.cli import main
from mhdiff.picture import draw_patient


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A graph on disk with its ontology."""
    root = tmp_path_factory.mktemp("picture")
    ontology = terminology(400)
    ontology.save(root / "ontology")
    patient(ontology, range(360, 400)).save(root / "graph")
    return root


def view(places, tmp_path, capsys, *more, sample="7"):
    out = tmp_path / "view.html"
    given = ["graph", "view", str(places / "graph"), "--sample", sample, "--out", str(out), "--json", *more]
    assert main(given) == 0
    return json.loads(capsys.readouterr().out), out.read_text()


def test_what_the_evidence_leads_to_is_drawn_with_every_relation(places, tmp_path, capsys):
    document, _ = view(places, tmp_path, capsys, "--ontology", str(places / "ontology"))
    graph = PatientGraph.open(places / "graph")
    sctids = graph.data["concept"].sctid.tolist()
    walked = nx.MultiDiGraph(
        (sctids[a], sctids[b], {"kind": name.replace("_", " ")})
        for name, ends in graph.concept_graph().relations.items()
        for a, b in ends.T.tolist()
    )
    seeds = set(range(360, 400))
    reached = seeds.union(*(nx.descendants(walked, s) for s in seeds))
    concepts = {int(n["sctid"]): n for n in document["nodes"] if n["kind"] == "concept"}
    assert set(concepts) == reached
    drawn = [
        (int(document["nodes"][e["from"]]["sctid"]), int(document["nodes"][e["to"]]["sctid"]), e["kind"])
        for e in document["edges"]
        if e["kind"] not in ("in", "evidences")
    ]
    wanted = [(a, b, k) for a, b, k in walked.edges(data="kind") if a in reached]
    assert sorted(drawn) == sorted(wanted)
    up = nx.DiGraph((a, b) for a, b, k in wanted if k == "is a")
    ancestors = seeds.union(*(nx.descendants(up, s) for s in seeds))
    assert {s for s, n in concepts.items() if n["ancestor"]} == ancestors
    for sctid, node in concepts.items():
        assert node["steps"] == min(
            nx.shortest_path_length(walked, s, sctid) for s in seeds if nx.has_path(walked, s, sctid)
        )
        assert node["fsn"] == f"Condition number {sctid} (disorder)"
        assert node["name"] == f"Condition number {sctid}"
        assert node["synonyms"] == [f"ailment{sctid}"]
    assert {s for s, n in concepts.items() if n["evidence"]} == seeds
    assert document["left_out"] | {"most": 0, "rule": ""} == {
        "evidence concepts": 0, "other concepts": 0, "relations": 0, "most": 0, "rule": "",
    }  # fmt: skip


def test_evidence_has_polarity_weight_and_where_it_came_from(places, tmp_path, capsys):
    document, page = view(places, tmp_path, capsys)
    told = {n["sctid"]: n["evidence"] for n in document["nodes"] if n["kind"] == "concept"}
    assert told["361"] == [
        {"modality": "note", "polarity": "absent", "weight": 1.0, "sources": [
            {"code": "NOTE//CLINICAL", "text": HOSTILE, "characters": [3, 9], "time": "2026-01-02 03:04"}]}
    ]  # fmt: skip
    linked = [e for e in document["edges"] if e["kind"] == "evidences"]
    assert len(linked) == 40
    assert {e["polarity"] for e in linked} == {"present", "absent", "uncertain", "family", "historical"}
    for edge in linked:
        concept, observation = document["nodes"][edge["from"]], document["nodes"][edge["to"]]
        assert (observation["kind"], observation["name"]) == (
            "observation",
            concept["evidence"][0]["modality"],
        )
    assert page.count("<tr>") == 41
    assert "shown by SCTID" in page
    assert all(n["fsn"] == n["sctid"] for n in document["nodes"] if n["kind"] == "concept")


def test_text_of_patients_stays_text(places, tmp_path, capsys):
    _, page = view(places, tmp_path, capsys)
    assert page.count("<script") == page.count("</script>") == 2
    assert "<img" not in page
    inside = re.search(r'<script type="application/json" id="graph">(.*?)</script>', page, re.DOTALL)[1]
    assert not set("<>&") & set(inside)
    nodes = json.loads(inside)["nodes"]
    assert {s["text"] for n in nodes for e in n.get("evidence", []) for s in e["sources"]} == {HOSTILE}
    assert "http" not in page.replace("http-equiv", "")


def test_what_is_left_out_is_the_farthest_and_is_counted(places, tmp_path, capsys):
    whole, _ = view(places, tmp_path, capsys)
    some, page = view(places, tmp_path, capsys, "--max-nodes", "60")
    concepts = {n["sctid"]: n for n in whole["nodes"] if n["kind"] == "concept"}
    kept = {n["sctid"] for n in some["nodes"] if n["kind"] == "concept"}
    assert len(kept) == 60
    assert max(concepts[s]["steps"] for s in kept) <= min(
        n["steps"] for s, n in concepts.items() if s not in kept
    )
    assert some["left_out"]["other concepts"] == len(concepts) - 60
    assert f"{len(concepts) - 60:,} of {len(concepts):,} concepts are not drawn (0 with" in page
    assert len(some["edges"]) + some["left_out"]["relations"] == len(whole["edges"])
    fewer, _ = view(places, tmp_path, capsys, "--max-nodes", "10")
    affirmed = {n["sctid"] for n in fewer["nodes"] if n["kind"] == "concept"}
    best = {s for s, n in concepts.items() if n["evidence"] and n["evidence"][0]["polarity"] == "present"
            and n["evidence"][0]["weight"] == 1}  # fmt: skip
    assert best <= affirmed  # 5 of the 8 affirmed ones have full weight
    assert fewer["left_out"]["evidence concepts"] == 30
    assert view(places, tmp_path, capsys, "--max-nodes", "60") == (some, page)


def test_a_patient_without_evidence_has_a_page_that_says_so(places, tmp_path, capsys):
    document, page = view(places, tmp_path, capsys, sample="8")
    assert document["counts"]["nodes"] == {"modality": 4, "observation": 1, "evidence": 0, "other concept": 0}
    assert [n["name"] for n in document["nodes"] if n.get("absent")] == ["note", "labs", "codes"]
    assert html.unescape(page).count("No concept was found in this patient's data") == 2
    document, _ = view(places, tmp_path, capsys, sample="9")
    assert document["counts"]["nodes"]["observation"] == 0


def test_people_get_counts_and_a_subject_is_found(places, tmp_path, capsys):
    out = tmp_path / "view.html"
    assert main(["graph", "view", str(places / "graph"), "--subject", "70", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "sample 7, subject 70" in text
    assert "       40  evidence" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--sample", "55"], "no sample 55"),
        (["--subject", "55"], "no such subject"),
        (["--subject", "80"], "2 samples: 8, 9"),
        (["--sample", "7", "--max-nodes", "0"], "--max-nodes >= 1"),
        (["--sample", "7", "--ontology", "nowhere"], "nowhere"),
        (["--sample", "7", "--cohort", "nowhere"], "nowhere"),
        ([], "one of the arguments --sample --subject is required"),
    ],
)
def test_wrong_input_is_told_and_nothing_is_written(places, tmp_path, capsys, change, message):
    out = tmp_path / "view.html"
    assert main(["graph", "view", str(places / "graph"), "--out", str(out), *change]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not out.exists()


def test_another_ontology_or_cohort_is_refused(places, small_data, tmp_path, capsys):
    given = ["graph", "view", str(places / "graph"), "--sample", "7", "--out", str(tmp_path / "x.html")]
    assert main([*given, "--ontology", str(small_data / "ontology")]) == 2
    assert "was built from the ontology 'made-up'" in capsys.readouterr().err
    assert main([*given, "--cohort", str(small_data / "cohort")]) == 2
    assert "built from another cohort" in capsys.readouterr().err


def test_labs_have_their_value_unit_and_range(small_data, tmp_path, capsys):
    graph = PatientGraph.open(small_data / "graph")
    labs = graph.evidence.table.filter(graph.evidence.table["modality"] == "labs")
    out = tmp_path / "view.html"
    assert main([
        "graph", "view", str(small_data / "graph"), "--sample", str(labs["sample_id"][0]), "--out", str(out),
        "--ontology", str(small_data / "ontology"), "--cohort", str(small_data / "cohort"), "--json",
    ]) == 0  # fmt: skip
    document = json.loads(capsys.readouterr().out)
    sources = [
        s
        for n in document["nodes"]
        for e in n.get("evidence", [])
        if e["modality"] == "labs"
        for s in e["sources"]
    ]
    assert sources
    assert all(re.fullmatch(r"[-\d.e+]+ .+ \(reference .+\)", s["value"]) for s in sources)
    assert all(s["description"] and s["time"] for s in sources)


def test_a_changed_graph_and_concepts_that_left_it_are_told(places, tmp_path, capsys):
    graph = PatientGraph.open(places / "graph")
    moved = graph.transform(Permuted(0))
    picture = draw_patient(moved, 7)
    assert any("The graph was changed: Permuted" in note for note in picture.notes)
    kept = {int(n["sctid"]) for n in picture.nodes if n["kind"] == "concept" and n["evidence"]}
    assert kept == set(range(360, 400))
