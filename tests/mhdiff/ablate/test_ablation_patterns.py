"""The table of patterns: held against sklearn, a bootstrap by hand, and what was not predicted."""

import json

import numpy as np
import polars as pl
import pytest
from fake_training import CLASSES, PATIENTS, fit_cell, options, softmax
from sklearn.metrics import roc_auc_score

from mhdiff.ablate import Ablation, run
from mhdiff.ablate.cells import plan
from mhdiff.ablate.draws import widen
from mhdiff.ablate.rare import Rare
from mhdiff.commands.ablate import _prepare, table
from mhdiff.evaluate.bca import bca
from mhdiff.evaluate.bootstrap import Resamples
from mhdiff.evaluate.patterns import asked_patterns
from mhdiff.evaluate.predictions import Scored
from ontology.errors import InputError

FULL, NAMES = "image+note", ["image+note", "image", "note"]


@pytest.fixture
def cohort(tmp_path):
    """A known-answer cohort whose posterior is strong, and weaker when a modality is missing."""
    labels = fake_labels()
    frames = []
    for number, name in enumerate(["note+image", "image", "note", "none"]):  # a name in another order
        noise = np.random.default_rng(40 + number).normal(size=(PATIENTS, CLASSES))
        p = softmax((3.0, 2.0, 1.5, 0.0)[number] * np.eye(CLASSES)[labels] + noise)
        columns = {f"p_{c}": p[:, c] for c in range(CLASSES)}
        frames.append(pl.DataFrame({"subject_id": np.arange(PATIENTS), "pattern": name} | columns))
    (tmp_path / "cohort" / "truth").mkdir(parents=True)
    pl.concat(frames).write_parquet(tmp_path / "cohort" / "truth" / "posterior.parquet")
    return tmp_path / "cohort"


def fake_labels():
    return np.random.default_rng(7).integers(CLASSES, size=PATIENTS)


def known_answer(cohort, lost="0.2"):
    return {
        "weak": ["--arm=weak", "--strength=0.4", f"--cohort={cohort}"],
        "strong": ["--arm=strong", "--strength=2", f"--lost={lost}", f"--cohort={cohort}"],
    }


def aurocs(p, counts=None):
    """By class, with each patient counted so often."""
    labels = fake_labels()
    return np.array([roc_auc_score(labels == c, p[:, c], sample_weight=counts) for c in range(CLASSES)])


def aurocs_of_draws(p, draws):
    """By draw and class, the share of pairs of a case and another patient that are in order, patients counted so often.

    It is what `aurocs` says of each row of `draws`, for all of them at once.
    """
    found = []
    for c in range(CLASSES):
        mine = fake_labels() == c
        ahead = p[mine, c][:, None] - p[~mine, c]
        in_order = (ahead > 0) + 0.5 * (ahead == 0)
        cases, others = draws[:, mine], draws[:, ~mine]
        found.append(((cases @ in_order) * others).sum(1) / (cases.sum(1) * others.sum(1)))
    return np.stack(found, axis=1)


def pooled(out, document, arm, seed, pattern):
    keys = {cell["key"] for cell in document["cells"] if cell["arm"] == arm and cell["seed"] == seed}
    frame = pl.concat([pl.read_parquet(out / "cells" / key / "predictions.parquet") for key in keys])
    held = frame.filter(pl.col("pattern") == pattern, pl.col("split") == "held_out").sort("subject_id")
    assert held.height == PATIENTS
    return held.select(f"p_{c}" for c in range(CLASSES)).to_numpy()


def exact(cohort, pattern):
    frame = pl.read_parquet(cohort / "truth" / "posterior.parquet")
    name = "note+image" if pattern == FULL else pattern
    rows = frame.filter(pl.col("pattern") == name).sort("subject_id")
    return rows.select(f"p_{c}" for c in range(CLASSES)).to_numpy()


