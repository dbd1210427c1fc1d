"""Training never sees the held-out patients: whatever is done to them, the run is the same bit for bit."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest
from PIL import Image
from polars.testing import assert_frame_equal
from safetensors.torch import load_file

from mhdiff.cli import main


def poisoned(frame, held):
    """Every laboratory value a thousand times too high, notes dealt out anew and with a strange word, codes too."""
    here = pl.col("subject_id").is_in(held)
    rows = frame.with_row_index("row")
    notes = rows.filter(here & pl.col("text_value").is_not_null() & ~pl.col("code").str.starts_with("IMAGE"))
    dealt = notes.select("row", text=pl.col("text_value").reverse() + " Zyzzogeton zyzzogeton.")
    coded = rows.filter(here & pl.col("code").str.contains("^(ICD10|SNOMED)/"))
    moved = coded.select("row", other=pl.col("code").reverse())
    joined = rows.join(dealt, on="row", how="left").join(moved, on="row", how="left").sort("row")
    return joined.select(
        "subject_id",
        "time",
        code=pl.coalesce("other", "code"),
        numeric_value=pl.when(here).then(pl.col("numeric_value") * 1000).otherwise("numeric_value"),
        text_value=pl.coalesce("text", "text_value"),
    ).cast(dict(frame.schema))


@pytest.fixture(scope="module")
def spoilt(small_data, tmp_path_factory):
    """The small data, the held-out patients of the stored split poisoned in every modality and in their label."""
    root = tmp_path_factory.mktemp("spoilt")
    shutil.copytree(small_data / "cohort", root / "cohort")
    splits = pl.read_parquet(root / "cohort" / "metadata" / "subject_splits.parquet")
    held = splits.filter(pl.col("split") == "held_out")["subject_id"].to_list()
    for path in sorted((root / "cohort" / "data").rglob("*.parquet")):
        frame = pl.read_parquet(path)
        changed = poisoned(frame, held)
        assert changed.height == frame.height
        for column in ("code", "numeric_value", "text_value"):
            assert not changed[column].equals(frame[column], null_equal=True)
        changed.write_parquet(path)
    (labels,) = (root / "cohort" / "labels").rglob("*.parquet")
    frame, here = pl.read_parquet(labels), pl.col("subject_id").is_in(held)
    value = pl.col("categorical_value")
    frame.with_columns(
        pl.when(here).then(pl.when(value == "viral").then(pl.lit("fungal")).otherwise(pl.lit("viral")))
        .otherwise(value).alias("categorical_value")
    ).write_parquet(labels)  # fmt: skip
    for subject in held:
        picture = root / "cohort" / "images" / f"{subject:06}.png"
        if picture.exists():
            Image.new("L", Image.open(picture).size, 255).save(picture)
    # The whole ontology: which concepts a smaller view holds depends on all samples, and one more is more weights.
    for cohort, name in ((small_data / "cohort", "clean"), (root / "cohort", "poisoned")):
        given = ["--ontology", str(small_data / "ontology"), "--cohort", str(cohort), "--task", "pneumonia"]
        assert main(["graph", "build", *given, "--view", "whole", "--out", str(root / name)]) == 0
    return root


#: What is fitted beside the means and vocabularies of the defaults.
MORE = [
    "--data.labs=mhdiff.encoders.LabTable", "--data.labs.init_args.scale=quantile",
    "--data.codes=mhdiff.encoders.CodeTable", "--data.codes.init_args.roll_up=8",
]  # fmt: skip


def test_poisoning_the_held_out_patients_changes_nothing_in_training(
    spoilt, small_data, small_config, tmp_path
):
    clean, out = tmp_path / "clean", tmp_path / "poisoned"
    for run, cohort in ((clean, small_data / "cohort"), (out, spoilt / "cohort")):
        options = [f"--data.cohort={cohort}", f"--data.graph={spoilt / run.name}"]
        assert main(["fit", "-c", str(small_config), *options, *MORE, "--out", str(run)]) == 0
    weights, expected = (load_file(run / "model.safetensors") for run in (out, clean))
    assert weights.keys() == expected.keys()
    assert [name for name in weights if not weights[name].equal(expected[name])] == []
    stored, before = (json.loads((run / "preprocess.json").read_text()) for run in (out, clean))
    for what in ("preprocessors", "analytes"):
        assert stored[what] == before[what]
    assert stored["preprocessors"]["codes"]["places"]
    assert len(stored["preprocessors"]["labs"]["quantiles"][0]) > 2
    assert sum(stored["window"]["measurements"]["impossible"].values()) > 0
    assert json.loads((out / "history.json").read_text()) == json.loads((clean / "history.json").read_text())
    for run in (out, clean):
        assert main(["predict", str(run)]) == 0
    assert (
        json.loads((out / "inference.json").read_text())["chosen"]
        == json.loads((clean / "inference.json").read_text())["chosen"]
    )
    one, two = (
        pl.read_parquet(run / "predictions.parquet").sort("pattern", "sample_id") for run in (out, clean)
    )
    tuning = pl.col("split") == "tuning"
    (tuned, expected), (held, others) = ([f.filter(rows) for f in (one, two)] for rows in (tuning, ~tuning))
    assert_frame_equal(tuned, expected, abs_tol=1e-6)  # how wide a batch is padded moves the last bits
    classes = [column for column in held.columns if column.startswith("p_")]
    assert not np.allclose(held.select(classes), others.select(classes), atol=1e-3)  # the poison has arrived
