"""What a practitioner would pick is held to the rules of every other arm."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
import torch

from mhdiff.baselines import GradientBoosting, LogisticRegression
from mhdiff.baselines.estimator import Fitted
from mhdiff.baselines.table import Table
from mhdiff.config import find
from mhdiff.evaluate.predictions import check_predictions
from mhdiff.fusion import ModalityMasking
from mhdiff.training.cli import parse
from mhdiff.training.run import fit_cell, open_run
from ontology.errors import InputError

MADE = {
    "logistic_regression": lambda: LogisticRegression(looks=2, copies=2, words=200, grid=4),
    "gradient_boosting": lambda: GradientBoosting(looks=2, copies=2, words=20, grid=2, rounds=4),
}
QUICK = ["--estimator.init_args.looks=2", "--estimator.init_args.copies=2", "--estimator.init_args.words=50"]
PATTERNS = [("image", "note", "labs", "codes"), ("note", "labs"), ("image",)]


def opened(config):
    data = parse(["-c", str(config)]).datamodule
    data.setup()
    return data


@pytest.fixture(scope="module")
def data(small_config):
    return opened(small_config)


@pytest.mark.parametrize("name", MADE)
def test_it_is_an_arm_like_any_other(small_config, tmp_path, name):
    few = ["--estimator.init_args.rounds=4"] if name == "gradient_boosting" else []
    config = f"--config={find(f'baselines/{name}')}"
    fit_cell(small_config, [config, *QUICK, *few], tmp_path / "cell", ("all",))
    frame = check_predictions(pl.read_parquet(tmp_path / "cell" / "predictions.parquet"))
    assert frame["pattern"].n_unique() == 15
    assert set(frame["split"]) == {"tuning", "held_out"}
    assert {"site", "spread", "subject_id", "p_0"} <= set(frame.columns)
    facts = json.loads((tmp_path / "cell" / "run.json").read_text())
    assert facts["finished"]
    assert facts["parameters"] > 0
    assert len(facts["estimator"]["tried"]) == 2
    with pytest.raises(InputError, match="keeps its predictions and no model"):
        open_run(tmp_path / "cell")


@pytest.mark.parametrize("name", MADE)
def test_it_learns_and_repeats_itself(data, name):
    one, two = (Fitted(MADE[name](), data, ModalityMasking(0.3), PATTERNS, seed=3) for _ in range(2))
    first = one.predict(["train"])
    assert first.equals(two.predict(["train"]))
    columns = [c for c in first.columns if c.startswith("p_")]
    whole = first.filter(pl.col("pattern") == "image+note+labs+codes")
    said = whole.select(columns).to_numpy()
    shares = np.bincount(whole["label"].to_numpy(), minlength=len(columns)) / len(whole)
    own = said[np.arange(len(said)), whole["label"].to_numpy()]
    known = shares[whole["label"].to_numpy()]
    assert np.log(own).mean() > np.log(known).mean()  # better than the frequencies of the classes


@pytest.mark.parametrize("name", MADE)
def test_what_is_hidden_has_no_influence(data, name):
    estimator = MADE[name]()
    table = Table(data, estimator.words, estimator.grid)
    rows = table.train
    hidden = rows.present.clone()
    hidden[:, 1] = False
    hidden[:, 2] = False
    before = estimator.design(table, rows, hidden)
    shuffled = dict(rows.blocks)
    for modality in ("note", "labs"):
        shuffled[modality] = rows.blocks[modality][::-1]
    other = type(rows)(rows.sample_id, rows.label, rows.present, shuffled)
    tables = (before, estimator.design(table, other, hidden), estimator.design(table, other, rows.present))
    dense = [np.asarray(x.todense() if hasattr(x, "todense") else x) for x in tables]
    np.testing.assert_array_equal(dense[0], dense[1])
    assert not np.array_equal(dense[0], dense[2], equal_nan=True)


def test_only_training_patients_are_learned_from(small_config, data):
    spoilt, table = opened(small_config), Table(data, 100, 4)
    train = data.samples.filter(pl.col("split") == "train")["sample_id"].implode()
    outside = ~pl.col("sample_id").is_in(train)
    spoilt.window = spoilt.window.with_columns(
        pl.when(outside & (pl.col("modality") == "note")).then(pl.lit("poison poison")).otherwise("text_value")
        .alias("text_value"),
        pl.when(outside).then(pl.lit(1e6)).otherwise("numeric_value").alias("numeric_value"),
    )  # fmt: skip
    other = Table(spoilt, 100, 4)
    other.read("tuning")
    assert "poison" not in other.vectorizers["note"].vocabulary_
    assert other.vectorizers["note"].vocabulary_ == table.vectorizers["note"].vocabulary_
    for modality in ("labs", "codes"):
        np.testing.assert_array_equal(other.mean[modality], table.mean[modality])
        np.testing.assert_array_equal(other.train.blocks[modality], table.train.blocks[modality])


def test_patients_are_there_under_several_masks(data):
    fitted = Fitted(MADE["logistic_regression"](), data, ModalityMasking(0.5), PATTERNS, seed=0)
    x, label, weight = fitted._masked(fitted.table.train, ModalityMasking(0.5), 0)
    n, count = len(fitted.table.train.label), len(data.modalities)
    assert len(label) == 2 * n
    assert weight.sum() == pytest.approx(n)
    flags = torch.as_tensor(np.asarray(x[:, :count].todense())).bool()
    there = fitted.table.train.present.repeat(2, 1)
    assert not (flags & ~there).any()
    assert flags.any(1).eq(there.any(1)).all()  # never is everything hidden
    assert 0.3 < flags[there].float().mean() < 0.8
    assert not torch.equal(flags[:n], flags[n:])


def test_a_setting_that_cannot_be_is_named():
    with pytest.raises(InputError, match=r"init_args\.copies"):
        LogisticRegression(copies=0)
    with pytest.raises(InputError, match=r"rounds \(3\) is less than looks"):
        GradientBoosting(looks=5, rounds=3)