def test_every_pattern_has_its_figures_its_ceiling_and_what_is_lost(make, cohort, tmp_path):
    ablation = make(arms=known_answer(cohort), patterns="all", rare=["viral"], replicates=40)
    document = run(ablation, tmp_path / "out", fit_cell)
    json.dumps(document, allow_nan=False)
    assert list(document["patterns"]) == NAMES
    assert document["pattern"] == FULL
    counts = Resamples.of(np.arange(PATIENTS), 40, 0)
    # On the data as they are, on the same resamples of patients, and without one patient after the other.
    draws = np.concatenate([*counts.blocks(), 1 - np.eye(PATIENTS)])

    def macro(p):
        by_draw = aurocs_of_draws(p, draws)
        for row in (0, 40, -1):  # scikit-learn itself would take most of this test's time
            assert by_draw[row] == pytest.approx(aurocs(p, draws[row]))
        return np.array([aurocs(p).mean(), *by_draw.mean(1)])

    def rare(p):
        return aurocs(p)[2]

    def others(p):
        return np.delete(aurocs(p), 2).mean()

    by_arm = {
        (arm, name): np.mean(
            [macro(pooled(tmp_path / "out", document, arm, s, name)) for s in (1, 2)], axis=0
        )
        for arm in ("weak", "strong")
        for name in NAMES
    }
    best = {name: macro(exact(cohort, name)) for name in NAMES}

    def same(figure, values):
        low, high, _ = bca(values[0], values[1:41], values[41:])
        assert (figure["value"], figure["low"], figure["high"]) == pytest.approx((values[0], low, high))

    for name, told in document["patterns"].items():
        for arm, row in told["arms"].items():
            assert (row["n"], row["n_subjects"]) == (PATIENTS, PATIENTS)
            same(row["metrics"]["auroc"], by_arm[arm, name])
            same(row["ceiling"]["auroc"], best[name])
            same(row["gap"]["auroc"], best[name] - by_arm[arm, name])
            mine = np.mean([rare(pooled(tmp_path / "out", document, arm, s, name)) for s in (1, 2)])
            assert row["metrics"]["rare_auroc"]["value"] == pytest.approx(mine)
            assert row["ceiling"]["rare_auroc"]["value"] == pytest.approx(rare(exact(cohort, name)))
            rest = np.mean([others(pooled(tmp_path / "out", document, arm, s, name)) for s in (1, 2)])
            assert row["metrics"]["common_auroc"]["value"] == pytest.approx(rest)
            assert row["ceiling"]["common_auroc"]["value"] == pytest.approx(others(exact(cohort, name)))
            if name == FULL:
                assert row["drop"] is row["irreducible_drop"] is row["excess_drop"] is None
                continue
            drop, least = by_arm[arm, FULL] - by_arm[arm, name], best[FULL] - best[name]
            same(row["drop"]["auroc"], drop)
            same(row["irreducible_drop"]["auroc"], least)
            same(row["excess_drop"]["auroc"], drop - least)
        rows = {row["metric"]: row for row in told["differences"]}
        same(rows["auroc"], by_arm["strong", name] - by_arm["weak", name])
        assert {"rare_auroc", "rare_auprc", "common_auroc", "common_auprc", "brier"} <= set(rows)
        assert not {"sensitivity", "specificity"} & set(rows)
    viral = int((fake_labels() == 2).sum())
    assert document["rare"] == {"asked": ["viral"], "n": PATIENTS, "n_positive": {"viral": viral}}
    # The pattern that is compared first has the same figures in both places.
    assert (
        document["arms"]["strong"]["metrics"]["auroc"]
        == document["patterns"][FULL]["arms"]["strong"]["metrics"]["auroc"]
    )
    text = table(document)
    row = document["patterns"]["note"]["arms"]["strong"]
    assert f"beyond {row['excess_drop']['auroc']['value']:+.3f}" in text
    assert f"note  ceiling {row['ceiling']['auroc']['value']:.3f}" in text
    assert "strong - weak, rare: " in text
    assert "strong - weak, common: " in text
    assert f"rare classes: viral (n+ {viral})" in text


