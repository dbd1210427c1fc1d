"""Did guidance by the ontology help? The arms of an ablation, their differences, and a verdict in words.

The verdict needs two comparisons: with the reference arm (no guidance), and with a null arm that has the same
graph and none of its meaning. An interval that holds 0 shows no difference, which is not the same as showing
that there is none.
"""

from __future__ import annotations

from typing import Any

from mhdiff.report.arms_by_pattern import by_pattern
from mhdiff.report.collect import Document, Sources
from mhdiff.report.figures import Forest, Row, difference_axis, score_axis
from mhdiff.report.results import level, offered
from mhdiff.report.text import (
    LOWER_IS_BETTER,
    METRICS,
    count,
    duration,
    figure,
    listed,
    number,
    plural,
    signed,
    span,
    words,
)

NULLS = ("permuted", "rewired", "random", "free", "cooccurrence", "shuffled", "severed")
METRIC = "auroc"


def is_null(name: str, arm: Document) -> bool:
    """Say whether an arm is a control whose graph says nothing of the ontology's meaning.

    Args:
        name: The arm.
        arm: Its document.
    """
    changed = [
        o.removeprefix("--data.null=") for o in arm.get("overrides") or [] if o.startswith("--data.null=")
    ]
    return (bool(changed) and changed[-1] != "none") or name in NULLS


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
    if difference.get("rank_p") is not None:
        of += f"; rank p {number(difference['rank_p'])}"
    return f"{told} ({sure} interval {span(difference, sign=True)}{of}): {verdict}."


def verdict(against_reference: str, against_null: list[str]) -> str:
    """Put the comparisons of one guided arm together.

    Args:
        against_reference: Direction of the difference from no guidance.
        against_null: Directions of the differences from the null arms; empty if there are none.
    """
    beats_null = bool(against_null) and all(d == "better" for d in against_null)
    match against_reference:
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
    """Give, for each guided arm, the verdict and the comparisons behind it.

    Args:
        ablation: ablation.json.
    """
    sure, reference, arms = level(ablation), ablation["reference"], ablation["arms"]
    nulls = {name for name, arm in arms.items() if is_null(name, arm)}
    result = []
    for name in arms:
        if name == reference or name in nulls:
            continue
        own = [d for d in ablation["differences"] if d["metric"] == METRIC and d["arm"] == name]
        plain = [d for d in own if d["reference"] == reference]
        null = [d for d in own if d["reference"] in nulls]
        rest = [d for d in own if d not in plain and d not in null]
        read = direction(plain[0]) if plain else "unknown"
        result.append(
            {
                "arm": words(name),
                "verdict": verdict(read, [direction(d) for d in null]),
                "told": [sentence(d, sure) for d in (*plain, *null, *rest)],
                "strength": len(null),
                "direction": read,
            }
        )
    return sorted(result, key=lambda answer: -answer["strength"])


def arms(ablation: Document) -> Forest:
    """The arms' macro AUROC with their size; a failed arm keeps its row.

    Args:
        ablation: ablation.json.
    """
    rows = []
    for name, arm in ablation["arms"].items():
        failed = arm.get("status") == "failed"
        kind = "reference" if name == ablation["reference"] else "null" if is_null(name, arm) else "model"
        role = {"reference": "reference", "null": "null: the ontology's meaning removed", "model": ""}[kind]
        seeds = [v[METRIC] for v in (arm.get("by_seed") or {}).values() if v.get(METRIC) is not None]
        if len(seeds) > 1:
            role += ("; " if role else "") + f"seeds {number(min(seeds))} to {number(max(seeds))}"
        rows.append(
            Row(
                words(name),
                None if failed else arm["metrics"][METRIC],
                note=role,
                kind=kind,
                state="failed" if failed else "",
                reason=arm.get("reason") or "",
                extra={"parameters": count(arm.get("parameters")), "n": count(arm["n"])},
            )
        )
    return Forest(score_axis(r.estimate for r in rows), rows, columns=("AUROC", "parameters", "n"))


def differences(ablation: Document) -> Forest:
    """Paired differences of macro AUROC against a zero line.

    Args:
        ablation: ablation.json.
    """
    rows = []
    for d in (d for d in ablation["differences"] if d["metric"] == METRIC):
        undefined = d.get("value") is None
        rows.append(
            Row(
                f"{words(d['arm'])} \N{MINUS SIGN} {words(d['reference'])}",
                None if undefined else d,
                kind="null" if is_null(d["arm"], ablation["arms"].get(d["arm"], {})) else "model",
                state="failed" if undefined else "",
                reason=d.get("reason") or "",
                extra={"n": count(d.get("n"))},
            )
        )
    return Forest(difference_axis(r.estimate for r in rows), rows, signed=True, columns=("difference", "n"))


