"""Folds of a made-up cross-validation as run folders; each fold's model has scores on a scale of its own."""

import json

import numpy as np
import polars as pl
import yaml
from made_up import CLASSES, predictions

from mhdiff.evaluate.stored import About, write_predictions

PATTERNS = ("image+note", "image", "note")
MODALITIES = ("image", "note")


def fold_frame(fold, folds, n=120, per_subject=1, **options):
    """The tuning and held-out rows of a fold; thresholds that suit one fold do not suit the others."""
    frame = predictions(n, patterns=PATTERNS, per_subject=per_subject, **options)
    subject = pl.col("subject_id") - 1000
    split = (
        pl.when(subject % folds == fold)
        .then(pl.lit("held_out"))
        .when(subject % 7 < 3)
        .then(pl.lit("tuning"))
        .otherwise(pl.lit("train"))
    )
    columns = [f"p_{c}" for c in range(3)]
    p = frame.select(columns).to_numpy() ** (0.4 + 0.8 * fold) * np.array([1.0, 1.0 + fold, 1.0])
    p /= p.sum(axis=1, keepdims=True)
    return frame.with_columns(
        *(pl.Series(name, p[:, c]) for c, name in enumerate(columns)),
        split=split,
        sex=pl.when(subject % 5 < 2).then(pl.lit("F")).otherwise(pl.lit("M")),
        age=20 + subject % 60,
        present=pl.when(subject % 4 > 0).then(pl.lit("image+note")).otherwise(pl.lit("note")),
    ).filter(pl.col("split") != "train")


def write_run(folder, frame, held_out="stored", *, classes=CLASSES, task="made_up", cohort="c" * 64, **about):
    """Write what a finished run keeps and its evaluation asks for."""
    folder.mkdir(parents=True)
    settings = {"counts": (60, 20, 20), "modalities": MODALITIES} | about
    write_predictions(
        frame, folder / "predictions.parquet", About(task, tuple(classes), held_out=held_out, **settings)
    )
    facts = {
        "task": task,
        "classes": list(classes),
        "modalities": list(settings["modalities"]),
        "seconds": 10.0,
    }
    facts |= {"parameters": 100, "fingerprints": {"cohort": cohort, "ontology": "0" * 64}, "finished": True}
    facts |= {"git": "abc", "versions": {"mhdiff": "0.1.0"}}
    (folder / "run.json").write_text(json.dumps(facts))
    config = {"seed_everything": 1, "data": {"cohort": "nowhere", "split": held_out}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def write_folds(root, folds=3, **options):
    """Write the runs of all folds."""
    return [
        write_run(root / f"fold{i}", fold_frame(i, folds, **options), f"fold:{i}/{folds}")
        for i in range(folds)
    ]
