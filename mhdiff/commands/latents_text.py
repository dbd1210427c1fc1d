"""What `mhdiff evaluate --latents` says of a prior's draws, as text."""

from __future__ import annotations

from typing import Any

from mhdiff.commands.figures import with_interval


def latent_lines(document: dict[str, Any]) -> list[str]:
    """Write distances beside their floors, effort and privacy: a table for each space.

    Args:
        document: What `mhdiff.training.judge.judge_run` gave.
    """
    settings = f"{document.get('replicates')} replicates, seed {document.get('seed')}"
    lines = [f"\ndraws of {document['prior']}, beside real latents at the same n ({settings})"]
    for space, found in document["spaces"].items():
        lines.append(f"{space:30} {'Frechet':18} {'floor':18} {'MMD^2':30} {'floor':20} n")
        for group in ("train", "held_out"):
            judged = found[group]
            lines.append(_row(f"  {group}", judged["pooled"]))
            lines += [_row(f"    {name}", figures) for name, figures in judged["per_class"].items()]
        lines.append(
            f"  {'train from held_out, both real':56} {with_interval(found['real'], 4, narrow=True)}"
        )
        lines += _effort(found["effort"])
        lines += _privacy(found["privacy"])
    return lines


def _row(name: str, figures: dict[str, Any]) -> str:
    if figures["mmd"] is None:
        return f"{name:30} {figures['reason']}"
    frechet, halves = figures["frechet"], figures["mmd"]["halves"]
    value = f"{frechet['value']:.3g} (sd {frechet['sd']:.2g})"
    floor = f"{frechet['floor']:.3g} (sd {frechet['floor_sd']:.2g})"
    chance = f"{halves['floor']:.4f} (sd {halves['floor_sd']:.4f})"
    size = f"{figures['n']} ({figures['n_each']} a half)"
    return f"{name:30} {value:18} {floor:18} {with_interval(figures['mmd'], 4, narrow=True):30} {chance:20} {size}"


def _effort(effort: dict[str, Any]) -> list[str]:
    name = f"  {effort['evaluations']} evaluations minus {effort['against']}"
    if effort["mmd"] is None:
        return [f"{name:30} {effort['reason']}"]
    frechet = f"{effort['frechet']['value']:.3g} (sd {effort['frechet']['sd']:.2g})"
    mmd = with_interval(
        effort["mmd"], 6, narrow=True
    )  # of the same noise: hundreds of times as small as the others
    return [f"{name:30} {frechet:37} {mmd:30} {effort['ms_per_case']:.3g} ms a case"]


def _privacy(privacy: dict[str, Any]) -> list[str]:
    near = privacy["proximity"]
    lines = []
    if privacy.get("compared_with", "held_out") != "held_out":
        lines.append(
            "  held-out patients are another site's: privacy is against tuning patients, called held-out below"
        )
    if near["share_closer_than_q05"] is None:
        lines.append(f"  nearness to training patients: {near['reason']}; copies: {near['copies']}")
    else:
        closer, ratio = (with_interval(near[name]) for name in ("share_closer_than_q05", "ratio"))
        lines += [
            f"  closer to a training patient than 95% of held-out ones {closer}, .05 if none is copied",
            f"  median distance to them over that of held-out ones     {ratio}, 1 if none is copied",
            f"  copies                                                 {near['copies']} of {near['n_made']}",
        ]
    told = {
        "log_likelihood": "log-likelihood",
        "nearest_draw": "distance to the nearest draw",
        "typicality": "length alone, the encoders' doing",
    }
    return lines + [
        f"  {'AUROC of membership by ' + words:54} {with_interval(privacy['membership'][name])}"
        for name, words in told.items()
    ]
