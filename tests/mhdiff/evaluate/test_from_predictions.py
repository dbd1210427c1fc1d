"""Every figure of a run from its stored predictions alone, and what such a file must hold."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from made_up import CLASSES, predictions

from mhdiff.cli import main
from mhdiff.cohort.people import OLDEST, people
from mhdiff.evaluate.stored import KEY, About, read_predictions, write_predictions
from ontology.errors import InputError

PATTERNS = ("image+note", "image", "note")


def stored(path, frame=None, classes=CLASSES, **changes):
    frame = predictions(120, patterns=PATTERNS) if frame is None else frame
    about = {
        "task": "made_up",
        "classes": tuple(classes),
        "modalities": ("image", "note"),
        "counts": (60, 20, 20),
    }
    write_predictions(frame, path, About(**about | changes))
    return path


@pytest.fixture(scope="module")
def run(small_run, tmp_path_factory):
    return shutil.copytree(small_run, tmp_path_factory.mktemp("evaluated") / "run")


def test_stored_predictions_alone_give_the_document_of_the_run(run, tmp_path, capsys):
    assert main(["evaluate", str(run), "--replicates", "40", "--seed", "3", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    alone = shutil.copy(run / "predictions.parquet", tmp_path / "elsewhere.parquet")
    options = ["--from", str(alone), "--replicates", "40", "--seed", "3"]
    assert main(["evaluate", *options, "--json", "--out", str(tmp_path / "again")]) == 0
    again = json.loads(capsys.readouterr().out)
    for more in ("corruptions", "latents"):  # of another test that shares the run
        first.pop(more, None)
    assert again == first
    assert json.loads((tmp_path / "again" / "metrics.json").read_text()) == first
    # All that a run's evaluation tells is told: ceiling, regimes, subgroups, robustness.
    full = again["patterns"]["image+note+labs+codes"]
    assert full["ceiling"] is not None
    assert again["frequency_counted_in"] == "train"
    assert set(again["regimes"]) == {"mcar", "mar", "mnar_label", "mnar_value"}
    assert all(row["metrics"] is not None for row in again["regimes"].values())
    assert again["robustness"]["effective"] is not None
    assert set(again["subgroups"]["sex"]["groups"]) == {"F", "M"}
    # and without --out nothing is written
    before = sorted(tmp_path.iterdir())
    assert main(["evaluate", *options]) == 0
    assert sorted(tmp_path.iterdir()) == before
    told = capsys.readouterr().out
    for part in ("BCa", "mcar", "relative robustness", "by subgroup", "net benefit", "rarest first"):
        assert part in told


def test_the_order_of_the_files_rows_changes_nothing(run, tmp_path, capsys):
    main(["predict", str(run)])
    found = read_predictions(run)
    write_predictions(
        found.frame.sample(fraction=1, shuffle=True, seed=5), tmp_path / "mixed.parquet", found.about
    )
    documents = []
    for path in (run / "predictions.parquet", tmp_path / "mixed.parquet"):
        capsys.readouterr()
        assert main(["evaluate", "--from", str(path), "--replicates", "20", "--json"]) == 0
        documents.append(capsys.readouterr().out)
    assert documents[0] == documents[1]


def test_predictions_of_an_earlier_version_are_named_with_the_remedy(run, tmp_path, capsys):
    old = shutil.copytree(run, tmp_path / "old")
    frame = pl.read_parquet(run / "predictions.parquet")
    plain = [c for c in frame.columns if not c.startswith("q_") and c not in ("sex", "age", "present")]
    frame.select(plain).write_parquet(old / "predictions.parquet")
    assert main(["evaluate", "--from", str(old / "predictions.parquet")]) == 2
    told = capsys.readouterr().err
    assert "does not say which classes" in told
    assert "mhdiff predict RUN" in told
    # The run itself still knows, all but what was never stored.
    assert main(["evaluate", str(old), "--replicates", "10", "--json"]) == 0
    captured = capsys.readouterr()
    assert "earlier version" in captured.err
    document = json.loads(captured.out)
    assert document["patterns"]["image+note+labs+codes"]["ceiling"] is not None
    assert "column 'sex'" in document["subgroups"]["sex"]["reason"]
    assert "which modalities each sample has" in document["regimes"]["mcar"]["reason"]
    assert document["subgroups"]["site"]["groups"]


def test_sex_age_and_what_is_there_go_with_the_predictions(run, small_data):
    from mhdiff.cohort import Cohort, Task

    main(["predict", str(run)])
    found = read_predictions(run)
    assert found.about.classes == tuple(Task.load("pneumonia").classes)
    assert found.about.modalities == ("image", "note", "labs", "codes")
    assert sum(found.about.counts) > 0
    cohort = Cohort.open(small_data / "cohort")
    told = people(cohort, Task.load("pneumonia").samples(cohort))
    assert set(told["sex"]) == {"F", "M"}
    assert told["age"].is_between(0, OLDEST).all()
    frame = found.frame.unique("sample_id").join(told, on="sample_id", suffix="_here")
    assert (frame["sex"] == frame["sex_here"]).all()
    assert (frame["age"] == frame["age_here"]).all()
    assert frame["present"].n_unique() > 1
    assert found.ceiling.columns[:2] == ["subject_id", "pattern"]


def test_ages_are_whole_years_capped_and_contradictions_are_unknown():
    class Made:
        def scan(self):
            rows = [
                (1, "MEDS_BIRTH", "1980-06-01"), (1, "GENDER//F", None),
                (2, "MEDS_BIRTH", "1900-01-01"), (2, "GENDER//F", None), (2, "GENDER//M", None),
                (3, "MEDS_BIRTH", "2030-01-01"), (3, "GENDER//M", None),
            ]  # fmt: skip
            frame = pl.DataFrame(rows, schema=["subject_id", "code", "time"], orient="row")
            return frame.with_columns(pl.col("time").str.to_datetime()).lazy()

    samples = pl.DataFrame(
        {"sample_id": [0, 1, 2, 3], "subject_id": [1, 2, 3, 4], "prediction_time": ["2020-05-30"] * 4}
    ).with_columns(pl.col("prediction_time").str.to_datetime())
    told = people(Made(), samples)
    assert told["age"].to_list() == [39, OLDEST, None, None]
    assert told["sex"].to_list() == ["F", None, "M", None]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "a run's folder, or --from"),
        (["RUN", "--from", "FILE"], "not both"),
        (["--from", "FILE", "--corrupt", "noise"], "needs the model"),
        (["--from", "FILE", "--latents"], "needs the model"),
        (["--from", "NOWHERE"], "there are no predictions"),
        (["--from", "FILE", "--missing", "1.5"], "no share of the modalities"),
        (["--from", "FILE", "--replicates", "-1"], "cannot evaluate"),
    ],
)
def test_wrong_usage_is_refused(tmp_path, capsys, options, says):
    places = {
        "FILE": str(stored(tmp_path / "p.parquet")),
        "NOWHERE": str(tmp_path / "none"),
        "RUN": str(tmp_path),
    }
    assert main(["evaluate", *[places.get(o, o) for o in options]]) == 2
    assert says in capsys.readouterr().err


def test_predictions_that_are_nan_or_damaged_are_named_with_their_file(tmp_path, capsys):
    frame = predictions(40, patterns=PATTERNS)
    spoilt = frame.with_columns(p_1=pl.when(pl.col("sample_id") == 3).then(float("nan")).otherwise("p_1"))
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 not really")
    wrong = tmp_path / "wrong.parquet"
    frame.write_parquet(wrong, metadata={KEY: '{"colour": "red"}'})
    for path, says in (
        (stored(tmp_path / "nan.parquet", spoilt), "no numbers in [0, 1]"),
        (tmp_path / "damaged.parquet", "no readable Parquet"),
        (wrong, "not understood"),
        (stored(tmp_path / "two.parquet", frame, CLASSES[:2]), "3 probabilities a row, but 2 classes"),
    ):
        out = tmp_path / "out"
        assert main(["evaluate", "--from", str(path), "--out", str(out)]) == 2
        told = capsys.readouterr().err
        assert says in told
        assert path.name in told
        assert not out.exists()


def test_a_site_with_one_label_is_undefined_by_name_and_the_others_are_not(tmp_path, capsys):
    frame = predictions(400, patterns=PATTERNS)
    frame = frame.with_columns(site=pl.when(pl.col("label") == 1).then(pl.lit("one")).otherwise("site"))
    path = stored(tmp_path / "p.parquet", frame)
    assert main(["evaluate", "--from", str(path), "--replicates", "20", "--json"]) == 0
    sites = json.loads(capsys.readouterr().out)["subgroups"]["site"]["groups"]
    assert sites["one"]["metrics"]["auroc"]["value"] is None
    assert "none" in sites["one"]["metrics"]["auroc"]["reason"]
    assert sites["one"]["gap"]["auroc"]["value"] is None
    assert sites["one"]["metrics"]["brier"]["value"] is not None
    assert main(["evaluate", "--from", str(path), "--replicates", "20"]) == 0
    assert "site one" in capsys.readouterr().out


def test_a_stored_file_says_what_it_is_of(tmp_path):
    found = read_predictions(stored(tmp_path / "p.parquet"))
    assert found.about == About("made_up", tuple(CLASSES), ("image", "note"), counts=(60, 20, 20))
    np.testing.assert_array_equal(found.about.frequency, [60, 20, 20])
    assert found.ceiling is None
    assert About("t", ("a", "b"), ("m",)).frequency is None
    with pytest.raises(InputError, match="no predictions"):
        read_predictions(tmp_path)


def test_permuting_the_cohorts_rows_changes_no_figure(run, small_data, tmp_path, capsys):
    import yaml

    mixed = shutil.copytree(small_data / "cohort", tmp_path / "cohort")
    for shard in sorted((mixed / "data").rglob("*.parquet")):
        events = pl.read_parquet(shard)
        shuffled = events.sample(fraction=1, shuffle=True, seed=11)
        assert not shuffled.equals(events)
        shuffled.write_parquet(shard)
    for labels in (mixed / "labels").glob("*.parquet"):
        pl.read_parquet(labels).reverse().write_parquet(labels)
    other = shutil.copytree(run, tmp_path / "run")
    config = yaml.safe_load((other / "config.yaml").read_text())
    config["data"]["cohort"] = str(mixed)
    (other / "config.yaml").write_text(yaml.safe_dump(config))
    (other / "predictions.parquet").unlink(missing_ok=True)
    main(["predict", str(run)])
    main(["predict", str(other)])
    documents = []
    for place in (run, other):
        capsys.readouterr()
        options = ["--from", str(place / "predictions.parquet"), "--replicates", "20", "--json"]
        assert main(["evaluate", *options]) == 0
        documents.append(json.loads(capsys.readouterr().out))
    assert documents[0] == documents[1]
