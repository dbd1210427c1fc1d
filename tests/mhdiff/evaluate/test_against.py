"""Two runs on the same patients: paired differences by pattern, DeLong where it is allowed, refusals by name."""

import json

import numpy as np
import polars as pl
import pytest
from made_up import CLASSES, predictions

from mhdiff.cli import main
from mhdiff.evaluate.against import compare
from mhdiff.evaluate.delong import delong
from mhdiff.evaluate.holm import holm
from mhdiff.evaluate.metrics import OVERALL
from mhdiff.evaluate.stored import About, read_predictions, write_predictions

PATTERNS = ("image+note", "image", "note")
ABOUT = About("made_up", tuple(CLASSES), ("image", "note"))


def worse(frame, seed=0):
    """The same patients, predicted with more noise."""
    rng = np.random.default_rng(seed)
    mix = 0.3 + 0.4 * rng.random(frame.height)
    return frame.with_columns(**{f"p_{c}": pl.col(f"p_{c}") * mix + (1 - mix) / 3 for c in range(3)})


def write(path, frame, **changes):
    write_predictions(frame, path, About(**(ABOUT.__dict__ | changes)))
    return path


@pytest.fixture
def pair(tmp_path):
    better = predictions(300, patterns=PATTERNS, strength=1.5)
    return write(tmp_path / "a.parquet", better), write(tmp_path / "b.parquet", worse(better))


def compared(first, second, replicates=60):
    one, two = read_predictions(first), read_predictions(second)
    return compare(one, two, (one.about, two.about), ("A", "B"), replicates=replicates)


def test_differences_are_those_of_the_two_evaluations_and_paired(pair, capsys):
    single = []
    for path in pair:
        assert main(["evaluate", "--from", str(path), "--replicates", "60", "--json"]) == 0
        single.append(json.loads(capsys.readouterr().out))
    a, b = map(str, pair)
    assert main(["evaluate", "--from", a, "--against", b, "--replicates", "60", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = document.pop("against")[b]
    assert document == single[0]  # comparing changes no figure of the run itself
    assert list(found["patterns"]) == list(PATTERNS)
    for name, row in found["patterns"].items():
        assert (row["n"], row["n_subjects"]) == (150, 150)
        for metric in OVERALL:
            values = [one["patterns"][name]["metrics"][metric]["value"] for one in single]
            assert row["difference"][metric]["value"] == pytest.approx(values[0] - values[1])
    told = found["patterns"]["image+note"]["difference"]["auroc"]
    width = [d["patterns"]["image+note"]["metrics"]["auroc"] for d in single]
    assert told["high"] - told["low"] < sum(f["high"] - f["low"] for f in width) / 2
    rare = found["patterns"]["image+note"]["by_frequency"]
    assert sum(sum(row["n_positive"].values()) for row in rare) == 150
    # Effective robustness of one against the other: how differently they fall.
    areas = [d["robustness"]["relative"]["auroc"]["value"] for d in single]
    starts = [d["robustness"]["levels"][0]["auroc"]["value"] for d in single]
    effective = found["robustness"]["effective"]["auroc"]["value"]
    assert effective == pytest.approx((areas[0] - starts[0]) - (areas[1] - starts[1]))
    assert main(["evaluate", "--from", a, "--against", b, "--replicates", "20"]) == 0
    text = capsys.readouterr().out
    assert f"{a} minus {b}" in text
    assert "DeLong, viral" in text


def test_delong_is_for_one_model_each_and_patients_of_one_sample(pair, tmp_path):
    found = compared(*pair)["delong"]["classes"]
    frames = [
        pl.read_parquet(path)
        .filter(pl.col("split") == "held_out", pl.col("pattern") == "image+note")
        .sort("sample_id")
        for path in pair
    ]
    for c, name in enumerate(CLASSES):
        positive = (frames[0]["label"] == c).to_numpy()
        scores = [frame[f"p_{c}"].to_numpy() for frame in frames]
        expected = delong(*scores, positive, frames[0]["subject_id"].to_numpy())
        assert found[name]["p"] == expected["p"]
    adjusted = holm({name: row["p"] for name, row in found.items()})
    assert {name: row["p_holm"] for name, row in found.items()} == adjusted
    pooled = write(tmp_path / "pooled.parquet", pl.read_parquet(pair[1]), models=5)
    refused = compared(pair[0], pooled)["delong"]
    assert refused["classes"] is None
    assert "several models" in refused["reason"]
    several = predictions(80, patterns=PATTERNS, per_subject=2)
    paths = [write(tmp_path / f"{n}.parquet", f) for n, f in (("c", several), ("d", worse(several)))]
    assert "several samples" in compared(*paths)["delong"]["reason"]
    few = predictions(200, patterns=PATTERNS, prevalence=[0.6, 0.38, 0.02], seed=4)
    paths = [write(tmp_path / f"{n}.parquet", f) for n, f in (("e", few), ("f", worse(few)))]
    viral = compared(*paths)["delong"]["classes"]["viral"]
    assert viral["p"] is None
    assert "normal approximation fails" in viral["reason"]


def test_a_run_of_other_modalities_is_compared_where_both_were_asked_and_each_at_its_fullest(pair, tmp_path):
    frame = pl.read_parquet(pair[1]).filter(pl.col("pattern") == "note")
    note = write(tmp_path / "note.parquet", frame, modalities=("note",))
    found = compared(pair[0], note)
    assert list(found["patterns"]) == ["note", "image+note against note"]
    assert "other modalities" in found["robustness"]["effective_reason"]
    both = found["patterns"]["image+note against note"]["difference"]["auroc"]["value"]
    assert both > found["patterns"]["note"]["difference"]["auroc"]["value"]


@pytest.mark.parametrize(
    ("change", "about", "says"),
    [
        (lambda f: f.filter(pl.col("sample_id") != 1), {}, "different patients"),
        (lambda f: f.with_columns(subject_id=pl.col("subject_id") + 1), {}, "different patients"),
        (lambda f: f.with_columns(label=2 - pl.col("label")), {}, "different labels"),
        (lambda f: f, {"classes": ("no", "yes", "maybe")}, "tells none, bacterial, viral apart"),
        (lambda f: f.filter(pl.col("split") == "tuning"), {}, "holds nobody out"),
    ],
)
def test_runs_that_cannot_be_paired_are_refused_by_name(pair, tmp_path, capsys, change, about, says):
    other = write(tmp_path / "other.parquet", change(pl.read_parquet(pair[1])), **about)
    out = tmp_path / "out"
    options = ["--from", str(pair[0]), "--against", str(other), "--replicates", "5", "--out", str(out)]
    assert main(["evaluate", *options]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert "other.parquet" in told
    assert not out.exists()


def test_a_difference_of_a_run_from_itself_is_nothing(pair):
    found = compared(pair[0], pair[0], 20)
    for row in found["patterns"].values():
        for figure in row["difference"].values():
            assert figure["value"] == figure["low"] == figure["high"] == 0
    assert all("no variance" in row["reason"] for row in found["delong"]["classes"].values())
