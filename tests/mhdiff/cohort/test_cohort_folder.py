import argparse
import json
import subprocess
import sys
from datetime import datetime, timedelta

import polars as pl
import pytest

from mhdiff.cohort import Cohort, meds
from mhdiff.commands.cohort import VERBS
from ontology.errors import InputError

DAY = datetime(2021, 3, 1)
SECRET = "Patient Zaphod Beeblebrox has a marked text"


@pytest.fixture
def folder(write_cohort):
    events = [(s, None, f"SITE//{'ab'[s % 2]}", None, None) for s in range(12)]
    events += [(s, DAY, "NOTE//CLINICAL", None, SECRET) for s in range(12)]
    events += [(s, DAY, "IMAGE//CXR//PA", None, f"images/{s}.png") for s in range(3)]
    images = {f"images/{s}.png": bytes([s // 2]) * 9 for s in range(3)}
    labels = {"covid_icu": [(s, DAY, "icu" if s < 6 else "no_icu") for s in range(12)]}
    return write_cohort(events, labels, {s: "train" if s < 9 else "held_out" for s in range(12)}, images)


def run(verb, *args):
    parser = argparse.ArgumentParser()
    VERBS[verb].configure(parser)
    VERBS[verb].run(parser.parse_args([str(a) for a in args]))


def test_open_gives_what_was_written(folder):
    cohort = Cohort.open(folder)
    assert (cohort.name, cohort.kind, cohort.label_names) == ("small", "test", ["covid_icu"])
    assert cohort.events.schema == pl.Schema(meds.EVENTS)
    assert cohort.sites["site"].to_list() == ["a", "b"] * 6
    assert cohort.image_path("images/0.png").read_bytes() == b"\0" * 9
    assert cohort.fingerprint == meds.fingerprint(folder)
    assert dict(cohort.groups.iter_rows()) == {s: 0 if s == 1 else s for s in range(12)}
    assert cohort.validate() == []


def test_a_foreign_meds_dataset_without_our_columns_opens(folder):
    data = folder / "data/0.parquet"
    pl.read_parquet(data).drop("numeric_value").write_parquet(data)
    codes = folder / meds.CODES_FILE
    pl.read_parquet(codes).select("code", "description", "parent_codes").write_parquet(codes)
    (folder / meds.MARKER).write_text('{"dataset_name": "foreign"}')
    cohort = Cohort.open(folder)
    assert cohort.kind == "meds"
    assert cohort.events["numeric_value"].null_count() == len(cohort.events)
    assert cohort.codes.columns == list(meds.CODES)


def test_an_image_outside_or_missing_is_named_with_its_subject(folder):
    cohort = Cohort.open(folder)
    (folder.parent / "x.png").write_bytes(b"x")
    for relative in ("../x.png", str(folder.parent / "x.png")):
        with pytest.raises(InputError, match="lies outside"):
            cohort.image_path(relative)
    (folder / "images/link.png").symlink_to(folder.parent / "x.png")
    with pytest.raises(InputError, match="outside"):
        cohort.image_path("images/link.png")
    with pytest.raises(InputError, match="an image that an event names is missing"):
        cohort.image_path("images/no.png")


@pytest.mark.parametrize("name", [meds.MARKER, meds.CODES_FILE, meds.SPLITS_FILE, "data/0.parquet"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match="no data/" if name.startswith("data/") else f"no {name}"):
        Cohort.open(folder)


def test_wrong_columns_and_files_are_named(folder, tmp_path):
    data = folder / "data/0.parquet"
    good = pl.read_parquet(data)
    good.drop("code").write_parquet(data)
    with pytest.raises(InputError, match=r"0\.parquet, column 'code': the column is missing"):
        Cohort.open(folder)
    good.with_columns(pl.col("subject_id").cast(pl.String)).write_parquet(data)
    with pytest.raises(InputError, match=r"column 'subject_id': the column is String"):
        Cohort.open(folder)
    data.write_bytes(b"not parquet")
    with pytest.raises(InputError, match="not readable Parquet"):
        Cohort.open(folder)
    with pytest.raises(InputError, match="no such cohort folder"):
        Cohort.open(tmp_path / "nowhere")


def test_write_refuses_tables_that_contradict_each_other(tmp_path):
    events = pl.DataFrame([(1, None, "X", None, None)], schema=meds.EVENTS, orient="row")
    with pytest.raises(ValueError, match=r"codes without a row.*; a subject with events is in no split"):
        meds.write_meds(
            tmp_path,
            events=events,
            codes=pl.DataFrame(schema=meds.CODES),
            splits=pl.DataFrame(schema=meds.SUBJECT_SPLITS),
            labels={},
            metadata={"mhdiff": {"kind": "test"}},
        )
    assert not list(tmp_path.iterdir())


def test_validate_lists_every_fault_and_no_text(folder, capsys):
    (folder / "images/0.png").unlink()
    (folder / "images/2.png").write_bytes((folder / "images/1.png").read_bytes())
    splits = pl.read_parquet(folder / meds.SPLITS_FILE)
    changed = splits.with_columns(
        pl.when(pl.col("subject_id") == 2).then(pl.lit("held_out")).otherwise("split").alias("split")
    )
    changed.write_parquet(folder / meds.SPLITS_FILE)
    events = pl.read_parquet(folder / "data/0.parquet")
    born = pl.DataFrame(
        [(3, DAY + timedelta(days=1), meds.BIRTH, None, None)], schema=meds.EVENTS, orient="row"
    )
    pl.concat([events, born]).write_parquet(folder / "data/0.parquet")
    with pytest.raises(InputError, match="5 faults"):
        run("validate", folder, "--json")
    document = json.loads(capsys.readouterr().out)
    checks = sorted(finding["check"] for finding in document["findings"])
    assert checks == ["codes", "fingerprint", "image", "splits", "time"]
    assert "Zaphod" not in json.dumps(document)


def test_info_suppresses_small_cells_and_shows_no_text(folder, capsys):
    run("info", folder, "--task", "covid_icu", "--json")
    printed = capsys.readouterr().out
    document = json.loads(printed)
    assert document["subjects"] == 12
    # With the total, 9 would say that 3 are held out.
    assert document["subjects_by_split"] == {"train": "hidden", "held_out": "hidden"}
    task = document["task"]
    assert set(task["labels_by_split"]["train"]) == {"no_icu", "icu", "all"}
    assert task["labels_by_split"]["train"]["no_icu"] == "hidden"
    assert task["modality_patterns"] == {"image+note": "hidden", "note": "hidden"}
    run("info", folder, "--task", "covid_icu")
    assert "Zaphod" not in printed + "".join(capsys.readouterr())


def test_import_command_prints_one_document_and_refuses_unknown_kinds(write_source, tmp_path, capsys):
    source = write_source([{"patientid": "1", "finding": "COVID-19", "clinical_notes": SECRET}])
    run("import", "covid-chestxray", source, "--out", tmp_path / "c", "--json")
    printed = capsys.readouterr()
    assert json.loads(printed.out)["labels"]["covid_pneumonia"] == {
        "covid": {"samples": "<5", "patients": "<5"}
    }
    assert "Zaphod" not in printed.out + printed.err
    run("validate", tmp_path / "c")
    assert capsys.readouterr().out == "covid-chestxray: no faults found\n"
    with pytest.raises(InputError, match="no cohort adapter 'mimic'"):
        run("import", "mimic", source, "--out", tmp_path / "d")


def test_import_never_replaces_a_folder_of_somebody_else(write_source, tmp_path):
    source = write_source([{"patientid": "1"}])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("x")
    with pytest.raises(InputError, match="not replaced"):
        run("import", "covid-chestxray", source, "--out", tmp_path / "mine")


def test_cohort_package_is_light():
    heavy = "not {'polars', 'torch', 'PIL'}.isdisjoint(sys.modules)"
    code = f"import sys, mhdiff.cohort, mhdiff.commands.cohort; sys.exit({heavy})"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
