"""What each arm keeps when modalities are missing: every pattern of offered modalities, beside its ceiling.

What is lost is told as in `mhdiff.evaluate.lost`: gap, drop, irreducible_drop and excess_drop.

The ceiling is the exact posterior of a known-answer cohort on the arm's own patients. All are paired: a replicate
takes the same patients for the arm, the ceiling and both patterns, and the mean over the arm's seeds. Differences
between arms are those of `mhdiff.ablate.differences`, pattern by pattern, on the same resamples. Figures that need no
threshold are told, and those of the rare classes apart (`mhdiff.ablate.rare`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mhdiff.ablate.config import Ablation
from mhdiff.ablate.differences import differences
from mhdiff.ablate.pool import Pooled
from mhdiff.ablate.rare import Rare
from mhdiff.evaluate.bootstrap import Resamples, Result, bootstrap
from mhdiff.evaluate.lost import losses
from mhdiff.evaluate.metrics import OVERALL, THRESHOLDED, undefined_reasons
from mhdiff.evaluate.predictions import Scored

METRICS = tuple(metric for metric in OVERALL if metric not in THRESHOLDED)


@dataclass(frozen=True)
class Figures:
    """What is known of the arms under one pattern.

    Args:
        pools: By arm, its predictions.
        results: By arm that has some, its figures and their replicates.
        seeds: By "arm|seed", the figures of one seed, the mean over its repetitions.
        ceilings: By arm, those of the exact posterior of its patients, or why there are none.
    """

    pools: dict[str, Pooled]
    results: dict[str, Result]
    seeds: dict[str, Result]
    ceilings: dict[str, Result | str]

    @classmethod
    def of(
        cls,
        ablation: Ablation,
        pools: dict[str, Pooled],
        exact: Mapping[str, Scored | str],
        resamples: Resamples,
        rare: Rare,
    ) -> Figures:
        """Compute the figures of all arms on the same resamples.

        Args:
            ablation: Knows the arms' seeds.
            pools: By arm, its predictions. Arms on different patients are resampled together and never paired.
            exact: By arm, the exact posteriors of its patients.
            resamples: The draws of patients.
            rare: The rare classes.
        """
        results = bootstrap(
            {arm: pooled.runs for arm, pooled in pools.items() if pooled.runs}, resamples, accelerated=True
        )
        single = {
            f"{arm}|{seed}": sets
            for arm, pooled in pools.items()
            if pooled.runs
            for seed, sets in zip(ablation.seeds_of(arm), pooled.by_seed, strict=True)
        }
        seeds = bootstrap(single, Resamples(resamples.subjects, 0, 0))
        # Arms of the same patients have the same ceiling, which is computed once.
        same = {
            arm: f"{hash(scored.samples.tobytes())}|{hash(scored.probabilities.tobytes())}"
            for arm, scored in exact.items()
            if isinstance(scored, Scored)
        }
        once = {same[arm]: [scored] for arm, scored in exact.items() if isinstance(scored, Scored)}
        best = {
            key: rare.added(result) for key, result in bootstrap(once, resamples, accelerated=True).items()
        }
        return cls(
            pools,
            {arm: rare.added(result) for arm, result in results.items()},
            {name: rare.added(result) for name, result in seeds.items()},
            {arm: best[same[arm]] if isinstance(scored, Scored) else scored for arm, scored in exact.items()},
        )


def describe_patterns(
    ablation: Ablation, names: Sequence[str], figures: Mapping[str | None, Figures], rare: Rare
) -> dict[str, Any]:
    """Write every pattern's figures and differences.

    Args:
        ablation: What was run.
        names: The patterns, the fullest first.
        figures: By pattern, what is known of the arms.
        rare: The rare classes.

    Returns:
        By pattern {arms, differences}. An arm has n, n_subjects, metrics, ceiling, gap, drop, irreducible_drop and
        excess_drop, each by metric; None where it does not apply, with `ceiling_reason`, `drop_reason` or `reason`.
    """
    metrics = (*METRICS, *rare.metrics)
    document: dict[str, Any] = {}
    for name in names:
        here = figures[name]
        rows, _ = differences(ablation, here.pools, here.results, here.seeds, rare.classes, metrics, rare)
        arms = {arm: _describe(arm, name, names[0], figures, rare, metrics) for arm in ablation.arms}
        document[name] = {"arms": arms, "differences": rows}
    return document


def _describe(
    arm: str,
    name: str,
    fullest: str,
    figures: Mapping[str | None, Figures],
    rare: Rare,
    metrics: Sequence[str],
) -> dict[str, Any]:
    here, full = figures[name], figures[fullest]
    pooled, parts = here.pools[arm], ("ceiling", "gap", "drop", "irreducible_drop", "excess_drop")
    document: dict[str, Any] = {"n": 0, "n_subjects": 0, "metrics": None, **dict.fromkeys(parts)}
    if not pooled.runs:
        return document | {"reason": pooled.reason}
    scored, result, best = pooled.runs[0], here.results[arm], here.ceilings[arm]
    why = "; ".join(undefined_reasons(scored, rare.classes).values())

    def told(result: Result) -> dict[str, Any]:
        return {metric: result.overall(metric, why) for metric in metrics}

    document |= {"n": len(scored.samples), "n_subjects": len(np.unique(scored.subjects))}
    document["metrics"] = told(result)
    if isinstance(best, str):
        document["ceiling_reason"] = best
    else:
        document["ceiling"] = told(best)
    whole = None
    if name != fullest:
        other = full.pools[arm]
        if other.runs and np.array_equal(other.runs[0].samples, scored.samples):
            whole = full.results[arm]
        else:
            document["drop_reason"] = f"'{name}' and '{fullest}' were not predicted for the same samples"
    ceilings = (c if isinstance(c, Result) else None for c in (best, full.ceilings.get(arm)))
    return document | {what: told(lost) for what, lost in losses(result, whole, *ceilings).items()}
