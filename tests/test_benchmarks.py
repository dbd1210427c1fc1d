"""The benchmarks of cohorts run, at a size at which their figures say nothing."""

from argparse import Namespace
from pathlib import Path

import polars as pl
import pytest

from benchmarks import bench_core, bench_epoch, bench_images, bench_omop_import, bench_sampling
from benchmarks.made_registry import write_registry


def test_a_registry_is_the_same_every_time_and_counts_what_cannot_be_used(tmp_path):
    one, other = (write_registry(tmp_path / name, 50, 40_000) for name in ("one", "other"))
    assert one == other
    assert all(one.values())
    files = sorted((tmp_path / "one").rglob("*.parquet"))
    assert all(
        f.read_bytes() == (tmp_path / "other" / f.relative_to(tmp_path / "one")).read_bytes() for f in files
    )
    rows = pl.read_parquet(tmp_path / "one" / "measurement" / "*.parquet")
    assert rows.height == 40_000
    assert len(rows.columns) == 23
    assert rows["measurement_id"].n_unique() == 40_000
    assert rows.filter(pl.col("person_id") > 50).height == one["the person is not in PERSON"]


def test_the_import_is_measured_and_its_rows_are_counted(tmp_path):
    figures = bench_omop_import.measure(tmp_path, persons=40, rows=3000, runs=1)
    assert figures[2].value > 0
    assert 0.1 < figures[3].value < 2
    assert not (tmp_path / "cohort").exists()


@pytest.mark.slow
def test_image_epochs_are_measured(tmp_path):
    figures = bench_images.measure(tmp_path, images=6, sizes=("300x200", "200x300"), runs=1, rest=0)
    assert "images/s" in figures[0].measured
    assert figures[5].value > 1
    assert figures[3].value > 0  # with so small files opening the cache is most of it
    kept = [file for file in (tmp_path / "cache").glob("*/*/*") if file.parts[-3] != "files"]
    assert len(kept) == 6


@pytest.fixture
def in_this_process(monkeypatch):
    """Works are done here, and not each in a process of its own."""

    def run(module, work, *arguments, one_core=False):
        return here[module].WORKS[work](*map(Path, arguments))

    here = {module.__name__: module for module in (bench_core, bench_sampling)}
    for module in here.values():
        monkeypatch.setattr(module, "run", run)


def test_the_core_is_measured_beside_encoders_and_in_half_precision(in_this_process, monkeypatch):
    monkeypatch.setitem(
        bench_core.WORKS, "encoders", lambda *_: {"seconds": 9.0, "cpu": 9.0, "mib": 1.0}
    )  # full-size
    args = Namespace(batch=3, width=16, steps=1, runs=1)
    share = bench_core.share(args)[1]
    assert 0 < share.value < 100
    assert "fusion + prior + head of width 16, a step of 3" in share.work
    monkeypatch.setattr(bench_core, "HOWS", ("eager", "eager-bf16"))
    monkeypatch.setattr(bench_core.shutil, "which", lambda name: name)
    speed, away = bench_core.compiled(args)[1:]
    assert speed.value > 0
    assert 0 < away.value < 0.03


def test_draws_are_measured(in_this_process):
    heun, memory, against, solver, _ = bench_sampling.measure(Namespace(cases=20, width=8, steps=2, runs=1))
    assert all(figure.value > 0 for figure in (heun, against, solver))
    assert "4 evaluations" in heun.measured
    assert "4 evaluations" in solver.measured
    assert "beyond imports, weights and noise" in memory.work


def test_an_epoch_behind_the_encoders_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_epoch, "SOURCE", 90)
    settings = (Path(part) for part in ("12", "none", "modality", "5", "32-true", "1", "3"))
    found = bench_epoch.epochs(tmp_path, *settings)
    assert len(found["epochs"]) == len(found["processor"]) == 2
    assert all(seconds > 0 for seconds in found["epochs"])
    assert bench_epoch.prepared(tmp_path, Path("12"))["collate"] > 0
