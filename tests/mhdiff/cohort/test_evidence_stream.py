"""Evidence that is read chunk by chunk, here or in processes, is the evidence that one window gives."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import polars as pl
import pytest

from graph_builders import PatientGraph, collect_evidence
from mhdiff.cli import main
from mhdiff.cohort import Cohort, Task
from mhdiff.evidence_stream import stream_evidence
from ontology import Ontology
from ontology.errors import InputError


@pytest.fixture(scope="module")
def places(small_data):
    return Ontology.open(small_data / "ontology"), Cohort.open(small_data / "cohort"), Task.load("pneumonia")


@pytest.fixture(scope="module")
def at_once(places):
    """The evidence of one window over everything, and the graph of it."""
    ontology, cohort, task = places
    window = task.window(cohort)
    evidence = collect_evidence(window.events, ontology, blinded=task.blinded.concepts)
    evidence.report["window"] = window.report
    return evidence, PatientGraph.build(ontology, evidence, task.samples(cohort), list(task.modalities))


def check(evidence, at_once):
    whole, _ = at_once
    assert evidence.table.equals(whole.table)
    assert evidence.observed.equals(whole.observed)
    assert evidence.report == whole.report
    assert json.dumps(evidence.report) == json.dumps(whole.report)  # the order of keys, too


@pytest.mark.parametrize(
    "chunk", [pytest.param(1, marks=pytest.mark.slow), 7, 89, 90, 5000]
)  # 1 is 90 chunks, 7 is 13
def test_any_chunk_gives_the_same(places, at_once, tmp_path, chunk):
    ontology, cohort, task = places
    samples = task.samples(cohort)
    evidence = stream_evidence(ontology, cohort, task, samples, tmp_path, chunk=chunk)
    check(evidence, at_once)
    graph = PatientGraph.build(ontology, evidence, samples, list(task.modalities))
    assert graph.fingerprint == at_once[1].fingerprint


def test_processes_give_the_same(places, at_once, tmp_path):
    ontology, cohort, task = places
    evidence = stream_evidence(ontology, cohort, task, task.samples(cohort), tmp_path, workers=2, chunk=20)
    check(evidence, at_once)


def test_parts_of_the_merged_evidence_are_the_whole(at_once, monkeypatch):
    whole, graph = at_once
    expected, ranked = whole.merged, graph._ranked
    for rows in (1, 50, 1 << 19):
        monkeypatch.setattr("graph_builders.evidence._ROWS", rows)
        parts = list(whole.merged_parts())
        assert pl.concat(parts).equals(expected)
        again = PatientGraph(graph.data, whole, graph.samples, graph.meta)
        assert again._ranked.equals(ranked)
        assert again.describe()["tokens"] == graph.describe()["tokens"]
        assert again.describe()["concepts_per_patient"] == graph.describe()["concepts_per_patient"]
    monkeypatch.setattr("graph_builders.evidence._ROWS", 50)
    assert len(list(whole.merged_parts())) > 5


def test_the_order_of_subjects_in_the_files_does_not_matter(places, at_once, tmp_path, small_data):
    ontology, _, task = places
    for part in ("metadata", "labels", "images"):
        (tmp_path / "cohort").mkdir(exist_ok=True)
        (tmp_path / "cohort" / part).symlink_to(small_data / "cohort" / part)
    (tmp_path / "cohort" / "data").mkdir()
    (tmp_path / "scratch").mkdir()
    events = Cohort.open(small_data / "cohort").scan(optional=True).collect()
    for rest in (2, 0, 1):  # each file holds a third of all subjects, in the order of their numbers backwards
        mine = events.filter(pl.col("subject_id") % 3 == rest).sort(
            "subject_id", descending=True, maintain_order=True
        )
        mine.write_parquet(tmp_path / "cohort" / "data" / f"{rest}.parquet")
    cohort = Cohort.open(tmp_path / "cohort")
    evidence = stream_evidence(ontology, cohort, task, task.samples(cohort), tmp_path / "scratch", chunk=11)
    check(evidence, at_once)


def build(small_data, out, *more):
    return [
        "graph", "build", "--ontology", str(small_data / "ontology"), "--cohort", str(small_data / "cohort"),
        "--task", "pneumonia", "--out", str(out), *more,
    ]  # fmt: skip


def test_the_command_line_reads_in_processes(small_data, tmp_path, capfd):
    assert main([*build(small_data, tmp_path / "g", "--workers", "2", "--chunk", "30"), "--json"]) == 0
    told = capfd.readouterr()
    assert json.loads(told.out)["fingerprint"] == PatientGraph.open(small_data / "graph").fingerprint
    assert "reading the events of 90 samples in 3 chunks by 2 processes" in told.err
    assert [path.name for path in tmp_path.iterdir()] == ["g"]


@pytest.mark.parametrize("wrong", [("--workers", "0"), ("--chunk", "0")])
def test_no_workers_and_no_chunk_are_refused(small_data, tmp_path, capsys, wrong):
    assert main(build(small_data, tmp_path / "g", *wrong)) == 2
    assert "from 1 on" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_workers_need_an_ontology_on_disk(places, tmp_path):
    ontology, cohort, task = places
    loaded = replace(ontology, folder=None)
    with pytest.raises(InputError, match="in a folder"):
        stream_evidence(loaded, cohort, task, task.samples(cohort), tmp_path, workers=2, chunk=20)


@pytest.mark.slow  # wrong input that a worker meets stays
def test_an_error_of_a_worker_is_one_message(small_data, tmp_path, capfd, monkeypatch):
    """A worker that is killed is told as what it is, and nothing is left behind."""
    monkeypatch.setattr("mhdiff.evidence_stream._read", _die)
    assert main(build(small_data, tmp_path / "g", "--workers", "2", "--chunk", "30")) == 2
    told = capfd.readouterr().err
    assert "died (killed, or out of memory)" in told
    assert "Traceback" not in told
    assert not list(tmp_path.iterdir())


@pytest.mark.slow  # as test_an_error_of_a_worker_is_one_message, which stays
def test_wrong_input_that_a_worker_meets_is_told_as_such(small_data, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("mhdiff.evidence_stream._read", _refuse)
    assert main(build(small_data, tmp_path / "g", "--workers", "2", "--chunk", "30")) == 2
    told = capfd.readouterr().err
    assert "error: events.parquet, column 'code': the column is strange. Write it again" in told
    assert "Traceback" not in told
    assert not list(tmp_path.iterdir())


def _die(samples, place):
    os.kill(os.getpid(), signal.SIGKILL)


def _refuse(samples, place):
    raise InputError("the column is strange", path="events.parquet", column="code", remedy="Write it again")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_build_leaves_no_graph_and_no_processes(small_data, tmp_path, how):
    code = "import sys; from mhdiff.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [
        sys.executable,
        "-c",
        code,
        *build(small_data, tmp_path / "g", "--workers", "2", "--chunk", "1"),
    ]
    for _ in range(5):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".g.new-*/*.evidence")):  # until a worker has written something
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(how)
        _, told = process.communicate(timeout=60)  # ends when the workers have closed stderr, too
        if process.returncode != 0:
            break
        shutil.rmtree(tmp_path / "g")  # the build was quicker than the signal
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert not (tmp_path / "g").exists()
    if how == signal.SIGINT:
        assert not list(tmp_path.iterdir())
        assert "Traceback" not in told
    else:  # nobody could clean up: the next build does
        assert list(tmp_path.iterdir())
        assert main(build(small_data, tmp_path / "g")) == 0
        assert [path.name for path in tmp_path.iterdir()] == ["g"]
