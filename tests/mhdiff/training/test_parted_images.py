"""A stored split that parts patients who share an image is told before training, by count, and kept in run.json."""

import json
import shutil

import polars as pl
import pytest

from mhdiff.cli import main
from mhdiff.cohort import Cohort
from mhdiff.cohort.parted import Parted, parted_images


@pytest.fixture
def shared(small_data, tmp_path):
    """A copy of the cohort whose first two held-out images are the first training one, and its third a tuning one."""
    folder = tmp_path / "cohort"
    shutil.copytree(small_data / "cohort", folder)
    cohort = Cohort.open(folder)
    of = cohort.images.join(cohort.splits, on="subject_id").unique("subject_id").sort("subject_id")
    train, tuning, held = (
        of.filter(pl.col("split") == split)["path"].to_list() for split in ("train", "tuning", "held_out")
    )
    for source, target in (
        (train[0], held[0]),
        (train[0], held[1]),
        (tuning[0], held[2]),
        (train[1], train[2]),
    ):
        shutil.copyfile(folder / source, folder / target)
    return folder


def test_images_of_several_splits_are_counted(shared, small_data):
    cohort = Cohort.open(shared)
    assert parted_images(cohort, cohort.splits) == Parted(2, 5)
    clean = Cohort.open(small_data / "cohort")
    assert parted_images(clean, clean.splits) == Parted(0, 0)


def test_files_that_are_alike_at_both_ends_are_read_whole(shared):
    cohort = Cohort.open(shared)
    of = cohort.images.join(cohort.splits, on="subject_id").sort("subject_id", "path")
    pair = [of.filter(pl.col("split") == split)["path"][0] for split in ("train", "held_out")]
    before = parted_images(cohort, cohort.splits).images
    for middle, path in zip((b"a", b"b"), pair, strict=True):
        (shared / path).write_bytes(b"x" * 9000 + middle + b"x" * 9000)
    assert parted_images(cohort, cohort.splits).images <= before
    for path in pair:
        (shared / path).write_bytes(b"x" * 18001)
    assert parted_images(cohort, cohort.splits).images >= 1
    (shared / pair[0]).unlink()
    parted_images(cohort, cohort.splits)  # whoever reads the image says that it is not there


@pytest.mark.parametrize(("split", "warned"), [("stored", True), ("fold:0/3", False)])
def test_training_says_it_once_and_keeps_it(shared, small_config, tmp_path, capsys, split, warned):
    out = tmp_path / "run"
    options = [
        "--data.cohort",
        str(shared),
        "--data.modalities=[labs]",
        f"--data.split={split}",
        "--trainer.max_epochs=1",
    ]
    assert main(["fit", "-c", str(small_config), *options, "--out", str(out)]) == 0
    printed = capsys.readouterr().err
    told = json.loads((out / "run.json").read_text())["warnings"]
    assert printed.count("warning: ") == len(told) == int(warned)
    if warned:
        assert told[0] in printed
        assert "2 images" in told[0]
        assert "5 patients" in told[0]
        assert "mhdiff cohort audit" in told[0]
        assert "images/" not in told[0]
