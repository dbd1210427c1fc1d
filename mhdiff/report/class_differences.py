"""In which classes: the differences of each class's AUROC, on one axis."""

from __future__ import annotations

from typing import Any

from mhdiff.report.answers import METRIC
from mhdiff.report.arms import pair
from mhdiff.report.documents import Document
from mhdiff.report.figures import Forest, Row, difference_axis
from mhdiff.report.results import level
from mhdiff.report.roles import compared, is_null
from mhdiff.report.text import count, number, percent, probability, words


def by_class(ablation: Document) -> list[dict[str, Any]]:
    """Differences of each class's AUROC, for each guided arm's comparisons; all on one axis.

    Args:
        ablation: ablation.json.
    """
    chosen = [
        d
        for d in compared(ablation, METRIC, ablation.get("differences_per_class") or [])
        if not is_null(d["arm"], ablation["arms"][d["arm"]])
    ]
    axis = difference_axis(chosen)
    counts = [int(d["n_positive"]) for d in chosen if d.get("n_positive")]
    found = []
    for i, one in enumerate(dict.fromkeys(map(pair, chosen))):
        rows = []
        for d in (d for d in chosen if pair(d) == one):
            share = (
                f", {percent(d['n_positive'] / d['n'], 1)} of samples"
                if counts and d.get("n_positive") and d.get("n")
                else ""
            )
            tested = (
                f"; rank p {number(d['rank_p'])}"
                + (f" (Holm {probability(d['rank_p_holm'])})" if d.get("rank_p_holm") is not None else "")
                if d.get("rank_p") is not None
                else ""
            )
            rows.append(Row(words(d["class"]), d, note=f"n+ {count(d['n_positive'])}{share}{tested}"))
        forest = Forest(
            axis,
            rows,
            signed=True,
            columns=("difference",),
            id=f"classes-{i + 1}",
            caption=f"{one}: AUROC of each class, with {level(ablation)} intervals.",
            first="Class",
        )
        found.append({"pair": one, "forest": forest})
    return found
