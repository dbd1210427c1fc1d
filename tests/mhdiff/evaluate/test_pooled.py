"""Several runs as one: each patient by the model that never saw them; what does not belong together is refused."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from made_up import CLASSES
from pooled_runs import PATTERNS, fold_frame, write_folds, write_run
from sklearn.metrics import roc_auc_score

from mhdiff.cli import main
from mhdiff.evaluate.calibration import apply_temperature, fit_temperature, log_probabilities
from mhdiff.evaluate.flagging import flagging
from mhdiff.evaluate.predictions import check_predictions
from mhdiff.evaluate.regimes import regimes
from mhdiff.evaluate.several import joined
from mhdiff.evaluate.stored import read_predictions
from mhdiff.evaluate.thresholds import youden
from ontology.errors import InputError

P = ["p_0", "p_1", "p_2"]


def evaluate(capsys, *options, replicates=3):
    capsys.readouterr()
    code = main(["evaluate", *map(str, options), "--replicates", str(replicates), "--json"])
    told = capsys.readouterr()
    return json.loads(told.out) if code == 0 else (code, told.err)


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    return write_folds(tmp_path_factory.mktemp("folds"))


@pytest.fixture(scope="module")
def pooled(folds, tmp_path_factory):
    out = tmp_path_factory.mktemp("pooled") / "all"
    assert main(["evaluate", *map(str, folds), "--out", str(out), "--replicates", "3"]) == 0
    return out


def document(folder):
    return json.loads((folder / "metrics.json").read_text())


def split(frame, name, pattern=PATTERNS[0]):
    return frame.filter(pl.col("split") == name, pl.col("pattern") == pattern)


def test_pooled_figures_are_those_of_the_rows_put_together_by_hand(folds, pooled):
    found = document(pooled)
    assert (found["models"], found["held_out"]) == (3, "fold:0/3, fold:1/3, fold:2/3")
    assert found["n_subjects"] == found["n_samples"] == 120
    for pattern in PATTERNS:
        rows, called, scaled = [], [], []
        for folder in folds:
            frame = pl.read_parquet(folder / "predictions.parquet")
            tuning, held_out = split(frame, "tuning", pattern), split(frame, "held_out", pattern)
            p, own = tuning.select(P).to_numpy(), held_out.select(P).to_numpy()
            limits = youden(p, tuning["label"].to_numpy(), CLASSES).values
            temperature = fit_temperature(log_probabilities(p), tuning["label"].to_numpy()).value
            rows.append(held_out)
            called.append(own >= limits)
            scaled.append(apply_temperature(own, temperature))
        whole, calls = pl.concat(rows), np.concatenate(called)
        p, labels = whole.select(P).to_numpy(), whole["label"].to_numpy()
        truth = np.eye(3)[labels]
        told = found["patterns"][pattern]
        value = {name: figure["value"] for name, figure in told["metrics"].items()}
        assert value["auroc"] == pytest.approx(roc_auc_score(labels, p, multi_class="ovr"), abs=1e-12)
        assert value["brier"] == pytest.approx(((p - truth) ** 2).sum(1).mean(), abs=1e-12)
        assert value["accuracy"] == pytest.approx((p.argmax(1) == labels).mean(), abs=1e-12)
        assert value["sensitivity"] == pytest.approx(
            np.mean([calls[labels == c, c].mean() for c in range(3)]), abs=1e-12
        )
        common = youden(p, labels, CLASSES).values
        assert value["sensitivity"] != pytest.approx(
            np.mean([(p >= common)[labels == c, c].mean() for c in range(3)])
        )
        after = told["calibration"]["scaled"]["brier"]["value"]
        assert after == pytest.approx(((np.concatenate(scaled) - truth) ** 2).sum(1).mean(), abs=1e-12)
        assert told["calibration"]["temperature"]["n"] == sum(
            split(pl.read_parquet(f / "predictions.parquet"), "tuning", pattern).height for f in folds
        )
    row = found["patterns"][PATTERNS[0]]["per_class"]["viral"]
    assert row["threshold"] is None
    assert len(set(row["thresholds"])) == 3
    women = found["subgroups"]["sex"]["groups"]["F"]
    assert women["n"] == 48
    frame = pl.concat([pl.read_parquet(f / "predictions.parquet") for f in folds])
    those = split(frame, "held_out").filter(pl.col("sex") == "F")
    assert women["metrics"]["auroc"]["value"] == pytest.approx(
        roc_auc_score(those["label"], those.select(P).to_numpy(), multi_class="ovr"), abs=1e-12
    )
    assert set(found["subgroups"]["site"]["groups"]) == {"a", "b"}
    assert all(found["regimes"][name]["metrics"] is not None for name in ("mcar", "mar", "mnar_label"))
    assert found["decision_curves"].keys() == set(CLASSES)
    assert found["robustness"]["relative"] is not None


def test_the_folder_says_all_of_itself(folds, pooled, tmp_path, capsys):
    first = document(pooled)
    assert {f.name for f in pooled.iterdir()} == {
        "predictions.parquet",
        "metrics.json",
        "run.json",
        "config.yaml",
    }
    assert evaluate(capsys, "--from", pooled / "predictions.parquet") == first
    assert evaluate(capsys, pooled, "--out", tmp_path / "again") == first
    facts = json.loads((pooled / "run.json").read_text())
    assert facts["pooled"]["from"] == [str(folder) for folder in folds]
    assert (facts["seconds"], facts["parameters"]) == (30.0, 100)
    config = (pooled / "config.yaml").read_text()
    assert "seed_everything: 1" in config
    assert "fold:" not in config, "a setting that differs is no setting of all"
    main(["evaluate", *map(str, folds), "--out", str(tmp_path / "p"), "--replicates", "3"])
    assert "120 patients" in capsys.readouterr().out


def test_neither_the_order_of_runs_nor_of_rows_changes_a_figure(folds, pooled, tmp_path, capsys):
    mixed = [shutil.copytree(folder, tmp_path / folder.name) for folder in folds]
    for folder in mixed:
        stored = read_predictions(folder)
        frame = stored.frame.sample(fraction=1, shuffle=True, seed=3)
        shutil.rmtree(folder)
        write_run(folder, frame, stored.about.held_out)
    ours, theirs = document(pooled), evaluate(capsys, *reversed(mixed), "--out", tmp_path / "out")
    for name, pattern in ours["patterns"].items():
        for metric, figure in pattern["metrics"].items():
            for end in ("value", "low", "high"):
                assert theirs["patterns"][name]["metrics"][metric][end] == pytest.approx(
                    figure[end], abs=1e-9
                )
    assert theirs["presence_only"] == ours["presence_only"]
    assert {n: r["hidden"] for n, r in theirs["regimes"].items()} == {
        n: r["hidden"] for n, r in ours["regimes"].items()
    }


def test_a_regime_hides_the_same_from_pooled_patients_as_from_those_of_one_model(pooled):
    frame = check_predictions(read_predictions(pooled).frame)
    one = frame.filter(pl.col("split") == "held_out").drop("model")
    ours = regimes(frame, ["image", "note"], CLASSES, seed=4)
    alone = regimes(one, ["image", "note"], CLASSES, seed=4)
    for several, single in zip(ours[:2], alone[:2], strict=True):
        held_out = several.rows.filter(pl.col("split") == "held_out").select("sample_id", "pattern")
        assert held_out.equals(single.rows.select("sample_id", "pattern"))
        tuning = several.rows.filter(pl.col("split") == "tuning")
        assert tuning.group_by("model").len().height == 3
        assert tuning.group_by("sample_id").agg(pl.col("pattern").n_unique())["pattern"].max() == 1


def test_what_presence_says_is_counted_on_each_models_own_tuning_rows(folds, tmp_path, capsys):
    from mhdiff.evaluate.shortcut import class_shares

    found = evaluate(capsys, *folds, "--out", tmp_path / "out")["presence_only"]
    p, labels = [], []
    for folder in folds:
        frame = pl.read_parquet(folder / "predictions.parquet")
        tuning, held_out = split(frame, "tuning"), split(frame, "held_out")
        shares, _ = class_shares(
            tuning["present"].to_list(), tuning["label"].to_numpy(), held_out["present"], 3
        )
        p.append(shares)
        labels.append(held_out["label"].to_numpy())
    truth = np.eye(3)[np.concatenate(labels)]
    assert found["metrics"]["brier"]["value"] == pytest.approx(
        ((np.concatenate(p) - truth) ** 2).sum(1).mean(), abs=1e-12
    )


def test_delong_is_not_offered_for_folds_and_paired_differences_are(folds, pooled, tmp_path, capsys):
    weak = write_folds(tmp_path / "weak", strength=0.5)
    assert evaluate(capsys, *weak, "--out", tmp_path / "other")["models"] == 3
    out = tmp_path / "out"
    found = evaluate(capsys, *folds, "--out", out, "--against", tmp_path / "other")["against"]
    (row,) = found.values()
    full = row["patterns"][PATTERNS[0]]["difference"]
    ours, theirs = (
        document(place)["patterns"][PATTERNS[0]]["metrics"] for place in (out, tmp_path / "other")
    )
    for metric in ("auroc", "brier", "sensitivity"):
        assert full[metric]["value"] == pytest.approx(
            ours[metric]["value"] - theirs[metric]["value"], abs=1e-12
        )
    assert row["delong"]["classes"] is None
    assert "several models" in row["delong"]["reason"]
    code, err = evaluate(capsys, folds[0], "--against", tmp_path / "other")
    assert code == 2
    assert "different patients" in err


def test_a_fold_that_is_not_there_is_named(folds, tmp_path, capsys):
    assert main(["evaluate", *map(str, folds[:2]), "--out", str(tmp_path / "o"), "--replicates", "0"]) == 0
    assert "fold:2/3 is not among the runs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": "other"}, "they differ in task, made_up and other"),
        ({"classes": ["none", "bacterial", "fungal"]}, "they differ in classes"),
        ({"modalities": ("image", "note", "labs")}, "they differ in modalities"),
        ({"cohort": "d" * 64}, "they differ in cohort, cccccccccccc and dddddddddddd"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused_by_name(folds, tmp_path, capsys, change, says):
    other = write_run(tmp_path / "other", fold_frame(1, 3), "fold:1/3", **change)
    code, err = evaluate(capsys, folds[0], other, "--out", tmp_path / "out")
    assert code == 2
    assert says in err
    assert str(folds[0]) in err
    assert str(other) in err
    assert "Pool runs on one cohort and task" in err
    assert not (tmp_path / "out").exists()


def test_patients_and_patterns_that_do_not_fit_are_refused(folds, tmp_path, capsys):
    twice = write_run(tmp_path / "twice", fold_frame(0, 3), "fold:0/3")
    some = write_run(tmp_path / "some", fold_frame(1, 3).filter(pl.col("pattern") != "note"), "fold:1/3")
    alone = write_run(tmp_path / "alone", split(fold_frame(1, 3), "tuning"), "fold:1/3")
    for other, says, remedy in (
        (twice, "40 of 40 patients are held out from", "folds of one cross-validation"),
        (some, "was predicted under image+note, image, note", "under the same patterns"),
        (alone, "holds nobody out", ""),
    ):
        code, err = evaluate(capsys, folds[0], other, "--out", tmp_path / "out")
        assert code == 2
        assert says in err
        assert remedy in err
        assert not (tmp_path / "out").exists()


def test_wrong_usage_is_refused_with_a_remedy(folds, pooled, tmp_path, capsys):
    own = tmp_path / "own"
    own.mkdir()
    (own / "letter.txt").write_text("mine")
    (tmp_path / "abl").mkdir()
    (tmp_path / "abl" / "ablation.json").write_text("{}")
    a, b, c = folds
    place = ["--out", tmp_path / "out"]
    for options, says, remedy in (
        ([a, a, *place], "the run is given twice", "each fold once"),
        ([a, a.parent / "." / a.name, *place], "given twice", "each fold once"),
        ([a, b], "no folder of their own", "--out DIR"),
        ([a, b, "--out", own], "something else than pooled runs", "another --out"),
        ([a, b, "--out", c], "something else than pooled runs", "another --out"),
        ([a, pooled, *place], "pools runs itself", "one by one"),
        ([a, tmp_path / "abl", *place], "that of an ablation", "--arm NAME"),
        ([tmp_path / "abl"], "that of an ablation", "--arm NAME"),
        ([a, tmp_path / "nowhere", *place], "there is no config.yaml", "mhdiff fit"),
        ([a, b, *place, "--latents"], "draws of one model", "RUN --latents"),
        ([pooled, "--latents"], "holds no model", "RUN RUN"),
        ([pooled, "--corrupt", "noise"], "holds no model", "--corrupt"),
        ([a, b, *place, "--from", a / "predictions.parquet"], "takes the place of runs", "not both"),
        ([a, "--arm-seed", 1], "an arm's trainings", "--arm NAME"),
        ([a, b, *place, "--corrupt", "sneezing"], "sneezing", "noise"),
        ([a, b, *place, "--seed", -1], "cannot evaluate", "0 or more"),
        ([a, b, *place, "--missing", 1.5], "no share of the modalities", "between 0 and 1"),
        (["--from", a, b, c], "3 files were given", "RUN RUN"),
    ):
        found = evaluate(capsys, *options)
        assert isinstance(found, tuple), options
        code, err = found
        assert code == 2, options
        assert says in err, options
        assert remedy in err, options
        assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
    assert (own / "letter.txt").read_text() == "mine"
    assert not (c / "metrics.json").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.with_columns(split=pl.lit("held_out")), "held out from several models, such as 0 and 1"),
        (lambda f: f.filter((pl.col("model") != 1) | (pl.col("pattern") != "note")), "different patterns"),
        (lambda f: f.with_columns(model=pl.lit(None, pl.Int64)), "values are missing"),
        (lambda f: f.with_columns(model=pl.lit("a")), "whole numbers"),
        (lambda f: f.filter((pl.col("model") != 2) | (pl.col("split") != "held_out")), "different patterns"),
        (
            lambda f: f.with_columns(
                label=pl.when((pl.col("model") == 1) & (pl.col("split") == "tuning"))
                .then(0)
                .otherwise("label")
            ),
            "another label",
        ),
    ],
)
def test_a_table_of_several_models_is_checked(pooled, change, says):
    frame = read_predictions(pooled).frame
    assert check_predictions(frame).height == frame.height
    with pytest.raises(InputError, match=says):
        check_predictions(change(frame))


def test_a_patient_of_two_models_has_no_split_of_its_own_but_one_a_model(pooled):
    frame = read_predictions(pooled).frame
    with pytest.raises(InputError, match=r"predicted twice|two splits"):
        check_predictions(frame.drop("model"))


def test_joining_a_sample_twice_is_refused(pooled):
    from mhdiff.evaluate.predictions import to_scored

    one = to_scored(split(read_predictions(pooled).frame, "held_out"))
    with pytest.raises(InputError, match="held out in two folds"):
        joined([one, one])


def test_scores_of_several_models_are_compared_within_each():
    rng = np.random.default_rng(0)
    models = np.repeat([0, 1], [30, 50])
    clean = rng.normal(size=80)
    spoilt = clean + rng.normal(0.5, 1, size=80)
    shift = np.where(models == 1, 100.0, 0.0)
    found = flagging(clean + shift, spoilt + shift, np.arange(80), 50, models=models)
    parts = [
        roc_auc_score([0] * n + [1] * n, np.concatenate([clean[models == m], spoilt[models == m]]))
        for m, n in ((0, 30), (1, 50))
    ]
    assert found["value"] == pytest.approx((900 * parts[0] + 2500 * parts[1]) / 3400)
    assert found["low"] < found["value"] < found["high"]
    one = flagging(clean, spoilt, np.arange(80), 50)
    assert flagging(clean, spoilt, np.arange(80), 50, models=np.zeros(80, int)) == one
