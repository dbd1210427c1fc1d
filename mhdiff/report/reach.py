"""What an ablation could show at its size: the half-width to expect of an interval, beside the one that was found."""

from __future__ import annotations

from mhdiff.report.answers import METRIC
from mhdiff.report.arms import pair
from mhdiff.report.documents import Document
from mhdiff.report.roles import compared, main_arm
from mhdiff.report.table import Cell, Table
from mhdiff.report.text import NONE, count, number, words

FOUND = 1.43  # half-widths that a true difference must exceed to be found with a power of .8


def first_pair(ablation: Document) -> str:
    """Name the comparison that a report is about: the main arm's first.

    Args:
        ablation: ablation.json.
    """
    rows, main = compared(ablation, METRIC), main_arm(ablation)
    own = [d for d in rows if main in (d["arm"], d["reference"])] or rows
    return pair(own[0]) if own else ""


def power(ablation: Document) -> Table | None:
    """The half-widths by class; None for an ablation of an earlier version, or where every arm failed.

    Args:
        ablation: ablation.json.
    """
    expected = ablation.get("power")
    if not expected:
        return None
    told = first_pair(ablation)
    rows_of = compared(ablation, METRIC, ablation.get("differences_per_class") or [])
    seen = {d["class"]: d for d in rows_of if pair(d) == told}
    rows: list[list[str | Cell]] = []
    for name, row in expected["half_width"].items():
        found, least = seen.get(name, {}), row["difference"]
        rows.append(
            [
                words(name),
                count(row["n_positive"]),
                count(row["n_negative"]),
                number(row["auroc"]),
                number(least),
                _half(found.get("low"), found.get("high")),
                NONE if least is None else number(FOUND * least),
            ]
        )
    assumed = expected["assumed"]
    heads = ("Class", "n+", "n\N{MINUS SIGN}", "\N{PLUS-MINUS SIGN} of an AUROC", "\N{PLUS-MINUS SIGN} of a difference",
             f"\N{PLUS-MINUS SIGN} found ({told})", "Shown with a power of .8")  # fmt: skip
    return Table(
        "power",
        f"Half-widths of intervals to expect at these numbers of patients (AUROC {number(assumed['auroc'], 2)}, "
        "correlation of "
        f"two models {number(assumed['correlation'], 2)}), the one that was found, and the true difference that "
        "would be "
        "found in four studies of five. The luck of a null's draw comes on top of what was expected.",
        heads,
        rows,
        heads[1:],
    )


def _half(low: float | None, high: float | None) -> str:
    return NONE if low is None or high is None else number((high - low) / 2)
