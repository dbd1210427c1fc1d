"""What `mhdiff evaluate --latents` says of a prior's draws, as text."""

from __future__ import annotations

from typing import Any


def latent_lines(document: dict[str, Any]) -> list[str]:
    """Write distances beside their floors, effort and privacy: a table for each space.

    Args:
        document: What `mhdiff.training.judge.judge_run` gave.
    """
    lines = [f"\ndraws of {document['prior']}, beside real latents at the same n"]
    for space, found in document["spaces"].items():
        lines.append(f"{space:30} {'Frechet':18} {'floor':18} {'MMD^2':30} {'floor':20} n")
        for group in ("train", "held_out"):
            judged = found[group]
            lines.append(_row(f"  {group}", judged["pooled"]))
            lines += [_row(f"    {name}", figures) for name, figures in judged["per_class"].items()]
        lines.append(f"  {'train from held_out, both real':56} {_small(found['real'])}")
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
    return f"{name:30} {value:18} {floor:18} {_small(figures['mmd']):30} {chance:20} {size}"


def _effort(effort: dict[str, Any]) -> list[str]:
    name = f"  {effort['evaluations']} evaluations minus {effort['against']}"
    if effort["mmd"] is None:
        return [f"{name:30} {effort['reason']}"]
    frechet = f"{effort['frechet']['value']:.3g} (sd {effort['frechet']['sd']:.2g})"
    return [f"{name:30} {frechet:37} {_small(effort['mmd']):30} {effort['ms_per_case']:.3g} ms a case"]


def _privacy(privacy: dict[str, Any]) -> list[str]:
    near = privacy["proximity"]
    lines = []
    if near["closer"] is None:
        lines.append(f"  nearness to training patients: {near['reason']}")
    else:
        lines += [
            f"  closer to a training patient than 95% of held-out ones {_plain(near['closer'])}, .05 if none is copied",
            f"  median distance to them over that of held-out ones     {_plain(near['ratio'])}, 1 if none is copied",
            f"  copies                                                 {near['copies']} of {near['n_made']}",
        ]
    told = {
        "log_likelihood": "log-likelihood",
        "nearest_draw": "distance to the nearest draw",
        "typicality": "length alone, the encoders' doing",
    }
    return lines + [
        f"  {'AUROC of membership by ' + words:54} {_plain(privacy['membership'][name])}"
        for name, words in told.items()
    ]


def _plain(figure: dict[str, Any]) -> str:
    return _with_interval(figure, 3)


def _small(figure: dict[str, Any]) -> str:
    return _with_interval(figure, 4)


def _with_interval(figure: dict[str, Any], digits: int) -> str:
    if figure["value"] is None:
        return f"undefined ({figure['reason']})"
    if figure["low"] is None:
        return f"{figure['value']:.{digits}f} (no interval)"
    return f"{figure['value']:.{digits}f} ({figure['low']:.{digits}f} to {figure['high']:.{digits}f})"
