r"""How well is the label told by what is no finding about the patient? One cross-validated AUROC a shortcut and class.

A shortcut puts each sample into a group g: which modalities it has, its site, the licence of its images, or the tenth
of the training fold in which its notes' length, its date, or the number of its blinded words lies. With p_c(i) and
pi_c as in `mhdiff.evaluate.shortcut`, counted on four folds for the samples of the fifth, the score is the lift
p_c(i) / pi_c: a shortcut that says nothing has 1 everywhere, an AUROC of .5, whatever shares the folds happen to have.

Folds are whole groups of patients. Intervals are percentiles over resampled groups. A failure stops a pipeline, so it
is decided by an interval of level 1 - alpha / m, with m shortcuts times classes: alpha is the chance that any of them
is claimed for nothing. A warning asks for a look, and is decided by the 95 % interval itself, of which one in forty
lies above .5 by chance. Held-out samples lower the counts that their own groups get, so a shortcut that says nothing
falls a little below .5: what is claimed is rather too little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, Int64

from mhdiff.audit.finding import FAILURE, WARNING, Check, Finding
from mhdiff.audit.material import Material
from mhdiff.cohort.blind import MASK
from mhdiff.cohort.splits import deal
from mhdiff.evaluate.bootstrap import LEVEL, Resamples, bootstrap
from mhdiff.evaluate.predictions import Scored
from mhdiff.evaluate.shortcut import class_shares
from mhdiff.report.text import plural

TENTHS = 10
TOLD = {
    "presence": "which modalities are there",
    "site": "the site",
    "note_length": "the length of the notes",
    "calendar": "the date",
    "blinding": "the number of blinded words",
    "licence": "the licence of the images",
}


def check(material: Material) -> Check:
    """Measure every shortcut.

    Args:
        material: What is audited.
    """
    limits = material.thresholds
    columns = _columns(material)
    judged, few = _judged(material)
    rows = [row for name, frame in columns.items() for row in _measure(material, name, frame, judged)]
    m = max(1, len(rows))
    found = []
    for row in rows:
        draws = row.pop("draws")
        low = float(np.nanquantile(draws, limits.alpha / (2 * m))) if draws is not None else None
        row["low_adjusted"] = low
        row["verdict"] = "nothing"
        if low is not None and row["low"] > limits.shortcut_warn:
            failing = low > limits.shortcut_fail
            excuse = _excuse(material, row["shortcut"]) if failing else ""
            row["verdict"] = WARNING if excuse or not failing else FAILURE
    for name in columns:
        told = [row for row in rows if row["shortcut"] == name and row["verdict"] != "nothing"]
        if told:
            worst = FAILURE if any(row["verdict"] == FAILURE for row in told) else WARNING
            best = max(told, key=lambda row: row["auroc"])
            excuse = _excuse(material, name)
            parts = [
                f"AUROC {best['auroc']:.2f} ({best['low']:.2f} to {best['high']:.2f}) for '{best['class']}'"
            ]
            parts += [f"{plural(len(told) - 1, 'class', 'classes')} more"] if len(told) > 1 else []
            parts += [excuse] if excuse else []
            found.append(Finding(f"shortcut_{name}", worst, "; ".join(parts)))
    if few:
        found.append(unjudged("shortcuts", few, limits.patients))
    return Check(
        "shortcuts",
        "Does something tell the label that is no finding about the patient?",
        f"{len(columns)} shortcuts, {limits.folds} folds by patient; fails where AUROC is surely above "
        f"{limits.shortcut_fail:g} (alpha {limits.alpha:g} for all {m} figures together), warns where one interval "
        f"lies above {limits.shortcut_warn:g}",
        found,
        {"shortcuts": rows},
    )


def eligible(samples: pl.DataFrame, classes: Sequence[str], least: int) -> tuple[list[int], list[str]]:
    """Give the classes that enough patients have and enough have not, and the names of the others.

    Args:
        samples: Columns subject_id and label.
        classes: Names of the classes.
        least: How many are enough.

    Returns:
        Indices, of two classes only the second since the first says the same; names, sorted as the classes.
    """
    enough, few = [], []
    for index, name in enumerate(classes):
        with_it = samples.filter(pl.col("label") == index)["subject_id"].n_unique()
        without = samples.filter(pl.col("label") != index)["subject_id"].n_unique()
        (enough.append(index) if min(with_it, without) >= least else few.append(name))
    return (enough[1:] if len(classes) == 2 and len(enough) == 2 else enough), few


def unjudged(what: str, classes: Sequence[str], least: int) -> Finding:
    """Say of which classes something was not judged.

    Args:
        what: What was not judged.
        classes: Names of the classes.
        least: How many patients would be enough.
    """
    told = f"{what} of {', '.join(classes)}: fewer than {least} patients with the class or without it"
    return Finding("not_checked", WARNING, told)


def _judged(material: Material) -> tuple[list[int], list[str]]:
    return eligible(material.samples, material.task.classes, material.thresholds.patients)


def _columns(material: Material) -> dict[str, pl.DataFrame]:
    """Give sample_id and value of each shortcut that these samples have; numbers are dealt into tenths later."""
    samples, inputs = material.samples, material.inputs
    order = list(material.task.modalities)
    had = inputs.group_by("sample_id").agg(pl.col("modality").unique())
    patterns = {s: "+".join(m for m in order if m in own) for s, own in had.iter_rows()}
    presence = samples.select("sample_id").with_columns(
        value=pl.Series([patterns.get(s, "none") for s in samples["sample_id"]], dtype=pl.String)
    )
    text = material.notes.group_by("sample_id").agg(pl.col("text_value").str.join("\n").alias("text"))
    text = text.sort("sample_id")
    found = {
        "presence": presence,
        "site": samples.select("sample_id", value="site"),
        "note_length": text.select("sample_id", value=pl.col("text").str.len_chars().cast(pl.Float64)),
        "calendar": samples.select(
            "sample_id", value=pl.col("prediction_time").dt.epoch("s").cast(pl.Float64)
        ),
        "blinding": text.select(
            "sample_id", value=pl.col("text").str.count_matches(MASK, literal=True).cast(pl.Float64)
        ),
    }
    if (licences := _licences(material)) is not None:
        found["licence"] = licences
    return {name: frame for name, frame in found.items() if frame["value"].n_unique() > 1}


def _licences(material: Material) -> pl.DataFrame | None:
    """Which licences the images of a sample have, where an adapter wrote them beside the images."""
    known = material.table("metadata/images.parquet", ["path", "licence"])
    if known is None:
        return None
    here = material.inputs.join(known.unique("path"), left_on="text_value", right_on="path", how="inner")
    if here.is_empty():
        return None
    each = here.group_by("sample_id").agg(pl.col("licence").unique().sort().str.join(" + ").alias("value"))
    return each.sort("sample_id")


def _measure(material: Material, name: str, frame: pl.DataFrame, judged: list[int]) -> list[dict[str, Any]]:
    limits, classes = material.thresholds, material.task.classes
    rows = (
        material.samples.join(frame, on="sample_id")
        .join(material.groups, on="subject_id", how="left")
        .with_columns(pl.col("group").fill_null(pl.col("subject_id")))
        .sort("sample_id")
    )
    folds = min(limits.folds, rows["group"].n_unique())
    # Only among those who have it: whoever has no note is told by which modalities are there.
    able = set(eligible(rows, classes, limits.patients)[0])
    mine = [c for c in judged if c in able]
    if folds < 2 or not mine:
        return []
    dealt = deal(rows, folds, limits.seed)
    fold = rows.join(dealt, on="group", how="left", maintain_order="left")["fold"].to_numpy()
    labels = rows["label"].to_numpy()
    score = lifts(rows["value"], labels, fold, len(classes))
    scored = Scored(
        rows["sample_id"].to_numpy(), rows["group"].to_numpy(), labels, score, np.full_like(score, np.nan)
    )
    resamples = Resamples.of(scored.subjects, limits.replicates, limits.seed)
    result = bootstrap({name: [scored]}, resamples)[name]
    out = []
    for c in mine:
        estimate = result.per_class("auroc", c)
        draws = None if result.draws is None else result.draws.per_class["auroc"][:, c]
        own = rows.filter(pl.col("label") == c)
        out.append({
            "shortcut": name, "told": TOLD[name], "class": classes[c], "samples": rows.height,
            "with_class": own.height, "patients": rows["subject_id"].n_unique(), "values": frame["value"].n_unique(),
            "auroc": estimate["value"], "low": estimate["low"], "high": estimate["high"], "level": LEVEL,
            "draws": None if estimate["low"] is None else draws,
        })  # fmt: skip
    return out


def lifts(
    values: pl.Series, labels: Int64[np.ndarray, " n"], fold: Int64[np.ndarray, " n"], classes: int
) -> Float64[np.ndarray, "n classes"]:
    """Give p_c(i) / pi_c of each sample, counted on the folds that are not its own.

    Args:
        values: What the shortcut sees: text, or numbers that are dealt into tenths of the counted ones.
        labels: The classes.
        fold: The fold of each sample.
        classes: How many classes there are.
    """
    score = np.ones((len(labels), classes))
    for one in np.unique(fold):
        test = fold == one
        keys = _keys(values, ~test)
        p, shares = class_shares(keys[~test].tolist(), labels[~test], keys[test].tolist(), classes)
        score[test] = np.divide(p, shares, out=np.ones_like(p), where=shares > 0)
    return score


def _keys(values: pl.Series, counted: Bool[np.ndarray, " n"]) -> Any:
    """Give each sample's group: the value itself, or which tenth of the counted values it lies in."""
    if values.dtype == pl.String:
        return values.to_numpy().astype(str)
    numbers = values.to_numpy()
    edges = np.unique(np.quantile(numbers[counted], np.linspace(0, 1, TENTHS + 1)[1:-1]))
    return np.searchsorted(edges, numbers, side="right").astype(str)


def _excuse(material: Material, name: str) -> str:
    """Say why a shortcut cannot flatter a model under this split, or why it is no input; empty where it can."""
    samples = material.samples
    held, rest = (
        samples.filter(here) for here in (pl.col("split") == "held_out", pl.col("split") != "held_out")
    )
    if name == "site" and not set(held["site"]) & set(rest["site"]):
        return "the split holds out whole sites, so it cannot flatter a model"
    if name == "calendar" and held["prediction_time"].min() > rest["prediction_time"].max():  # type: ignore[operator]
        return "the split holds out what is later, so it cannot flatter a model"
    if name == "licence":
        return "no model is shown it, but where an image is from may show in its pixels"
    return ""
