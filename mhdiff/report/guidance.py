"""Everything that a report says of an ablation, on its own page or beside a run."""

from __future__ import annotations

from typing import Any

from mhdiff.report import arms, controls, reach
from mhdiff.report.answers import answers, rivals
from mhdiff.report.arms_by_pattern import by_pattern, rare
from mhdiff.report.by_frequency import by_frequency
from mhdiff.report.class_differences import by_class
from mhdiff.report.documents import Document
from mhdiff.report.results import level, offered
from mhdiff.report.roles import is_null, main_arm
from mhdiff.report.table import Cell, Table
from mhdiff.report.text import count, duration, listed, plural, words


def describe(ablation: Document | None) -> dict[str, Any] | None:
    """Everything that a report says of an ablation.

    Args:
        ablation: ablation.json.
    """
    if ablation is None:
        return None
    cells = ablation.get("cells") or []
    failed = [c for c in cells if c.get("status") == "failed"]
    shown, higher = rivals(ablation)
    nulls = [n for n, a in ablation["arms"].items() if is_null(n, a)]
    return {
        "name": ablation.get("name", ""),
        "main": words(main_arm(ablation)),
        "reference": words(ablation["reference"]),
        "answers": answers(ablation),
        "better": shown,
        "higher": higher,
        "arms": arms.arms(ablation),
        "differences": arms.differences(ablation),
        "certainty": arms.certainty(ablation),
        "other_metrics": arms.other_metrics(ablation),
        "power": reach.power(ablation),
        "by_class": by_class(ablation),
        "rare": rare(ablation),
        "by_frequency": by_frequency(ablation),
        "controls": controls.controls(ablation),
        "channels": controls.channels(ablation),
        "by_pattern": by_pattern(ablation),
        "table": arms.every_metric(ablation),
        "cost": cost(ablation),
        "design": _design(ablation, len(failed)),
        "caveats": _caveats(ablation, nulls),
        "failures": [
            {
                "place": f"{words(c['arm'])}, {_fold(c, ablation)}seed {c['seed']}",
                "message": c.get("message") or "",
            }
            for c in failed
        ],
        "level": level(ablation),
        "nulls": listed(list(map(words, nulls))) if nulls else "",
    }


def _design(ablation: Document, failed: int) -> list[str]:
    cells, seeds = ablation.get("cells") or [], ablation.get("seeds") or []
    folds: int | None = ablation.get("folds")
    repeats = ablation.get("repeats") or 1  # an earlier version wrote none
    dealt = f", dealt {repeats} times" if repeats > 1 else ""
    seconds = [c["seconds"] for c in cells if c.get("seconds") is not None]
    design = [
        f"{plural(folds, 'patient-grouped fold')}{dealt}, out-of-fold predictions pooled"
        if folds
        else "the configuration's own split",
        f"{plural(len(seeds), 'seed')} ({', '.join(map(str, seeds))})",
        f"{plural(len(cells), 'training')}, {failed} failed",
    ]
    if seconds:
        design.append(f"{duration(sum(seconds))} of training in all")
    if ablation.get("pattern"):
        design.append(f"{offered(ablation['pattern'])} offered")
    return design


def _caveats(ablation: Document, nulls: list[str]) -> list[str]:
    seeds = ablation.get("seeds") or []
    found = [
        f"Intervals resample patients ({count(ablation.get('replicates'))} times), the same for all arms, "
        "and are not corrected for the number of comparisons."
    ]
    if len(seeds) == 1:
        found.append("With one seed, what varies from training to training is not in the intervals.")
    if nulls:
        drawn = [len(ablation["arms"][name].get("seeds") or seeds) for name in nulls]
        many = plural(max(drawn), "draw")
        spread = many if min(drawn) == max(drawn) else f"{min(drawn)} to {many}"
        found.append(f"A null arm is one random draw a seed: {spread} of each here.")
    sizes = {a["parameters"] for a in ablation["arms"].values() if a.get("parameters") is not None}
    if len(sizes) > 1:
        found.append(
            f"The arms differ in size ({count(min(sizes))} to {count(max(sizes))} parameters)"
            + (": compare a guided arm with its null arm of the same size." if nulls else ".")
        )
    return found


def cost(ablation: Document) -> Table:
    """Parameters, trainings, time and, where it was written down, memory of every arm.

    Args:
        ablation: ablation.json.
    """
    cells = ablation.get("cells") or []
    longest = max([1e-9, *(arm.get("seconds") or 0.0 for arm in ablation["arms"].values())])
    rows: list[list[str | Cell]] = []
    for name, arm in ablation["arms"].items():
        own = [c for c in cells if c["arm"] == name]
        timed = [c["seconds"] for c in own if c.get("seconds") is not None]
        failed = sum(c.get("status") == "failed" for c in own)
        most = max([c["peak_mib"] for c in own if c.get("peak_mib") is not None], default=None)
        rows.append(
            [
                words(name),
                count(arm.get("parameters")),
                f"{len(own)}, {failed} failed" if failed else count(len(own)),
                duration(sum(timed) / len(timed)) if timed else duration(None),
                Cell(
                    duration(arm.get("seconds")), meter=round(100 * (arm.get("seconds") or 0.0) / longest, 2)
                ),
                "" if most is None else f"{count(round(most))} MiB",
            ]
        )
    heads = ("Arm", "Parameters", "Trainings", "Time of one", "Time of all", "Peak memory")
    kept = range(6) if any(str(row[5]) for row in rows) else range(5)
    caption = (
        "What each arm took to train: trained parameters, and wall time on the machines that trained it."
    )
    return Table(
        "cost-arms",
        caption,
        tuple(heads[i] for i in kept),
        [[row[i] for i in kept] for row in rows],
        heads[1:],
        whole=True,
    )


def _fold(cell: Document, ablation: Document) -> str:
    parts = (("repetition", "repeat", "repeats"), ("fold", "fold", "folds"))
    return "".join(
        f"{what} {cell[key] + 1} of {ablation.get(many)}, "
        for what, key, many in parts
        if cell.get(key) is not None
    )
