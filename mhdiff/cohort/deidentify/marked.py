"""How much of what is marked in notes is found.

    recall    = marked identifiers of which no letter and no digit is left / marked identifiers
    precision = replaced places that touch a marked identifier / replaced places

each by kind, with the 95 % interval of Wilson (1927). The interval takes identifiers for independent; where they come
from few people or one template it is too narrow. A marked file has one JSON object a line:

    {"text": "Seen by Dr. Smith.", "identifiers": [{"start": 12, "end": 17, "kind": "name"}]}
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mhdiff.cohort.deidentify.deidentifier import Deidentifier
from mhdiff.cohort.deidentify.spans import KINDS, Span
from ontology.errors import InputError

_FORM = '{"text": "...", "identifiers": [{"start": 0, "end": 4, "kind": "name"}]}'


class Marked(NamedTuple):
    """A note and where its identifiers are."""

    text: str
    identifiers: list[Span]


def read_marked(path: str | Path) -> list[Marked]:
    """Read marked notes.

    Args:
        path: One JSON object a line.

    Raises:
        InputError: If a line is no such object, or an identifier lies outside its text. No text is in the message.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError("there is no such file", path=file)
    notes = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError("the file is not UTF-8", path=file, remedy="Save it as UTF-8") from None
    for row, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            notes.append(_marked(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(
                "the line is no marked note", path=file, row=row,
                remedy=f"Write {_FORM}; kinds are {', '.join(KINDS)}",
            ) from None  # fmt: skip
    if not notes:
        raise InputError("the file holds no marked note", path=file, remedy=f"Write lines of {_FORM}")
    return notes


def _marked(content: Any) -> Marked:
    text, spans = content["text"], [Span(i["start"], i["end"], i["kind"]) for i in content["identifiers"]]
    if not isinstance(text, str) or not all(
        0 <= s.start < s.end <= len(text) and s.kind in KINDS for s in spans
    ):
        raise ValueError
    return Marked(text, spans)


def measure(notes: Sequence[Marked], deidentifier: Deidentifier) -> dict[str, Any]:
    """Hold what is found against what is marked.

    Args:
        notes: Marked notes.
        deidentifier: Finds.

    Returns:
        `notes`, and by kind and for `all` of them `recall` and `precision`: value, low, high, n. Kinds that the rules
        leave alone are not counted as marked.
    """
    counts: dict[str, Counter[str]] = {
        "marked": Counter(),
        "covered": Counter(),
        "found": Counter(),
        "right": Counter(),
    }
    for text, identifiers in notes:
        wanted = [span for span in identifiers if span.kind in deidentifier.rules.kinds]
        found = deidentifier.spans(text)
        hidden = {place for span in found for place in range(span.start, span.end)}
        for span in wanted:
            letters = {p for p in range(span.start, span.end) if text[p].isalnum()}
            counts["marked"][span.kind] += 1
            counts["covered"][span.kind] += letters <= hidden
        for span in found:
            counts["found"][span.kind] += 1
            touches = any(span.start < i.end and i.start < span.end for i in identifiers)
            counts["right"][span.kind] += touches
    kinds = {
        kind: {
            "recall": _share(counts["covered"][kind], counts["marked"][kind]),
            "precision": _share(counts["right"][kind], counts["found"][kind]),
        }
        for kind in KINDS
        if counts["marked"][kind] or counts["found"][kind]
    }
    every = {
        "recall": _share(counts["covered"].total(), counts["marked"].total()),
        "precision": _share(counts["right"].total(), counts["found"].total()),
    }
    return {"notes": len(notes), "kinds": kinds, "all": every}


def _share(k: int, n: int) -> dict[str, float | int | None]:
    if n == 0:
        return {"value": None, "low": None, "high": None, "n": 0}
    from scipy.stats import binomtest

    interval = binomtest(k, n).proportion_ci(0.95, method="wilson")
    return {"value": k / n, "low": float(interval.low), "high": float(interval.high), "n": n}


def text(document: dict[str, Any]) -> str:
    """Give the figures for a person to read.

    Args:
        document: What `measure` gave.
    """
    lines = [
        f"{document['notes']} marked notes",
        f"{'kind':<9}{'recall (95 % interval)':<34}precision (95 % interval)",
    ]
    for kind, row in [*document["kinds"].items(), ("all", document["all"])]:
        lines.append(f"{kind:<9}{_told(row['recall']):<34}{_told(row['precision'])}")
    return "\n".join(lines)


def _told(share: dict[str, Any]) -> str:
    if share["n"] == 0:
        return "none"
    return f"{share['value']:.3f} ({share['low']:.3f} to {share['high']:.3f}), n={share['n']}"
