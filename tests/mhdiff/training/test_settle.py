"""How a run diagnoses: the least log-loss of its own tuning patients, and never what was settled for something else."""

import copy
import json
import re
import shutil

import numpy as np
import polars as pl
import pytest

from mhdiff.candidates import Candidates
from mhdiff.cli import main
from mhdiff.evaluate.patterns import all_patterns, pattern_name
from mhdiff.inference import Inference, Way
from mhdiff.training.run import open_run, predict
from mhdiff.training.settle import FILE, settle, settled
from ontology.errors import InputError

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


def test_the_candidate_with_the_least_log_loss_is_chosen(opened, monkeypatch):
    monkeypatch.setattr("mhdiff.training.settle.FEWEST", 1)
    module, data = opened
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
            way = Way(**{key: value for key, value in row.items() if key != "log_loss"})
            frame = predict(module, data, ["tuning"], patterns, Inference(way, way, 3))
            whole = [(has[i] & offered[p]).all() for i, p in frame.select("sample_id", "pattern").iter_rows()]
            rows = frame.filter(pl.Series(whole) == (group == "complete"))
            p = rows.select(pl.col("^p_.*$")).to_numpy()[np.arange(len(rows)), rows["label"].to_numpy()]
            losses.append(-np.log(p).mean())
            assert told[group]["n"] == len(rows)
            assert row["log_loss"] == pytest.approx(losses[-1], abs=1e-5)
        best = tried[int(np.argmin(losses))]
        assert max(losses) > min(losses) + 1e-4, "nothing to choose from"
        assert getattr(chosen, group) == Way(**{k: v for k, v in best.items() if k != "log_loss"})


def test_held_out_patients_have_no_say(run):
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
