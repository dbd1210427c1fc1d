"""Against which controls, and through which channel: the comparisons of an ablation that ask these two things."""

from __future__ import annotations

from mhdiff.report.answers import METRIC, direction
from mhdiff.report.arms import pair
from mhdiff.report.documents import Document
from mhdiff.report.figures import numbers
from mhdiff.report.results import level
from mhdiff.report.roles import CHANNELS, NULL, compared, is_null, options, unguided
from mhdiff.report.table import Cell, Table
from mhdiff.report.text import count, figure, number, probability, signed_figure, words

KEEPS = {
    "permuted": "keeps every edge, degree and depth; which concept sits where is shuffled",
    "rewired": "keeps degrees, depths and relations; parents and children are exchanged",
    "random": "keeps the number of edges of each relation",
    "cooccurrence": "edges from the training samples in place of the ontology's",
    "severed": "layers without a graph",
    "shuffled": "the ontology as it is; who has which evidence is shuffled",
    "free": "a learned bias, without an ontology",
}
SAID = {"better": "better than the control", "worse": "the control is better", "none": "no difference shown",
        "unknown": "cannot be said"}  # fmt: skip


def keeps(ablation: Document, name: str) -> str:
    """Say what a control keeps of the real graph.

    Args:
        ablation: ablation.json.
        name: The control.
    """
    kind = options(ablation, name).get(NULL, "none")
    return KEEPS.get(kind if kind != "none" else name if name in KEEPS else "free", words(kind))


def controls(ablation: Document) -> Table | None:
    """Every comparison of a guided arm with a control; None if there is none.

    Args:
        ablation: ablation.json.
    """
    rows: list[list[str | Cell]] = []
    arms = ablation["arms"]
    for d in (d for d in compared(ablation, METRIC) if d["asks"] == "control"):
        null = arms[d["reference"]]
        values = numbers({"value": v.get(METRIC)} for v in (null.get("by_seed") or {}).values())
        drawn = count(d["draws"]) if d.get("draws") else ""
        if drawn and len(values) > 1:
            drawn += f": {number(min(values))} to {number(max(values))}"
        rank = "" if d.get("rank_p") is None else probability(d["rank_p"])
        if rank and d.get("rank_p_holm") is not None:
            rank += f" (Holm {probability(d['rank_p_holm'])})"
        told: str | Cell = signed_figure(d)
        if d.get("value") is None:
            told = Cell(f"failed: {d.get('reason')}", kind="failed")
        rows.append(
            [
                Cell(words(d["reference"]), keeps(ablation, d["reference"])),
                pair(d),
                figure(null["metrics"][METRIC])
                if null.get("status") != "failed"
                else Cell("failed", kind="failed"),
                drawn,
                told,
                rank,
                SAID[direction(d)],
            ]
        )
    if not rows:
        return None
    caption = (
        f"Macro AUROC, with {level(ablation)} intervals. A control has the layers, the size and the evidence of "
        "the guided arm and "
        "a graph that says nothing of the ontology's meaning; one draw of it a seed."
    )
    heads = ("Control", "First minus second", "Its AUROC", "Draws", "Difference", "Rank p", "In words")
    return Table("controls", caption, heads, rows)


def channels(ablation: Document) -> Table | None:
    """The arms that differ in the channel alone, with what each brings; None if there are none.

    Args:
        ablation: ablation.json.
    """
    rows_of = compared(ablation, METRIC)
    named = {name for d in rows_of if d["asks"] == "channel" for name in (d["arm"], d["reference"])}
    # Those that were never compared differ in nothing but the channel all the same.
    real = {
        n: options(ablation, n)
        for n, a in ablation["arms"].items()
        if not is_null(n, a) and not unguided(ablation, n)
    }
    for one, own in real.items():
        for two, other in real.items():
            if one != two and {k for k in own.keys() | other.keys() if own.get(k) != other.get(k)} == {
                CHANNELS
            }:
                named |= {one, two}
    if not named:
        return None
    rows: list[list[str | Cell]] = []
    for name in (n for n in ablation["arms"] if n in named):
        arm = ablation["arms"][name]
        plain = next((d for d in rows_of if d["asks"] == "guidance" and d["arm"] == name), None)
        against = [d for d in rows_of if d["asks"] == "channel" and name in (d["arm"], d["reference"])]
        told = "; ".join(f"{pair(d)} {signed_figure(d)}" for d in against if d["reference"] == name) or ""
        failed = arm.get("status") == "failed"
        rows.append(
            [
                Cell(
                    options(ablation, name).get(CHANNELS, "as the base configuration has it"),
                    words(name),
                ),
                Cell(f"failed: {arm.get('reason')}", kind="failed")
                if failed
                else figure(arm["metrics"][METRIC]),
                signed_figure(plain),
                told,
            ]
        )
    caption = (
        "Arms that differ only in how the graph reaches the attention: as concept tokens beside the modalities' "
        "own, as a bias "
        f"between tokens, or both. Macro AUROC with {level(ablation)} intervals."
    )
    return Table("channels", caption, ("Channel", "AUROC", "Minus no guidance", "Compared"), rows)
