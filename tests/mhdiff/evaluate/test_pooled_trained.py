"""Two folds that are really trained, pooled by the command line, with spoilt records; and all of it from files."""

import json
import shutil

import polars as pl
import pytest

from mhdiff.cli import main

SMALL = ["--trainer.max_epochs=1", "--data.modalities=[labs,codes]"]


@pytest.fixture(scope="module")
def folds(small_config, tmp_path_factory):
    root = tmp_path_factory.mktemp("folds")
    for fold in range(2):
        options = [*SMALL, f"--data.split=fold:{fold}/2", "--out", str(root / f"fold{fold}")]
        assert main(["fit", "-c", str(small_config), *options]) == 0
    return [root / "fold0", root / "fold1"]


def figures(capsys, *options):
    capsys.readouterr()
    assert main(["evaluate", *map(str, options), "--replicates", "3", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow  # pools made up are in test_pooled.py
@pytest.mark.usefixtures("coarse_density")
def test_two_folds_are_pooled_spoilt_stored_and_told_again(folds, tmp_path, capsys):
    out = tmp_path / "both"
    found = figures(capsys, *folds, "--out", out, "--corrupt", "missing_labs:5")
    assert found["n_subjects"] == 90, "everybody is held out once"
    assert found["models"] == 2
    full = found["patterns"]["labs+codes"]
    assert full["ceiling"] is not None, "a known-answer cohort has one"
    assert all(row["metrics"] is not None for row in found["regimes"].values())
    assert set(found["subgroups"]["sex"]["groups"]) == {"F", "M"}
    spoilt = found["corruptions"]["missing_labs:5"]
    assert spoilt["modalities"] == ["labs"]
    assert spoilt["n"] == full["n"]
    assert spoilt["flags"].keys() == {"log_likelihood", "joint", "odd_one_out"}
    parts = [pl.read_parquet(folder / "corruptions.parquet") for folder in folds]
    changed = sum(
        int(part.filter(pl.col("corruption") == "missing_labs:5")["changed"].sum()) for part in parts
    )
    assert spoilt["changed"] == changed > 0

    files = [out / "predictions.parquet", out / "corruptions.parquet"]
    assert figures(capsys, "--from", *files) == found
    assert figures(capsys, out, "--out", tmp_path / "again") == found
    assert figures(capsys, *folds, "--out", out) == found, "what was spoilt before is told again"
    assert figures(capsys, "--from", files[0]) == {k: v for k, v in found.items() if k != "corruptions"}

    # a run's own two files
    one = shutil.copytree(folds[0], tmp_path / "one")
    alone = figures(capsys, one)
    own = [one / "predictions.parquet", one / "corruptions.parquet"]
    assert figures(capsys, "--from", *own) == alone
    assert alone["corruptions"]["missing_labs:5"]["modalities"] == ["labs"]
    old = tmp_path / "old.parquet"  # of an earlier version
    pl.read_parquet(own[1]).drop("acts_on").write_parquet(old)
    rest = folds[1] / "corruptions.parquet"
    (tmp_path / "rest.parquet").write_text("no table")
    other = tmp_path / "other.parquet"
    flat = [pl.lit(0.2).alias(f"p_{c}") for c in range(5)]
    pl.read_parquet(own[1]).with_columns(flat).write_parquet(other)
    for second, says in (
        (old, "of an earlier version, or not of spoilt records"),
        (own[0], "not of spoilt records"),
        (rest, "predictions for different patients"),
        (other, "they are of another model"),
        (tmp_path / "rest.parquet", "no readable predictions of spoilt records"),
        (tmp_path / "nowhere.parquet", "no readable predictions of spoilt records"),
    ):
        assert main(["evaluate", "--from", str(own[0]), str(second)]) == 2, second
        assert says in capsys.readouterr().err
    shutil.copy(old, own[1])  # the run itself adds what an earlier version left out
    assert figures(capsys, one) == alone
    assert pl.read_parquet(own[1])["acts_on"].null_count() == 0

    assert main(["report", str(out)]) == 0
    page = (out / "report.html").read_text()
    for part in (
        "2 models, each on the patients held out",
        "missing labs, 5 of 5",
        f"training of {folds[1]}, in a new folder",
        "By sex",
    ):
        assert part in page, part


def test_a_run_cannot_be_pooled_with_itself_under_another_seed(folds, small_config, tmp_path, capsys):
    again = shutil.copytree(folds[0], tmp_path / "again")
    assert main(["evaluate", str(folds[0]), str(again), "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert "45 of 45 patients are held out from" in err
    assert "data.split=fold:0/5" in err
    assert not (tmp_path / "out").exists()
