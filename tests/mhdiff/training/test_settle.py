"""How a run diagnoses: the plainest way that tuning patients tell from no better one, never another's answer."""

import copy
import json
import re
import shutil

import numpy as np
import polars as pl
import pytest
import torch

from mhdiff.candidates import Candidates
from mhdiff.cli import main
from mhdiff.evaluate.patterns import all_patterns, pattern_name
from mhdiff.inference import Inference, Way
from mhdiff.training.run import open_run, predict
from mhdiff.training.settle import FILE, _first_of_the_best, clustered_error, settle, settled
from ontology.errors import InputError

FIGURES = ("log_loss", "above_best", "standard_error")
FEW = Candidates(times=(0.0, 0.4), imputed_times=(0.1,), draws=2, steps=2)


@pytest.fixture(scope="module")
def opened_once(small_run):
    return open_run(small_run)


@pytest.fixture
def opened(opened_once):
    module, data = opened_once
    module = copy.deepcopy(module)  # which tests set otherwise; the data they only read
    module.inference = FEW
    return module, data


@pytest.fixture
def run(small_run, tmp_path):
    """A run of which nothing is settled or predicted yet."""
    copy = tmp_path / "run"
    shutil.copytree(small_run, copy)
    for name in (FILE, "predictions.parquet"):
        (copy / name).unlink(missing_ok=True)
    shutil.rmtree(copy / "explanations", ignore_errors=True)
    return copy


@pytest.mark.parametrize("patients", ["all", "one"])
def test_the_plainest_candidate_that_is_no_worse_than_luck_is_chosen(patients, opened, monkeypatch):
    """With one patient a difference has no known error, and nothing is better than the plainest."""
    monkeypatch.setattr("mhdiff.training.settle.FEWEST", 1)
    module, data = opened
    subjects = dict(data.samples.select("sample_id", "subject_id").iter_rows())
    if patients == "one":
        monkeypatch.setattr("mhdiff.training.settle.patients_of", lambda data, s: torch.zeros_like(s))
    patterns = all_patterns(data.modalities)
    chosen, told = settle(module, data, patterns, seed=3)
    assert chosen.seed == 3
    dataset = data.dataset(["tuning"])
    has = dict(zip((int(i) for i in dataset.sample_ids), dataset.present.numpy(), strict=True))
    offered = {
        pattern_name(p, data.modalities): np.array([m in p for m in data.modalities]) for p in patterns
    }
    for group, kinds in (("complete", 2), ("incomplete", 6)):
        tried = told[group]["tried"]
        assert len(tried) == kinds
        losses = []
        for row in tried:
            way = Way(**{key: value for key, value in row.items() if key not in FIGURES})
            frame = predict(module, data, ["tuning"], patterns, Inference(way, way, 3))
            whole = [(has[i] & offered[p]).all() for i, p in frame.select("sample_id", "pattern").iter_rows()]
            rows = frame.filter(pl.Series(whole) == (group == "complete"))
            p = rows.select(pl.col("^p_.*$")).to_numpy()[np.arange(len(rows)), rows["label"].to_numpy()]
            losses.append(rows.with_columns(loss=-np.log(p)).sort("sample_id", "pattern"))
            assert told[group]["n"] == len(rows)
            assert row["log_loss"] == pytest.approx(losses[-1]["loss"].mean(), abs=1e-5)
        means = [each["loss"].mean() for each in losses]
        assert max(means) > min(means) + 1e-4, "nothing to choose from"
        allowed = []
        for row, each in zip(tried, losses, strict=True):
            more = (each["loss"] - losses[int(np.argmin(means))]["loss"]).to_numpy()
            assert row["above_best"] == pytest.approx(more.mean(), abs=1e-5)
            if patients == "all":
                ids = np.array([subjects[i] for i in each["sample_id"]])
                sums = np.array([(more - more.mean())[ids == subject].sum() for subject in np.unique(ids)])
                error = np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)) / len(more)
                assert row["standard_error"] == pytest.approx(error, abs=1e-5)
                assert told[group]["patients"] == len(sums)
            allowed.append(row["above_best"] <= row["standard_error"])
        first = tried[allowed.index(True)]
        assert patients == "all" or first is tried[0]
        assert getattr(chosen, group) == Way(**{k: v for k, v in first.items() if k not in FIGURES})


