"""A made-up run folder with everything that a report reads, written by the code that writes real ones."""

import base64
import copy
import functools
import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import yaml
from PIL import Image

from mhdiff.ablate import Ablation
from mhdiff.ablate.cells import Cell
from mhdiff.ablate.summary import summarise_ablation
from mhdiff.evaluate.against import compare
from mhdiff.evaluate.corrupted import summarise_corruptions
from mhdiff.evaluate.latents import Counterparts, between, compare_draws, judge
from mhdiff.evaluate.privacy import membership, proximity
from mhdiff.evaluate.stored import About, Stored
from mhdiff.evaluate.summary import summarise
from mhdiff.explain.explanation import (
    CodeValue,
    ConceptEvidence,
    Explanation,
    ImageView,
    LabValue,
    ModalityShare,
    OntologyPath,
    PathStep,
)
from mhdiff.explain.way import WayTaken
from mhdiff.explain.words import Word

CLASSES = ["no_pneumonia", "bacterial", "viral"]
MODALITIES = ["image", "note", "labs"]
PATTERNS = ["image+note+labs", "image+note", "image+labs", "note+labs", "image", "note", "labs"]
NOTE = "Fever and <script>alert('x')</script> productive cough.\nNo rigors & no travel."
HASH = {"ontology": "0a" * 32, "cohort": "0c" * 32}


def predictions(n=160, strength=1.5, seed=0, patterns=tuple(PATTERNS), labels=None):
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size=n, p=[0.5, 0.35, 0.15]) if labels is None else labels
    noise = rng.normal(size=(n, 3))
    frames = []
    for pattern in patterns:
        power = strength * (1 + pattern.count("+")) / 3
        logits = power * np.eye(3)[labels] + noise
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        frames.append(
            pl.DataFrame(
                {
                    "sample_id": np.arange(n),
                    "subject_id": np.arange(n) + 1000,
                    "site": np.where(np.arange(n) % 4 == 0, "a", "b"),
                    "sex": np.where(np.arange(n) % 5 < 2, "F", "M"),
                    "age": np.where(np.arange(n) % 3 < 2, 70, 30),
                    "present": PATTERNS[0],
                    "split": np.where(np.arange(n) % 3 == 0, "tuning", "held_out"),
                    "pattern": pattern,
                    "label": labels,
                }
                | {f"p_{c}": p[:, c] for c in range(3)}
                | {"spread": 0.02 * (2 - pattern.count("+")) * rng.random(n)}
            )
        )
    return pl.concat(frames)


def ablation(failing="", patterns=("image+note+labs", "note+labs")):
    """Four arms on the same patients under two patterns; `failing` has a training that failed."""
    return copy.deepcopy(_ablation(failing, patterns))


@functools.cache
def _ablation(failing, patterns):
    plan = Ablation(
        base="demo.yaml",
        arms={
            "none": ("--model.guidance=mhdiff.guidance.NoGuidance",),
            "linked": ("--model.guidance=mhdiff.guidance.Linked",),
            "message_passing": (),
            "permuted": ("--data.null=permuted", "--data.null_seed={seed}"),
        },
        reference="none",
        contrasts=(("message_passing", "permuted"),),
        folds=2,
        replicates=60,
        name="demo",
        rare=("viral",),
    )
    strength = {"none": 0.8, "linked": 0.85, "message_passing": 2.6, "permuted": 0.8}
    cells, frames, records, failures = [], {}, {}, {}
    labels = np.random.default_rng(5).choice(3, size=150)
    for arm, overrides in plan.arms.items():
        whole = predictions(150, strength[arm], 9, patterns, labels)
        for fold in range(2):
            key = f"{arm}{fold}"
            cells.append(Cell(arm, fold, 1, ("--data.cohort=C", *overrides), key))
            records[key] = {"parameters": 1000 + len(arm), "seconds": 12.5, "classes": CLASSES}
            if arm == failing and fold == 1:
                failures[key] = "the loss is NaN"
                continue
            held_out = pl.col("sample_id") % 2 == fold
            split = pl.when(held_out).then(pl.lit("held_out")).otherwise(pl.lit("tuning"))
            # A third of the other fold tunes; the rest was trained on and is not predicted.
            frames[key] = whole.with_columns(split=split).filter(held_out | (pl.col("sample_id") % 3 == 0))
    return summarise_ablation(plan, cells, predictions=frames, records=records, failures=failures)


