"""What `mhdiff ablate` says of every pattern of offered modalities: a line for each arm and each difference."""

from __future__ import annotations

from typing import Any

from mhdiff.commands.figures import with_interval


def pattern_lines(document: dict[str, Any], metric: str = "auroc") -> list[str]:
    """Write the patterns as text: under each its ceiling, then the arms, then what differs between them.

    Args:
        document: ablation.json.
        metric: Which metric to show.
    """
    from mhdiff.ablate.rare import COMMON, RARE

    kinds = {
        kind: next(name for name, own in names.items() if own == metric)
        for kind, names in (("rare", RARE), ("common", COMMON))
        if metric in names.values()
    }
    lines = [
        f"\nby what is offered: {metric}; gap: below the ceiling; drop: lost against the fullest; "
        "beyond: more than the ceiling loses"
    ]
    for name, pattern in document["patterns"].items():
        arms = {arm: row for arm, row in pattern["arms"].items() if row["metrics"] is not None}
        first = next(iter(arms.values()), None)
        lines.append(f"{name}{_ceiling(first, metric)}")
        width = max(map(len, pattern["arms"]))
        for arm, row in pattern["arms"].items():
            told = (
                f"undefined ({row['reason']})"
                if row["metrics"] is None
                else with_interval(row["metrics"][metric])
            )
            for key, label in (("gap", "gap"), ("drop", "drop"), ("excess_drop", "beyond")):
                told += f"  {label} {with_interval(row[key][metric], signed=True)}" if row[key] else ""
            for kind, mean in kinds.items():
                if row["metrics"] is not None and mean in row["metrics"]:
                    told += f"  {kind} {with_interval(row['metrics'][mean])}"
            lines.append(f"  {arm:<{width}}  {told}")
        for row in pattern["differences"]:
            if row["metric"] in (metric, *kinds.values()):
                which = next((f", {kind}" for kind, figure in kinds.items() if figure == row["metric"]), "")
                lines.append(f"  {row['arm']} - {row['reference']}{which}: {with_interval(row, signed=True)}")
    if document["rare"]:
        found = [f"{name} (n+ {n})" for name, n in document["rare"]["n_positive"].items()]
        lines.append("rare classes: " + (", ".join(found) or str(document["rare"].get("reason"))))
    return lines


def _ceiling(row: dict[str, Any] | None, metric: str) -> str:
    """Write what the first arm's patients allow: the ceiling, and what it loses itself."""
    if row is None or row["ceiling"] is None:
        return ""
    told = f"  ceiling {with_interval(row['ceiling'][metric])}"
    if row["irreducible_drop"] is not None:
        told += f", drop {with_interval(row['irreducible_drop'][metric], signed=True)}"
    return told