def test_a_better_way_is_taken_where_patients_are_many_enough_to_show_it():
    """The first candidate is worse, surely so of 600 patients; of two the same rows tell nothing."""
    label = torch.arange(3).repeat(200)
    sure = torch.nn.functional.one_hot(label, 3).double()
    noise = torch.randn(sure.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ways = [Way(time=0.0), Way(time=0.1), Way(time=0.2)]
    given = [(sure + 1.5 * noise)[None], (sure + noise)[None], (sure + noise.flip(0))[None]]
    way, tried = _first_of_the_best(ways, given, label, torch.arange(600))
    assert tried[0]["above_best"] > 2 * tried[0]["standard_error"] > 0, "a difference that can be shown"
    assert [row["above_best"] <= row["standard_error"] for row in tried] == [False, True, True]
    assert way.time == 0.1
    assert _first_of_the_best(ways, given, label, torch.zeros(600, dtype=torch.int64))[0].time == 0.0


def test_an_error_knows_that_a_patients_rows_belong_together():
    values = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    alone = clustered_error(values, torch.arange(50))
    assert alone == pytest.approx(float(values.std()) / 50**0.5)
    whose = torch.arange(50).repeat_interleave(4)
    assert clustered_error(values.repeat_interleave(4), whose) == pytest.approx(alone), (
        "repeated rows tell nothing"
    )
    assert clustered_error(values, torch.zeros(50, dtype=torch.int64)) == float("inf")


def test_held_out_patients_have_no_say(run, monkeypatch):
    monkeypatch.setattr("mhdiff.training.settle.FEWEST", 1)

    def written(split):
        module, data = open_run(run)
        module.inference = FEW
        if split is not None:  # other labels and other records than the cohort has
            at = pl.col("split") == split
            data.samples = data.samples.with_columns(
                pl.when(at).then((pl.col("label") + 1) % 3).otherwise("label").alias("label")
            )
            spoilt = data.samples.filter(at)["sample_id"].implode()
            data.window = data.window.with_columns(
                pl.when(pl.col("sample_id").is_in(spoilt))
                .then(1e6)
                .otherwise("numeric_value")
                .alias("numeric_value")
            )
        (run / FILE).unlink(missing_ok=True)
        settled(run, module, data, all_patterns(data.modalities))
        return (run / FILE).read_bytes()

    clean = written(None)
    assert written("held_out") == clean
    assert written("tuning") != clean, "poison that would not be noticed"


def test_it_is_told_what_was_settled_and_for_what(run, opened):
    module, data = opened
    patterns = all_patterns(data.modalities)
    found = settled(run, module, data, patterns)
    document = json.loads((run / FILE).read_text())
    assert set(document) == {"patterns", "configuration", "seed", "chosen", "complete", "incomplete"}
    assert document["patterns"] == sorted(pattern_name(p, data.modalities) for p in patterns)
    assert document["configuration"] == FEW.as_dict() == json.loads(json.dumps(FEW.as_dict()))
    assert document["seed"] == found.seed == module.seed == 1, "seed_everything of the run"
    assert Inference.from_dict(document["chosen"]) == found


def changed_patterns(module, patterns):
    return patterns[:3]


def changed_candidates(module, patterns):
    module.inference = Candidates(ways=("denoise",))
    return patterns


def changed_seed(module, patterns):
    module.seed = 7
    return patterns


@pytest.mark.parametrize("change", [changed_patterns, changed_candidates, changed_seed])
def test_what_was_settled_for_something_else_is_not_used(change, run, opened, capsys):
    module, data = opened
    patterns = all_patterns(data.modalities)
    settled(run, module, data, patterns)
    before = (run / FILE).read_bytes()
    capsys.readouterr()
    settled(run, module, data, patterns[::-1])
    assert (run / FILE).read_bytes() == before, "the same patterns in another order"
    assert capsys.readouterr().err == ""
    other = change(module, patterns)
    (run / "predictions.parquet").touch()
    with pytest.raises(InputError, match=r"predictions\.parquet rest") as error:
        settled(run, module, data, other)
    assert "Delete inference.json, predictions.parquet" in error.value.remedy
    assert (run / FILE).read_bytes() == before
    (run / "predictions.parquet").unlink()
    settled(run, module, data, other)
    assert "settling anew" in capsys.readouterr().err
    assert (run / FILE).read_bytes() != before


def test_a_file_of_another_version_is_no_answer(run):
    (run / FILE).write_text(json.dumps({"chosen": {"complete": {}, "lacking": {}, "seed": 0}}))
    (run / "predictions.parquet").touch()
    module, data = open_run(run)
    with pytest.raises(InputError, match="patterns unsaid"):
        settled(run, module, data, all_patterns(data.modalities))
    with pytest.raises(InputError, match="another version"):
        Inference.from_dict({"complete": {}, "lacking": {}, "seed": 0})


def test_too_few_patients_choose_nothing_but_what_was_asked_for(opened, monkeypatch):
    module, data = opened
    monkeypatch.setattr("mhdiff.training.settle.FEWEST", 10**6)
    patterns = all_patterns(data.modalities)
    found, _ = settle(module, data, patterns)
    assert (found.complete, found.incomplete) == (Way(), Way())
    module.inference = Candidates(ways=("shared",), draws=3, steps=2, imputed_times=(0.2,))
    found, _ = settle(module, data, patterns)
    assert (found.complete, found.incomplete) == (Way(), Way(time=0.2, draws=3, steps=2))


def test_an_arm_of_an_ablation_imputes_as_often_as_it_says(small_config, tmp_path):
    from mhdiff.training.run import fit_cell

    overrides = ["--trainer.max_epochs=1", "--data.modalities=[labs,codes]", "--model.inference.draws=3"]
    fit_cell(small_config, [*overrides, "--model.inference.ways=[shared]"], tmp_path / "cell", ("labs",))
    document = json.loads((tmp_path / "cell" / FILE).read_text())
    assert document["patterns"] == ["labs", "labs+codes"]
    assert document["configuration"]["draws"] == 3
    assert {(row["draws"], row["via"]) for row in document["incomplete"]["tried"]} <= {(3, "shared")}
    assert document["chosen"]["incomplete"]["draws"] == 3
    assert main(["predict", str(tmp_path / "cell")]) == 0


@pytest.mark.parametrize(
    ("way", "evaluations"), [(Way(draws=3, steps=4), 24), (Way(mean=True), 1), (Way(time=0.1), None)]
)
def test_predicting_says_what_imputing_cost(way, evaluations, opened, capsys):
    module, data = opened
    patterns = all_patterns(data.modalities)
    frame = predict(module, data, ["tuning"], patterns, Inference(incomplete=way))
    said = re.search(
        r"imputing took (\d+) evaluations, \S+ ms a case \(([\d,]+) cases", capsys.readouterr().err
    )
    assert (said is None) == (evaluations is None)
    if said:
        whole = int(data.dataset(["tuning"]).present.all(1).sum())
        assert (int(said[1]), int(said[2])) == (evaluations, frame.height - whole)
