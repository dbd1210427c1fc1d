"""A cell of an ablation: trained, settled for the patterns that are offered, and predicted under each."""

import json

import polars as pl
import pytest
import torch

from mhdiff.cli import main
from mhdiff.evaluate.ceiling import truth_of
from mhdiff.training.latents import latents_of
from mhdiff.training.run import fit_cell, open_run, predict_run


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


def test_the_statistics_of_a_finished_run_are_those_of_its_best_weights(small_config, tmp_path):
    out = tmp_path / "run"
    arguments = ["fit", "-c", str(small_config), "--model.prior=mhdiff.diffusion.GaussianImputer"]
    assert main([*arguments, "--out", str(out)]) == 0
    module, data = open_run(out)
    latents = latents_of(module, data, ["train"]).latents
    complete = latents.complete
    assert complete.sum() > 2
    here = torch.cat([latents.shared[complete], latents.modality[complete].flatten(1)], 1).cpu()
    prior = module.net.prior
    shared = slice(0, prior.dim)
    torch.testing.assert_close(prior.center[shared].cpu(), here[:, shared].mean(0), atol=1e-4, rtol=1e-4)
    expected = torch.cov(here[:, shared].T, correction=0)
    torch.testing.assert_close(prior.covariance[shared, shared].cpu(), expected, atol=1e-4, rtol=1e-3)


def test_a_cell_predicts_what_its_folder_predicts_when_it_is_opened_again(small_config, tmp_path):
    cell = tmp_path / "cell"
    fit_cell(small_config, ["--trainer.max_epochs=2", "--data.modalities=[note,labs,codes]"], cell, ("all",))
    settled = (cell / "inference.json").read_bytes()
    frame = pl.read_parquet(cell / "predictions.parquet")
    for name in ("inference.json", "predictions.parquet"):
        (cell / name).unlink()
    again = pl.read_parquet(predict_run(cell))
    assert again.equals(frame)
    assert (cell / "inference.json").read_bytes() == settled
