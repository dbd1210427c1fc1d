"""A concept's neighbourhood as a picture: one SVG without anything from outside, for pages, papers and notebooks.

Parents stand above the concept and children below it; what its attributes lead to stands to the right, a frame around
each role group, and concepts whose attributes lead to it stand to the left. Such a star needs no general graph layout,
and those of networkx place points, not boxes with labels: here every band is a grid, and lines run in the gutters
between, so that no box, label or line covers another, however many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from ontology.drawing_parts import (
    BOX,
    FOCUS,
    FRAME,
    GUTTER,
    LABEL,
    LABEL_LEADING,
    LEADING,
    PADDING,
    ROW_GAP,
    SMALL,
    Block,
    Box,
    Row,
    band_width,
    below,
    concept_box,
    described,
    focus_box,
    grid,
    left_blocks,
    parent_box,
    right_blocks,
)
from ontology.lettering import clean, width, wrap
from ontology.neighbourhood import Neighbourhood, neighbourhood
from ontology.svg_style import ARROWS, CSS

if TYPE_CHECKING:
    from ontology.model import Ontology

# Pixels.
_MARGIN = 24
_BUS = 46  # between two bands, for the line along them


def svg(ontology: Ontology, concept: int | str, limit: int | None = 20) -> str:
    """Draw a concept's neighbourhood; in a notebook, show it with `IPython.display.SVG`.

    Args:
        ontology: The ontology.
        concept: The SCTID or identifier of a concept, active or inactive.
        limit: How many parents, children, attributes and so on are drawn at most; how many more there are is said.

    Returns:
        An SVG document.

    Raises:
        ConceptNotFound: If the ontology holds no such concept, active or inactive.
    """
    return draw(neighbourhood(ontology, concept, limit), ontology.name)


def draw(of: Neighbourhood, source: str = "") -> str:
    """Draw a neighbourhood.

    Args:
        of: What `ontology.neighbourhood.neighbourhood` gave.
        source: What it is from; it is named in the legend.

    Returns:
        An SVG document.
    """
    return _Picture(of, clean(source)).document()


class _Picture:
    def __init__(self, of: Neighbourhood, source: str) -> None:
        self.of, self.source = of, source
        self.focus = focus_box(of)
        self.parents = grid([parent_box(p) for p in of.parents.shown], of.parents, "parents")
        children = [concept_box(c.name, below(c.descendants)) for c in of.children.shown]
        self.children = grid(children, of.children, "children")
        self.right, self.left = right_blocks(of), left_blocks(of)
        self.used: dict[str, None] = {}  # what the legend explains

    def document(self) -> str:
        right, left = (sum(b.high for b in s) + ROW_GAP * max(0, len(s) - 1) for s in (self.right, self.left))
        side = FOCUS / 2 + _SIDE
        bands = max(band_width(self.parents), band_width(self.children)) / 2
        before = max(side if self.left else 0, FOCUS / 2, bands)
        behind = max(side if self.right else 0, FOCUS / 2, bands)
        wide = max(before + behind + 2 * _MARGIN, 460)
        self.centre = _MARGIN + before if before + behind + 2 * _MARGIN >= 460 else 230.0
        self.body = ET.Element("g")
        # what is drawn later covers what is drawn earlier
        self.frames, self.edges, self.boxes = (ET.SubElement(self.body, "g") for _ in range(3))
        top = float(_MARGIN)
        if self.parents:
            top = self._place(self.parents, top) + _BUS
        middle = max(self.focus.high, right, left)
        self.focus.x, self.focus.y = self.centre - FOCUS / 2, top + (middle - self.focus.high) / 2
        self._side(self.right, top + (middle - right) / 2, 1)
        self._side(self.left, top + (middle - left) / 2, -1)
        bottom = top + middle
        if self.children:
            bottom = self._place(self.children, bottom + _BUS)
        self._hierarchy(self.parents, upward=True)
        self._hierarchy(self.children, upward=False)
        self._put(self.focus)
        high = self._legend(bottom + 30, wide) + _MARGIN
        return self._whole(wide, high)

    def _whole(self, wide: float, high: float) -> str:
        name = f"onto-{self.of.concept.sctid}"
        root = ET.Element("svg", {
            "xmlns": "http://www.w3.org/2000/svg", "class": "onto", "role": "img",
            "aria-labelledby": f"{name}-title {name}-desc", "viewBox": f"0 0 {_n(wide)} {_n(high)}",
            "width": _n(wide), "height": _n(high),
        })  # fmt: skip
        title = ET.SubElement(root, "title", {"id": f"{name}-title"})
        title.text = f"{clean(self.of.concept.fsn)} and its neighbours"
        ET.SubElement(root, "desc", {"id": f"{name}-desc"}).text = described(self.of)
        ET.SubElement(root, "style").text = CSS
        arrows = ET.SubElement(root, "defs")
        for kind, path in ARROWS.items():
            marker = ET.SubElement(arrows, "marker", {
                "id": f"{name}-{kind}", "class": f"arrow {kind}", "viewBox": "0 0 12 12", "refX": "11", "refY": "6",
                "markerWidth": "12", "markerHeight": "12", "markerUnits": "userSpaceOnUse", "orient": "auto",
            })  # fmt: skip
            ET.SubElement(marker, "path", {"d": path})
        ET.SubElement(root, "rect", {"class": "ground", "width": _n(wide), "height": _n(high)})
        root.append(self.body)
        return ET.tostring(root, encoding="unicode") + "\n"

    # Bands of parents and children

    def _place(self, rows: list[list[Box]], top: float) -> float:
        left = self.centre - band_width(rows) / 2
        for row in rows:
            for column, box in enumerate(row):
                box.x, box.y = left + GUTTER / 2 + column * (BOX + GUTTER), top
            top += max(box.high for box in row) + ROW_GAP
        return top - ROW_GAP

    def _hierarchy(self, rows: list[list[Box]], *, upward: bool) -> None:
        """Draw is-a: one line from the concept along the band, then down a gutter where the band has several rows."""
        concept = clean(self.of.concept.fsn)
        for box in (box for row in rows for box in row):
            if upward:
                bus, end = max(b.y + b.high for b in rows[-1]) + _BUS / 2, self.focus.y
            else:
                bus, end = rows[0][0].y - _BUS / 2, self.focus.y + self.focus.high
            if len(rows) == 1:
                middle = box.x + box.wide / 2
                points = [(middle, box.y + box.high if upward else box.y), (middle, bus)]
            else:
                points = [(box.x, box.middle), (box.x - GUTTER / 2, box.middle), (box.x - GUTTER / 2, bus)]
            points += [(self.centre, bus), (self.centre, end)]
            name = box.tip.partition("\n")[0]
            tip = f"{concept} is a {name}" if upward else f"{name} is a {concept}"
            more = box.kind == "more"
            self._edge(
                "isa", points[::-1] if upward else points, "" if more else tip, arrow=not more or not upward
            )
            self._put(box)

    # Attributes

    def _side(self, blocks: list[Block], top: float, way: int) -> None:
        """Draw blocks beside the concept, to the right (way 1) or to the left (way -1)."""
        edge = self.centre + way * FOCUS / 2
        spine, frame = edge + way * 22, edge + way * 40
        label, box_near = frame + way * 10, frame + way * (10 + LABEL + 26)
        for block in blocks:
            if block.title:
                far = box_near + way * (BOX + 10)
                self._frame(min(frame, far), top, abs(far - frame), block)
                top += FRAME
            framed = " framed" if block.title and block.of_roles else ""
            for row in block.rows:
                middle = top + (row.high - (ROW_GAP if not block.title else 0)) / 2
                row.box.x, row.box.y = box_near if way > 0 else box_near - BOX, middle - row.box.high / 2
                points = [
                    (edge, self.focus.middle),
                    (spine, self.focus.middle),
                    (spine, middle),
                    (box_near, middle),
                ]
                self._edge(
                    row.edge, points if way > 0 else points[::-1], row.tip, arrow=row.box.kind != "more"
                )
                self._label(label if way > 0 else label - LABEL, middle, row, framed)
                self._put(row.box)
                top += row.high
            top += ROW_GAP + (8 if block.title else 0)

    def _frame(self, x: float, y: float, wide: float, block: Block) -> None:
        kind = "frame" if block.of_roles else "frame other"
        self.used.setdefault(kind)
        group = ET.SubElement(self.frames, "g")
        ET.SubElement(group, "title").text = block.title
        self._rect(group, kind, x, y, wide, block.high)
        text = ET.SubElement(group, "text", {"class": "caption", "x": _n(x + 10), "y": _n(y + 14)})
        text.text = wrap(block.title, wide - 20, SMALL, 1)[0]

    def _label(self, x: float, middle: float, row: Row, framed: str) -> None:
        if not row.relation:
            return
        group = ET.SubElement(self.boxes, "g")
        ET.SubElement(group, "title").text = row.tip
        wide = max(width(line, SMALL + 1) for line in row.label) + 8
        high = len(row.label) * LABEL_LEADING + 2
        left = x + (LABEL - wide) / 2
        self._rect(group, f"label{framed}", left, middle - high / 2, wide, high)
        for number, line in enumerate(row.label):
            place = {"x": _n(x + LABEL / 2), "y": _n(middle - high / 2 + 11 + number * LABEL_LEADING)}
            ET.SubElement(group, "text", {"class": f"name {row.edge}", **place}).text = line

    # Parts

    def _edge(
        self, kind: str, points: Sequence[tuple[float, float]], tip: str, *, arrow: bool = True
    ) -> None:
        self.used.setdefault(kind)
        path = {"class": f"edge {kind}", "d": _path(points)}
        if arrow:
            path["marker-end"] = f"url(#onto-{self.of.concept.sctid}-{kind})"
        group = ET.SubElement(self.edges, "g")
        if tip:
            ET.SubElement(group, "title").text = tip
        ET.SubElement(group, "path", path)

    def _put(self, box: Box) -> None:
        self.used.setdefault(box.kind)
        group = ET.SubElement(self.boxes, "g")
        ET.SubElement(group, "title").text = box.tip
        self._rect(group, f"box {box.kind}", box.x, box.y, box.wide, box.high)
        if "defined" in box.kind:  # a double border, as fully defined concepts have it elsewhere
            self._rect(group, "inner", box.x + 3, box.y + 3, box.wide - 6, box.high - 6)
        for number, (line, kind) in enumerate(box.lines):
            y = box.y + 17 + number * LEADING
            text = ET.SubElement(group, "text", {"class": kind, "x": _n(box.x + PADDING), "y": _n(y)})
            text.text = line

    @staticmethod
    def _rect(parent: ET.Element, kind: str, x: float, y: float, wide: float, high: float) -> None:
        ET.SubElement(parent, "rect", {
            "class": kind, "x": _n(x), "y": _n(y), "width": _n(wide), "height": _n(high),
            **({} if kind.startswith("label") else {"rx": "6"}),
        })  # fmt: skip

    def _legend(self, top: float, wide: float) -> float:
        """Explain what is drawn; give where the legend ends."""
        group = ET.SubElement(self.body, "g", {"class": "legend"})
        x, y = float(_MARGIN), top
        for kind, said in _LEGEND.items():
            if kind not in self.used:
                continue
            room = 44 + width(said, SMALL + 1) + 18
            if x + room > wide - _MARGIN and x > _MARGIN:
                x, y = float(_MARGIN), y + 22
            if kind in ARROWS:
                line = {"class": f"edge {kind}", "d": _path([(x, y), (x + 34, y)])}
                line["marker-end"] = f"url(#onto-{self.of.concept.sctid}-{kind})"
                ET.SubElement(group, "path", line)
            else:
                self._rect(group, f"sample {kind}", x, y - 8, 34, 16)
                if "defined" in kind:
                    self._rect(group, "inner", x + 3, y - 5, 28, 10)
            ET.SubElement(group, "text", {"class": "said", "x": _n(x + 42), "y": _n(y + 4)}).text = said
            x += room
        if self.source:
            y += 22
            source = wrap(self.source, wide - 2 * _MARGIN, SMALL + 1, 1)[0]
            text = ET.SubElement(group, "text", {"class": "said", "x": f"{_MARGIN}", "y": _n(y + 4)})
            text.text = source
        return y + 12


_SIDE = 40 + 10 + LABEL + 26 + BOX + 10
_LEGEND = {
    "isa": "is a: from the special to the general",
    "attribute": "attribute, named on its line",
    "map": "map to another code system",
    "history": "historical association",
    "concept": "concept, active",
    "retired": "concept, inactive",
    "unknown": "concept that is not in this ontology",
    "focus": "this concept, primitive",
    "focus defined": "this concept, fully defined",
    "focus retired": "this concept, inactive",
    "frame": "what stands together in one role group",
    "value": "concrete value",
    "code": "code of another system",
    "more": "more than are drawn",
}


def _n(number: float) -> str:
    """Write a coordinate; `:g` would round one of a long picture."""
    return f"{round(number, 2):.12g}"


def _path(points: Sequence[tuple[float, float]]) -> str:
    """Write right-angled lines as a path; points that say nothing new are left out."""
    kept = [points[0]]
    for point in points[1:]:
        if len(kept) > 1 and (
            kept[-2][0] == kept[-1][0] == point[0] or kept[-2][1] == kept[-1][1] == point[1]
        ):
            kept.pop()
        if point != kept[-1]:
            kept.append(point)
    return "M" + " L".join(f"{_n(x)} {_n(y)}" for x, y in kept)
