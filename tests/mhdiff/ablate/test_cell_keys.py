"""A cell's key knows the data that its training reads, and no other."""

import pytest

from mhdiff import config
from mhdiff.ablate.cells import data_fingerprints

BASE = """
data:
  cohort: {here}/first
  tables: [{here}/a.csv, {here}/b.csv]
model:
  encoders:
    class_path: some.Encoder
    init_args: {{weights: {here}/w.bin}}
"""


@pytest.fixture
def base(tmp_path):
    for name in ("first", "second", "third"):
        (tmp_path / name / "metadata").mkdir(parents=True)
        (tmp_path / name / "metadata" / "dataset.json").write_text(name)
    for name in ("a.csv", "b.csv", "w.bin", "v.bin"):
        (tmp_path / name).write_text(name)
    return BASE.format(here=tmp_path)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], {"first", "a.csv", "b.csv", "w.bin"}),
        (["--data.cohort={here}/second"], {"second", "a.csv", "b.csv", "w.bin"}),
        (["--data.cohort={here}/second", "--data.cohort={here}/third"], {"third", "a.csv", "b.csv", "w.bin"}),
        (["--data.cohort={here}/second", "--data.cohort=null"], {"a.csv", "b.csv", "w.bin"}),
        (["--data.tables=[{here}/b.csv]"], {"first", "w.bin"}),
        (["--data.tables+={here}/v.bin"], {"first", "a.csv", "b.csv", "w.bin", "v.bin"}),
        (["--model.encoders.weights={here}/v.bin"], {"first", "a.csv", "b.csv", "v.bin"}),
        (["--model.encoders.init_args.weights={here}/v.bin"], {"first", "a.csv", "b.csv", "v.bin"}),
        (
            ["--model.encoders=other.Encoder"],
            {"first", "a.csv", "b.csv", "w.bin"},
        ),  # arguments that fit are kept
        (["--data.cohorts={here}/second"], {"first", "second", "a.csv", "b.csv", "w.bin"}),
    ],
)
def test_data_whose_name_is_overridden_is_read_by_nobody(base, tmp_path, overrides, expected):
    given = tuple(option.format(here=tmp_path) for option in overrides)
    named = data_fingerprints(base, given, tmp_path / "base.yaml")
    assert {name.removeprefix(f"{tmp_path}/") for name in named} == expected


def test_a_change_of_what_is_overridden_changes_nothing(base, tmp_path):
    given = (f"--data.cohort={tmp_path}/second",)
    before = data_fingerprints(base, given, tmp_path / "base.yaml")
    (tmp_path / "first" / "metadata" / "dataset.json").write_text("changed")
    assert data_fingerprints(base, given, tmp_path / "base.yaml") == before
    (tmp_path / "second" / "metadata" / "dataset.json").write_text("changed")
    assert data_fingerprints(base, given, tmp_path / "base.yaml") != before


def test_a_configuration_on_top_is_known_with_the_data_that_it_names(base, tmp_path):
    on_top = tmp_path / "top.yaml"
    on_top.write_text(f"data:\n  cohort: {tmp_path}/second\n  tables: [{tmp_path}/a.csv]\n")
    given = (f"--config={on_top}", f"--data.tables=[{tmp_path}/v.bin]")
    named = data_fingerprints(base, given, tmp_path / "base.yaml")
    assert set(named) == {str(tmp_path / name) for name in ("first", "second", "w.bin", "top.yaml")}


def test_a_shipped_configuration_on_top_is_known_by_its_name(base, tmp_path, monkeypatch):
    """Its text is a part of what is trained: a changed one trains anew."""
    shipped = tmp_path / "configs" / "baselines" / "mine.yaml"
    shipped.parent.mkdir(parents=True)
    monkeypatch.setattr(config, "_ROOTS", (tmp_path / "configs",))
    keys = []
    for text in ("model: {width: 1}", "model: {width: 2}"):
        shipped.write_text(text)
        keys.append(
            data_fingerprints(base, ("--config=baselines/mine.yaml",), tmp_path)["baselines/mine.yaml"]
        )
    assert keys[0] != keys[1]
