"""What an ablation tests: over folds, among draws, adjusted over families; what it can show at its n is told before."""

import numpy as np
import polars as pl
import pytest
from fake_training import PATIENTS, fit_cell
from scipy import stats

from mhdiff.ablate import run
from mhdiff.ablate.cells import Cell
from mhdiff.ablate.families import adjust
from mhdiff.ablate.pool import pool
from mhdiff.commands.ablate import table
from mhdiff.evaluate.holm import holm


def arms(**more):
    return {"weak": ["--arm=weak", "--strength=0.2"], "strong": ["--arm=strong", "--strength=2"]} | more


def auroc(document, pairs):
    rows = {(r["arm"], r["reference"]): r for r in document["differences"] if r["metric"] == "auroc"}
    return [rows[pair] for pair in pairs]


NULL = {"set": ["--arm=null", "--strength=0.2", "--data.null=permuted", "--data.null_seed={seed}"],
        "seeds": [1, 3, 4, 5]}  # fmt: skip


@pytest.fixture
def document(make, tmp_path):
    given = arms(
        null=NULL,
        middle=["--arm=middle", "--strength=1"],
        broken=["--arm=broken", "--strength=1", "--mode=raise"],
    )
    contrasts = [["strong", "null"], ["middle", "null"], ["broken", "null"]]
    return run(make(arms=given, contrasts=contrasts, replicates=50), tmp_path / "out", fit_cell)


def cells_of(document, tmp_path):
    """The cells of the weak and the strong arm, and what they predicted."""
    cells = [
        Cell(c["arm"], c["fold"], c["seed"], tuple(c["overrides"]), c["key"])
        for c in document["cells"]
        if c["arm"] in ("weak", "strong")
    ]
    folder = tmp_path / "out" / "cells"
    return cells, {c.key: pl.read_parquet(folder / c.key / "predictions.parquet") for c in cells}


def test_the_test_over_folds_is_the_corrected_t_of_the_folds_own_figures(document, make, tmp_path):
    from sklearn.metrics import roc_auc_score

    (row,) = auroc(document, [("strong", "weak")])
    ablation = make(arms=arms(), replicates=50)
    cells, frames = cells_of(document, tmp_path)
    figures = np.zeros((2, 3))
    for arm, name in enumerate(("strong", "weak")):
        for cell in (c for c in cells if c.arm == name):
            held = frames[cell.key].filter(pl.col("split") == "held_out", pl.col("pattern") == "image+note")
            each = [roc_auc_score(held["label"] == c, held[f"p_{c}"]) for c in range(3)]
            figures[arm, cell.fold] += np.mean(each) / 2  # two seeds
    d = figures[0] - figures[1]
    pooled = pool(ablation, "strong", cells, frames, {}, document["classes"], "image+note")
    trained, tested = np.mean(pooled.sizes, axis=0)
    assert tested == PATIENTS / 3
    t = d.mean() / np.sqrt((1 / 3 + tested / trained) * d.var(ddof=1))
    assert row["folds"]["value"] == pytest.approx(d.mean())
    assert row["folds"]["p"] == pytest.approx(2 * stats.t.sf(abs(t), 2))
    assert (row["folds"]["df"], row["folds"]["folds"]) == (2, 3)  # two seeds make no six folds


def test_the_patients_that_a_fold_was_trained_on_are_neither_held_out_nor_tuned_on(document, make, tmp_path):
    ablation = make(arms=arms(), replicates=50)
    cells, frames = cells_of(document, tmp_path)
    pooled = pool(ablation, "weak", cells, frames, {}, document["classes"], "image+note")
    for fold, (trained, tested) in enumerate(pooled.sizes):
        tuning = sum(i % 7 == 0 and i % 3 != fold for i in range(PATIENTS))
        assert trained + tested + tuning == PATIENTS


