"""What was found: the headline, and the figures of metrics.json as rows on common axes."""

from __future__ import annotations

from typing import Any

from mhdiff.report.collect import Sources
from mhdiff.report.documents import Document
from mhdiff.report.figures import Forest, Row, score_axis
from mhdiff.report.pooled import span as span_of
from mhdiff.report.pooled import who
from mhdiff.report.table import Cell, Table
from mhdiff.report.text import (
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

BY_CLASS = ("auroc", "auprc", "f1", "sensitivity", "specificity", "sensitivity_at_90")
COUNTED = {"train": "training", "tuning": "tuning", "held_out": "held-out"}
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
    patients = plural(metrics["n_subjects"], "held-out patient")
    if metrics["n_samples"] != metrics["n_subjects"]:
        patients += f" ({plural(metrics['n_samples'], 'sample')})"
    auroc, best = full["metrics"]["auroc"], (full.get("ceiling") or {}).get("auroc")
    given = f"{offered(name)} offered"
    if auroc.get("value") is None:
        reason = auroc.get("reason") or "undefined"
        return f"On {patients}, with {given}, macro AUROC could not be computed: {reason}."
    sure = f" ({level(metrics)} interval " if auroc.get("low") is not None else " ("
    sentence = (
        f"On {patients}, with {given}, {who(found.facts)} reached a macro AUROC of {number(auroc['value'])}"
    )
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
    told = "Every overall metric with everything offered; for ECE and Brier lower is better."
    return Forest(axis, rows, columns=columns, id="metrics", caption=told, first="Metric")


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
    return Forest(
        axis,
        rows,
        columns=("AUROC", "ceiling", "n") if known else ("AUROC", "n"),
        id="patterns-auroc",
        caption="Macro AUROC for every pattern of offered modalities.",
        first="Offered",
    )


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


def pattern_tables(found: Sources, spread: dict[str, str]) -> dict[str, Table]:
    """What every pattern loses against everything offered, and all of its metrics.

    Args:
        found: What the report is made from.
        spread: By pattern the spread over imputations; empty where nothing was imputed.
    """
    everything = found.metrics["patterns"]
    names = [name for name in METRICS if name in fullest(found.metrics)[1]["metrics"]]
    least = any(pattern.get("irreducible_drop") for pattern in everything.values())
    lost_rows, rows = [], []
    for name, pattern in everything.items():
        drops = [pattern.get(f"{kind}drop") for kind in ("", "irreducible_", "excess_")]
        lost = [figure(drop["auroc"], sign=True) if drop else "" for drop in drops]
        lost[0] = lost[0] or pattern.get("drop_reason", "")
        imputed = [spread.get(name, "")] if spread else []
        lost_rows.append([offered(name), count(pattern["n"]), *(lost if least else lost[:1]), *imputed])
        rows.append([offered(name), *(figure(pattern["metrics"].get(m)) for m in names)])
    caption = f"AUROC lost: everything offered minus this pattern, with {level(found.metrics)} intervals"
    caption += "; the ceiling's own loss is what no model can avoid, the model's own what it loses beyond it."
    if spread:
        caption += (
            " Spread: standard deviation over imputations of the probability that varies most, median and 90% "
            "quantile over patients."
        )
    heads = ["Offered", "n", "AUROC lost", *(["Lost by the ceiling", "The model's own"] if least else [])]
    heads += ["Spread"] if spread else []
    told = f"All metrics with {level(found.metrics)} intervals, by what was offered."
    return {
        "lost": Table("patterns-lost", caption, tuple(heads), lost_rows, ("n",)),
        "metrics": Table("patterns", told, ("Offered", *(METRICS[m][0] for m in names)), rows),
    }


def classes(found: Sources) -> dict[str, Any]:
    """AUROC of each class, its other figures as a table, and figures by how frequent classes are.

    Args:
        found: What the report is made from.
    """
    _, full = fullest(found.metrics)
    prevalence = found.metrics.get("prevalence") or {}
    rows: list[Row] = []
    table: list[list[str | Cell]] = []
    for name, row in full["per_class"].items():
        note = f"n+ {count(row['n_positive'])}, {percent(prevalence.get(name), 1)} of samples"
        lost = row["auroc"].get("undefined")
        if lost and row["auroc"].get("value") is not None:
            note += f"; undefined in {count(lost)} of {count(found.metrics.get('replicates'))} resamples"
        rows.append(Row(words(name), row["auroc"], note=note))
        figures = [figure(row.get(m)) for m in BY_CLASS]
        table.append(
            [
                words(name),
                count(row["n_positive"]),
                *figures,
                span_of(row.get("thresholds") or [row.get("threshold")]),
            ]
        )
    return {
        "forest": Forest(score_axis(r.estimate for r in rows), rows, columns=("AUROC",)),
        "table": Table(
            "classes",
            "One class against the rest. Sensitivity and specificity at the threshold that the tuning split chose; "
            "sensitivity at 90% specificity is read off the held-out ROC curve.",
            ("Class", "n+", *(METRICS[m][0] for m in BY_CLASS), "Threshold"),
            table,
            ("n+", "Threshold"),
        ),
        "frequency": _frequency(found),
    }


def _frequency(found: Sources) -> Table | None:
    bands = fullest(found.metrics)[1].get("by_frequency")
    if not bands:
        return None
    rows: list[list[str | Cell]] = []
    for band in bands:
        names = ", ".join(f"{words(name)} (n+ {count(n)})" for name, n in band["n_positive"].items())
        share = f"{percent(band['over'])} to {percent(band['up_to'])}"
        rows.append([Cell(share, names), *(figure(band.get(m)) for m in BY_CLASS)])
    counted = COUNTED[found.metrics.get("frequency_counted_in") or "train"]
    return Table(
        "class-frequency",
        f"Plain means over the classes of a band of frequency, which was counted in the {counted} samples; a band with "
        "an undefined class is undefined.",
        ("Share of samples", *(METRICS[m][0] for m in BY_CLASS)),
        rows,
    )
