"""Every import in parts goes on after a kill, wherever it was killed, and gives what one gives that was not killed."""

import os
import subprocess
import sys
import time
from threading import Event

import import_sources
import pytest
from import_sources import IMAGE, OPTIONS, TABLE, files, run, stopped, write

from mhdiff.cohort import Cohort, looked_at, meds
from mhdiff.cohort import resumed as in_parts
from mhdiff.cohort.eicu import importing
from mhdiff.cohort.refused import MaxBad
from mhdiff.cohort.resumed import Parts
from ontology.errors import InputError

SLOW = pytest.mark.slow
KINDS = [pytest.param(kind, marks=SLOW if kind == "hannover" else ()) for kind in TABLE]


@pytest.fixture(params=KINDS)
def kind(request, monkeypatch):
    monkeypatch.setattr(looked_at, "FILES_A_PART", 2)
    monkeypatch.setattr(importing, "ROWS_A_SHARD", 4)
    monkeypatch.setattr(in_parts, "AT_ONCE", 1)  # so that it is known which parts are left
    return request.param


def interrupt():
    raise KeyboardInterrupt


def interrupted(kind, source, out, monkeypatch, after):
    """Import up to a finished part; give which parts are left."""
    with monkeypatch.context() as patch:
        patch.setattr(Parts, "make", stopped(after, interrupt))
        with pytest.raises(KeyboardInterrupt):
            run(kind, source, out)
    return finished(out)


def finished(out):
    """Give the names of the parts that an import has left beside its folder."""
    folder = out.with_name(f".{out.name}.import")
    told = (p.relative_to(folder).as_posix().removesuffix(".json") for p in folder.rglob("*.json"))
    return {name for name in told if (folder / name).is_file()}


def resumed(kind, source, out, monkeypatch, **more):
    """Import to the end; give the report and which parts were made, in their order."""
    made = []
    with monkeypatch.context() as patch:
        patch.setattr(Parts, "make", stopped(-1, interrupt, made))
        report = run(kind, source, out, **more)
    return report, made