def test_without_patterns_only_the_fullest_is_predicted_and_such_cells_are_not_taken_for_more(make, tmp_path):
    log = tmp_path / "log.txt"
    document = run(make(), tmp_path / "out", fit_cell)
    assert list(document["patterns"]) == [FULL]
    assert document["rare"] is None
    assert document["patterns"][FULL]["arms"]["weak"]["ceiling_reason"] == "no exact posterior was given"
    assert "by what is offered" not in table(document)
    log.unlink()
    assert list(run(make(patterns=["note"]), tmp_path / "out", fit_cell)["patterns"]) == [FULL, "note"]
    assert len(log.read_text().splitlines()) == 12
    log.unlink()
    assert list(run(make(), tmp_path / "out", fit_cell)["patterns"]) == [
        FULL
    ]  # the old cells are still there
    assert not log.exists()


def test_keys_know_the_patterns_in_any_order(make):
    def keys(**changes):
        return [cell.key for cell in plan(make(**changes)).cells]

    assert keys(patterns=["note", "image"]) == keys(patterns=["image", "note", "note"])
    assert len({keys()[0], keys(patterns="all")[0], keys(patterns=["note"])[0]}) == 3
    assert keys(pattern="note") == keys(patterns=["note"])  # what is compared first must be predicted
    assert keys(pattern="note", patterns="all") == keys(patterns="all")
    assert keys(rare=0.1) == keys()


def test_arms_may_be_compared_on_another_pattern_first(make, tmp_path):
    document = run(make(pattern="note"), tmp_path / "out", fit_cell)
    assert document["pattern"] == "note"
    for arm, row in document["patterns"]["note"]["arms"].items():
        assert document["arms"][arm]["metrics"]["auroc"] == row["metrics"]["auroc"]
    full = document["patterns"][FULL]["arms"]["strong"]["metrics"]["auroc"]["value"]
    assert document["arms"]["strong"]["metrics"]["auroc"]["value"] < full


def test_an_arm_has_the_ceiling_of_its_own_patients(make, cohort, tmp_path):
    arms = known_answer(cohort)
    arms["fewer"] = [*arms["strong"], "--fewer=1"]
    document = run(make(arms=arms, seeds=[1], replicates=5), tmp_path / "out", fit_cell)
    rows = document["patterns"][FULL]["arms"]
    others = np.arange(PATIENTS) != 1
    for arm, counts in (("strong", np.ones(PATIENTS)), ("fewer", others)):
        best = aurocs(exact(cohort, FULL), counts).mean()
        assert rows[arm]["ceiling"]["auroc"]["value"] == pytest.approx(best)
    assert rows["fewer"]["n"] == PATIENTS - 1


def test_what_was_not_predicted_has_a_reason(make, cohort, tmp_path):
    arms = known_answer(cohort) | {"blind": ["--arm=blind", "--strength=1", "--only=note"]}
    document = run(make(arms=arms, patterns="all"), tmp_path / "out", fit_cell)
    blind = {name: told["arms"]["blind"] for name, told in document["patterns"].items()}
    assert "holds nobody out under pattern 'image'" in blind["image"]["reason"]
    assert blind["image"]["metrics"] is None
    assert "not predicted for the same samples" in blind["note"]["drop_reason"]
    assert blind["note"]["metrics"]["auroc"]["value"] is not None
    rows = [d for d in document["patterns"]["image"]["differences"] if d["arm"] == "blind"]
    assert rows
    assert all(row["value"] is None and row["reason"] for row in rows)
    assert "undefined (seed" in table(document) or "holds nobody out" in table(document)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda frame: frame.filter(pl.col("subject_id") != 3), "no exact posterior for pattern"),
        (lambda frame: frame.filter(pl.col("pattern") != "note"), "hold no pattern 'note'"),
        (lambda frame: frame.drop("p_2"), "2 probabilities a row, but 3 classes"),
    ],
)
def test_posteriors_that_do_not_fit_leave_the_table_without_a_ceiling_and_say_why(
    make, cohort, tmp_path, spoil, says
):
    path = cohort / "truth" / "posterior.parquet"
    spoil(pl.read_parquet(path)).write_parquet(path)
    document = run(make(arms=known_answer(cohort), patterns="all"), tmp_path / "out", fit_cell)
    row = document["patterns"]["note"]["arms"]["weak"]
    assert says in row["ceiling_reason"]
    assert row["ceiling"] is row["irreducible_drop"] is row["excess_drop"] is None
    assert row["drop"]["auroc"]["value"] is not None


