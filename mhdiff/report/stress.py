"""How the model fares under stress: spoilt records, and what the prior draws, from metrics.json; the draws' spread."""

from __future__ import annotations

from typing import Any

import polars as pl

from mhdiff.report.collect import Sources
from mhdiff.report.documents import Document
from mhdiff.report.figures import Forest, Row, score_axis
from mhdiff.report.results import level
from mhdiff.report.table import Cell, Table
from mhdiff.report.text import NONE, count, figure, listed, number, signed_figure, words

SPACES = {"shared": "the shared latent", "modalities": "all blocks together"}
MEMBERSHIP = {
    "log_likelihood": "log-likelihood",
    "nearest_draw": "distance to the nearest draw",
    "typicality": "length alone, which is the encoders' doing",
}


def corruptions(found: Sources) -> dict[str, Any] | None:
    """What each corruption costs, and how well it is flagged.

    Args:
        found: What the report is made from.
    """
    spoilt = found.metrics.get("corruptions")
    if not spoilt:
        return None
    flags = list(dict.fromkeys(name for row in spoilt.values() for name in row["flags"]))
    rows: list[Row] = []
    table: list[list[str | Cell]] = []
    for name, row in spoilt.items():
        auroc = row["metrics"]["auroc"]
        note = f"{listed([words(m) for m in row['modalities']])}; {count(row['changed'])} of {count(row['n'])} changed"
        rows.append(
            Row(told(name), auroc, note=note, extra={"minus": signed_figure(row["difference"]["auroc"])})
        )
        figures = [figure(row["flags"].get(flag)) for flag in flags]
        table.append([told(name), signed_figure(row["difference"]["brier"]), *figures])
    columns = ("Spoilt by", "Brier minus clean", *(f"Flagged by {words(flag)}" for flag in flags))
    return {
        "forest": Forest(
            score_axis(row.estimate for row in rows),
            rows,
            columns=("AUROC", "minus clean"),
            id="spoilt-records",
            caption="Macro AUROC on spoilt records, and spoilt minus clean on the same patients.",
            first="Spoilt by",
        ),
        "table": Table(
            "spoilt-flags", "Brier score: above 0 is worse. Then the AUROC of each flag.", columns, table
        ),
    }


def told(name: str) -> str:
    """Write a corruption's name for a person.

    Args:
        name: Such as "wrong_note:3".
    """
    kind, _, severity = name.partition(":")
    return f"{words(kind)}, {severity} of 5" if severity else words(kind)


def latents(found: Sources) -> dict[str, Any] | None:
    """Distances of draws to real latents beside their floors, effort and privacy, by space.

    Args:
        found: What the report is made from.
    """
    document = found.metrics.get("latents")
    if not document:
        return None
    spaces = [
        {
            "name": SPACES.get(name, words(name)),
            "table": Table(
                f"draws-{name}",
                f"Distances of draws to latents of {SPACES.get(name, words(name))}; MMD² with "
                f"{level(found.metrics)} intervals. Between real training and held-out patients MMD² is "
                f"{figure(space['real'], digits=4)}.",
                ("To", "n", "Fréchet", "Fréchet, floor", "MMD²", "MMD², floor"),
                _distances(space),
                ("n",),
            ),
            "effort": _effort(space["effort"]),
            "privacy": _privacy(space["privacy"]),
        }
        for name, space in document["spaces"].items()
    ]
    return {"prior": document["prior"], "spaces": spaces}


def _distances(space: Document) -> list[list[str | Cell]]:
    rows: list[list[str | Cell]] = []
    for group, name in (("train", "training patients"), ("held_out", "held-out patients")):
        judged = space[group]
        for who, one in ((name, judged["pooled"]), *judged["per_class"].items()):
            head: list[str | Cell] = [who if who == name else f"{name}, {words(who)}", count(one["n"])]
            if one["mmd"] is None:
                rows.append([*head, one["reason"], NONE, NONE, NONE])
                continue
            frechet, halves = one["frechet"], one["mmd"]["halves"]
            rows.append(
                [
                    *head,
                    f"{number(frechet['value'])} (sd {number(frechet['sd'])})",
                    f"{number(frechet['floor'])} (sd {number(frechet['floor_sd'])})",
                    figure(one["mmd"], digits=4),
                    f"{number(halves['floor'], 4)} (sd {number(halves['floor_sd'], 4)})",
                ]
            )
    return rows


def _effort(effort: Document) -> str:
    if effort["mmd"] is None:
        return f"Draws by fewer evaluations could not be compared: {effort['reason']}."
    return (
        f"{count(effort['evaluations'])} evaluations ({number(effort['ms_per_case'], 2)} ms a case) minus "
        f"{count(effort['against'])}: Fréchet {number(effort['frechet']['value'])}, MMD² "
        f"{figure(effort['mmd'], digits=4)}; above 0 the fewer are worse."
    )


def _privacy(privacy: Document) -> list[tuple[str, str]]:
    near, others = privacy["proximity"], privacy.get("compared_with", "held_out").replace("_", "-")
    rows = [("Training patients are compared with", f"{others} patients")]
    rows += [("Copies of training patients among the draws", count(near["copies"]))]
    if near["share_closer_than_q05"] is None:
        rows.append(("Nearness to training patients", f"undefined: {near['reason']}"))
    else:
        closer = "Closer to a training patient than 95% of those; .05 if none is copied"
        rows.append((closer, figure(near["share_closer_than_q05"])))
        rows.append(
            ("Median distance to them over that of those; 1 if none is copied", figure(near["ratio"]))
        )
    members = privacy["membership"]
    return rows + [
        (f"AUROC of membership by {how}", figure(members[name]))
        for name, how in MEMBERSHIP.items()
        if name in members
    ]


def spread(found: Sources) -> dict[str, str]:
    """By pattern the median and 90% quantile of the spread over imputations; empty where nothing was imputed.

    Args:
        found: What the report is made from.
    """
    frame = found.predictions
    if frame is None or "spread" not in frame.columns or not frame["spread"].fill_null(0.0).max():
        return {}
    held = frame.filter(pl.col("split") == found.metrics.get("split", "held_out"))
    quantiles = held.group_by("pattern").agg(
        median=pl.col("spread").median(), high=pl.col("spread").quantile(0.9, "linear")
    )
    return {name: f"{number(middle)}, {number(high)}" for name, middle, high in quantiles.iter_rows()}
