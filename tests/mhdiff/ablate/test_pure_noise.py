"""Where labels are dealt out at random there is nothing to find: no arm has skill, and none beats another.

Cohorts of the same patients, each with labels of its own draw, so that what is found in one says nothing of the next.
How often something is found in n cohorts is binomial at the rate that the interval or the test claims, and a mean over
cohorts has a t; a check fails where chance has so much less often than once in a thousand times. With four arms and
four pairs there are 14 checks: by chance this fails for less than 1.4 % of all seeds, and the seeds are fixed.

The second test leaks the label of most patients of a class into their codes, and must find it.
"""

from __future__ import annotations

import shutil

import numpy as np
import polars as pl
import pytest
import yaml
from scipy import stats

from mhdiff.ablate import Ablation, run
from mhdiff.builtin import Builtin
from mhdiff.commands.ablate import _prepare
from mhdiff.config import find
from mhdiff.training.run import fit_cell

COHORTS, LEAKY, PATIENTS = 16, 5, 150
SELDOM = 1e-3  # how often chance alone fails one check, at most
ARMS = {
    "table": ["--config=baselines/logistic_regression.yaml"],
    "none": ["--model.guidance=mhdiff.guidance.NoGuidance"],
    "real": [],
    "permuted": {"set": ["--data.null=permuted", "--data.null_seed={seed}"], "seeds": [1, 2]},
}
PAIRS = [["table", "none"], ["real", "none"], ["permuted", "none"], ["real", "permuted"]]
CLASSES = ["no_pneumonia", "bacterial"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Patients, their ontology, and a task of two classes."""
    root = tmp_path_factory.mktemp("noise")
    builtin = Builtin(patients=PATIENTS, seed=5, image_size=32)
    builtin.prepare(*(str(root / part) for part in ("ontology", "cohort", "graph")), "pneumonia")
    task = yaml.safe_load(find("tasks/pneumonia.yaml").read_text()) | {"name": "noise", "classes": CLASSES}
    (root / "noise.yaml").write_text(yaml.safe_dump(task))
    return root


def dealt_out(data, place, seed, leaking=0.0):
    """The cohort with labels drawn anew; everything else keeps its structure, sites and dates too.

    Of the patients of the second class a share gets a code that stands for it, the day before the prediction.
    """
    shutil.copytree(data / "cohort", place, ignore=shutil.ignore_patterns("truth", "images"))
    (file,) = (place / "labels").rglob("*.parquet")
    labels = pl.read_parquet(file)
    rng = np.random.default_rng(seed)
    drawn = pl.Series("categorical_value", rng.permutation(np.resize(CLASSES, labels.height)))
    labels = labels.with_columns(drawn)
    labels.write_parquet(file)
    told = labels.filter(
        pl.col("categorical_value") == CLASSES[1], pl.lit(rng.random(labels.height) < leaking)
    )
    (events,) = (place / "data").rglob("*.parquet")
    frame = pl.read_parquet(events)
    leaks = told.select(
        "subject_id", time=pl.col("prediction_time").dt.offset_by("-1h"), code=pl.lit("ICD10/N40"),
        numeric_value=pl.lit(None), text_value=pl.lit(None),
    ).cast(dict(frame.schema))  # fmt: skip
    pl.concat([frame, leaks]).sort("subject_id", "time", maintain_order=True).write_parquet(events)
    return place


def ablated(data, config, folder, seed, arms=tuple(ARMS), leaking=0.0):
    """The ablation of one cohort: what ablation.json says."""
    folder.mkdir()
    settings = yaml.safe_load(config.read_text())
    settings["data"] |= {
        "ontology": str(data / "ontology"),
        "cohort": str(dealt_out(data, folder / "cohort", seed, leaking)),
        "graph": str(folder / "graph"),
        "task": str(data / "noise.yaml"),
        "builtin": {},  # builds the graph of this cohort
    }
    (folder / "base.yaml").write_text(yaml.safe_dump(settings))
    document = {
        "name": "noise",
        "base": str(folder / "base.yaml"),
        "set": ["--trainer.max_epochs=2", "--data.modalities=[labs,codes]"],
        "arms": {name: ARMS[name] for name in arms},
        "reference": "none",
        "contrasts": [pair for pair in PAIRS if pair[1] != "none" and set(pair) <= set(arms)],
        "folds": 3,
        "seeds": [1],
        "replicates": 300,
    }
    (folder / "noise.yaml").write_text(yaml.safe_dump(document))
    found = run(Ablation.load(folder / "noise.yaml"), folder / "out", fit_cell, prepare=_prepare)
    assert all(cell["status"] == "done" for cell in found["cells"])
    shutil.rmtree(folder)
    return found


def most(trials, rate):
    """The most hits that chance does not have too seldom."""
    return int(stats.binom.isf(SELDOM, trials, rate))


def complaints(documents):
    """What chance would have too seldom in these cohorts, in words."""
    n, told = len(documents), []
    for arm in documents[0]["arms"]:
        auroc = [document["arms"][arm]["metrics"]["auroc"] for document in documents]
        skilled = sum(figure["low"] > 0.5 for figure in auroc)
        if skilled > most(n, 0.025):
            told.append(f"{arm}: skill in {skilled} of {n} cohorts")
        p = stats.ttest_1samp([figure["value"] for figure in auroc], 0.5, alternative="greater").pvalue
        if p < SELDOM:
            told.append(f"{arm}: mean AUROC {np.mean([figure['value'] for figure in auroc]):.3f}, p {p:.1e}")
    rows = [[row for row in document["differences"] if row["metric"] == "auroc"] for document in documents]
    of = [{(row["arm"], row["reference"]): row for row in found} for found in rows]
    for pair in of[0]:
        apart = sum(not found[pair]["low"] <= 0 <= found[pair]["high"] for found in of)
        if apart > most(n, 0.05):
            told.append(f"{pair}: apart in {apart} of {n} cohorts")
    meant = [found["real", "permuted"]["value"] for found in of if ("real", "permuted") in found]
    if meant and stats.ttest_1samp(meant, 0).pvalue < SELDOM:
        told.append(f"real - permuted: mean {np.mean(meant):.3f}")
    significant = sum(any((row["folds"]["p_holm"] or 1) < 0.05 for row in found) for found in rows)
    if significant > most(n, 0.05):
        told.append(f"over folds, by Holm: a pair in {significant} of {n} cohorts")
    return told


@pytest.mark.slow  # 240 trainings: four minutes
def test_the_whole_pipeline_finds_nothing_in_noise(data, small_config, tmp_path):
    documents = [ablated(data, small_config, tmp_path / f"{seed}", seed) for seed in range(COHORTS)]
    auroc = [row for row in documents[0]["differences"] if row["metric"] == "auroc"]
    assert sorted([row["arm"], row["reference"]] for row in auroc) == sorted(PAIRS)
    assert complaints(documents) == []


@pytest.mark.slow  # 30 trainings: half a minute
def test_a_label_that_leaks_into_the_codes_is_found(data, small_config, tmp_path):
    arms = ("table", "none")
    documents = [
        ablated(data, small_config, tmp_path / f"{seed}", seed, arms, leaking=0.8) for seed in range(LEAKY)
    ]
    told = complaints(documents)
    for found in ("table: skill in", "table: mean AUROC", "('table', 'none'): apart in"):
        assert any(line.startswith(found) for line in told), told
