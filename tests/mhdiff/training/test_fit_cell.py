"""A cell of an ablation: trained, settled for the patterns that are offered, and predicted under each."""

import json

import polars as pl
import pytest

from mhdiff.evaluate.ceiling import truth_of
from mhdiff.training.run import fit_cell


@pytest.mark.parametrize(("patterns", "names"), [((), []), (("labs",), ["labs"])])
def test_a_cell_is_settled_and_predicted_for_the_patterns_that_are_offered(
    patterns, names, small_config, small_data, tmp_path
):
    overrides = ["--trainer.max_epochs=1", "--data.modalities=[labs,codes]"]
    fit_cell(small_config, overrides, tmp_path / "cell", patterns)
    frame = pl.read_parquet(tmp_path / "cell" / "predictions.parquet")
    assert set(frame["pattern"]) == {"labs+codes", *names}
    tuning = frame.filter(pl.col("split") == "tuning")
    settled = json.loads((tmp_path / "cell" / "inference.json").read_text())
    assert settled["complete"]["n"] + settled["incomplete"]["n"] == tuning.height
    assert (settled["incomplete"]["n"] >= tuning["sample_id"].n_unique()) == bool(names)
    assert truth_of(tmp_path / "cell") == small_data / "cohort" / "truth" / "posterior.parquet"
    assert truth_of(tmp_path) is None
