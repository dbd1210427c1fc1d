"""Two sets of stored predictions for the same patients, first minus second: paired differences under every pattern.

Intervals resample patients, the same ones for both, so what makes a patient hard for both cancels. Each has thresholds
from its own tuning rows. Sets for different samples, patients or labels are refused: there is nothing to pair.

DeLong's test stands beside the AUROC of each class where it is allowed (`mhdiff.evaluate.delong`): the predictions are
of one model each, fixed before these patients were seen; every patient has one sample; a class has ten or more. Its p
is adjusted over the classes (Holm). Nothing is tested over seeds, nor over resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from mhdiff.evaluate.bootstrap import LEVEL, Resamples, Result, bootstrap
from mhdiff.evaluate.class_frequency import by_frequency
from mhdiff.evaluate.compare import reason_for, refuse_different_patients
from mhdiff.evaluate.delong import delong
from mhdiff.evaluate.described import BY_FREQUENCY, describe_classes
from mhdiff.evaluate.every_metric import RESAMPLED_OVERALL, RESAMPLED_PER_CLASS, EveryMetric
from mhdiff.evaluate.holm import holm
from mhdiff.evaluate.metrics import undefined_reasons
from mhdiff.evaluate.patterns import modalities_of, order_patterns
from mhdiff.evaluate.predictions import Scored, check_predictions
from mhdiff.evaluate.robustness import curve
from mhdiff.evaluate.several import at_own_thresholds, reasons_of
from mhdiff.evaluate.stored import About, Stored
from mhdiff.evaluate.summary import INTERVAL, SPLIT
from ontology.errors import InputError

FEWEST = 10  # of a class, below which DeLong's normal approximation fails


@dataclass(frozen=True)
class _Side:
    name: str
    about: About
    scored: dict[str, Scored]
    untuned: dict[str, dict[str, str]]

    @property
    def patterns(self) -> list[str]:
        return order_patterns(self.scored, modalities_of(self.scored))


def compare(
    first: Stored,
    second: Stored,
    abouts: tuple[About, About],
    names: tuple[str, str],
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare two sets of predictions.

    Args:
        first: One.
        second: The other.
        abouts: What they are of.
        names: What they are called.
        replicates: How many resamples of patients.
        seed: Seed of the resamples.

    Returns:
        {first, second, patterns, robustness, delong}: for each pattern that both have `difference` by overall metric,
        `per_class` and `by_frequency`; where the two take different modalities, also each with all that it takes.

    Raises:
        InputError: If they are of other classes, of other patients, or share no pattern.
    """
    if abouts[0].classes != abouts[1].classes:
        raise InputError(
            f"'{names[0]}' tells {', '.join(abouts[0].classes)} apart, '{names[1]}' {', '.join(abouts[1].classes)}",
            remedy="Compare runs of one task",
        )
    classes = abouts[0].classes
    one, two = (
        _side(stored, about, name) for stored, about, name in zip((first, second), abouts, names, strict=True)
    )
    pairs = {name: (name, name) for name in one.patterns if name in two.scored}
    if one.patterns[0] != two.patterns[0]:
        pairs[f"{one.patterns[0]} against {two.patterns[0]}"] = (one.patterns[0], two.patterns[0])
    for own, other in pairs.values():
        refuse_different_patients(one.scored[own], two.scored[other], names)
    resamples = Resamples.of(one.scored[one.patterns[0]].subjects, replicates, seed)
    arms = {f"{i}|{name}": [run] for i, side in enumerate((one, two)) for name, run in side.scored.items()}
    results = bootstrap(arms, resamples, figures=partial(EveryMetric, fitted=False), accelerated=True)
    counts = abouts[0].frequency
    if counts is None:
        counts = np.bincount(one.scored[one.patterns[0]].labels, minlength=len(classes))
    absent = undefined_reasons(one.scored[one.patterns[0]], classes)

    def described(own: str, other: str) -> dict[str, Any]:
        scored, lost = one.scored[own], results[f"0|{own}"] - results[f"1|{other}"]
        untuned = one.untuned[own] | two.untuned[other]
        return {
            "n": len(scored.samples),
            "n_subjects": len(np.unique(scored.subjects)),
            "difference": {m: lost.overall(m, reason_for(m, absent, untuned)) for m in RESAMPLED_OVERALL},
            "per_class": describe_classes(lost, scored, classes, metrics=RESAMPLED_PER_CLASS),
            "by_frequency": by_frequency(lost, scored, classes, counts, metrics=BY_FREQUENCY),
        }

    return {
        "first": names[0],
        "second": names[1],
        "level": LEVEL,
        "interval": INTERVAL,
        "replicates": replicates,
        "seed": seed,
        "patterns": {name: described(*pair) for name, pair in pairs.items()},
        "robustness": _robustness(one, two, results, names[1], "; ".join(absent.values())),
        "delong": _delong(one, two, classes),
    }


def _side(stored: Stored, about: About, name: str) -> _Side:
    frame = check_predictions(stored.frame, about.classes, path=stored.path)
    scored: dict[str, Scored] = {}
    untuned: dict[str, dict[str, str]] = {}
    for (pattern,), rows in frame.group_by("pattern", maintain_order=True):
        held_out = rows.filter(pl.col("split") == SPLIT)
        if held_out.is_empty():
            continue
        tuning = rows.filter(pl.col("split") == "tuning")
        scored[str(pattern)], limits = at_own_thresholds(held_out, tuning, about.classes)
        untuned[str(pattern)] = reasons_of(limits)
    if not scored:
        raise InputError(f"'{name}' holds nobody out", path=stored.path, column="split")
    return _Side(name, about, scored, untuned)


def _robustness(
    one: _Side, two: _Side, results: Mapping[str, Result], rival: str, absent: str
) -> dict[str, Any]:
    order = list(one.about.modalities)
    if order != list(two.about.modalities):
        return {"effective": None, "effective_reason": f"'{rival}' takes other modalities"}
    of = [{name: results[f"{i}|{name}"] for name in side.scored} for i, side in enumerate((one, two))]
    found = curve(of[0], order, of[1], absent=absent)
    keys = ("effective", "effective_reason", "reason")
    return {key: found[key] for key in keys if key in found}


def _delong(one: _Side, two: _Side, classes: Sequence[str]) -> dict[str, Any]:
    own, other = one.patterns[0], two.patterns[0]
    a, b = one.scored[own], two.scored[other]
    pooled = [side.name for side in (one, two) if side.about.models != 1]
    if pooled:
        return {
            "classes": None,
            "reason": f"'{pooled[0]}' is of several models, which share training patients",
        }
    if len(np.unique(a.subjects)) < len(a.subjects):
        return {"classes": None, "reason": "patients have several samples, which are not independent"}
    found: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(classes):
        positive = a.labels == i
        few = min(int(positive.sum()), int((~positive).sum()))
        row = delong(a.probabilities[:, i], b.probabilities[:, i], positive, a.subjects)
        if few < FEWEST:
            row |= {"low": None, "high": None, "p": None}
            row["reason"] = f"{few} samples on one side: below {FEWEST} the normal approximation fails"
        found[name] = row
    adjusted = holm({name: row["p"] for name, row in found.items()})
    return {"classes": {name: row | {"p_holm": adjusted[name]} for name, row in found.items()}}
