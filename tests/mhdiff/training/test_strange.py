"""A patient whose labs look odd is told as that, by a threshold from the tuning split."""

from __future__ import annotations

import shutil

import numpy as np
import polars as pl
import pytest

from mhdiff.cli import main
from mhdiff.diffusion import (
    DiffusionPrior,
    GaussianImputer,
    MeanImputer,
    NoPrior,
    RegressionImputer,
    VAEPrior,
)
from mhdiff.training import strange as looking
from mhdiff.training.run import open_run
from ontology.errors import InputError
from tests import small_model as small


@pytest.mark.usefixtures("coarse_density")
def test_predict_tells_which_modality_of_whom_is_odd(small_run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(looking, "FEWEST", 5)
    run = shutil.copytree(small_run, tmp_path / "run")
    assert main(["predict", str(run), "--strange", "--quantile", "0.8"]) == 0
    told = capsys.readouterr()
    assert told.out.split() == [str(run / "predictions.parquet"), str(run / "strange.parquet")]
    frame = pl.read_parquet(run / "strange.parquet")
    has = pl.read_parquet(run / "predictions.parquet").select("sample_id", "present").unique()
    there = [(s, m) for s, names in has.iter_rows() for m in names.split("+") if m in small.MODALITIES]
    assert sorted(frame.select("sample_id", "modality").iter_rows()) == sorted(there)
    for (name,), own in frame.group_by("modality"):
        usual = own.filter(split="tuning")["score"].to_numpy()
        assert own["threshold"].unique().to_list() == [pytest.approx(np.quantile(usual, 0.8))]
        assert (own["odd"] == (own["score"] > own["threshold"])).all()
        assert 0 < own.filter(split="tuning")["odd"].mean() <= 0.3  # of 7 at least
        held_out = own.filter(split="held_out")
        assert held_out["stranger_than"][0] == np.mean(usual < held_out["score"][0])
        assert f"{name}: {held_out['odd'].sum()} of {held_out.height} held-out samples are odd" in told.err

    module, data = open_run(run)
    dataset = data.dataset(["held_out"])
    labs = data.modalities.index("labs")
    row = int(np.flatnonzero(dataset.present[:, labs].numpy())[0])
    sample = int(dataset.sample_ids[row])
    plain = data.dataset

    def spoilt(splits, **options):
        made = plain(splits, **options)
        collate = made.collate

        def planted(rows):
            batch = collate(rows)
            batch.inputs["labs"]["value"][batch.sample_id == sample] *= 100
            return batch

        made.collate = planted
        return made

    monkeypatch.setattr(data, "dataset", spoilt)
    again = looking.strange(module, data, 0.8)
    both = frame.join(again, on=["sample_id", "modality"], suffix="_planted")
    planted = both.filter(pl.col("sample_id") == sample, modality="labs").row(0, named=True)
    assert planted["odd_planted"]
    assert planted["score_planted"] > planted["score"]
    assert planted["stranger_than_planted"] == 1
    others = both.filter(pl.col("sample_id") != sample)
    np.testing.assert_allclose(others["score_planted"], others["score"], rtol=1e-4, atol=1e-3)


def test_with_few_tuning_samples_nobody_is_odd():
    frame = pl.DataFrame(
        {"sample_id": range(8), "split": ["tuning"] * 4 + ["held_out"] * 4, "modality": ["labs"] * 8}
    ).with_columns(score=pl.int_range(8).cast(pl.Float64))
    found = looking._judged(frame, ["labs"], 0.5)
    assert not found["odd"].any()
    assert found["threshold"].null_count() == found["stranger_than"].null_count() == 8


@pytest.mark.parametrize("prior", [NoPrior, MeanImputer, RegressionImputer])
def test_a_prior_without_a_likelihood_is_refused_by_name(prior):
    with pytest.raises(InputError, match=f"{prior.__name__} has no likelihood") as error:
        looking.strange(small.module(prior=prior), None)
    assert "GaussianImputer" in error.value.remedy


def test_priors_with_a_likelihood_are_known_and_a_quantile_is_a_share(small_run, capsys):
    for prior, flat in (
        (DiffusionPrior, False),
        (VAEPrior, False),
        (GaussianImputer, False),
        (DiffusionPrior, True),
    ):
        built = prior(8, 3, 2, **({"hierarchy": "flat"} if flat else {}))
        assert built.judges_modalities != flat
    assert main(["predict", str(small_run), "--strange", "--quantile", "5"]) == 2
    assert "--quantile 5.0 is outside (0, 1)" in capsys.readouterr().err
