"""What an ablation answers, in words: does guidance help, by how much, how sure is that, and who did better.

The verdict needs two comparisons: with no guidance, and with a control that has the same graph and none of its meaning.
An interval that holds 0 shows no difference, which is not the same as showing that there is none. Beside the interval
stand the test over folds and the rank among null draws, adjusted for the number of comparisons (Holm); where they do
not bear out what the interval says, that is said too.
"""

from __future__ import annotations

from typing import Any

from mhdiff.report.documents import Document
from mhdiff.report.results import level
from mhdiff.report.roles import compared, flipped, is_null, main_arm
from mhdiff.report.text import LOWER_IS_BETTER, number, probability, signed, span, words

METRIC = "auroc"
ALPHA = 0.05


def direction(difference: Document) -> str:
    """Read a difference: "better", "worse", "none" where the interval holds 0, or "unknown".

    Args:
        difference: One entry of ablation.json's differences.
    """
    value, low, high = (difference.get(key) for key in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return "unknown"
    if low <= 0 <= high:
        return "none"
    return "better" if (value > 0) != (difference["metric"] in LOWER_IS_BETTER) else "worse"


def sentence(difference: Document, sure: str) -> str:
    """Write one comparison of macro AUROC.

    Args:
        difference: One entry of ablation.json's differences.
        sure: Level of the interval.
    """
    pair = f"{words(difference['arm'])} against {words(difference['reference'])}"
    if difference.get("value") is None:
        return f"{pair}: cannot be compared ({difference.get('reason') or 'no reason was given'})."
    told = f"{pair}: {signed(difference['value'])}"
    if difference.get("low") is None:
        return f"{told}, {span(difference)}: nothing can be said."
    verdict = {"better": "better", "worse": "worse", "none": "no difference could be shown"}[
        direction(difference)
    ]
    match difference.get("draws"):
        case None:
            of = ""
        case 1:
            of = "; one draw of the null, whose luck is not in the interval"
        case draws:
            of = f"; over patients and {draws} draws of the null"
    return f"{told} ({sure} interval {span(difference, sign=True)}{of}{tests(difference)}): {verdict}."


def tests(difference: Document) -> str:
    """Write the tests that stand beside an interval, with Holm's adjustment.

    Args:
        difference: One entry of ablation.json's differences.
    """
    told = ""
    if difference.get("rank_p") is not None:
        told += f"; rank p {number(difference['rank_p'])}" + _holm(difference.get("rank_p_holm"))
    folds = difference.get("folds") or {}
    if folds.get("p") is not None:
        told += f"; over {folds['folds']} folds p {probability(folds['p'])}" + _holm(folds.get("p_holm"))
    return told


def _holm(adjusted: float | None) -> str:
    return "" if adjusted is None else f" (Holm {probability(adjusted)})"


def doubts(difference: Document) -> list[str]:
    """Say which tests do not bear out a difference that the interval shows.

    Args:
        difference: One entry of ablation.json's differences.
    """
    if direction(difference) not in ("better", "worse"):
        return []
    pair = f"{words(difference['arm'])} against {words(difference['reference'])}"
    folds, found = difference.get("folds") or {}, []
    holm = folds.get("p_holm")
    p, of = (folds.get("p"), "") if holm is None else (holm, " after Holm's adjustment")
    if p is not None and p > ALPHA:
        found.append(
            f"{pair}: the interval over patients excludes 0, the test over folds does not bear it out "
            f"(p {probability(p)}{of}): trained anew, it may come out otherwise."
        )
    rank = (
        difference.get("rank_p_holm")
        if difference.get("rank_p_holm") is not None
        else difference.get("rank_p")
    )
    if rank is not None and rank > ALPHA and direction(difference) == "better":
        draws = difference["draws"]
        if difference["rank_p"] <= 1 / (draws + 1):
            said = f"it is above all {draws} draws, and so few give no p below {probability(rank)}"
        else:
            said = f"its rank among the draws does not bear it out (p {probability(rank)})"
        found.append(f"{pair}: {said}.")
    return found


def verdict(against_reference: str, against_null: list[str]) -> str:
    """Put the comparisons of one guided arm together.

    Args:
        against_reference: Direction of the difference from no guidance; "" if it was not compared.
        against_null: Directions of the differences from the controls; empty if there are none.
    """
    beats_null = bool(against_null) and all(d == "better" for d in against_null)
    match against_reference:
        case "" if beats_null:
            return (
                "It did better than the same graph without its meaning; it was not compared with no guidance."
            )
        case "":
            return "Whether it helps cannot be said: it was not compared with no guidance."
        case "unknown":
            return "Whether it helps cannot be said: the comparison with no guidance failed."
        case "worse":
            return "It made the diagnosis worse than no guidance."
        case "none" if beats_null:
            return (
                "No difference from no guidance could be shown, although it did better than the same graph "
                "without its meaning."
            )
        case "none":
            return "No difference could be shown."
        case _ if not against_null:
            return (
                "It helped here; whether by the ontology's meaning was not tested: no null arm was compared."
            )
        case _ if beats_null:
            return "It helped here, and did better than the same graph without its meaning."
        case _ if "unknown" in against_null:
            return (
                "It helped here; whether by the ontology's meaning cannot be said: a null comparison failed."
            )
        case _:
            return (
                "It did better than no guidance, but was not shown to do better than a null arm: the gain "
                "cannot be put down to what the ontology says."
            )


def answers(ablation: Document) -> list[dict[str, Any]]:
    """Give, for each guided arm, the verdict and the comparisons behind it, the main arm first.

    Args:
        ablation: ablation.json.
    """
    rows = compared(ablation, METRIC)
    guided = dict.fromkeys(d["arm"] for d in rows if d["asks"] in ("guidance", "control"))
    sure, main, result = level(ablation), main_arm(ablation), []
    for name in (n for n in guided if not is_null(n, ablation["arms"][n])):
        plain, null, rest = (
            [d for d in rows if d["arm"] == name and d["asks"] in kinds]
            for kinds in (("guidance",), ("control",), ("channel", "other"))
        )
        told = (*plain, *null, *rest)
        result.append(
            {
                "arm": words(name),
                "main": name == main,
                "verdict": verdict(direction(plain[0]) if plain else "", [direction(d) for d in null]),
                "told": [sentence(d, sure) for d in told],
                "doubts": [doubt for d in told for doubt in doubts(d)],
                "strength": len(null),
            }
        )
    return sorted(result, key=lambda answer: (not answer["main"], -answer["strength"]))


def rivals(ablation: Document) -> tuple[list[str], list[str]]:
    """Say who did better than the main arm: shown by an interval, and by the figure alone.

    Args:
        ablation: ablation.json.
    """
    main, sure = main_arm(ablation), level(ablation)
    own = ablation["arms"][main]["metrics"][METRIC].get("value")
    rows = {
        d["reference"] if d["arm"] == main else d["arm"]: d
        for d in compared(ablation, METRIC)
        if main in (d["arm"], d["reference"])
    }
    shown, higher = [], []
    for name, arm in ablation["arms"].items():
        value = arm["metrics"][METRIC].get("value")
        if name == main or own is None or value is None or value <= own:
            continue
        figures = f"{words(name)} has an AUROC of {number(value)}, {words(main)} {number(own)}"
        d = rows.get(name)
        if d is None:
            higher.append(f"{figures}; the two were not compared.")
            continue
        theirs = d if d["reference"] == main else flipped(d)
        if direction(theirs) == "better":
            of = f"{sure} interval {span(theirs, sign=True)}{tests(theirs)}"
            doubt = "; not every test bears it out" if doubts(theirs) else ""
            gain = signed(theirs["value"])
            shown.append(f"{words(name)} did better than {words(main)}: {gain} ({of}){doubt}.")
        else:
            higher.append(f"{figures}; no difference could be shown.")
    return shown, higher
