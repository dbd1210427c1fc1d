"""One patient: the note with its words marked, and what modalities, labs, codes, concepts, paths contributed.

Marks have two channels: the colour (orange for, blue against, of the palette by Okabe and Ito) and the
underline (solid for, dotted against); their strength is the attribution relative to the strongest word.
"""

from __future__ import annotations

from typing import Any

from mhdiff.explain.way import sentence
from mhdiff.report import patient_tables
from mhdiff.report.collect import Sources
from mhdiff.report.documents import Document
from mhdiff.report.figures import Axis
from mhdiff.report.text import number, percent, small, words

LEAST = 0.08  # weaker words, relative to the strongest, are not marked
LEVELS = 4
OUTPUTS = {"log_odds": "log-odds", "probability": "probability", "logit": "logit"}


def segments(note: str, marked: list[Document]) -> list[dict[str, Any]]:
    """Cut a note into marked and unmarked pieces; together they are the note.

    Args:
        note: The text.
        marked: The words with start, end, attribution and read.
    """
    known = [w for w in marked if 0 <= w["start"] < w["end"] <= len(note)]
    strongest = max((abs(w["attribution"] or 0.0) for w in known), default=0.0)
    pieces: list[dict[str, Any]] = []
    place = 0
    for w in sorted(known, key=lambda w: w["start"]):
        if w["start"] < place:
            continue
        if w["start"] > place:
            pieces.append({"text": note[place : w["start"]], "kind": ""})
        value = w["attribution"] or 0.0
        share = abs(value) / strongest if strongest else 0.0
        kind = "" if share < LEAST else "for" if value > 0 else "against"
        kind = kind if w.get("read", True) else "unread"
        piece: dict[str, Any] = {"text": note[w["start"] : w["end"]], "kind": kind}
        if kind in ("for", "against"):
            piece |= {"strength": min(LEVELS, 1 + int(share * LEVELS)), "value": small(value)}
        pieces.append(piece)
        place = w["end"]
    pieces.append({"text": note[place:], "kind": ""})
    return [p for p in _joined(pieces) if p["text"]]


def _joined(pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put neighbouring pieces without a mark together; a space between two unread words is unread too."""
    result: list[dict[str, Any]] = []
    for piece in pieces:
        if result and piece["kind"] == result[-1]["kind"] and piece["kind"] in ("", "unread"):
            result[-1]["text"] += piece["text"]
        else:
            result.append(dict(piece))
    return result


def describe(found: Sources) -> dict[str, Any] | None:
    """Everything that the report says of one patient.

    Args:
        found: What the report is made from.
    """
    document = found.explanation
    if document is None:
        return None
    simulated = ((found.cohort or {}).get("mhdiff") or {}).get("kind") == "synthetic"
    note, marked = document.get("note"), document.get("words") or []
    ranked = sorted((w for w in marked if w.get("attribution")), key=lambda w: -abs(w["attribution"]))
    output = str(document.get("output") or "score")
    way = sentence(document["way"]) if document.get("way") else ""
    return {
        "sample": document["sample_id"],
        "subject": document["subject_id"],
        "simulated": simulated,
        "label": words(document["label"]) if document.get("label") is not None else None,
        "predicted": words(document["predicted"]),
        "way": way[:1].upper() + way[1:],
        "right": document.get("label") == document["predicted"],
        "target": words(document.get("target") or document["predicted"]),
        "output": OUTPUTS.get(output, words(output)),
        "difference": small(document.get("difference")),
        "gap": percent(document.get("completeness_gap"), 2),
        "probabilities": _probabilities(document),
        "has_posterior": document.get("posterior") is not None,
        "modalities": patient_tables.modalities(document, OUTPUTS.get(output, words(output))),
        "note": segments(note, marked) if note else None,
        "unread": sum(not w.get("read", True) for w in marked),
        "strongest": [{"text": w["text"], "value": small(w["attribution"])} for w in ranked[:8]],
        "labs": patient_tables.labs(document),
        "codes": patient_tables.codes(document),
        "concepts": patient_tables.concepts(document),
        "paths": [_path(p) for p in document.get("paths") or []],
        "image": _image(document.get("image")),
        "warning": document.get("warning") or "",
    }


def _probabilities(document: Document) -> dict[str, Any]:
    exact = document.get("posterior") or {}
    axis = Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0), 2)
    rows = [
        {
            "name": words(name),
            "model": number(p),
            "exact": number(exact[name]) if exact.get(name) is not None else None,
            "model_at": axis.at(p),
            "exact_at": axis.at(exact[name]) if exact.get(name) is not None else None,
            "true": name == document.get("label"),
            "predicted": name == document["predicted"],
        }
        for name, p in document["probabilities"].items()
    ]
    return {"rows": rows, "axis": axis}


def _path(path: Document) -> dict[str, Any]:
    return {
        "start": path["a"],
        "between": f"{path['from_modality']} \N{LEFT RIGHT ARROW} {path['to_modality']}",
        "share": percent(path.get("share")),
        "bias": small(path.get("bias")),
        "sign": "for" if (path.get("bias") or 0) > 0 else "against",
        "steps": [{"relation": s["relation"], "to": s["to"], "forward": s["forward"]} for s in path["steps"]],
    }


def _image(image: Document | None) -> dict[str, Any] | None:
    if image is None:
        return None
    share, area, hit = image.get("mask_share"), image.get("mask_area"), image.get("mask_hit")
    told = "No true place of a finding is known for this image."
    if share is not None and area:
        told = (
            f"{percent(share)} of the attribution lies inside the true finding (white outline), which covers "
            f"{percent(area, 1)} of the image: {number(share / area, 1)} times what chance gives. "
            f"The strongest point lies {'inside' if hit else 'outside'} it."
        )
    return {"original": image["original_png_base64"], "overlay": image["overlay_png_base64"], "told": told}
