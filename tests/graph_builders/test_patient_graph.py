import json
import os
import signal
import subprocess
import sys

import polars as pl
import pytest
import torch
from toy_terminology import MODALITIES, NAMES, RELATIONS, make_ontology, make_window

from graph_builders import Evidence, PatientGraph, Permuted, View, collect_evidence
from ontology.errors import InputError
from ontology.recognise import POLARITIES


@pytest.fixture
def graph(toy, events, samples):
    evidence = collect_evidence(make_window(events), toy)
    cohort = {"fingerprint": "c" * 64, "kind": "toy"}
    return PatientGraph.build(toy, evidence, samples, MODALITIES, cohort=cohort, task="pneumonia")


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_saved_and_opened_it_is_the_same(graph, tmp_path):
    graph.save(tmp_path / "g")
    again = PatientGraph.open(tmp_path / "g")
    assert again.describe() == graph.describe()
    assert again.fingerprint == graph.fingerprint
    assert again.data.to_dict().keys() == graph.data.to_dict().keys()
    assert again.evidence.table.equals(graph.evidence.table)
    assert again.samples.equals(graph.samples)
    ours, theirs = graph.tokens([0, 1], MODALITIES, 3), again.tokens([0, 1], MODALITIES, 3)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    again.save(tmp_path / "g")  # over itself
    document = json.loads((tmp_path / "g" / "graph.json").read_text())
    assert document["task"] == "pneumonia"
    assert document["cohort"]["kind"] == "toy"
    assert document["counts"]["nodes"]["concept"] == graph.data["concept"].num_nodes
    assert document["coverage"]["modalities"]["codes"]["outcomes"]["unmapped"] == 1


def test_another_ontology_is_refused_with_both_fingerprints(graph, toy):
    graph.check_ontology(toy)
    other = make_ontology({**NAMES, 16: "New"}, [*RELATIONS, (16, 116680003, 1)], name="other")
    with pytest.raises(InputError, match="mhdiff graph build") as caught:
        graph.check_ontology(other)
    assert toy.fingerprint[:12] in str(caught.value)
    assert other.fingerprint[:12] in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda g: (g / "graph.safetensors").write_bytes(b"x" * 100), "100 bytes instead of"),
        (lambda g: flip_a_bit(g / "graph.safetensors"), "checksum"),
        (lambda g: flip_a_bit(g / "evidence.parquet"), "checksum"),
        (lambda g: (g / "evidence.parquet").unlink(), "missing"),
        (lambda g: (g / "graph.json").write_text('{"format"'), "JSON"),
        (lambda g: (g / "graph.json").write_text('{"format": 99}'), "format 99"),
        (
            lambda g: (g / "graph.json").write_text('{"format": 1, "files": {}}'),
            "format 1, this version reads 2",
        ),
        (lambda g: (g / "graph.json").write_text('{"format": 2, "files": {}}'), "says nothing of 'ontology'"),
        (lambda g: rewrite(g / "graph.json", files=[]), "list the graph's files"),
        (lambda g: rewrite(g / "graph.json", files={"graph.safetensors": 3}), "list the graph's files"),
        (lambda g: (g / "graph.json").unlink(), "no graph"),
    ],
)
def test_a_damaged_folder_is_refused(graph, tmp_path, damage, message):
    graph.save(tmp_path / "g")
    damage(tmp_path / "g")
    with pytest.raises(InputError, match=message) as caught:
        PatientGraph.open(tmp_path / "g")
    assert "mhdiff graph build" in str(caught.value)


def test_a_folder_of_somebody_else_is_not_replaced(graph, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not replaced"):
        graph.save(tmp_path)


@pytest.mark.slow
def test_a_killed_save_leaves_the_old_graph(graph, tmp_path):
    graph.save(tmp_path / "g")
    before = (tmp_path / "g" / "graph.json").read_bytes()
    script = (
        "import os, signal, sys, polars as pl\n"
        "from graph_builders import PatientGraph\n"
        "g = PatientGraph.open(sys.argv[1])\n"
        "write = pl.DataFrame.write_parquet\n"
        "def dying(self, path, **kw):\n"
        "    write(self, path, **kw)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "pl.DataFrame.write_parquet = dying\n"
        "g.save(sys.argv[2])\n"
    )

    def kill(target):
        source = str(tmp_path / "g")
        done = subprocess.run(
            [sys.executable, "-c", script, source, str(target)], env=os.environ, check=False
        )
        assert done.returncode == -signal.SIGKILL

    kill(tmp_path / "g")
    assert (tmp_path / "g" / "graph.json").read_bytes() == before
    assert PatientGraph.open(tmp_path / "g").fingerprint == graph.fingerprint
    kill(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def tokens_of(toy, samples, rows, k):
    names = ("concept", "polarity", "weight", "depth")
    table = pl.DataFrame(rows, dict.fromkeys(names) | {"weight": pl.Float32}, orient="row").with_columns(
        sample_id=pl.lit(1), modality=pl.lit("note")
    )
    graph = PatientGraph.build(toy, Evidence(table), samples, MODALITIES)
    tokens = graph.tokens([0, 1], ["labs", "note"], k)
    assert (tokens.concept[0] == -1).all()
    assert (tokens.concept[1, 0] == -1).all()
    held = tokens.concept[1, 1] >= 0
    assert not tokens.weight[1, 1][~held].any()
    sctids = graph.data["concept"].sctid[tokens.concept[1, 1][held]].tolist()
    return list(zip(sctids, [POLARITIES[p] for p in tokens.polarity[1, 1][held]],
                    tokens.weight[1, 1][held].tolist(), strict=True))  # fmt: skip


def test_tokens_prefer_affirmed_then_heavy_then_deep_then_small_sctid(toy, samples):
    rows = [
        (6, "absent", 1.0, 4), (5, "absent", 1.0, 4), (4, "present", 1.0, 3), (4, "present", 0.5, 3),
        (13, "present", 1.0, 2), (11, "present", 1.0, 2), (5, "present", 0.5, 4),
    ]  # fmt: skip
    expected = [
        (4, "present", 1.0), (11, "present", 1.0), (13, "present", 1.0), (5, "present", 0.5),
        (5, "absent", 1.0), (6, "absent", 1.0),
    ]  # fmt: skip
    assert tokens_of(toy, samples, rows, 9) == expected
    assert tokens_of(toy, samples, rows[::-1], 4) == expected[:4]


def test_tokens_of_unknown_samples_and_modalities_are_refused(graph):
    with pytest.raises(InputError, match="such as 99"):
        graph.tokens([0, 99], MODALITIES, 2)
    with pytest.raises(InputError, match="'ecg'"):
        graph.tokens([0], ["ecg"], 2)
    with pytest.raises(InputError, match="k >= 1"):
        graph.tokens([0], MODALITIES, 0)


def test_a_transform_is_recorded_and_changes_the_fingerprint(graph):
    moved = graph.transform(Permuted(3))
    assert moved.describe()["transforms"] == ["Permuted(seed=3, within='all')"]
    assert moved.fingerprint != graph.fingerprint
    assert graph.meta["transforms"] == []


def test_views_are_part_of_what_a_graph_says(toy, graph, samples):
    other = PatientGraph.build(toy, graph.evidence, samples, MODALITIES, View("khop", hops=1))
    assert other.describe()["view"] == {"kind": "khop", "hops": 1, "relations": None}
    assert other.fingerprint != graph.fingerprint