def explanation():
    picture = io.BytesIO()
    shades = (255 * np.add.outer(np.linspace(0, 1, 48), np.linspace(0, 1, 48)) / 2).astype(np.uint8)
    Image.fromarray(shades).save(picture, "PNG")
    png = base64.b64encode(picture.getvalue()).decode()
    words = []
    for text, value in (("Fever", 0.4), ("script", -0.3), ("productive", 0.1), ("cough", 0.31), ("No", -0.2)):
        start = NOTE.index(text)
        words.append(Word(text, start, start + len(text), value, True))
    words.append(Word("travel", NOTE.index("travel"), NOTE.index("travel") + 6, 0.0, False))
    step = [
        PathStep("Productive cough (finding)", "finding site", "Lung structure (body structure)", True),
        PathStep(
            "Lung structure (body structure)", "finding site", "Consolidation of lung (disorder)", False
        ),
    ]
    return Explanation(
        sample_id=14,
        subject_id=1014,
        label="bacterial",
        predicted="viral",
        probabilities={"no_pneumonia": 0.2, "bacterial": 0.35, "viral": 0.45},
        way=WayTaken("imputation", 1.3, None, 8, 8, "shared", 0, 0.04),
        posterior={"no_pneumonia": 0.05, "bacterial": 0.8, "viral": 0.15},
        modalities=[
            ModalityShare("image", True, 0.31, 0.1, 0.2, 0.11),
            ModalityShare("note", True, -0.12, -0.04, -0.02, -0.1),
            ModalityShare("labs", False, 0.0, 0.0, 0.0, 0.0),
        ],
        completeness_gap=0.0013,
        difference=0.19,
        words=words,
        note=NOTE,
        labs=[
            LabValue("LOINC/6690-2//10*9/L", "Leukocyte count", 17.2, "10*9/L", 4.0, 11.0, "high", 0.04),
            LabValue("LOINC/1988-5//mg/L", "C-reactive protein", 3.0, "mg/L", None, 5.0, "normal", -0.001),
            LabValue("LOINC/2951-2//mmol/L", "Sodium", 128.0, "mmol/L", 135.0, 145.0, "low", None),
        ],
        codes=[CodeValue("ICD10/J18.9", "Pneumonia, unspecified (not seen in training)", None)],
        concepts=[
            ConceptEvidence(9919999001101, "Productive cough (finding)", "note", "present", 1.0, 0.09, "NOTE",
                            "productive cough", 39, 55),
            ConceptEvidence(9929999001107, "Rigor (finding)", "note", "absent", 1.0, -0.02, "NOTE", "rigors",
                            60, 66),
        ],
        paths=[
            OntologyPath("Productive cough (finding)", "Consolidation of lung (disorder)", "note", "image",
                         0.4, 0.22, step),
            OntologyPath("Fever (finding)", "Fever (finding)", "note", "labs", 0.3, -0.1, []),
        ],
        image=ImageView(png, png, 0.42, 0.07, True, "images/1014.png"),
    )  # fmt: skip


def corruptions(frame):
    """Two corruptions of the held-out records, the second of which changes none."""
    clean = frame.filter((pl.col("split") == "held_out") & (pl.col("pattern") == PATTERNS[0])).sort(
        "sample_id"
    )
    rng = np.random.default_rng(2)
    parts = []
    for name, share in (("none", 0.0), ("wrong_note:3", 0.6), ("unit_error:2", 0.0)):
        mixed = [((1 - share) * pl.col(f"p_{c}") + share / 3).alias(f"p_{c}") for c in range(3)]
        score = pl.Series("score_odd_one_out", rng.normal(2 * share, 1, clean.height))
        parts.append(
            clean.with_columns(
                *mixed,
                score,
                corruption=pl.lit(name),
                seed=pl.lit(0),
                changed=pl.lit(bool(share)),
                acts_on=pl.lit({"wrong_note:3": "note", "unit_error:2": "labs"}.get(name, "")),
            )
        )
    return summarise_corruptions(pl.concat(parts), frame, CLASSES, replicates=60)


