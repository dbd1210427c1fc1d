"""What metrics.json does not tell, each part with its reason and what would bring it."""

from __future__ import annotations

from mhdiff.report.documents import Document, Missing
from mhdiff.report.pooled import ablation_of, of_each, runs_of

SPOILT, DRAWS = "predictions of spoilt records", "the judgement of the prior's draws"
AGAINST = "a comparison with another run"
# Parts of metrics.json that one of an earlier version does not have.
PARTS = {
    "subgroups": "subgroups and sites",
    "regimes": "modalities missing by a mechanism",
    "robustness": "robustness",
    "decision_curves": "decision curves",
    "presence_only": "whether missingness is a shortcut",
}
FREQUENCY, CALIBRATED = "figures by class frequency", "calibration by class"


def metrics_gaps(metrics: Document, facts: Document, evaluate: str) -> list[Missing]:
    """Name what metrics.json does not tell, with what would bring it.

    Args:
        metrics: metrics.json.
        facts: run.json.
        evaluate: The command that makes metrics.json.
    """
    fitted, found = facts.get("estimator"), []
    for part, entry, option in ((SPOILT, "corruptions", "--corrupt all"), (DRAWS, "latents", "--latents")):
        if metrics.get(entry):
            continue
        if fitted:
            reason = f"{fitted.get('class', 'an estimator')} keeps its predictions and no model that could be asked"
            found.append(Missing(part, reason, "mhdiff fit with a network, then mhdiff evaluate"))
        elif entry == "corruptions" and ablation_of(facts):
            reason = "the cells of an ablation stay as they were trained, and no record is spoilt for them"
            found.append(Missing(part, reason, "mhdiff fit fold by fold, then mhdiff evaluate --corrupt all"))
        elif entry == "latents" and runs_of(facts):
            found.append(of_each(facts, part, "mhdiff evaluate --latents"))
        else:
            found.append(Missing(part, f"metrics.json has no entry '{entry}'", f"{evaluate} {option}"))
    for entry, part in PARTS.items():
        if not metrics.get(entry):
            found.append(Missing(part, f"metrics.json has no entry '{entry}'", evaluate))
    full: Document = next(iter(metrics["patterns"].values()))
    if not full.get("by_frequency"):
        found.append(Missing(FREQUENCY, "metrics.json has no entry 'by_frequency'", evaluate))
    if not all("calibration_slope" in row for row in full["per_class"].values()):
        found.append(Missing(CALIBRATED, "metrics.json has no slopes and intercepts", evaluate))
    if not metrics.get("against"):
        found.append(
            Missing(AGAINST, "metrics.json has no entry 'against'", f"{evaluate} --against OTHER_RUN")
        )
    return found
