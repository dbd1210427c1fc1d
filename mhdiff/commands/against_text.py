"""What `mhdiff evaluate --against` says of two runs, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mhdiff.commands.figures import with_interval

_SHOWN = ("auroc", "auprc", "brier", "ece")


def against_lines(document: Mapping[str, Any]) -> list[str]:
    """Write the paired differences: a line a pattern, a band of frequency and a class.

    Args:
        document: What `mhdiff.evaluate.against.compare` gave.
    """
    lines = [
        f"\n{document['first']} minus {document['second']}, on the same patients",
        f"{'modalities offered':28} {'AUROC':26} {'AUPRC':26} {'Brier':26} {'ECE':26} n",
    ]
    for name, row in document["patterns"].items():
        told = " ".join(f"{_signed(row['difference'][metric]):26}" for metric in _SHOWN)
        lines.append(f"{name:28} {told} {row['n']}")
    if not document["patterns"]:
        return lines
    first = next(iter(document["patterns"].values()))
    for row in first["by_frequency"]:
        who = ", ".join(f"{name} n+ {n}" for name, n in row["n_positive"].items())
        band = f"classes over {100 * row['over']:g} to {100 * row['up_to']:g}%"
        lines.append(f"  {band:26} AUROC {_signed(row['auroc'])}  {who}")
    effective = document["robustness"].get("effective")
    if effective is not None:
        lines.append(f"  effective robustness beyond it: AUROC {_signed(effective['auroc'])}")
    tested = document["delong"]["classes"]
    if tested is None:
        return [*lines, f"  DeLong's test is not for these: {document['delong']['reason']}"]
    for name, row in tested.items():
        p = f"p {row['p']:.3g}, over the classes (Holm) {row['p_holm']:.3g}" if row["p"] is not None else ""
        lines.append(f"  DeLong, {name}: {_signed(row)}  {p or row['reason']}")
    return lines


def _signed(figure: Mapping[str, Any]) -> str:
    return "undefined" if figure["value"] is None else with_interval(figure, signed=True, narrow=True)