def test_a_drawn_null_widens_its_differences_under_every_pattern(make, tmp_path):
    arms = {
        "real": ["--arm=real", "--strength=1"],
        "null": ["--arm=null", "--strength=0.5", "--data.null=permuted", "--data.null_seed={seed}"],
    }
    ablation = make(arms=arms, reference="null", patterns="all", seeds=[1, 2, 3], rare=0.4)
    document = run(ablation, tmp_path / "out", fit_cell)
    for name, told in document["patterns"].items():
        rows = {row["metric"]: row for row in told["differences"]}
        drawn = [aurocs(pooled(tmp_path / "out", document, "null", seed, name)).mean() for seed in (1, 2, 3)]
        narrow = {key: rows["auroc"][f"patients_{key}"] for key in ("low", "high")}
        expected = widen({"value": rows["auroc"]["value"], **narrow}, drawn)
        assert rows["auroc"]["low"] == pytest.approx(expected["low"])
        assert rows["rare_auroc"]["draws"] == 3
        assert rows["auroc"]["rank_p"] == 0.25


def test_rare_classes_are_those_up_to_a_share_or_those_named(make, tmp_path):
    share = np.bincount(fake_labels()) / PATIENTS
    limit = float(np.sort(share)[1])  # two classes have it or less
    document = run(make(rare=limit, replicates=5), tmp_path / "out", fit_cell)
    few = [name for name, s in zip(document["classes"], share, strict=True) if s <= limit]
    assert list(document["rare"]["n_positive"]) == few
    assert len(few) == 2
    row = document["patterns"][FULL]["arms"]["strong"]
    own = [document["arms"]["strong"]["per_class"][name]["auroc"]["value"] for name in few]
    assert row["metrics"]["rare_auroc"]["value"] == pytest.approx(np.mean(own))
    assert "by what is offered" in table(document)
    nobody = run(make(rare=0.01, replicates=5), tmp_path / "out", fit_cell)
    assert "0.01" in nobody["rare"]["reason"]
    assert "rare_auroc" not in nobody["patterns"][FULL]["arms"]["weak"]["metrics"]
    with pytest.raises(InputError, match="'rare' names fungal"):
        run(make(rare=["fungal"]), tmp_path / "out", fit_cell)


def test_a_class_that_nobody_has_is_not_rare_unless_it_is_named():
    labels = np.array([0] * 9 + [1])
    scored = Scored(np.arange(10), np.arange(10), labels, np.full((10, 3), 1 / 3), np.full((10, 3), np.nan))
    classes = ["often", "seldom", "never"]
    assert Rare.of(0.1, classes, scored).places == (1,)
    assert Rare.of(("never",), classes, scored).places == (2,)
    assert Rare.of(None, classes, scored).places == ()
    assert Rare.of(0.1, classes, scored).common == (0,)
    assert Rare.of(("never",), classes, scored).common == (0, 1)
    assert Rare.of(None, classes, scored).metrics == Rare.of(0.01, classes, scored).metrics == ()


