"""Holm's adjustment over the families of an ablation's tests (`mhdiff.evaluate.holm`).

A family is all planned comparisons on one metric: the pairs of arms on the pattern that is compared first; pairs times
patterns in the table of patterns; pairs times classes in that of classes. Tests over folds and ranks among draws are
two families, since they ask different things. A comparison that could not be made still counts. With k draws no rank is
below 1 / (k + 1), so the best of m ranks can only pass at .05 with 20 m - 1 draws or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mhdiff.evaluate.holm import holm


def adjust(rows: Sequence[dict[str, Any]]) -> int:
    """Put adjusted p-values into rows: `p_holm` beside the p over folds, `rank_p_holm` beside the rank's.

    Args:
        rows: All rows of a table; those of one metric are one family. They are changed in place.

    Returns:
        How many comparisons the largest family has.
    """
    metrics = dict.fromkeys(row["metric"] for row in rows)
    sizes = [0]
    for metric in metrics:
        own = [row for row in rows if row["metric"] == metric]
        sizes.append(len(own))
        tested = {str(i): row["folds"]["p"] for i, row in enumerate(own) if row.get("folds") is not None}
        for i, p in holm(tested).items():
            own[int(i)]["folds"]["p_holm"] = p
        ranked = {str(i): row["rank_p"] for i, row in enumerate(own) if "rank_p" in row}
        for i, p in holm(ranked).items():
            own[int(i)]["rank_p_holm"] = p
    return max(sizes)
