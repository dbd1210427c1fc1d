"""Which question a comparison of an ablation answers, read from what its two arms have different.

    guidance   only the guidance or the graph differs, and one side has none: does guidance help?
    control    ... and one side is a control, whose graph says nothing of the ontology's meaning: is it the meaning?
    floor      a control against no guidance: what comes without any meaning
    channel    only the channel differs through which the graph speaks: tokens, bias or both
    other      anything else: a layer, a prior, a loss, another model

The main arm is the configuration as it is, the one without overrides of its own; where there is none, the arm that most
contrasts begin with, and else the reference.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from mhdiff.report.documents import Document

NULLS = ("permuted", "rewired", "random", "free", "cooccurrence", "shuffled", "severed")
GUIDANCE, NULL, CHANNELS = "model.guidance", "data.null", "model.guidance.channels"
ORDER = ("guidance", "control", "channel", "other", "floor")
_CELLS_OWN = ("seed_everything", "data.split", "data.split_seed", "data.null_seed")


def is_null(name: str, arm: Document) -> bool:
    """Say whether an arm is a control whose graph says nothing of the ontology's meaning.

    Args:
        name: The arm.
        arm: Its document.
    """
    given = _options(arm.get("overrides") or [])
    if given.get(NULL, "none") != "none":
        return True
    return name in NULLS or bool(re.search(r"guidance\.(\w+\.)*Free\b", given.get(GUIDANCE, "")))


def _options(overrides: list[str]) -> dict[str, str]:
    """Give the last value of each option; a part named anew forgets what was set of the one before."""
    found: dict[str, str] = {}
    for override in overrides:
        key, _, value = override.removeprefix("--").partition("=")
        found = {k: v for k, v in found.items() if not k.startswith(f"{key}.")}
        found[key.replace(".init_args.", ".")] = value
    return {key: value for key, value in found.items() if key not in _CELLS_OWN}


def options(ablation: Document, name: str) -> dict[str, str]:
    """Give what an arm's trainings were given, those that all arms share among them.

    Args:
        ablation: ablation.json.
        name: The arm.
    """
    cells = [cell["overrides"] for cell in ablation.get("cells") or [] if cell["arm"] == name]
    return _options((cells[0] if cells else ablation["arms"][name].get("overrides")) or [])


def unguided(ablation: Document, name: str) -> bool:
    """Say whether an arm has no guidance at all.

    Args:
        ablation: ablation.json.
        name: The arm.
    """
    return "NoGuidance" in options(ablation, name).get(GUIDANCE, "")


def asks(ablation: Document, arm: str, reference: str) -> str:
    """Say which question a comparison answers: "guidance", "control", "floor", "channel" or "other".

    Args:
        ablation: ablation.json.
        arm: One arm.
        reference: The other.
    """
    one, two = options(ablation, arm), options(ablation, reference)
    differ = {key for key in one.keys() | two.keys() if one.get(key) != two.get(key)}
    arms = ablation["arms"]
    null = [is_null(name, arms[name]) for name in (arm, reference)]
    if not all(key == NULL or f"{key}.".startswith((f"{GUIDANCE}.", f"{NULL}_")) for key in differ):
        return "other"
    without = [unguided(ablation, name) for name in (arm, reference)]
    if any(without):
        return "other" if all(without) else "floor" if any(null) else "guidance"
    if any(null):
        return "other" if all(null) else "control"
    return "channel" if differ == {CHANNELS} else "other"


def main_arm(ablation: Document) -> str:
    """Name the arm that the others are held against.

    Args:
        ablation: ablation.json.
    """
    arms = ablation["arms"]
    plain = [name for name, arm in arms.items() if not arm.get("overrides") and not is_null(name, arm)]
    if plain:
        return plain[0]
    firsts = Counter(
        d["arm"]
        for d in ablation["differences"]
        if d["metric"] == "auroc"
        and d["reference"] != ablation["reference"]
        and not is_null(d["arm"], arms[d["arm"]])
    )
    return firsts.most_common(1)[0][0] if firsts else str(ablation["reference"])


def flipped(difference: Document) -> Document:
    """Give a comparison with its sides changed.

    Args:
        difference: One entry of ablation.json's differences.
    """

    def turned(d: Document) -> dict[str, Any]:
        ends = {
            "value": "value",
            "low": "high",
            "high": "low",
            "patients_low": "patients_high",
            "patients_high": "patients_low",
        }
        return d | {key: None if d.get(of) is None else -d[of] for key, of in ends.items() if key in d}

    folds = {"folds": turned(difference["folds"])} if difference.get("folds") else {}
    return turned(difference) | folds | {"arm": difference["reference"], "reference": difference["arm"]}


def compared(ablation: Document, metric: str, rows: list[Document] | None = None) -> list[Document]:
    """Give the comparisons on a metric, each with what it `asks`, the guided arm or the main one first in it.

    They are in the order of the questions, and of one question those of the main arm come first.

    Args:
        ablation: ablation.json.
        metric: Which metric.
        rows: Comparisons of one pattern or class, in place of those of the fullest.
    """
    main, found = main_arm(ablation), []
    for d in ablation["differences"] if rows is None else rows:
        if d["metric"] != metric:
            continue
        question = asks(ablation, d["arm"], d["reference"])
        second = d["reference"]
        match question:
            case "guidance" | "floor":
                turn = unguided(ablation, d["arm"])
            case "control":
                turn = is_null(d["arm"], ablation["arms"][d["arm"]])
            case _:
                turn = second == main
        found.append((flipped(d) if turn else d) | {"asks": question})
    return sorted(found, key=lambda d: (ORDER.index(d["asks"]), main not in (d["arm"], d["reference"])))


def asks_guidance(ablation: Document) -> bool:
    """Say whether the main arm is held against one that differs from it in the guidance alone.

    Args:
        ablation: ablation.json.
    """
    main = main_arm(ablation)
    rows = compared(ablation, "auroc")
    return any(d["asks"] in ("guidance", "control") and main in (d["arm"], d["reference"]) for d in rows)