def test_families_are_adjusted_and_a_failed_comparison_stays_in_them(document):
    assert document["families"]["adjustment"] == "holm"
    rows = [r for r in document["differences"] if r["metric"] == "auroc"]
    assert document["families"]["differences"] == len(rows) == 7
    assert [r["value"] for r in rows if "broken" in r["arm"]] == [None, None]
    expected = list(holm({str(i): r["folds"]["p"] for i, r in enumerate(rows)}).values())
    assert [r["folds"].get("p_holm") for r in rows] == expected
    smallest = min(r["folds"]["p"] for r in rows if r["folds"]["p"] is not None)
    assert min(p for p in expected if p is not None) == pytest.approx(min(7 * smallest, 1.0))
    strong, middle, broken = auroc(document, [(a, "null") for a in ("strong", "middle", "broken")])
    assert strong["rank_p"] == 1 / 5
    assert strong["rank_p_holm"] == pytest.approx(3 / 5)  # three were planned, the one that failed too
    assert broken["rank_p"] is None
    assert broken["rank_p_holm"] is None
    classes = [r for r in document["differences_per_class"] if r["metric"] == "auroc"]
    assert document["families"]["differences_per_class"] == len(classes) == 7 * 3
    assert middle["rank_p_holm"] >= middle["rank_p"]
    text = table(document)
    assert "over 3 folds p" in text
    assert "(Holm 0.600)" in text


def test_a_fold_without_a_class_is_named_and_not_left_out_of_the_mean(make, tmp_path):
    def without(config, overrides, out, patterns=()):
        fit_cell(config, overrides, out, patterns)
        frame = pl.read_parquet(out / "predictions.parquet")
        gone = (pl.col("sample_id") % 3 == 1) & (pl.col("label") == 2)
        frame.filter(~gone).write_parquet(out / "predictions.parquet")

    document = run(make(replicates=20), tmp_path / "out", without)
    (row,) = auroc(document, [("strong", "weak")])
    assert row["value"] is not None  # over all patients every class is there
    assert row["folds"]["value"] is None
    assert row["folds"]["p"] is None
    assert "1 of 3 folds (number 2)" in row["folds"]["reason"]
    accuracy = next(r for r in document["differences"] if r["metric"] == "accuracy")
    assert accuracy["folds"]["p"] is not None
    assert "number 2" in table(document)


def test_intervals_are_named_and_the_half_width_to_expect_is_beside_them(document):
    assert document["interval"]["kind"] == "bca"
    told = document["power"]["half_width"]["viral"]
    assert told["n_positive"] + told["n_negative"] == PATIENTS
    assert 0 < told["difference"] < told["auroc"] < 0.2


def test_what_it_can_show_is_said_before_anything_is_trained(small_config, small_data, capsys):
    from mhdiff.cohort import Cohort, Task
    from mhdiff.commands.ablate import _prepare, expectations

    data = _prepare(small_config, ["--data.split=fold:0/3"], (), ())
    samples = Task.load("pneumonia").samples(Cohort.open(small_data / "cohort"))
    lines = expectations(data)
    assert lines[0].startswith(f"what {samples['subject_id'].n_unique()} held-out patients can show")
    assert len(lines) == 1 + len(Task.load("pneumonia").classes)
    assert "paired difference" in lines[1]
    stored = _prepare(small_config, [], (), ())
    held = samples.filter(pl.col("split") == "held_out")["subject_id"].n_unique()
    assert expectations(stored)[0].startswith(f"what {held} held-out")
    capsys.readouterr()


def test_rows_without_tests_are_left_as_they_are():
    rows = [
        {"metric": "auroc"},
        {"metric": "auroc", "folds": {"p": 0.01}},
        {"metric": "brier", "rank_p": 0.2},
    ]
    assert adjust(rows) == 2
    assert rows[0] == {"metric": "auroc"}
    assert rows[1]["folds"]["p_holm"] == 0.01
    assert rows[2]["rank_p_holm"] == 0.2
