"""What a process of a search was at when it died is tried again, without the search being started again."""

import json
import os
import sys
import threading
import time

import dying
import pytest
import slow_training
from fake_training import fit_cell
from optuna.trial import TrialState

from mhdiff.ablate.clusters import on_ray
from mhdiff.tune import run, study
from mhdiff.tune.study import alive, ask, open_study


def states(document):
    return {row["settings"].get("strength"): row["state"] for row in document["trials"]}


@pytest.mark.parametrize("times", [1, pytest.param(9, marks=pytest.mark.slow)])
def test_the_trial_of_a_process_that_died_is_tried_again_or_given_up(make, tmp_path, times, capsys):
    common = [
        f"--log={tmp_path / 'log.txt'}",
        "--arm=trial",
        f"--deaths={tmp_path / 'deaths'}",
        f"--times={times}",
    ]
    search = make(set=common, prune="none")
    document = run(search, tmp_path / "out", dying.fit_cell, workers=2)
    rows = {row["settings"]["strength"]: row for row in document["trials"]}
    assert sorted(rows) == [0.2, 1.0, 2.0]
    assert len(document["trials"]) == 3
    assert {rows[0.2]["state"], rows[2.0]["state"]} == {"complete"}
    if times == 1:
        assert rows[1.0]["state"] == "complete"
        assert rows[1.0]["failure"] is None
    else:
        assert rows[1.0]["state"] == "fail"
        assert "died 4 times" in rows[1.0]["failure"]
        assert len((tmp_path / "deaths").read_text()) == 4
    assert "exit code 9" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "search.json").read_text()) == document


def test_a_process_that_is_started_again_finds_its_own_trial(make, tmp_path):
    """As Ray starts a task again whose node died: its trial alone is ended, not one that another process is at."""
    search = make(prune="none")
    (tmp_path / "out").mkdir()
    found = open_study(search, tmp_path / "out")
    study.lay_out(search, found)
    mine, other = ask(found, "command 0"), ask(found, "command 1")
    mine.suggest_categorical("strength", [0.2, 1.0, 2.0])
    assert study.give_back(found, "command 0") == 1
    assert [found.trials[t.number].state for t in (mine, other)] == [TrialState.FAIL, TrialState.RUNNING]
    (again,) = (t for t in found.trials if t.number > max(mine.number, other.number) and t.state == TrialState.WAITING
                and t.user_attrs)  # fmt: skip
    assert again.user_attrs == {study.DEATHS: 1}
    assert again.system_attrs["fixed_params"] == mine.params
    assert study.give_back(found, "command 0") == 0


def test_settings_that_waited_are_kept_where_a_process_died_before_it_chose(make, tmp_path):
    search = make(prune="none")
    (tmp_path / "out").mkdir()
    found = open_study(search, tmp_path / "out")
    study.lay_out(search, found)
    given = found.trials[0].system_attrs["fixed_params"]
    assert ask(found, "command 0").number == 0
    study.give_back(found, "command 0")
    assert found.trials[-1].system_attrs["fixed_params"] == given


def test_in_a_database_a_silent_process_is_taken_for_dead(make, tmp_path, monkeypatch, recwarn):
    monkeypatch.setattr(study, "BEAT", 1)
    monkeypatch.setattr(study, "SILENCE", 2)
    search = make(storage=f"sqlite:///{tmp_path / 'trials.db'}", prune="none")
    (tmp_path / "out").mkdir()
    found = open_study(search, tmp_path / "out")
    study.lay_out(search, found)
    silent, living = ask(found, "elsewhere 0"), ask(found, "elsewhere 1")
    with alive(found, silent):
        chosen = silent.suggest_categorical("strength", [0.2, 1.0, 2.0])
    with alive(found, living):
        living.suggest_categorical("strength", [0.2, 1.0, 2.0])
        time.sleep(4)
        document = run(search, tmp_path / "out", fit_cell)
    assert states(document)[chosen] == "complete"
    assert len(document["trials"]) == 2  # the third is still under way
    assert found.get_trials()[living.number].state == TrialState.RUNNING
    assert not [w for w in recwarn if "eartbeat" in str(w.message) or "stale" in str(w.message)]


@pytest.mark.slow
def test_a_node_of_ray_is_killed_and_its_trial_is_tried_again(make, tmp_path):
    import ray
    from ray.cluster_utils import Cluster

    places = tmp_path / "places.txt"
    search = make(
        set=[f"--log={tmp_path / 'log.txt'}", "--arm=trial", f"--places={places}"], prune="none", inner=2
    )
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "env_vars": {"NODE": "head"}})
    other = cluster.add_node(num_cpus=1, env_vars={"NODE": "other"})
    cluster.wait_for_nodes()
    killed = threading.Event()

    def kill():
        while not killed.is_set():
            time.sleep(0.2)
            if places.exists() and "begin other" in places.read_text():
                time.sleep(0.5)
                cluster.remove_node(other, allow_graceful=False)
                killed.set()

    watcher = threading.Thread(target=kill, daemon=True)
    watcher.start()
    try:
        ray.init(address=cluster.address, runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}})
        document = run(search, tmp_path / "out", slow_training.fit_cell, workers=2, runner=on_ray())
    finally:
        killed.set()
        ray.shutdown()
        cluster.shutdown()
    lines = places.read_text().splitlines()
    begun, ended = (sum(line.startswith(word) for line in lines) for word in ("begin", "end"))
    assert begun > ended  # something did die
    assert ended == 3 * 2
    assert states(document) == {0.2: "complete", 1.0: "complete", 2.0: "complete"}
    assert len(document["trials"]) == 3
