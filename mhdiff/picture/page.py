"""A picture as one HTML file that needs nothing else: no network, no library, nothing from a patient run as code.

Text of patients reaches the page as JSON in a block that no browser runs, with every character that could end it
escaped, and from there as text nodes only. A content security policy names the page's own script and style by their
hashes, so nothing else runs or loads even so.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mhdiff.picture.layout import HIGH, WIDE
from mhdiff.picture.patient import Picture
from ontology.files import atomic_write
from ontology.lettering import clean, wrap
from ontology.recognise import POLARITIES
from ontology.svg_style import DARK, LIGHT

FONT, SMALL = 12.0, 10.5
_BADGE = 18.0  # room of one polarity's mark in a box

#: Sign, word, dashes and colours (light, dark) of each polarity: three channels besides colour.
MARKS: dict[str, dict[str, Any]] = {
    "present": {"sign": "+", "dash": [], "light": "#005c94", "dark": "#7cc4f5"},
    "absent": {"sign": "\N{MINUS SIGN}", "dash": [7, 4], "light": "#a33b00", "dark": "#ff9d66"},
    "uncertain": {"sign": "?", "dash": [2, 3], "light": "#6b5200", "dark": "#f0c04e"},
    "family": {"sign": "F", "dash": [9, 3, 2, 3], "light": "#8a3d74", "dark": "#e7a6d2"},
    "historical": {"sign": "H", "dash": [9, 3, 2, 3, 2, 3], "light": "#4a5568", "dark": "#b4bfce"},
}


def write_picture(picture: Picture, out: str | Path) -> Path:
    """Write a picture as an HTML file, whole or not at all.

    Args:
        picture: The picture.
        out: The file.

    Returns:
        The file.
    """
    atomic_write(out, render(picture))
    return Path(out)


def render(picture: Picture) -> str:
    """Give the page.

    Args:
        picture: The picture.
    """
    environment = Environment(
        loader=PackageLoader("mhdiff.picture"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    parts = files("mhdiff.picture") / "templates"
    script = (parts / "picture.js").read_text(encoding="utf-8")
    style = _palette() + (parts / "picture.css").read_text(encoding="utf-8")
    return environment.get_template("picture.html.jinja").render(
        picture=picture,
        facts=picture.facts,
        counts=picture.counts,
        data=_compact(picture),
        evidence=_evidence(picture),
        marks=MARKS,
        script=script,
        style=style,
        script_hash=_hash(script),
        style_hash=_hash(style),
    )


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _palette() -> str:
    light = LIGHT | {f"p-{name}": mark["light"] for name, mark in MARKS.items()}
    dark = DARK | {f"p-{name}": mark["dark"] for name, mark in MARKS.items()}
    first, second = ("".join(f"--{k}:{v};" for k, v in c.items()) for c in (light, dark))
    return (
        f":root{{color-scheme:light;{first}}}\n"
        f"@media (prefers-color-scheme:dark){{:root{{color-scheme:dark;{second}}}}}\n"
    )


def _compact(picture: Picture) -> dict[str, Any]:
    """Give what the script draws: nodes with their lines broken, edges as rows of numbers."""
    kinds = list(dict.fromkeys(edge["kind"] for edge in picture.edges))
    modalities = picture.facts["modalities"]
    nodes = [{**node, "lines": _lines(node)} for node in picture.nodes]
    edges = [
        [
            edge["from"],
            edge["to"],
            kinds.index(edge["kind"]),
            POLARITIES.index(edge["polarity"]) if "polarity" in edge else -1,
            modalities.index(picture.nodes[edge["to"]]["name"]) if "polarity" in edge else -1,
            edge.get("weight", 0),
        ]
        for edge in picture.edges
    ]
    return {
        "nodes": nodes,
        "edges": edges,
        "kinds": kinds,
        "modalities": modalities,
        "polarities": list(POLARITIES),
        "signs": [MARKS[p]["sign"] for p in POLARITIES],
        "dashes": [MARKS[p]["dash"] for p in POLARITIES],
        "wide": WIDE,
        "high": HIGH,
        "badge": _BADGE,
    }


def _lines(node: dict[str, Any]) -> list[str]:
    if node["kind"] == "modality":
        return [
            *wrap(clean(node["name"]), WIDE - 16, FONT + 1, 1),
            *(["not observed"] if node["absent"] else []),
        ]
    if node["kind"] == "observation":
        return wrap(node["said"], WIDE - 16, SMALL, 2)
    marks = len({e["polarity"] for e in node["evidence"]})
    return wrap(clean(node["name"]), WIDE - 16 - marks * _BADGE, FONT, 2)


def _evidence(picture: Picture) -> list[dict[str, Any]]:
    """Give the rows of the table of evidence: what the picture shows, for who reads instead of looking."""
    rows = [
        {"fsn": node["fsn"], "sctid": node["sctid"], "sign": MARKS[e["polarity"]]["sign"], **e}
        for node in picture.nodes
        if node["kind"] == "concept"
        for e in node["evidence"]
    ]
    place = picture.facts["modalities"].index
    return sorted(
        rows, key=lambda r: (place(r["modality"]), POLARITIES.index(r["polarity"]), r["fsn"].casefold())
    )
