"""With how many threads a cell computes does not depend on how many cells are left, nor on where it is computed."""

import json
import os
import sys

import pytest
import torch
from fake_training import fit_cell
from noting import Note, cells, told

from mhdiff.ablate import run
from mhdiff.ablate.clusters import here, on_slurm
from mhdiff.ablate.threads import going_on, noted, share
from mhdiff.cli import main


@pytest.fixture(autouse=True)
def nothing_set_outside(monkeypatch):
    """As for a user: no number of threads in the environment, and four processors."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("left", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_workers_share_is_the_same_however_many_cells_are_left(tmp_path, left):
    assert all(failure is None for _, failure in here(2)(Note(tmp_path), cells(left)))
    threads, processes = told(tmp_path)
    assert threads == [2] * left
    assert os.getpid() not in processes


def test_a_cell_computed_in_this_process_has_the_threads_asked_for_and_they_are_put_back(tmp_path):
    assert all(failure is None for _, failure in here(1, threads=3)(Note(tmp_path), cells(1)))
    assert told(tmp_path) == ([3], {os.getpid()})
    assert torch.get_num_threads() == 4


def test_a_cell_of_a_slurm_array_has_the_processors_it_asked_for_as_threads(tmp_path):
    asked = {"cpus_per_task": 2, "timeout_min": 5}
    runner = on_slurm(tmp_path / "logs", 1, asked, cluster="local")
    assert all(failure is None for _, failure in runner(Note(tmp_path), cells(1)))
    assert told(tmp_path)[0] == [2]


@pytest.mark.slow
def test_a_cell_on_ray_has_its_processors_as_threads(tmp_path):
    import ray

    from mhdiff.ablate.clusters import on_ray

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}},
    )
    try:
        assert all(failure is None for _, failure in on_ray(cpus=2)(Note(tmp_path), cells(1)))
    finally:
        ray.shutdown()
    assert told(tmp_path)[0] == [2]


def test_a_folder_goes_on_with_the_threads_of_its_cells_where_there_are_processors(make, tmp_path):
    out = tmp_path / "out"
    assert noted(out) is None
    run(make(seeds=[1]), out, fit_cell, runner=here(1, threads=2))
    assert noted(out) == 2
    records = [json.loads(path.read_text()) for path in out.glob("cells/*/run.json")]
    assert [record["threads"] for record in records] == [2] * 6
    assert [going_on(2, workers) for workers in (1, 2, 4)] == [2, 2, 1]
    assert going_on(None, 3) is None
    assert [share(workers) for workers in (1, 2, 4, 9)] == [4, 2, 1, 1]


@pytest.mark.parametrize(
    "wrong", [["--threads", "0"], ["--on", "slurm", "--threads", "1", "--slurm", "cpus_per_task=2"]]
)
def test_impossible_numbers_of_threads_are_refused(make, tmp_path, wrong, capsys):
    ablation = make()
    assert main(["ablate", "-c", str(ablation.source), "--out", str(tmp_path / "out"), *wrong]) == 2
    assert "thread" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
