"""Paired differences between arms, on the same resamples of patients; for a drawn null with the luck of the draw.

Beside the interval over patients stand the test over folds (`folds`) and the rank among draws (`rank_p`), each adjusted
over its family by whoever knows the family (`mhdiff.ablate.families`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mhdiff.ablate.config import Ablation
from mhdiff.ablate.draws import is_drawn, rank, widen
from mhdiff.ablate.folds import NOTHING, fold_figures, over_folds
from mhdiff.ablate.pool import Pooled
from mhdiff.ablate.rare import Rare
from mhdiff.evaluate.bootstrap import Result
from mhdiff.evaluate.compare import reason_for, refuse_different_patients
from mhdiff.evaluate.metrics import LOWER_IS_BETTER, OVERALL, PER_CLASS, undefined_reasons
from ontology.errors import InputError


def differences(
    ablation: Ablation,
    arms: Mapping[str, Pooled],
    results: Mapping[str, Result],
    seeds: Mapping[str, Result],
    classes: Sequence[str],
    metrics: Sequence[str] = OVERALL,
    rare: Rare | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Compare pairs of arms on the same resamples: arm minus reference.

    Args:
        ablation: Says which pairs, and which arms are drawn.
        arms: The pooled predictions.
        results: By arm, its figures and their replicates.
        seeds: By "arm|seed", the figures of one seed, the mean over its repetitions.
        classes: Names of the classes.
        metrics: Which overall metrics.
        rare: The rare classes, where their figures are among the metrics.

    Returns:
        One row for each pair and overall metric, with the test over its folds as `folds`, and one for each pair, class
        and metric of a class. A pair that cannot be compared has all of its rows, with the reason.
    """
    overall: list[dict[str, Any]] = []
    by_class: list[dict[str, Any]] = []
    folds = {arm: fold_figures(pooled, rare) for arm, pooled in arms.items()}
    for name, reference in ablation.comparisons():
        head: dict[str, Any] = {"arm": name, "reference": reference}
        reason = arms[name].reason or arms[reference].reason
        if not reason:
            try:
                refuse_different_patients(arms[name].runs[0], arms[reference].runs[0], (name, reference))
            except InputError as error:
                reason = str(error)
        drawn = [a for a in (reference, name) if is_drawn(ablation.arms[a])]
        null = drawn[0] if drawn else None
        if reason:
            nothing = {"value": None, "low": None, "high": None, "undefined": 0, "n": 0, "reason": reason}
            nothing |= {"rank_p": None} if drawn == [reference] else {}  # planned, so it counts in its family
            overall += [
                head | {"metric": metric} | nothing | {"folds": NOTHING | {"reason": reason}}
                for metric in metrics
            ]
            by_class += [
                head | {"class": label, "metric": metric} | nothing | {"n_positive": None}
                for label in classes
                for metric in PER_CLASS
            ]
            continue
        scored, result = arms[name].runs[0], results[name] - results[reference]
        absent, size = undefined_reasons(scored, classes), {"n": len(scored.samples)}
        untuned = arms[name].untuned | arms[reference].untuned
        draws = [seeds[f"{null}|{seed}"].point for seed in ablation.seeds_of(null)] if null else []
        # A null has no rank to speak of among the draws of another one.
        ranked = results[name].point if drawn == [reference] else None
        for metric in metrics:
            figure = result.overall(metric, reason_for(metric, absent, untuned))
            if null:
                values = [float(point.overall[metric][0]) for point in draws]
                figure = widen(figure, values)
                if ranked:
                    real = float(ranked.overall[metric][0])
                    figure |= rank(real, values, lower_is_better=metric in LOWER_IS_BETTER)
            tested = over_folds(folds[name], folds[reference], metric, arms[name].sizes)
            overall.append(head | {"metric": metric} | figure | size | {"folds": tested})
        for i, label in enumerate(classes):
            n = {"n_positive": int((scored.labels == i).sum())}
            for metric in PER_CLASS:
                figure = result.per_class(metric, i, absent.get(label, "") or untuned.get(label, ""))
                if null:
                    values = [float(point.per_class[metric][0, i]) for point in draws]
                    figure = widen(figure, values)
                    if ranked:
                        figure |= rank(float(ranked.per_class[metric][0, i]), values)
                by_class.append(head | {"class": label, "metric": metric} | figure | size | n)
    return overall, by_class