def test_what_is_compared_first_is_refused_early_and_the_empty_pattern_is_no_part_of_all(make, tmp_path):
    asked = []

    def prepare(base, overrides, patterns, rare):
        asked.append((patterns, rare))
        raise SystemExit(2)

    with pytest.raises(InputError, match="was refused"):
        run(make(pattern="imge", patterns="all", rare=["viral"]), tmp_path / "out", fit_cell, prepare=prepare)
    assert asked == [(("all", "imge"), ("viral",))]
    assert make(pattern="none", patterns="all").offered == ("all", "none")
    assert make(pattern="image", patterns="all").offered == ("all",)


def test_patterns_are_asked_for_by_name_and_the_fullest_is_always_among_them():
    modalities = ["image", "note", "labs"]
    assert asked_patterns([], modalities) == [("image", "note", "labs")]
    assert asked_patterns(["labs+image", "none"], modalities) == [tuple(modalities), ("image", "labs"), ()]
    assert len(asked_patterns(["all"], modalities)) == 7
    assert len(asked_patterns(["all", "none"], modalities)) == 8
    with pytest.raises(InputError, match="patterns: there is no 'xray'"):
        asked_patterns(["xray"], modalities)


def test_a_wrong_pattern_is_refused_before_anything_is_trained_or_made(tmp_path):
    ablation = Ablation.load("ablations/demo.yaml").with_overrides([f"--data.cohort={tmp_path / 'cohort'}"])
    cell = plan(ablation).cells[0]
    with pytest.raises(InputError, match="patterns: there is no 'image'"):  # which this ablation leaves out
        _prepare(ablation.base, list(cell.overrides), ("image",), ())
    with pytest.raises(InputError, match="'rare' names fungl"):
        _prepare(ablation.base, list(cell.overrides), (), ("viral", "fungl"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"patterns": []}, "'patterns' must be all"),
        ({"patterns": "some"}, "'patterns' must be all"),
        ({"patterns": [1]}, "'patterns' must be all"),
        ({"rare": 0}, "'rare' must be a share"),
        ({"rare": 5}, "'rare' must be a share"),
        ({"rare": True}, "'rare' must be a share"),
        ({"rare": []}, "'rare' must be a share"),
    ],
)
def test_wrong_patterns_and_rare_classes_are_refused(make, changes, says):
    with pytest.raises(InputError, match=says):
        make(**changes)


def test_the_shipped_ablation_of_priors_plans_and_names_priors():
    from mhdiff.training.cli import parse

    ablation = Ablation.load("ablations/priors.yaml")
    assert ablation.patterns == ("all",)
    assert ablation.folds == 5
    cells = plan(ablation).cells
    assert len(cells) == len({cell.key for cell in cells}) == 5 * len(ablation.arms)
    kinds = {}
    for arm in ablation.arms:
        cell = next(cell for cell in cells if cell.arm == arm)
        prior = parse(["--config", str(ablation.base), *cell.overrides]).model.prior_factory(16, 3, 5)
        kinds[arm] = (type(prior).__name__, getattr(prior, "hierarchy", None))
        assert options(cell.overrides)["data.split"] == "fold:0/5"
    assert kinds == {
        "diffusion": ("DiffusionPrior", "full"),
        "vae": ("VAEPrior", None),
        "none": ("NoPrior", None),
        "mean": ("MeanImputer", None),
        "regression": ("RegressionImputer", None),
        "gaussian": ("GaussianImputer", None),
        "flat": ("DiffusionPrior", "flat"),
        "no_shared": ("DiffusionPrior", "no_shared"),
        "no_term": ("DiffusionPrior", "full"),
        "as_trained": ("DiffusionPrior", "full"),
        "joint": ("DiffusionPrior", "full"),
        "mean_imputed": ("MeanImputer", None),
        "regression_imputed": ("RegressionImputer", None),
        "gaussian_imputed": ("GaussianImputer", None),
        "vae_imputed": ("VAEPrior", None),
        "diffusion_imputed": ("DiffusionPrior", "full"),
    }
