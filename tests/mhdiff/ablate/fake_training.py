"""A training that takes no time: predictions whose strength, failure or death an override decides.

A module of its own, so that worker processes can import it.
"""

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from mhdiff.evaluate.patterns import asked_patterns, pattern_name
from mhdiff.evaluate.stored import About, write_predictions
from ontology.errors import InputError

PATIENTS, CLASSES, MODALITIES = 90, 3, ["image", "note"]
NAMES = ["none", "bacterial", "viral"]


def options(overrides):
    return dict(option.removeprefix("--").split("=", 1) for option in overrides)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def predictions(pattern, given, fold, folds, mode):
    """One pattern's frame. What is lost without a modality is the option `--lost`, as a share of the strength."""
    rng = np.random.default_rng(7)
    labels = rng.integers(CLASSES, size=PATIENTS)
    noise = rng.normal(size=(PATIENTS, CLASSES))
    noise += 0.3 * np.random.default_rng(int(given["seed_everything"])).normal(size=noise.shape)
    strength = float(given["strength"])
    if pattern != "+".join(MODALITIES):
        strength *= 1 - float(given.get("lost", 0.5))
        noise += 0.3 * np.random.default_rng(len(pattern)).normal(size=noise.shape)
    place = np.arange(PATIENTS) % folds
    if "data.split_seed" in given:  # dealt anew, and another model comes of it
        dealer = np.random.default_rng(int(given["data.split_seed"]))
        place, noise = dealer.permutation(place), noise + 0.3 * dealer.normal(size=noise.shape)
    p = softmax(strength * np.eye(CLASSES)[labels] + noise)
    if mode == "nan":
        p[:] = np.nan
    split = np.where(place == fold, "held_out", np.where(np.arange(PATIENTS) % 7 == 0, "tuning", "train"))
    return pl.DataFrame(
        {"sample_id": np.arange(PATIENTS), "subject_id": np.arange(PATIENTS), "site": "a", "split": split,
         "sex": np.where(np.arange(PATIENTS) % 5 < 2, "F", "M"), "age": 20 + np.arange(PATIENTS) % 60,
         "present": "+".join(MODALITIES),
         "pattern": pattern, "label": labels} | {f"p_{c}": p[:, c] for c in range(CLASSES)}
    )  # fmt: skip


def fit_cell(config: Path, overrides: list[str], out: Path, patterns=()) -> None:
    given = options(overrides)
    split = given["data.split"].removeprefix("nested:").removeprefix("fold:").partition(":")[0]
    fold, folds = map(int, split.split("/"))
    mode = given.get("mode", "fine") if fold == 1 or "everywhere" in given else "fine"
    log = given.get("log")
    if log:
        with Path(log).open("a") as file:
            file.write(f"{given['arm']} {fold} {given['seed_everything']}\n")
    if "data.embeddings" in given:
        json.loads((Path(given["data.embeddings"]) / "embeddings.json").read_text())
    match mode:
        case "raise":
            raise RuntimeError("the loss is NaN")
        case "die":
            os._exit(9)
        case "input":
            raise InputError("this cohort has no images", path=config)
        case "usage":
            raise SystemExit(2)
        case "silent":
            return
    names = [pattern_name(p, MODALITIES) for p in asked_patterns(patterns, MODALITIES)]
    names = given.get("only", ",".join(names)).split(",")
    frame = pl.concat([predictions(name, given, fold, folds, mode) for name in names])
    if given.get("fewer"):
        frame = frame.filter(pl.col("sample_id") != 1)
    about = About("fake", tuple(NAMES), tuple(MODALITIES), f"fold:{fold}/{folds}")
    write_predictions(frame.filter(pl.col("split") != "train"), out / "predictions.parquet", about)
    if "cohort" in given:
        (out / "config.yaml").write_text(yaml.safe_dump({"data": {"cohort": given["cohort"]}}))
    (out / "run.json").write_text(json.dumps({"parameters": 100, "classes": NAMES}))


def embed_cell(config: Path, overrides: list[str], out: Path) -> None:
    given = options(overrides)
    with Path(given["log"]).open("a") as file:
        file.write(f"encoders {given['data.split']} {given['seed_everything']}\n")
    if given.get("encoders") == given["data.split"]:
        raise RuntimeError("the encoders' loss is NaN")
    (out / "embeddings").mkdir()
    (out / "embeddings" / "embeddings.json").write_text(json.dumps({"seed": given["seed_everything"]}))
