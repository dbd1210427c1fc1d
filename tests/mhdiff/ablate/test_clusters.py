"""Cells on many machines give what local processes give; what dies with a machine is trained elsewhere."""

import json
import os
import stat
import sys
import threading
import time

import pytest
import slow_training
import submitit
from fake_training import fit_cell

from mhdiff.ablate import run
from mhdiff.ablate.cells import plan
from mhdiff.ablate.clusters import on_ray, on_slurm
from mhdiff.cli import main
from ontology.errors import InputError


@pytest.fixture(autouse=True)
def found_by_others(monkeypatch):
    """Processes that are started find the fake training."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


def without_times(document):
    document = json.loads(json.dumps(document))
    for part in (*document["arms"].values(), *document["cells"]):
        part.pop("seconds", None)
        part.pop("peak_mib", None)
    return document


def arms(**more):
    return {"weak": ["--arm=weak", "--strength=0.2"], "strong": ["--arm=strong", "--strength=2"]} | more


@pytest.mark.slow  # the dry run and what stops an array stay
def test_a_slurm_array_gives_the_same_table_with_what_failed(make, tmp_path):
    ablation = make(arms=arms(broken=["--arm=broken", "--strength=1", "--mode=raise"]), seeds=[1], folds=2)
    runner = on_slurm(tmp_path / "logs", 2, {"timeout_min": 5}, cluster="local")
    there = run(ablation, tmp_path / "there", fit_cell, runner=runner)
    (tmp_path / "log.txt").unlink()
    assert without_times(there) == without_times(run(ablation, tmp_path / "here", fit_cell))
    assert there["arms"]["broken"]["status"] == "failed"


def test_wrong_input_stops_the_array(make, tmp_path):
    few = {
        "weak": arms()["weak"],
        "wrong": ["--arm=wrong", "--strength=1", "--mode=input"],
    }  # a process each cell
    ablation = make(arms=few, seeds=[1], folds=2)
    runner = on_slurm(tmp_path / "logs", 2, {}, cluster="local")
    with pytest.raises(InputError, match="no images"):
        run(ablation, tmp_path / "out", fit_cell, runner=runner)


def test_what_sbatch_is_given(make, tmp_path, monkeypatch):
    """An sbatch that only notes what it is given: the array, its limit and the resources that were asked for."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("sbatch", f"cp $1 {tmp_path}/given.sh; echo Submitted batch job 77"), ("squeue", ""),
                       ("sacct", "echo 'JobID|State|NodeList'; for i in 0 1 2 3; do echo \"77_$i|FAILED|\"; done"),
                       ("scancel", "true"), ("srun", "true")):  # fmt: skip
        file = tools / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(file.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(
        submitit.SlurmJob, "_results_timeout_s", 0.5
    )  # how long a lost job's result is waited for
    asked = {"timeout_min": 90, "slurm_partition": "gpu", "gpus_per_node": 1}
    document = run(
        make(seeds=[1], folds=2), tmp_path / "out", fit_cell, runner=on_slurm(tmp_path / "logs", 3, asked)
    )
    given = (tmp_path / "given.sh").read_text()
    for line in ("--array=0-3%3", "--time=90", "--partition=gpu", "--gpus-per-node=1"):
        assert f"#SBATCH {line}\n" in given
    assert all(cell["status"] == "failed" for cell in document["cells"])
    assert "job 77_0 gave no result" in (tmp_path / "out" / "ablation.json").read_text()


def test_without_slurm_it_is_refused_with_the_remedy(make, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="Slurm did not take the jobs"):
        run(make(), tmp_path / "out", fit_cell, runner=on_slurm(tmp_path / "logs", 2, {}))


@pytest.mark.parametrize("extra", ["ray", "submitit"])
def test_a_missing_extra_is_named(monkeypatch, tmp_path, extra):
    monkeypatch.setitem(sys.modules, extra, None)
    with pytest.raises(InputError, match=f"{extra} is not installed"):
        on_ray() if extra == "ray" else on_slurm(tmp_path, 1, {})


def test_a_dry_run_says_what_would_be_trained_and_trains_nothing(make, tmp_path, capsys):
    ablation = make(seeds=[1], folds=2, encoders={"set": ["--encoder=1"]})
    given = ["ablate", "-c", str(ablation.source), "--out", str(tmp_path / "out"), "--dry-run"]
    assert main([*given, "--on", "slurm", "--workers", "4", "--slurm", "timeout_min=90"]) == 0
    told = capsys.readouterr().out
    assert "6 trainings on a Slurm array, 4 at once, timeout_min=90; 0 of 4 cells are done" in told
    assert told.count("encoders, fold") == 2
    assert not (tmp_path / "out").exists()
    for wrong in (["--slurm", "timeout_min=90"], ["--on", "ray", "--slurm", "x=1"], ["--gpus", "1"],
                  ["--on", "slurm", "--slurm", "x"]):  # fmt: skip
        assert main([*given, *wrong]) == 2


def test_an_ablation_on_another_base_has_the_same_arms_and_cells_of_its_own(make, tmp_path, capsys):
    ablation = make(seeds=[1], folds=2)
    (tmp_path / "other.yaml").write_text("model: {dim: 16}\n")
    there = ablation.on_base(tmp_path / "other.yaml")
    assert there.base == tmp_path / "other.yaml"
    assert there.arms == ablation.arms
    assert not {c.key for c in plan(there).cells} & {c.key for c in plan(ablation).cells}
    given = ["ablate", "-c", str(ablation.source), "--out", str(tmp_path / "out"), "--dry-run", "--base"]
    assert main([*given, str(tmp_path / "other.yaml")]) == 0
    told = capsys.readouterr().out
    assert all(cell.key in told for cell in plan(there).cells)
    for wrong, said in ((ablation.source, "is an ablation"), (tmp_path / "none.yaml", "no such")):
        assert main([*given, str(wrong)]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_node_of_ray_is_killed_and_nothing_is_lost(make, tmp_path):
    """Two nodes; one is killed in the middle of its cell."""
    import ray
    from ray.cluster_utils import Cluster

    places = tmp_path / "places.txt"
    ablation = make(seeds=[1, 2], folds=3).with_overrides([f"--places={places}"])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "env_vars": {"NODE": "head"}})
    other = cluster.add_node(num_cpus=1, env_vars={"NODE": "other"})
    cluster.wait_for_nodes()
    killed = threading.Event()

    def kill():
        while not killed.is_set():
            time.sleep(0.2)
            if places.exists() and any(
                line.startswith("begin other") for line in places.read_text().splitlines()
            ):
                time.sleep(0.5)
                cluster.remove_node(other, allow_graceful=False)
                killed.set()

    watcher = threading.Thread(target=kill, daemon=True)
    watcher.start()
    try:
        ray.init(address=cluster.address, runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}})
        there = run(ablation, tmp_path / "there", slow_training.fit_cell, runner=on_ray())
    finally:
        killed.set()
        ray.shutdown()
        cluster.shutdown()
    lines = places.read_text().splitlines()
    begun, ended = (sum(line.startswith(word) for line in lines) for word in ("begin", "end"))
    assert ended == 12
    assert begun > ended  # something did die
    assert all(cell["status"] == "done" for cell in there["cells"])
    here = run(ablation, tmp_path / "here", slow_training.fit_cell, workers=2)
    for document in (there, here):  # the fake's own notes are files, and files that are named are in the keys
        document.pop("data")
        for cell in document["cells"]:
            cell.pop("key")
    assert without_times(there) == without_times(here)
