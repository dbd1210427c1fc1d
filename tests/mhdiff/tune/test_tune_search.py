"""A search from its YAML to the best settings: resumed, parallel, with failures that stay visible."""

import json

import numpy as np
import pytest
from fake_training import fit_cell

from mhdiff.commands.tune import table
from mhdiff.tune import run
from mhdiff.tune.study import open_study
from ontology.errors import InputError


def trainings(tmp_path):
    log = tmp_path / "log.txt"
    return log.read_text().splitlines() if log.exists() else []


def resolve(base, options):
    return json.dumps({"base": base.name, "options": options})


@pytest.mark.parametrize("metric", ["log_loss", "brier", "auroc", "accuracy"])
def test_a_grid_tries_everything_and_the_best_is_the_best(make, tmp_path, metric):
    document = run(make(metric=metric, prune="none"), tmp_path / "out", fit_cell, resolve=resolve)
    assert json.loads((tmp_path / "out" / "search.json").read_text()) == document
    assert len(trainings(tmp_path)) == 3 * 3
    values = {row["settings"]["strength"]: row["value"] for row in document["trials"]}
    assert set(values) == {0.2, 1.0, 2.0}
    assert document["best"]["settings"] == {"strength": 2.0}
    pick = max if metric in ("auroc", "accuracy") else min
    assert document["best"]["value"] == pick(values.values())
    for row in document["trials"]:
        assert row["value"] == pytest.approx(np.mean(row["folds"]))
    best = json.loads((tmp_path / "out" / "best.yaml").read_text())
    assert best["options"][-2:] == ["--strength=2.0", "--data.split=site:a"]
    assert "trial" in table(document, tmp_path / "out")


def test_every_training_is_on_inner_folds_of_the_outer_split(make, tmp_path):
    splits = set()

    def spy(config, overrides, out, patterns=()):
        splits.update(o for o in overrides if o.startswith("--data.split"))
        fit_cell(config, overrides, out, patterns)

    run(make(trials=1), tmp_path / "out", spy)
    assert splits == {f"--data.split=nested:{i}/3:site:a" for i in range(3)}


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_it_goes_on_where_it_was_and_tries_new_settings(make, tmp_path, method):
    space = {"strength": {"low": 0.1, "high": 2.0}, "model.dim": [8, 16]}
    settings = {"method": method, "space": space, "prune": "none"}
    first = run(make(trials=3, **settings), tmp_path / "out", fit_cell)
    (tmp_path / "log.txt").unlink()
    both = run(make(trials=5, **settings), tmp_path / "out", fit_cell)
    assert len(trainings(tmp_path)) == 2 * 3
    before = {row["number"]: row for row in first["trials"]}
    after = {row["number"]: row for row in both["trials"]}
    assert {n: after[n] for n in before} == before
    assert len({row["settings"]["strength"] for row in both["trials"]}) == 5
    again = run(make(trials=3, **settings), tmp_path / "other", fit_cell)
    assert again["trials"] == first["trials"]


def test_a_trial_that_was_running_when_the_search_was_killed_is_tried_again(make, tmp_path):
    search = make(method="random", space={"strength": {"low": 0.1, "high": 2.0}}, trials=2, prune="none")
    with pytest.raises(KeyboardInterrupt):
        run(search, tmp_path / "out", interrupted)
    (left,) = open_study(search, tmp_path / "out").trials
    document = run(search, tmp_path / "out", fit_cell)
    done = [row for row in document["trials"] if row["state"] == "complete"]
    assert len(done) == 2
    assert any(row["settings"] == left.params for row in done)
    assert all(row["failure"] is None for row in document["trials"])


def interrupted(config, overrides, out, patterns=()):
    raise KeyboardInterrupt


def test_what_failed_is_told_and_not_averaged_away(make, tmp_path):
    search = make(space={"strength": [1.0, 2.0], "mode": ["fine", "raise"]}, prune="none")
    document = run(search, tmp_path / "out", fit_cell)
    failed = [row for row in document["trials"] if row["state"] == "fail"]
    assert {row["settings"]["mode"] for row in failed} == {"raise"}
    assert all("inner fold 2, seed 1: RuntimeError: the loss is NaN" in row["failure"] for row in failed)
    assert document["best"]["settings"] == {"strength": 2.0, "mode": "fine"}
    text = table(document, tmp_path / "out")
    assert "2 failed" in text
    assert "the loss is NaN" in text


def test_when_all_fail_there_is_no_best(make, tmp_path):
    document = run(make(space={"strength": [1.0], "mode": ["raise"]}), tmp_path / "out", fit_cell)
    assert document["best"] is None
    assert not (tmp_path / "out" / "best.yaml").exists()


def test_what_falls_behind_is_stopped(make, tmp_path):
    space = {"strength": [2.0, 1.9, 1.8, 1.7, 0.1]}
    seed = next(
        s for s in range(99) if np.random.default_rng(s).permutation(5)[-1] == 4
    )  # the worst one last
    document = run(make(space=space, seed=seed), tmp_path / "out", fit_cell)
    (stopped,) = (row for row in document["trials"] if row["state"] == "pruned")
    assert stopped["settings"] == {"strength": 0.1}
    assert (stopped["value"], len(stopped["folds"])) == (None, 1)
    assert document["best"]["settings"] == {"strength": 2.0}


@pytest.mark.parametrize("workers", [1, 2])
def test_wrong_input_stops_the_search_at_once(make, tmp_path, workers):
    search = make(space={"strength": [1.0, 2.0], "mode": ["input"], "everywhere": ["1"]})
    with pytest.raises(InputError, match="no images"):
        run(search, tmp_path / "out", fit_cell, workers=workers)


@pytest.mark.slow  # the trials of one process stay
def test_two_processes_share_the_trials(make, tmp_path):
    document = run(make(prune="none"), tmp_path / "out", fit_cell, workers=2)
    assert sorted(row["settings"]["strength"] for row in document["trials"]) == [0.2, 1.0, 2.0]
    assert len(trainings(tmp_path)) == 3 * 3


def test_a_database_may_hold_the_trials(make, tmp_path):
    storage = f"sqlite:///{tmp_path / 'trials.db'}"
    document = run(make(storage=storage, prune="none"), tmp_path / "out", fit_cell)
    assert document["best"]["settings"] == {"strength": 2.0}
    assert (tmp_path / "trials.db").is_file()
    with pytest.raises(InputError, match="database cannot be opened"):
        run(make(storage="nowhere://x"), tmp_path / "none", fit_cell)


def test_the_folder_of_another_search_is_refused(make, tmp_path):
    run(make(trials=1), tmp_path / "out", fit_cell)
    with pytest.raises(InputError, match="another search"):
        run(make(inner=2), tmp_path / "out", fit_cell)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        run(make(), tmp_path / "theirs", fit_cell)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"method": "guess"}, "method"),
        ({"space": {}}, "space"),
        ({"space": {"a": 3}}, "space.a"),
        ({"space": {"a": {"low": 2, "high": 1}}}, "space.a"),
        ({"space": {"a": {"low": 0.1, "high": 1.0}}}, "space.a is a range"),
        ({"inner": 1}, "inner"),
        ({"metric": "loss"}, "metric"),
        ({"trials": 0}, "trials"),
        ({"seeds": []}, "seeds"),
        ({"speed": 1}, "unknown key"),
        ({"base": None}, "base"),
    ],
)
def test_a_wrong_entry_is_named(make, changes, named):
    with pytest.raises(InputError, match=named):
        make(**changes)
