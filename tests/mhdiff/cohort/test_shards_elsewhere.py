"""An import in steps that may run anywhere and in any order, and the same bytes from all of it."""

import os
import signal
import sys
import time
from functools import partial

import omop_source
import pytest

from mhdiff import mapped
from mhdiff.cli import main
from mhdiff.cohort import omop
from mhdiff.cohort.omop import import_omop
from ontology.errors import InputError
from tests.elsewhere import backwards, content, two_nodes


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(omop, "ROWS_A_SHARD", 7)
    return omop_source.write(tmp_path / "cdm", omop_source.tables())


@pytest.fixture
def here(tmp_path, source):
    import_omop(source, tmp_path / "here")
    found = content(tmp_path / "here")
    assert sum(name.startswith("data/") for name in found) > 1
    return found


def test_steps_in_another_order_and_in_threads_give_the_same_bytes(tmp_path, source, here):
    import_omop(source, tmp_path / "there", on=backwards)
    assert content(tmp_path / "there") == here
    import_omop(source, tmp_path / "threads", on=lambda step, tasks: mapped.here(step, tasks, workers=2))
    assert content(tmp_path / "threads") == here


def test_a_step_that_was_done_already_is_not_done_again(tmp_path, source, here, monkeypatch):
    """So does a cluster, where a machine is thought dead that is not."""

    def twice(step, tasks):
        for task in tasks:
            step(task)
            step(task)
            yield task

    import_omop(source, tmp_path / "twice", on=twice)
    assert content(tmp_path / "twice") == here


def test_processes_give_the_same_bytes(tmp_path, source, here):
    given = ["cohort", "import", "omop", str(source), "--out", str(tmp_path / "apart"), "--workers", "2"]
    assert main(given) == 0
    assert content(tmp_path / "apart") == here


def refuse_or_die(task):
    if task == "refuse":
        raise InputError("this one is wrong", path="MEASUREMENT.csv", row=3, remedy="Correct it")
    if task == "die":
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_ends_a_process_or_its_step_is_told():
    done = []
    with pytest.raises(InputError, match="wrong") as refused:
        done.extend(mapped.apart(2)(refuse_or_die, ["well", "refuse", "well"]))
    assert done == ["well"]
    assert str(refused.value) == "MEASUREMENT.csv, line 3: this one is wrong. Correct it"
    with pytest.raises(InputError, match="a process died"):
        list(mapped.apart(1)(refuse_or_die, ["well", "die"]))
    assert list(mapped.apart(3)(refuse_or_die, [])) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_step_raises_ends_it(workers):
    def step(task):
        if task == 3:
            raise InputError("three is wrong")

    done = []
    with pytest.raises(InputError, match="three"):
        done.extend(mapped.here(step, range(100), workers=workers))
    assert done == [0, 1, 2]


def test_options_that_do_not_fit_are_refused(tmp_path, source, capsys, monkeypatch):
    given = ["cohort", "import", "omop", str(source), "--out", str(tmp_path / "out")]
    assert main([*given, "--address", "auto"]) == 2
    assert "--address goes with --on ray" in capsys.readouterr().err
    other = ["cohort", "import", "hannover", str(source), "--out", str(tmp_path / "out")]
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([*given, "--on", "ray"]) == 2
    assert "ray is not installed" in capsys.readouterr().err
    monkeypatch.undo()
    assert main([*other, "--on", "ray"]) == 2
    assert "'hannover' has no --on. These have: omop" in capsys.readouterr().err
    assert main([*other, "--workers", "2"]) == 2
    assert "'hannover' has no --workers. These have: omop" in capsys.readouterr().err
    assert main([*given, "--workers", "0"]) == 2
    assert "0 processes do nothing. Give a number from 1 on" in capsys.readouterr().err
    assert main([*given, "--workers", "2", "--on", "ray"]) == 2
    assert "--workers are of this machine" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_nodes_of_ray_give_the_same_bytes(tmp_path, source, here, capsys):
    given = ["cohort", "import", "omop", str(source), "--on", "ray", "--out"]
    with two_nodes():
        assert main([*given, str(tmp_path / "there")]) == 0
        assert content(tmp_path / "there") == here
        file = source / "DRUG_EXPOSURE.csv"
        file.write_text(file.read_text().replace("drug_concept_id", "drug"))
        assert main([*given, str(tmp_path / "refused")]) == 2
    assert "DRUG_EXPOSURE.csv, line 1, column 'drug_concept_id'" in capsys.readouterr().err
    assert not (tmp_path / "refused").exists()


def write_or_refuse(folder, task):
    """Refuse one task once the other is at work, which writes for ten seconds."""
    written = folder / "written"
    until = time.monotonic() + 10
    if task == "refuse":
        while not written.exists():
            time.sleep(0.01)
        raise InputError("this one is wrong")
    while time.monotonic() < until:
        with written.open("a") as file:
            file.write("x")


@pytest.mark.slow
def test_nothing_is_written_on_a_cluster_any_more_once_a_step_was_refused(tmp_path):
    """What was begun is removed then, and whoever still writes would be in the way."""
    with two_nodes():
        with pytest.raises(InputError, match="wrong"):
            list(mapped.on_ray()(partial(write_or_refuse, tmp_path), ["write", "refuse"]))
        size = (tmp_path / "written").stat().st_size
        time.sleep(1)
        assert (tmp_path / "written").stat().st_size == size > 0