def latents():
    """Draws of a prior that is a little off, judged as those of a run are; the last class has too few patients."""
    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1, 2], [50, 40, 6])
    real, other, made = (rng.normal(shift, 1, (96, 4)) for shift in (0.0, 0.0, 0.3))
    whose = np.arange(96)
    pairs = Counterparts(real, made, whose, labels)
    few = judge(pairs, CLASSES, replicates=60)
    effort = {"evaluations": 50, "ms_per_case": 0.42, "against": 1000}
    near = proximity(made, real, other, whose, 60, 0, (labels, labels))
    members = {n: membership(rng.normal(size=96), rng.normal(size=96), whose, whose, 60, 0)
               for n in ("log_likelihood", "nearest_draw", "typicality")}  # fmt: skip
    space = {
        "effort": effort | compare_draws(pairs, pairs, replicates=60),
        "train": few,
        "held_out": few,
        "real": between(real, other, whose, whose, 60),
        "privacy": {"compared_with": "held_out", "proximity": near, "membership": members},
    }
    return {"prior": "DiffusionPrior", "replicates": 60, "seed": 0, "spaces": {"shared": space}}


def _json(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def metrics(rare=False):
    """metrics.json with all that it can hold; `rare` has no held-out patient of the last class."""
    return copy.deepcopy(_metrics(rare))


@functools.cache
def _metrics(rare):
    frame = _frame(rare)
    best = predictions(strength=3.5, seed=3, labels=np.asarray(predictions(patterns=PATTERNS[:1])["label"]))
    found = summarise(frame, CLASSES, ceiling=best, replicates=60, modalities=MODALITIES)
    found |= {"corruptions": corruptions(frame), "latents": latents()}
    about = About("pneumonia", tuple(CLASSES), tuple(MODALITIES))
    sides = [Stored(Path(name), one, about) for name, one in (("one", frame), ("two", weaker(frame)))]
    found["against"] = {"runs/gated": compare(*sides, (about, about), ("model", "runs/gated"), replicates=60)}
    return found | {"task": "pneumonia", "held_out": "stored"}


def _frame(rare=False):
    frame = predictions()
    return frame.filter((pl.col("label") != 2) | (pl.col("split") == "tuning")) if rare else frame


def weaker(frame):
    """The same predictions, half of them the frequencies."""
    return frame.with_columns((0.5 * pl.col(f"p_{c}") + 0.5 / 3).alias(f"p_{c}") for c in range(3))


def write(root, *, rare=False, failing=""):
    """Write a whole demo below `root`: model/, ontology/, cohort/, graph/, ablation.json, stages.json."""
    run = root / "model"
    frame = _frame(rare)
    _json(run / "metrics.json", metrics(rare))
    frame.write_parquet(run / "predictions.parquet")
    facts = {"task": "pneumonia", "classes": CLASSES, "modalities": MODALITIES, "parameters": 1234567}
    facts |= {"fingerprints": HASH, "versions": {"mhdiff": "0.1.0", "torch": "2.8"}, "git": "abc123"}
    _json(
        run / "run.json",
        facts | {"finished": True, "seconds": 83.2, "best_epoch": 3, "best_tuning_loss": 0.71},
    )
    epochs = [
        {
            "epoch": float(i),
            "train/classification": 1.1 - 0.15 * i,
            "train/prior": 0.9,
            "tuning/loss": 1.0 - 0.1 * i,
        }
        for i in range(5)
    ]
    _json(run / "history.json", epochs)
    window = {
        "samples": 160,
        "events": {"image": 160, "note": 150, "labs": 140},
        "samples_with": {"image": 160, "note": 150, "labs": 140},
        "left_out": {"after prediction_time": 21},
        "measurements": {"converted": {"glucose: mmol/L to mg/dL": 17}, "impossible": {"potassium": 5}},
        "blinded": {"notes": 7, "words": {"bacterial pneumonia": 6, "viral pneumonia": 1}},
    }
    splits = {"held_out": 106, "train": 300, "tuning": 54}
    reports = {"note": {"train": {"notes": 150, "cut at max_length": 3}}}
    reports["codes"] = {"fit": {"codes": 9, "codes too seldom, rolled up": 4}}
    _json(
        run / "preprocess.json", {"window": window, "splits": splits, "reports": reports, "preprocessors": {}}
    )
    guidance = {
        "class_path": "mhdiff.guidance.MessagePassing",
        "init_args": {"conv": "torch_geometric.nn.SAGEConv"},
    }
    config = {
        "seed_everything": 1,
        "data": {n: str(root / n) for n in ("ontology", "cohort", "graph")}
        | {"null": "none", "max_concepts": 8},
        "model": {"guidance": guidance, "granularity": "concept"},
    }
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / "explanations").mkdir()
    (run / "explanations" / "14.json").write_text(explanation().to_json())
    report = {"effective_time": "20260101", "dropped": {"relationship": {"the source is unknown": 4}}}
    onto = {
        "name": "rf2",
        "fingerprint": HASH["ontology"],
        "concepts": 1075,
        "relations": 2428,
        "terms": 3130,
    }
    _json(root / "ontology" / "ontology.json", onto | {"maps": 346, "report": report})
    drawn = {
        "kind": "synthetic",
        "fingerprint": HASH["cohort"],
        "settings": {"patients": 160, "seed": 1, "signal": 1.0},
    }
    _json(root / "cohort" / "metadata" / "dataset.json", {"dataset_name": "known-answer", "mhdiff": drawn})
    modality = {"events": 150, "outcomes": {"evidence": 120, "no_mention": 30}, "samples": 150,
                "samples_with_evidence": 120, "concepts": 44,
                "top_unmapped": [{"code": "ICD10/Z99", "events": 3}]}  # fmt: skip
    graph = {
        "ontology": {"name": "rf2", "fingerprint": HASH["ontology"]},
        "cohort": {"kind": "synthetic", "fingerprint": HASH["cohort"]},
        "fingerprint": "09" * 32,
        "view": {"kind": "closure"},
        "counts": {"nodes": {"concept": 659, "observation": 450, "patient": 160, "modality": 3},
                   "edges": {"concept is_a concept": 723, "concept evidences observation": 900}},
        "tokens": {"note": {"max": 11.0}},
        "coverage": {"events": 450, "evidence_rows": 900, "modalities": {"note": modality},
                     "blinded": {"concepts": 39, "rows_dropped": 21}},
    }  # fmt: skip
    _json(root / "graph" / "graph.json", graph)
    _json(root / "ablation.json", ablation(failing))
    stages = [
        {"name": "training", "seconds": 83.2, "peak_mib": 1011.0},
        {"name": "ablation", "seconds": 240.0, "peak_mib": 900},
    ]
    _json(root / "stages.json", stages)
    return run


def write_ablation(root, document=None):
    """Write the folder of an ablation: ablation.json, plan.json, and run.json of a training."""
    folder = root / "ablation"
    document = ablation() if document is None else document
    _json(folder / "ablation.json", document | {"data": {"cohort": "0c" * 32}, "code": "0d" * 32})
    _json(folder / "plan.json", {"name": "demo", "base": "demo.yaml", "config": "mine.yaml", "encoders": []})
    facts = {"versions": {"mhdiff": "0.1.0"}, "git": "abc123", "fingerprints": HASH}
    _json(folder / "cells" / document["cells"][0]["key"] / "run.json", facts)
    return folder
