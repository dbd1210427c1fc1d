"""The benchmarks of cohorts run, at a size at which their figures say nothing."""

import polars as pl

from benchmarks import bench_images, bench_omop_import
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


def test_image_epochs_are_measured(tmp_path):
    figures = bench_images.measure(tmp_path, images=6, sizes=("300x200", "200x300"), runs=1, rest=0)
    assert "images/s" in figures[0].measured
    assert figures[5].value > 1
    assert figures[3].value > 0  # with so small files opening the cache is most of it
    kept = [file for file in (tmp_path / "cache").glob("*/*/*") if file.parts[-3] != "files"]
    assert len(kept) == 6
