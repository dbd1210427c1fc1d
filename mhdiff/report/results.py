"""What was found: the headline, and the figures of metrics.json as rows on common axes."""

from __future__ import annotations

from typing import Any

from mhdiff.report.collect import Document, Sources
from mhdiff.report.figures import Forest, Row, score_axis
from mhdiff.report.text import (
    HEADLINE,
    METRICS,
    count,
    figure,
    number,
    percent,
    plural,
    signed_figure,
    span,
    words,
)

BY_CLASS = ("auroc", "auprc", "f1", "sensitivity", "specificity")
EMPTY = "none"  # the pattern in which nothing is offered


def level(document: Document) -> str:
    """Write the level of the intervals, such as "95%".

    Args:
        document: metrics.json or ablation.json.
    """
    return f"{100 * document['level']:.0f}%" if document.get("level") else ""


def fullest(metrics: Document) -> tuple[str, Document]:
    """Give the pattern in which most is offered; metrics.json lists it first.

    Args:
        metrics: metrics.json.
    """
    return next(iter(metrics["patterns"].items()))


def offered(name: str) -> str:
    """Write a pattern's name for a person.

    Args:
        name: Such as "image+note".
    """
    return "nothing (the prior alone)" if name == EMPTY else name.replace("+", " + ")


def headline(found: Sources) -> str:
    """Say in one sentence what was found.

    Args:
        found: What the report is made from.
    """
    metrics = found.metrics
    name, full = fullest(metrics)
    who = plural(metrics["n_subjects"], "held-out patient")
    if metrics["n_samples"] != metrics["n_subjects"]:
        who += f" ({plural(metrics['n_samples'], 'sample')})"
    auroc, best = full["metrics"]["auroc"], (full.get("ceiling") or {}).get("auroc")
    given = f"{offered(name)} offered"
    if auroc.get("value") is None:
        reason = auroc.get("reason") or "undefined"
        return f"On {who}, with {given}, macro AUROC could not be computed: {reason}."
    sure = f" ({level(metrics)} interval " if auroc.get("low") is not None else " ("
    sentence = f"On {who}, with {given}, the model reached a macro AUROC of {number(auroc['value'])}"
    sentence += f"{sure}{span(auroc)})"
    if best is not None and best.get("value") is not None:
        known = f"the exact posterior, which no model can beat in expectation, reaches {figure(best)}"
        return f"{sentence}; {known}."
    return f"{sentence}; how high the ceiling is on this cohort is not known."


def overall(found: Sources) -> Forest:
    """Every overall metric with everything offered, against its ceiling.

    Args:
        found: What the report is made from.
    """
    _, full = fullest(found.metrics)
    ceiling, gap = full.get("ceiling") or {}, full.get("gap") or {}
    rows = [
        Row(
            METRICS.get(name, (words(name), ""))[0],
            estimate,
            note=METRICS.get(name, ("", ""))[1],
            ceiling=ceiling.get(name),
            extra={"ceiling": figure(ceiling.get(name)), "gap": signed_figure(gap.get(name))}
            if ceiling
            else {},
        )
        for name, estimate in full["metrics"].items()
        if name in METRICS  # all of them between 0 and 1 or 2, unlike a slope
    ]
    axis = score_axis([e for row in rows for e in (row.estimate, row.ceiling)], start=0.0, chance=False)
    columns = ("value", "ceiling", "ceiling \N{MINUS SIGN} model") if ceiling else ("value",)
    return Forest(axis, rows, columns=columns)


def patterns(found: Sources) -> Forest:
    """Macro AUROC of every pattern of offered modalities.

    Args:
        found: What the report is made from.
    """
    metrics = found.metrics
    modalities = metrics.get("modalities") or []
    rows, known = [], False
    for name, pattern in metrics["patterns"].items():
        best = (pattern.get("ceiling") or {}).get("auroc")
        known = known or best is not None
        here = set(name.split("+"))
        rows.append(
            Row(
                offered(name),
                pattern["metrics"]["auroc"],
                ceiling=best,
                extra=({"ceiling": number(best.get("value"))} if best else {}) | {"n": count(pattern["n"])},
                groups=[(m, m in here) for m in modalities],
            )
        )
    axis = score_axis(e for row in rows for e in (row.estimate, row.ceiling))
    return Forest(axis, rows, columns=("AUROC", "ceiling", "n") if known else ("AUROC", "n"))


def lost_resamples(found: Sources) -> str:
    """Say in how many resamples a class was missing, so that intervals rest on the others only.

    Args:
        found: What the report is made from.
    """
    _, full = fullest(found.metrics)
    defined = [e for e in full["metrics"].values() if e.get("value") is not None]
    lost = max((e.get("undefined") or 0 for e in defined), default=0)
    if not lost:
        return ""
    where = f"{count(lost)} of {count(found.metrics.get('replicates'))} resamples"
    return f" In {where} a class was missing: intervals of macro figures rest on the others."


def pattern_table(found: Sources, spread: dict[str, str]) -> dict[str, Any]:
    """All metrics of every pattern, with what is lost against everything offered.

    Args:
        found: What the report is made from.
        spread: By pattern the spread over imputations; empty where nothing was imputed.
    """
    names = [name for name in HEADLINE if name in fullest(found.metrics)[1]["metrics"]]
    rows = []
    for name, pattern in found.metrics["patterns"].items():
        drop, least, own = (pattern.get(f"{kind}drop") for kind in ("", "irreducible_", "excess_"))
        rows.append(
            {
                "name": offered(name),
                "n": count(pattern["n"]),
                "figures": [figure(pattern["metrics"].get(m)) for m in names],
                "drop": figure(drop["auroc"], sign=True) if drop else pattern.get("drop_reason", ""),
                "least": figure(least["auroc"], sign=True) if least else "",
                "own": figure(own["auroc"], sign=True) if own else "",
                "spread": spread.get(name, ""),
            }
        )
    return {
        "metrics": [METRICS.get(m, (words(m), ""))[0] for m in names],
        "rows": rows,
        "least": any(row["least"] for row in rows),
        "spread": bool(spread),
    }


def classes(found: Sources) -> dict[str, Any]:
    """AUROC of each class, and its other figures as a table.

    Args:
        found: What the report is made from.
    """
    _, full = fullest(found.metrics)
    prevalence = found.metrics.get("prevalence") or {}
    rows, table = [], []
    for name, row in full["per_class"].items():
        note = f"n+ {count(row['n_positive'])}, {percent(prevalence.get(name), 1)} of samples"
        lost = row["auroc"].get("undefined")
        if lost and row["auroc"].get("value") is not None:
            note += f"; undefined in {count(lost)} of {count(found.metrics.get('replicates'))} resamples"
        rows.append(Row(words(name), row["auroc"], note=note))
        table.append(
            {
                "name": words(name),
                "n": count(row["n_positive"]),
                "threshold": number(row.get("threshold")),
                "figures": [figure(row.get(m)) for m in BY_CLASS],
            }
        )
    return {"forest": Forest(score_axis(r.estimate for r in rows), rows, columns=("AUROC",)), "table": table}
