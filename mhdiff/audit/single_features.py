r"""Is one feature alone nearly the label? Each code, word and laboratory value, by itself, in one sample a patient.

    code or word      AUROC = (1 + P(it is there | class) - P(it is there | another class)) / 2
    laboratory value  AUROC of the latest value, among those who have one

Whichever way round: a word whose absence tells is told of too. A feature is named if its AUROC is at least the
threshold, at least so many patients have it (no word of fewer is shown: it might be a name), and p <= alpha / m by
Fisher's exact test or Mann and Whitney's, with m all features and classes that were tried (Bonferroni): among
thousands of words some separate few patients by luck.

A patient counts once, with the first sample of their rarest class, so that nobody's samples are taken for several
people's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64
from scipy import sparse, stats

from graph_builders.collect import names_a_file
from mhdiff.audit.finding import FAILURE, Check, Finding
from mhdiff.audit.material import Material
from mhdiff.audit.shortcuts import eligible, unjudged


class Feature(NamedTuple):
    """A feature and a class: who has it, and how well it tells them apart."""

    kind: str
    name: str
    patients: int
    label: int
    auroc: float
    p: float


def check(material: Material) -> Check:
    """Look for single features that are nearly the label.

    Args:
        material: What is audited.
    """
    limits, classes = material.thresholds, material.task.classes
    people = one_a_patient(material.samples)
    judged, few = eligible(people, classes, limits.patients)
    tried = 0
    telling: list[Feature] = []
    for features, names, kind in _present(material, people):
        n, found = _binary(
            features, names, kind, people["label"].to_numpy(), judged, limits.patients, limits.feature_auroc
        )
        tried, telling = tried + n, telling + found
    n, found = _values(material, people, judged)
    tried, telling = tried + n, telling + found
    sure = sorted((f for f in telling if f.p * tried <= limits.alpha), key=lambda f: (-abs(f.auroc - 0.5), f))
    codes = {c: d for c, d in material.codes.select("code", "description").iter_rows()}
    rows: list[dict[str, Any]] = [
        {"kind": f.kind, "name": f.name, "description": codes.get(f.name) if f.kind != "word" else None,
         "class": classes[f.label], "patients": f.patients, "auroc": f.auroc, "p_adjusted": min(1.0, f.p * tried)}
        for f in sure
    ]  # fmt: skip
    findings = []
    if rows:
        shown = [f"{r['kind']} {r['name']} for '{r['class']}' {r['auroc']:.2f}" for r in rows[:5]]
        more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
        told = f"{len(rows)} with AUROC {limits.feature_auroc:g} or more either way: {'; '.join(shown)}{more}"
        findings.append(Finding("single_feature", FAILURE, told))
    if few:
        findings.append(unjudged("single features", few, limits.patients))
    return Check(
        "single_features",
        "Is one code, word or laboratory value alone nearly the label?",
        f"{people.height:,} patients; {tried:,} features times classes; AUROC {limits.feature_auroc:g} or more, "
        f"{limits.patients} patients or more, alpha {limits.alpha:g}",
        findings,
        {"features": rows},
    )


def one_a_patient(samples: pl.DataFrame) -> pl.DataFrame:
    """Give each patient's first sample of their rarest class, ascending by subject.

    Args:
        samples: Columns sample_id, subject_id and label.
    """
    counts = samples.group_by("label").agg(common=pl.col("subject_id").n_unique())
    ordered = samples.join(counts, on="label").sort("subject_id", "common", "label", "sample_id")
    return ordered.unique("subject_id", keep="first", maintain_order=True)


def _present(material: Material, people: pl.DataFrame) -> Iterator[tuple[Any, list[str], str]]:
    """Yield, for codes and for words, a sparse table of who has what, and the names of its columns."""
    row_of = {sample: row for row, sample in enumerate(people["sample_id"])}
    inputs = material.inputs.filter(pl.col("sample_id").is_in(list(row_of)))
    held = inputs.select("sample_id", "code").unique().sort("code", "sample_id")
    codes = sorted(set(held["code"]))
    column_of = {code: column for column, code in enumerate(codes)}
    rows = [row_of[s] for s in held["sample_id"]]
    columns = [column_of[c] for c in held["code"]]
    yield sparse.csc_matrix((np.ones(len(rows)), (rows, columns)), (people.height, len(codes))), codes, "code"

    from sklearn.feature_extraction.text import CountVectorizer

    notes = material.notes.filter(pl.col("sample_id").is_in(list(row_of)))
    texts = [""] * people.height
    for sample, text in notes.select("sample_id", "text_value").iter_rows():
        texts[row_of[sample]] += f"\n{text}"
    words = CountVectorizer(binary=True, token_pattern=r"(?u)\w+", min_df=material.thresholds.patients)
    try:
        table = words.fit_transform(texts).tocsc()
    except ValueError:  # no word stands in the notes of enough patients
        return
    yield table, words.get_feature_names_out().tolist(), "word"


def _binary(
    table: Any,
    names: list[str],
    kind: str,
    labels: Float64[np.ndarray, " n"],
    judged: list[int],
    least: int,
    bound: float,
) -> tuple[int, list[Feature]]:
    """Give how many features and classes were tried, and the near-perfect ones."""
    total = np.asarray(table.sum(0)).ravel()
    tried, found = 0, []
    able = (total >= least) & (total < len(labels))
    for c in judged:
        mine = labels == c
        with_it = np.asarray(table[mine].sum(0)).ravel()
        positives, negatives = int(mine.sum()), int((~mine).sum())
        auroc = (1 + with_it / positives - (total - with_it) / negatives) / 2
        tried += int(able.sum())
        for column in np.flatnonzero(able & (np.abs(auroc - 0.5) >= bound - 0.5)):
            a, b = int(with_it[column]), int(total[column] - with_it[column])
            p = float(stats.fisher_exact([[a, b], [positives - a, negatives - b]])[1])
            found.append(Feature(kind, names[column], a + b, c, float(auroc[column]), p))
    return tried, found


def _values(material: Material, people: pl.DataFrame, judged: list[int]) -> tuple[int, list[Feature]]:
    limits = material.thresholds
    numbers = (
        material.inputs.filter(pl.col("numeric_value").is_finite(), ~names_a_file())
        .join(people.select("sample_id", "label"), on="sample_id")
        .sort("code", "sample_id", "time", nulls_last=False, maintain_order=True)
        .unique(["code", "sample_id"], keep="last", maintain_order=True)
    )
    tried, found = 0, []
    for (code,), rows in numbers.group_by("code", maintain_order=True):
        values, labels = rows["numeric_value"].to_numpy(), rows["label"].to_numpy()
        for c in judged:
            mine = labels == c
            if min(mine.sum(), (~mine).sum()) < limits.patients or np.ptp(values) == 0:
                continue
            tried += 1
            auroc = _auroc(values, mine)
            if abs(auroc - 0.5) >= limits.feature_auroc - 0.5:
                p = float(stats.mannwhitneyu(values[mine], values[~mine]).pvalue)
                found.append(Feature("value", str(code), rows.height, c, auroc, p))
    return tried, found


def _auroc(values: Float64[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> float:
    from mhdiff.evaluate.delong import placements

    return float(placements(values, positive)[0].mean())