def test_killed_after_any_part_it_goes_on_and_repeats_nothing(kind, tmp_path, monkeypatch):
    source = write(kind, tmp_path / "source")
    whole, every = resumed(kind, source, tmp_path / "whole", monkeypatch)
    assert len(every) == len(set(every)) >= 3
    assert whole.refused.counts.total() >= 2
    assert Cohort.open(tmp_path / "whole").validate() == []
    wanted, out = files(tmp_path / "whole"), tmp_path / "out"
    for after in range(1, len(every) + 1):
        left = interrupted(kind, source, out, monkeypatch, after)
        assert len(left) == after
        assert not out.exists()
        report, made = resumed(kind, source, out, monkeypatch)
        assert set(made) == set(every) - left
        assert len(made) == len(every) - len(left)
        assert files(out) == wanted, after
        assert report.to_dict() == whole.to_dict()
        assert {p.name for p in tmp_path.iterdir()} == {"source", "whole", "out"}
        for file in sorted(out.rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()
        out.rmdir()


@pytest.mark.slow  # near relatives of the test before
def test_killed_within_any_part_it_makes_that_one_again(kind, tmp_path, monkeypatch):
    source = write(kind, tmp_path / "source")
    _, every = resumed(kind, source, tmp_path / "whole", monkeypatch)
    wanted = files(tmp_path / "whole")
    real, tried = Parts.make, []

    def make(self, name, write):
        def cut(target, account):
            write(target, account)
            if name not in tried:
                tried.append(name)
                raise KeyboardInterrupt  # all is written and nothing is in its place

        return real(self, name, cut)

    monkeypatch.setattr(Parts, "make", make)
    for _ in every:
        with pytest.raises(KeyboardInterrupt):
            run(kind, source, tmp_path / "out")
    run(kind, source, tmp_path / "out")
    assert tried == every
    assert files(tmp_path / "out") == wanted


@pytest.mark.slow
def test_killed_when_all_parts_are_made_it_makes_none_again(kind, tmp_path, monkeypatch):
    source = write(kind, tmp_path / "source")
    whole = run(kind, source, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(meds, "write_meds", lambda *args, **more: interrupt())
        with pytest.raises(KeyboardInterrupt):
            run(kind, source, tmp_path / "out")
    report, made = resumed(kind, source, tmp_path / "out", monkeypatch)
    assert made == []
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert report.to_dict() == whole.to_dict()


def test_an_import_that_the_system_killed_goes_on(kind, tmp_path, monkeypatch):
    source, out = write(kind, tmp_path / "source"), tmp_path / "out"
    whole, every = resumed(kind, source, tmp_path / "whole", monkeypatch)
    command = [sys.executable, import_sources.__file__, kind, source, out, str(len(every) // 2)]
    done = subprocess.run([str(word) for word in command], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr[-2000:]
    assert not out.exists()
    left = finished(out)
    assert left
    report, made = resumed(kind, source, out, monkeypatch)
    assert set(made) == set(every) - left
    assert files(out) == files(tmp_path / "whole")
    assert report.to_dict() == whole.to_dict()
    assert {p.name for p in tmp_path.iterdir()} == {"source", "whole", "out"}


def test_a_source_that_changed_is_imported_anew(kind, tmp_path, monkeypatch):
    source, out = write(kind, tmp_path / "source"), tmp_path / "out"
    _, every = resumed(kind, source, tmp_path / "whole", monkeypatch)
    assert interrupted(kind, source, out, monkeypatch, len(every))
    told = os.stat(source / TABLE[kind])
    os.utime(source / TABLE[kind], ns=(told.st_atime_ns, told.st_mtime_ns + 1))
    _, made = resumed(kind, source, out, monkeypatch)
    assert made == every
    assert files(out) == files(tmp_path / "whole")


@pytest.mark.parametrize("kind", IMAGE, indirect=True)
@pytest.mark.parametrize(
    "change", [pytest.param("another", marks=SLOW), "gone", pytest.param("mended", marks=SLOW)]
)
def test_an_image_that_changed_is_looked_at_again(kind, tmp_path, monkeypatch, change):
    source, out = write(kind, tmp_path / "source"), tmp_path / "out"
    _, every = resumed(kind, source, tmp_path / "whole", monkeypatch)
    assert interrupted(kind, source, out, monkeypatch, len(every))
    image = source / IMAGE[kind]
    other = image.with_name("1.png").read_bytes()
    if change == "mended":
        image = image.with_name("cut.png")
    image.unlink()  # the cohort `whole` may hold a link to it
    if change != "gone":
        image.write_bytes(other)
    report, made = resumed(kind, source, out, monkeypatch)
    assert 0 < len(made) < len(every)
    anew = run(kind, source, tmp_path / "anew")
    assert files(out) == files(tmp_path / "anew") != files(tmp_path / "whole")
    assert report.to_dict() == anew.to_dict()


@pytest.mark.parametrize("kind", OPTIONS, indirect=True)
def test_parts_of_another_option_are_thrown_away(kind, tmp_path, monkeypatch):
    source, out = write(kind, tmp_path / "source"), tmp_path / "out"
    _, every = resumed(kind, source, tmp_path / "whole", monkeypatch)
    assert interrupted(kind, source, out, monkeypatch, len(every))
    file = source / next(iter(OPTIONS[kind].values()))
    for old, new in ((",2,4", ",2,3"), (",MR", ",CT"), ("loinc: 1988-5", "loinc: 2345-7")):
        file.write_text(file.read_text().replace(old, new))
    _, made = resumed(kind, source, out, monkeypatch)
    assert len(made) == len(every)
    run(kind, source, tmp_path / "anew")
    assert files(out) == files(tmp_path / "anew") != files(tmp_path / "whole")


def test_bad_input_leaves_nothing(kind, tmp_path, monkeypatch):
    source, out = write(kind, tmp_path / "source"), tmp_path / "out"
    for after in (1, 2):  # killed while it bore broken rows, it goes on and bears none
        assert interrupted(kind, source, out, monkeypatch, after)
        with pytest.raises(InputError, match="--max-bad 0 bears no more"):
            run(kind, source, out, max_bad=MaxBad(0))
        assert [p.name for p in tmp_path.iterdir()] == ["source"]
    assert interrupted(kind, source, out, monkeypatch, 1)
    (source / TABLE[kind]).write_bytes(b"\xff\xfe")
    with pytest.raises(InputError):
        run(kind, source, out)
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_what_is_not_ours_is_not_replaced(kind, tmp_path):
    source, out = write(kind, tmp_path / "source"), tmp_path / "out"
    (out / "theirs").mkdir(parents=True)
    with pytest.raises(InputError, match="not replaced"):
        run(kind, source, out)
    assert files(out) == {}
    assert {p.name for p in tmp_path.iterdir()} == {"source", "out"}


def test_what_is_left_of_a_link_is_not_written_through(tmp_path, monkeypatch):
    source = write("meds", tmp_path / "source")
    for file in ("table.csv", "dataset/data/1.parquet"):  # leave what is taken as it is
        (source / file).unlink()
    (source / "table.csv").write_text("subject_id,time,path,modality\n1,2020-01-03 10:00,more/0.png,MR\n")
    real = Parts.make

    def make(self, name, write):
        return real(
            self, name, lambda target, told: (write(target, told), name == "data/1.parquet" and interrupt())
        )

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "make", make)
        with pytest.raises(KeyboardInterrupt):
            run("meds", source, tmp_path / "out")
    (source / "dataset/images/1.png").unlink()  # so an event of the file is refused, and it is written again
    before = files(source)
    run("meds", source, tmp_path / "out")
    assert files(source) == before


@pytest.mark.parametrize("kind", ["meds", "eicu"], indirect=True)
def test_parts_made_at_once_give_the_same(kind, tmp_path, monkeypatch):
    source = write(kind, tmp_path / "source")
    one = run(kind, source, tmp_path / "one")
    monkeypatch.setattr(in_parts, "AT_ONCE", 3)
    assert run(kind, source, tmp_path / "three").to_dict() == one.to_dict()
    assert files(tmp_path / "three") == files(tmp_path / "one")


def test_nothing_is_left_where_a_part_is_refused_while_another_is_made(tmp_path):
    began, ended = Event(), Event()

    def lasting(target, _):
        began.set()
        time.sleep(0.3)
        target.write_text("events")
        ended.set()

    def refused(*_):
        assert began.wait(10)
        raise InputError("the file is not readable")

    with (
        pytest.raises(InputError),
        in_parts.resumed(tmp_path / "out", {}) as parts,
        parts.make_all([("refused", refused), ("lasting", lasting)]) as accounts,
    ):
        list(accounts)
    assert ended.is_set()
    assert list(tmp_path.iterdir()) == []


def refuse(account):
    raise InputError(f"too many rows are refused: {account}")


def test_nothing_is_left_where_a_limit_is_passed_while_a_part_is_made(tmp_path):
    began, ended = Event(), Event()

    def quick(target, _):
        target.write_text("events")
        assert began.wait(10)

    def lasting(target, _):
        began.set()
        time.sleep(0.3)
        target.write_text("events")
        ended.set()

    with (
        pytest.raises(InputError),
        in_parts.resumed(tmp_path / "out", {}) as parts,
        parts.make_all([("quick", quick), ("lasting", lasting)]) as accounts,
    ):
        refuse(next(accounts))
    assert ended.is_set()
    assert list(tmp_path.iterdir()) == []


def test_parts_of_another_size_are_not_taken(tmp_path, monkeypatch):
    source, out = write("manifest", tmp_path / "source"), tmp_path / "out"
    whole = run("manifest", source, tmp_path / "whole")
    monkeypatch.setattr(looked_at, "FILES_A_PART", 3)
    interrupted("manifest", source, out, monkeypatch, 3)
    monkeypatch.setattr(looked_at, "FILES_A_PART", 2)
    assert run("manifest", source, out).to_dict() == whole.to_dict()
    assert files(out) == files(tmp_path / "whole")


def test_names_are_counted_over_all_parts(tmp_path):
    report = run("meds", write("meds", tmp_path / "source"), tmp_path / "out")
    assert report.named["columns of data/ that nothing here reads"] == {"extra": 2}  # of two files
