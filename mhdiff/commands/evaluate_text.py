"""metrics.json as text for a terminal: what one looks at first, on the first lines; all of it is in the document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mhdiff.commands.figures import with_interval

_NAMES = {
    "sensitivity_at_90": "sensitivity at 90% specificity",
    "ece": "ECE, top label, equal bins",
    "ece_adaptive": "ECE, top label, adaptive bins",
    "ece_classwise": "ECE, by class, equal bins",
    "ece_classwise_adaptive": "ECE, by class, adaptive bins",
    "calibration_slope": "calibration slope",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f1": "F1",
    "brier": "Brier",
    "sensitivity": "sensitivity (tuned threshold)",
    "specificity": "specificity (tuned threshold)",
}
_GROUPS = 8  # of one kind that are printed; metrics.json has all


def table(document: dict[str, Any]) -> str:
    """Write the metrics as text.

    Args:
        document: What `mhdiff.commands.evaluate.evaluate` gave.
    """
    full = next(iter(document["patterns"].values()))
    lines = [
        f"task {document['task']}, held out ({document['held_out']}): {document['n_subjects']} patients, "
        f"{document['n_samples']} samples; {100 * document['level']:.0f}% BCa intervals over patients, "
        f"{document['replicates']} resamples",
    ]
    floor = full["calibration"]["floor"]
    for name, figure in full["metrics"].items():
        of = f"  calibrated: {floor[name]['mean']:.3f}" if name in floor else ""
        lines.append(f"  {_NAMES.get(name, name):31} {_figure(figure)}{of}")
    lines += _patterns(document) + _robustness(document) + _classes(document, full)
    alone = document["presence_only"]
    if alone["metrics"] is not None:
        told = _figure(alone["metrics"]["auroc"])
        lines.append(f"from which modalities a sample has, and nothing in them: AUROC {told}")
    lines += _frequencies(document, full) + _subgroups(document) + _decisions(document)
    for comparison in document.get("against", {}).values():
        from mhdiff.commands.against_text import against_lines

        lines += against_lines(comparison)
    if "corruptions" in document:
        lines += corruption_lines(document["corruptions"])
    if "latents" in document:
        from mhdiff.commands.latents_text import latent_lines

        lines += latent_lines(document["latents"])
    return "\n".join(lines)


def _patterns(document: Mapping[str, Any]) -> list[str]:
    lines = [f"\n{'modalities offered':28} {'AUROC':24} {'ceiling':24} {'drop':26} {'Brier':24} n"]
    for name, pattern in document["patterns"].items():
        lines.append(_pattern(name, pattern))
    known = {name: row for name, row in document["regimes"].items() if row["metrics"] is not None}
    if known:
        first = next(iter(known.values()))
        lines.append(f"missing by a mechanism, at a share of {first['rate']:g}, another set for each sample:")
        lines += [_pattern(name, row) for name, row in known.items()]
        drivers = [
            f"{name} by {row['driver']} ({100 * row['hidden']:.0f}% hidden)" for name, row in known.items()
        ]
        lines.append(f"  {'; '.join(drivers)}")
    lines += [
        f"{name:28} undefined: {row['reason']}"
        for name, row in document["regimes"].items()
        if row["metrics"] is None
    ]
    return lines


def _pattern(name: str, pattern: Mapping[str, Any]) -> str:
    ceiling, drop = ((pattern.get(part) or {}).get("auroc") for part in ("ceiling", "drop"))
    return (
        f"{name:28} {_figure(pattern['metrics']['auroc']):24} {_figure(ceiling):24} "
        f"{with_interval(drop, signed=True, narrow=True):26} {_figure(pattern['metrics']['brier']):24} {pattern['n']}"
    )


def _robustness(document: Mapping[str, Any]) -> list[str]:
    found = document["robustness"]
    if found["relative"] is None:
        return [f"robustness: undefined ({found['reason']})"]
    lines = [
        f"relative robustness, the mean AUROC while ever more is withheld: {_figure(found['relative']['auroc'])}"
    ]
    if found["effective"] is None:
        return lines
    told = with_interval(found["effective"]["auroc"], signed=True)
    return [*lines, f"effective robustness, what is kept beyond the exact posterior: {told}"]


def _classes(document: Mapping[str, Any], full: Mapping[str, Any]) -> list[str]:
    shown = ("auroc", "auprc", "sensitivity", "specificity", "sensitivity_at_90")
    heads = ("AUROC", "AUPRC", "sensitivity", "specificity", "sens. at 90% spec.")
    lines = [
        f"\n{'by class, all offered':22} {'n+':>5}  {'  '.join(f'{h:22}' for h in heads)}  slope, intercept"
    ]
    for name, row in full["per_class"].items():
        told = "  ".join(f"{_figure(row[metric]):22}" for metric in shown)
        fit = ", ".join(
            "undefined" if row[m]["value"] is None else f"{row[m]['value']:.2f}"
            for m in ("calibration_slope", "calibration_intercept")
        )
        lines.append(f"  {name:20} {row['n_positive']:5d}  {told}  {fit}")
    return lines


def _frequencies(document: Mapping[str, Any], full: Mapping[str, Any]) -> list[str]:
    lines = [
        f"by frequency of the class (share of {document['frequency_counted_in']} samples), the rarest first:"
    ]
    for row in full["by_frequency"]:
        band = f"over {100 * row['over']:g} to {100 * row['up_to']:g}%"
        who = ", ".join(f"{name} n+ {n}" for name, n in row["n_positive"].items())
        lines.append(f"  {band:18} AUROC {_figure(row['auroc']):24} AUPRC {_figure(row['auprc']):24} {who}")
    return lines


def _subgroups(document: Mapping[str, Any]) -> list[str]:
    lines = [f"\n{'by subgroup':30} {'n':>5}  {'AUROC':24} {'minus everybody else':26} ECE"]
    for kind, found in document["subgroups"].items():
        if kind == "sex and age":  # as many rows as both together; in metrics.json
            continue
        if found["groups"] is None:
            lines.append(f"  {kind}: undefined ({found['reason']})")
            continue
        for name, row in list(found["groups"].items())[:_GROUPS]:
            gap = "-" if row["gap"] is None else _brief(row["gap"]["auroc"], signed=True)
            auroc, ece = _brief(row["metrics"]["auroc"]), _brief(row["metrics"]["ece"])
            lines.append(f"  {kind + ' ' + name:28} {row['n']:5d}  {auroc:24} {gap:26} {ece}")
        if len(found["groups"]) > _GROUPS:
            lines.append(f"  {kind}: {len(found['groups']) - _GROUPS} more in metrics.json")
    return lines


def _decisions(document: Mapping[str, Any]) -> list[str]:
    lines = ["\nnet benefit over the better of calling all and nobody, at threshold probability:"]
    for name, rows in document["decision_curves"].items():
        told = "  ".join(f"{row['threshold']:g}: {_brief(row['gain'], signed=True)}" for row in rows)
        lines.append(f"  {name:16} {told}")
    return lines


def corruption_lines(spoilt: dict[str, Any]) -> list[str]:
    """Write what corruption costs: one line each, and one for each score by which it is flagged.

    Args:
        spoilt: What `summarise_corruptions` gave.
    """
    columns = ("AUROC", "AUROC minus clean", "Brier minus clean", "AUROC of the flag")
    lines = [f"\n{'records spoilt by':20} {' '.join(f'{name:26}' for name in columns)} changed"]
    for name, row in spoilt.items():
        flags = list(row["flags"].items())
        told = [row["metrics"]["auroc"], row["difference"]["auroc"], row["difference"]["brier"]]
        told += [figure for _, figure in flags[:1]]
        figures = " ".join(f"{_brief(figure):26}" for figure in told)
        lines.append(f"{name:20} {figures} {row['changed']} of {row['n']}")
        lines += [f"{'flagged by ' + score:>100} {_brief(figure)}" for score, figure in flags[1:]]
    scores = [score for row in spoilt.values() for score in row["flags"]]
    lines.append(
        f"the flag is {scores[0] if scores else 'none'}: it tells changed records from the same records unchanged"
    )
    return lines


def _brief(figure: Mapping[str, Any], *, signed: bool = False) -> str:
    return "undefined" if figure["value"] is None else with_interval(figure, signed=signed, narrow=True)


def _figure(figure: Mapping[str, Any] | None) -> str:
    return with_interval(figure, narrow=True)
