"""Repeated cross-validation: folds dealt anew in each repetition, all in the test, each patient counted once."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
import yaml
from fake_training import PATIENTS, embed_cell, fit_cell
from scipy import stats
from sklearn.metrics import roc_auc_score

from mhdiff.ablate import run
from mhdiff.ablate.cells import plan
from mhdiff.cohort.splits import assign
from mhdiff.commands.ablate import table
from mhdiff.report import guidance
from mhdiff.report.provenance import ablation_command
from ontology.errors import InputError

REPEATS, FOLDS = 3, 3


def given(cell):
    return dict(option.removeprefix("--").split("=", 1) for option in cell.overrides)


def row(document, arm, reference, metric="auroc"):
    rows = {(r["arm"], r["reference"], r["metric"]): r for r in document["differences"]}
    return rows[arm, reference, metric]


def test_one_repetition_gives_the_figures_that_it_always_gave(make, tmp_path):
    document = run(make(repeats=1), tmp_path / "out", fit_cell)
    assert [cell.key for cell in plan(make(repeats=1)).cells] == [cell.key for cell in plan(make()).cells]
    told = row(document, "strong", "weak")
    assert told["value"] == pytest.approx(0.38059291505063564, abs=1e-12)
    assert told["folds"]["p"] == pytest.approx(0.052426497844207345, abs=1e-12)
    assert document["repeats"] == 1
    assert {cell["repeat"] for cell in document["cells"]} == {None}
    assert "pattern image+note, 3 folds" in table(document)


def test_the_first_repetition_is_the_ablation_without_any(make):
    once, often = plan(make()).cells, plan(make(repeats=REPEATS)).cells
    assert [cell.key for cell in often[: len(once)]] == [cell.key for cell in once]
    assert len({cell.key for cell in often}) == REPEATS * len(once)
    assert Counter(cell.repeat for cell in often) == dict.fromkeys(range(REPEATS), len(once))
    assert often[-1].place == "repetition 3 fold 3 seed 2"


@pytest.mark.parametrize(
    ("base", "common", "first"),
    [
        ({}, [], 0),
        ({"data": {"split_seed": 5}}, [], 5),
        ({"data": {"class_path": "mhdiff.training.data.MultimodalData", "init_args": {"split_seed": 6}}}, [], 6),
        ({"data": {"split_seed": 5}}, ["--data.split_seed=7"], 7),
    ],
)  # fmt: skip
def test_each_repetition_has_a_split_seed_of_its_own_after_that_of_the_configuration(
    make, tmp_path, base, common, first
):
    ablation = make(repeats=REPEATS).with_overrides(common)
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base))
    seeds = {(c.repeat, int(given(c).get("data.split_seed", first))) for c in plan(ablation).cells}
    assert seeds == {(repeat, first + 1000 * repeat) for repeat in range(REPEATS)}


def test_each_repetition_deals_other_folds_and_holds_everybody_out_once(make):
    rng = np.random.default_rng(3)
    samples = pl.DataFrame(
        {"sample_id": range(120), "subject_id": np.arange(120) // 2, "site": "a"}
        | {"label": rng.integers(3, size=60).repeat(2)}
    )
    dealt = {}
    for cell in plan(make(repeats=REPEATS, seeds=[1])).cells:
        split = assign(samples, given(cell)["data.split"], int(given(cell).get("data.split_seed", 0)))
        held = split.filter(pl.col("split") == "held_out")["subject_id"].unique()
        dealt.setdefault(cell.repeat, {})[cell.fold] = frozenset(held)
    for folds in dealt.values():
        assert sorted(subject for held in folds.values() for subject in held) == list(range(60))
    assert len({frozenset(folds.values()) for folds in dealt.values()}) == REPEATS


def by_hand(out, document, name):
    """The arm's macro AUROC by repetition and fold, mean over seeds; by repetition and seed; and the folds' sizes."""
    figures, pooled, sizes = np.zeros((REPEATS, FOLDS)), {}, []
    for cell in document["cells"]:
        if cell["arm"] != name:
            continue
        frame = pl.read_parquet(out / "cells" / cell["key"] / "predictions.parquet")
        held, tuning = (frame.filter(pl.col("split") == split) for split in ("held_out", "tuning"))
        figures[cell["repeat"], cell["fold"]] += macro(held) / 2  # two seeds
        pooled.setdefault((cell["repeat"], cell["seed"]), []).append(held)
        sizes.append((PATIENTS - len(held) - len(tuning), len(held)))
    return figures.ravel(), {place: macro(pl.concat(held)) for place, held in pooled.items()}, sizes


def macro(frame):
    assert frame["sample_id"].is_unique().all()
    return np.mean([roc_auc_score(frame["label"] == c, frame[f"p_{c}"]) for c in range(3)])


def test_all_folds_of_all_repetitions_are_tested_and_figures_are_means_over_sets(make, tmp_path):
    document = run(make(repeats=REPEATS, folds=FOLDS), tmp_path / "out", fit_cell)
    (strong, sets, sizes), (weak, _, _) = (by_hand(tmp_path / "out", document, a) for a in ("strong", "weak"))
    arm, told = document["arms"]["strong"], row(document, "strong", "weak")
    assert len(sets) == REPEATS * 2
    assert len(set(sets.values())) == len(sets), "repetitions and seeds differ, or this shows nothing"
    assert arm["metrics"]["auroc"]["value"] == pytest.approx(np.mean(list(sets.values())))
    assert (arm["n"], told["n"]) == (PATIENTS, PATIENTS)
    for seed in (1, 2):
        mean = np.mean([sets[repeat, seed] for repeat in range(REPEATS)])
        assert arm["by_seed"][str(seed)]["auroc"] == pytest.approx(mean)
    d, (trained, tested) = strong - weak, np.mean(sizes, axis=0)
    t = d.mean() / np.sqrt((1 / d.size + tested / trained) * d.var(ddof=1))
    assert told["folds"]["value"] == pytest.approx(d.mean())
    assert told["folds"]["p"] == pytest.approx(2 * stats.t.sf(abs(t), d.size - 1))
    assert (told["folds"]["folds"], told["folds"]["df"]) == (9, 8) == (REPEATS * FOLDS, d.size - 1)
    text = table(document)
    assert "3 x 3 folds" in text
    assert "over 9 folds p" in text
    assert "3 patient-grouped folds, dealt 3 times" in guidance.describe(document)["design"][0]


def test_repetitions_that_predict_the_same_make_nothing_surer_of_the_patients(make, tmp_path):
    def same(config, overrides, out, patterns=()):
        fit_cell(config, [o for o in overrides if not o.startswith("--data.split_seed")], out, patterns)

    once = run(make(), tmp_path / "once", fit_cell)
    often = run(make(repeats=2), tmp_path / "often", same)
    for arm in once["arms"]:
        expected = once["arms"][arm]["metrics"]["auroc"]
        assert often["arms"][arm]["metrics"]["auroc"] == pytest.approx(expected)
    alone, both = row(once, "strong", "weak"), row(often, "strong", "weak")
    assert [both[end] for end in ("value", "low", "high")] == pytest.approx(
        [alone[end] for end in ("value", "low", "high")]
    )


def test_draws_of_a_null_are_its_seeds_and_not_its_repetitions(make, tmp_path):
    null = {"set": ["--arm=null", "--strength=0.2", "--data.null=permuted", "--data.null_seed={seed}"]}
    arms = {"real": ["--arm=real", "--strength=2"], "null": null | {"seeds": [1, 3, 4]}}
    document = run(
        make(arms=arms, reference="null", repeats=2, folds=2, replicates=20), tmp_path / "out", fit_cell
    )
    told = row(document, "real", "null")
    assert (told["draws"], told["rank_p"], told["folds"]["folds"]) == (3, 1 / 4, 4)


def test_repetitions_that_are_added_train_only_themselves(make, tmp_path):
    run(make(replicates=0), tmp_path / "out", fit_cell)
    (tmp_path / "log.txt").unlink()
    run(make(repeats=2, replicates=0), tmp_path / "out", fit_cell)
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 2 * 3 * 2


@pytest.mark.parametrize(("seeds", "times"), [("first", 2 * FOLDS), ("each", 2 * FOLDS * 2)])
def test_shared_encoders_are_trained_for_each_fold_of_each_repetition(make, tmp_path, seeds, times):
    ablation = make(repeats=2, replicates=0, encoders={"set": ["--model.guidance=none"], "seeds": seeds})
    made = plan(ablation)
    assert len(made.encoders) == times
    for cell in made.cells:
        of = made.encoders[cell.encoders]
        assert (of.repeat, of.fold) == (cell.repeat, cell.fold)
        assert given(of).get("data.split_seed") == given(cell).get("data.split_seed")
    document = run(ablation, tmp_path / "out", fit_cell, embed_cell=embed_cell)
    assert {cell["status"] for cell in document["cells"]} == {"done"}
    assert (tmp_path / "log.txt").read_text().count("encoders fold") == times


def test_a_failed_cell_is_named_by_its_repetition(make, tmp_path, capsys):
    arms = {"weak": ["--arm=weak", "--strength=0.2"], "broken": ["--arm=b", "--strength=1", "--mode=raise"]}
    document = run(make(arms=arms, repeats=2, seeds=[1], replicates=0), tmp_path / "out", fit_cell)
    failures = document["arms"]["broken"]["failures"]
    assert [(f["repeat"], f["fold"], f["seed"]) for f in failures] == [(0, 1, 1), (1, 1, 1)]
    assert "repetition 2 fold 2 seed 1" in document["arms"]["broken"]["reason"]
    assert "broken, repetition 2 of 2, fold 2 of 3, seed 1: FAILED" in capsys.readouterr().err
    told = guidance.describe(document)["failures"]
    assert [f["place"] for f in told] == [f"broken, repetition {r} of 2, fold 2 of 3, seed 1" for r in (1, 2)]


def test_the_command_that_a_report_names_has_a_split_seed_that_was_given(make, tmp_path):
    ablation = make(repeats=2, folds=2, seeds=[1], replicates=0).with_overrides(["--data.split_seed=7"])
    document = run(ablation, tmp_path / "out", fit_cell)
    known = {"config": str(ablation.source), "base": str(ablation.base)}
    told = ablation_command(document, tmp_path / "out", known)
    assert told[-2:] == ["--set", "data.split_seed=7"]


SEEDED = "--data.split_seed={seed}"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"repeats": 0}, "'repeats' must be a whole number of at least 1"),
        ({"repeats": "twice"}, "'repeats'"),
        ({"repeats": 2, "folds": None}, "'repeats' is 2, and without folds"),
        ({"set": [SEEDED]}, "'set' has .*repeats: 5"),
        ({"arms": {"a": [SEEDED], "weak": []}}, r"'arms\.a' has .*repeats: 5"),
        ({"arms": {"a": ["--data.init_args.split_seed={fold}"], "weak": []}}, r"'arms\.a' has .*repeats: 5"),
        ({"encoders": {"set": [SEEDED]}}, r"'encoders\.set' has .*repeats: 5"),
        ({"arms": {"a": ["--data.split_seed=3"], "weak": []}, "repeats": 2}, r"'arms\.a' has .*Write it in 'set'"),
    ],
)  # fmt: skip
def test_what_would_mix_folds_is_refused(make, changes, says):
    with pytest.raises(InputError, match=says) as refused:
        make(**changes)
    assert refused.value.path.name == "ablation.yaml"


def test_a_split_seed_by_the_trainings_seed_is_refused_from_the_command_line_too(make):
    with pytest.raises(InputError, match="repeats: 5"):
        make().with_overrides([SEEDED])
    assert make(folds=None, set=[SEEDED]).common == (SEEDED,)  # no fold, so nothing is averaged over folds
    assert make(arms={"a": ["--data.split_seed=3"], "weak": []}).repeats == 1


def test_a_split_seed_that_is_no_number_cannot_be_counted_on_from(make, tmp_path):
    (tmp_path / "base.yaml").write_text("data: {split_seed: many}\n")
    with pytest.raises(InputError, match=r"base\.yaml: data\.split_seed must be a whole number.*'many'"):
        plan(make(repeats=2))