def by_class(ablation: Document) -> list[dict[str, Any]]:
    """Differences of each class's AUROC, for each guided arm's comparisons; all on one axis.

    Args:
        ablation: ablation.json.
    """
    nulls = {name for name, arm in ablation["arms"].items() if is_null(name, arm)}
    chosen = [
        d
        for d in ablation.get("differences_per_class") or []
        if d["metric"] == METRIC and d["arm"] not in nulls
    ]
    axis = difference_axis(chosen)
    pairs = dict.fromkeys((d["arm"], d["reference"]) for d in chosen)
    return [
        {
            "pair": f"{words(arm)} \N{MINUS SIGN} {words(reference)}",
            "forest": Forest(
                axis,
                [
                    Row(words(d["class"]), d, note=f"n+ {count(d['n_positive'])}", extra={})
                    for d in chosen
                    if (d["arm"], d["reference"]) == (arm, reference)
                ],
                signed=True,
                columns=("difference",),
            ),
        }
        for arm, reference in pairs
    ]


def describe(found: Sources) -> dict[str, Any] | None:
    """Everything that the report says of the ablation.

    Args:
        found: What the report is made from.
    """
    ablation = found.ablation
    if ablation is None:
        return None
    cells = ablation.get("cells") or []
    failed = [c for c in cells if c.get("status") == "failed"]
    seconds = [c["seconds"] for c in cells if c.get("seconds") is not None]
    folds, seeds = ablation.get("folds"), ablation.get("seeds") or []
    design = [
        f"{plural(folds, 'patient-grouped fold')}, out-of-fold predictions pooled"
        if folds
        else "the configuration's own split",
        f"{plural(len(seeds), 'seed')} ({', '.join(map(str, seeds))})",
        f"{plural(len(cells), 'training')}, {len(failed)} failed",
    ]
    if seconds:
        design.append(f"{duration(sum(seconds))} of training in all")
    if ablation.get("pattern"):
        design.append(f"{offered(ablation['pattern'])} offered")
    caveats = [
        f"Intervals resample patients ({count(ablation.get('replicates'))} times), the same for all arms, "
        "and are not corrected for the number of comparisons."
    ]
    if len(seeds) == 1:
        caveats.append("With one seed, what varies from training to training is not in the intervals.")
    if any(is_null(name, arm) for name, arm in ablation["arms"].items()):
        drawn = [len(arm.get("seeds") or seeds) for n, arm in ablation["arms"].items() if is_null(n, arm)]
        many = plural(max(drawn), "draw")
        spread = many if min(drawn) == max(drawn) else f"{min(drawn)} to {many}"
        caveats.append(f"A null arm is one random draw a seed: {spread} of each here.")
    sizes = {a["parameters"] for a in ablation["arms"].values() if a.get("parameters") is not None}
    if len(sizes) > 1:
        caveats.append(
            f"The arms differ in size ({count(min(sizes))} to {count(max(sizes))} parameters): compare a "
            "guided arm with its null arm of the same size."
        )
    return {
        "name": ablation.get("name", ""),
        "answers": answers(ablation),
        "arms": arms(ablation),
        "differences": differences(ablation),
        "by_class": by_class(ablation),
        "by_pattern": by_pattern(ablation),
        "table": _table(ablation),
        "metrics": [METRICS[m][0] for m in METRICS],
        "design": design,
        "caveats": caveats,
        "failures": [
            {
                "place": f"{words(c['arm'])}, {_fold(c, folds)}seed {c['seed']}",
                "message": c.get("message") or "",
            }
            for c in failed
        ],
        "level": level(ablation),
        "nulls": listed([words(n) for n, a in ablation["arms"].items() if is_null(n, a)]),
    }


def _fold(cell: Document, folds: int | None) -> str:
    return "" if cell.get("fold") is None else f"fold {cell['fold'] + 1} of {folds}, "


def _table(ablation: Document) -> list[dict[str, Any]]:
    return [
        {
            "name": words(name),
            "failed": arm.get("status") == "failed",
            "reason": arm.get("reason") or "",
            "figures": [figure((arm.get("metrics") or {}).get(m)) for m in METRICS],
            "parameters": count(arm.get("parameters")),
            "seconds": duration(arm.get("seconds")),
            "overrides": " ".join(o for o in arm.get("overrides") or [])
            or "none: the base configuration as it is",
        }
        for name, arm in ablation["arms"].items()
    ]
