"""A model of some modalities is predicted under the patterns of all, so that it stands in a table with others."""

from __future__ import annotations

import polars as pl
import pytest

from mhdiff.config import find
from mhdiff.training.cli import parse
from mhdiff.training.run import fit_cell
from ontology.errors import InputError


def data_of(config, *options):
    return parse(["-c", str(config), *options]).datamodule


def test_patterns_are_named_over_what_is_offered(small_config):
    assert data_of(small_config).offered == ["image", "note", "labs", "codes"]
    chosen = ["--data.modalities=[labs]"]
    assert data_of(small_config, *chosen).offered == ["labs"]
    assert data_of(small_config, *chosen, "--data.among=[labs,note]").offered == ["note", "labs"]


@pytest.mark.parametrize("among", ["[note]", "[labs,heart]"])
def test_what_is_used_is_among_them_and_all_are_the_tasks(small_config, among):
    with pytest.raises(InputError, match=r"data\.among"):
        _ = data_of(small_config, "--data.modalities=[labs]", f"--data.among={among}").offered


def test_what_a_model_does_not_read_changes_nothing(small_config, tmp_path):
    fit_cell(
        small_config,
        [f"--config={find('baselines/unimodal_structured')}", "--data.modalities=[labs]",
         "--data.among=[note,labs]", "--trainer.max_epochs=1"],
        tmp_path / "cell",
        ("all",),
    )  # fmt: skip
    frame = pl.read_parquet(tmp_path / "cell" / "predictions.parquet")
    probabilities = [c for c in frame.columns if c.startswith("p_")]
    by = {
        p: frame.filter(pl.col("pattern") == p).select("sample_id", *probabilities)
        for p in ("note+labs", "labs")
    }
    assert set(frame["pattern"].unique()) == {"note+labs", "note", "labs"}
    assert by["note+labs"].equals(by["labs"])
    blind = frame.filter(pl.col("pattern") == "note").select(probabilities)
    # nothing was looked at: one answer for all, but for the last bit in batches of other sizes
    assert all(blind[name].max() - blind[name].min() < 1e-6 for name in probabilities)
