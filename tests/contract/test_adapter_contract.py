"""What every adapter of `mhdiff cohort import` is held to; one that is added to `KINDS` is tested here by itself."""

import inspect

import pytest

from mhdiff.cli import main
from mhdiff.cohort.adapters import KINDS, OPTIONS, adapter
from mhdiff.cohort.refused import DEFAULT


@pytest.mark.parametrize("kind", KINDS)
def test_it_takes_a_limit_and_its_options(kind):
    own = inspect.signature(adapter(kind)).parameters
    assert own["max_bad"].default == DEFAULT
    assert set(OPTIONS.get(kind, ())) <= set(own)


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_that_is_not_there_is_named_and_nothing_is_written(kind, tmp_path, capsys):
    assert main(["cohort", "import", kind, str(tmp_path / "gone"), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "gone" in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []
