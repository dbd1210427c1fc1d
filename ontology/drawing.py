"""A concept's neighbourhood as a picture: one SVG without anything from outside, for pages, papers and notebooks.

Parents stand above the concept and children below it; what its attributes lead to stands to the right, a frame around each
role group, and concepts whose attributes lead to it stand to the left. Such a star needs no general graph layout, and
those of networkx place points, not boxes with labels: here every band is a grid, and lines run in the gutters
between, so that no box, label or line covers another, however many there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from ontology.few import Few
from ontology.lettering import clean, width, wrap
from ontology.neighbourhood import Attribute, Name, Neighbourhood, Parent, neighbourhood
from ontology.svg_style import ARROWS, CSS

if TYPE_CHECKING:
    from ontology.model import Ontology

# Pixels.
_MARGIN, _GUTTER, _ROW_GAP = 24, 30, 12
_BOX, _FOCUS, _LABEL, _PADDING = 196, 240, 150, 10
_FONT, _SMALL, _LEADING = 12, 10, 15
_LABEL_LEADING = 13
_BOLD = 14.5  # the title has 13, but bold letters are wider
_BUS = 46  # between two bands, for the line along them
_COLUMNS = 5
_LINES = 3  # of a neighbour's name
_FRAME = 20  # the height of a frame's title


@dataclass
class _Box:
    """A concept or value: its lines with their class, its tooltip, and where it stands once it is placed."""

    kind: str
    lines: list[tuple[str, str]]
    tip: str
    wide: float = _BOX
    x: float = 0.0
    y: float = 0.0

    @property
    def high(self) -> float:
        return len(self.lines) * _LEADING + 12

    @property
    def middle(self) -> float:
        return self.y + self.high / 2


@dataclass
class _Row:
    """One attribute: what the line says, and the box at its other end."""

    relation: str
    box: _Box
    edge: str
    tip: str
    label: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.label = wrap(clean(self.relation), _LABEL - 8, _SMALL + 1, 3)

    @property
    def high(self) -> float:
        return max(self.box.high, len(self.label) * _LABEL_LEADING + 2) + _ROW_GAP


@dataclass
class _Block:
    """Rows that belong together; with a title they stand in a frame."""

    title: str
    rows: list[_Row]
    of_roles: bool = False

    @property
    def high(self) -> float:
        return sum(row.high for row in self.rows) + (_FRAME + 8 if self.title else 0)


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
        self.focus = _focus(of)
        self.parents = _grid([_parent(p) for p in of.parents.shown], of.parents, "parents")
        self.children = _grid([_box(c.name, _below(c.descendants)) for c in of.children.shown], of.children, "children")  # fmt: skip
        self.right, self.left = _right(of), _left(of)
        self.used: dict[str, None] = {}  # what the legend explains

    def document(self) -> str:
        right, left = (sum(b.high for b in s) + _ROW_GAP * max(0, len(s) - 1) for s in (self.right, self.left))
        side = _FOCUS / 2 + _SIDE
        bands = max(_band_width(self.parents), _band_width(self.children)) / 2
        before = max(side if self.left else 0, _FOCUS / 2, bands)
        behind = max(side if self.right else 0, _FOCUS / 2, bands)
        wide = max(before + behind + 2 * _MARGIN, 460)
        self.centre = _MARGIN + before if before + behind + 2 * _MARGIN >= 460 else 230.0
        self.body = ET.Element("g")
        # what is drawn later covers what is drawn earlier
        self.frames, self.edges, self.boxes = (ET.SubElement(self.body, "g") for _ in range(3))
        top = float(_MARGIN)
        if self.parents:
            top = self._place(self.parents, top) + _BUS
        middle = max(self.focus.high, right, left)
        self.focus.x, self.focus.y = self.centre - _FOCUS / 2, top + (middle - self.focus.high) / 2
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
            "aria-labelledby": f"{name}-title {name}-desc", "viewBox": f"0 0 {wide:g} {high:g}",
            "width": f"{wide:g}", "height": f"{high:g}",
        })  # fmt: skip
        ET.SubElement(root, "title", {"id": f"{name}-title"}).text = f"{clean(self.of.concept.fsn)} and its neighbours"
        ET.SubElement(root, "desc", {"id": f"{name}-desc"}).text = _described(self.of)
        ET.SubElement(root, "style").text = CSS
        arrows = ET.SubElement(root, "defs")
        for kind, path in ARROWS.items():
            marker = ET.SubElement(arrows, "marker", {
                "id": f"{name}-{kind}", "class": f"arrow {kind}", "viewBox": "0 0 12 12", "refX": "11", "refY": "6",
                "markerWidth": "12", "markerHeight": "12", "markerUnits": "userSpaceOnUse", "orient": "auto",
            })  # fmt: skip
            ET.SubElement(marker, "path", {"d": path})
        ET.SubElement(root, "rect", {"class": "ground", "width": f"{wide:g}", "height": f"{high:g}"})
        root.append(self.body)
        return ET.tostring(root, encoding="unicode") + "\n"

    # Bands of parents and children

    def _place(self, rows: list[list[_Box]], top: float) -> float:
        left = self.centre - _band_width(rows) / 2
        for row in rows:
            for column, box in enumerate(row):
                box.x, box.y = left + _GUTTER / 2 + column * (_BOX + _GUTTER), top
            top += max(box.high for box in row) + _ROW_GAP
        return top - _ROW_GAP

    def _hierarchy(self, rows: list[list[_Box]], *, upward: bool) -> None:
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
                points = [(box.x, box.middle), (box.x - _GUTTER / 2, box.middle), (box.x - _GUTTER / 2, bus)]
            points += [(self.centre, bus), (self.centre, end)]
            name = box.tip.partition("\n")[0]
            tip = f"{concept} is a {name}" if upward else f"{name} is a {concept}"
            more = box.kind == "more"
            self._edge("isa", points[::-1] if upward else points, "" if more else tip, arrow=not more or not upward)
            self._put(box)

    # Attributes

    def _side(self, blocks: list[_Block], top: float, way: int) -> None:
        """Draw blocks beside the concept, to the right (way 1) or to the left (way -1)."""
        edge = self.centre + way * _FOCUS / 2
        spine, frame = edge + way * 22, edge + way * 40
        label, box_near = frame + way * 10, frame + way * (10 + _LABEL + 26)
        for block in blocks:
            if block.title:
                far = box_near + way * (_BOX + 10)
                self._frame(min(frame, far), top, abs(far - frame), block)
                top += _FRAME
            framed = " framed" if block.title and block.of_roles else ""
            for row in block.rows:
                middle = top + (row.high - (_ROW_GAP if not block.title else 0)) / 2
                row.box.x, row.box.y = box_near if way > 0 else box_near - _BOX, middle - row.box.high / 2
                points = [(edge, self.focus.middle), (spine, self.focus.middle), (spine, middle), (box_near, middle)]
                self._edge(row.edge, points if way > 0 else points[::-1], row.tip, arrow=row.box.kind != "more")
                self._label(label if way > 0 else label - _LABEL, middle, row, framed)
                self._put(row.box)
                top += row.high
            top += _ROW_GAP + (8 if block.title else 0)

    def _frame(self, x: float, y: float, wide: float, block: _Block) -> None:
        kind = "frame" if block.of_roles else "frame other"
        self.used.setdefault(kind)
        group = ET.SubElement(self.frames, "g")
        ET.SubElement(group, "title").text = block.title
        self._rect(group, kind, x, y, wide, block.high)
        text = ET.SubElement(group, "text", {"class": "caption", "x": f"{x + 10:g}", "y": f"{y + 14:g}"})
        text.text = wrap(block.title, wide - 20, _SMALL, 1)[0]

    def _label(self, x: float, middle: float, row: _Row, framed: str) -> None:
        if not row.relation:
            return
        group = ET.SubElement(self.boxes, "g")
        ET.SubElement(group, "title").text = row.tip
        wide = max(width(line, _SMALL + 1) for line in row.label) + 8
        high = len(row.label) * _LABEL_LEADING + 2
        left = x + (_LABEL - wide) / 2
        self._rect(group, f"label{framed}", left, middle - high / 2, wide, high)
        for number, line in enumerate(row.label):
            place = {"x": f"{x + _LABEL / 2:g}", "y": f"{middle - high / 2 + 11 + number * _LABEL_LEADING:g}"}
            ET.SubElement(group, "text", {"class": f"name {row.edge}", **place}).text = line

    # Parts

    def _edge(self, kind: str, points: Sequence[tuple[float, float]], tip: str, *, arrow: bool = True) -> None:
        self.used.setdefault(kind)
        path = {"class": f"edge {kind}", "d": _path(points)}
        if arrow:
            path["marker-end"] = f"url(#onto-{self.of.concept.sctid}-{kind})"
        group = ET.SubElement(self.edges, "g")
        if tip:
            ET.SubElement(group, "title").text = tip
        ET.SubElement(group, "path", path)

    def _put(self, box: _Box) -> None:
        self.used.setdefault(box.kind)
        group = ET.SubElement(self.boxes, "g")
        ET.SubElement(group, "title").text = box.tip
        self._rect(group, f"box {box.kind}", box.x, box.y, box.wide, box.high)
        if "defined" in box.kind:  # a double border, as fully defined concepts have it elsewhere
            self._rect(group, "inner", box.x + 3, box.y + 3, box.wide - 6, box.high - 6)
        for number, (line, kind) in enumerate(box.lines):
            y = box.y + 17 + number * _LEADING
            ET.SubElement(group, "text", {"class": kind, "x": f"{box.x + _PADDING:g}", "y": f"{y:g}"}).text = line

    @staticmethod
    def _rect(parent: ET.Element, kind: str, x: float, y: float, wide: float, high: float) -> None:
        ET.SubElement(parent, "rect", {
            "class": kind, "x": f"{x:g}", "y": f"{y:g}", "width": f"{wide:g}", "height": f"{high:g}",
            **({} if kind.startswith("label") else {"rx": "6"}),
        })  # fmt: skip

    def _legend(self, top: float, wide: float) -> float:
        """Explain what is drawn; give where the legend ends."""
        group = ET.SubElement(self.body, "g", {"class": "legend"})
        x, y = float(_MARGIN), top
        for kind, said in _LEGEND.items():
            if kind not in self.used:
                continue
            room = 44 + width(said, _SMALL + 1) + 18
            if x + room > wide - _MARGIN and x > _MARGIN:
                x, y = float(_MARGIN), y + 22
            if kind in ARROWS:
                end = f"url(#onto-{self.of.concept.sctid}-{kind})"
                ET.SubElement(group, "path", {"class": f"edge {kind}", "d": _path([(x, y), (x + 34, y)]), "marker-end": end})  # fmt: skip
            else:
                self._rect(group, f"sample {kind}", x, y - 8, 34, 16)
                if "defined" in kind:
                    self._rect(group, "inner", x + 3, y - 5, 28, 10)
            ET.SubElement(group, "text", {"class": "said", "x": f"{x + 42:g}", "y": f"{y + 4:g}"}).text = said
            x += room
        if self.source:
            y += 22
            line = wrap(self.source, wide - 2 * _MARGIN, _SMALL + 1, 1)[0]
            ET.SubElement(group, "text", {"class": "said", "x": f"{_MARGIN}", "y": f"{y + 4:g}"}).text = line
        return y + 12


_SIDE = 40 + 10 + _LABEL + 26 + _BOX + 10
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


def _path(points: Sequence[tuple[float, float]]) -> str:
    """Write right-angled lines as a path; points that say nothing new are left out."""
    kept = [points[0]]
    for point in points[1:]:
        if len(kept) > 1 and (kept[-2][0] == kept[-1][0] == point[0] or kept[-2][1] == kept[-1][1] == point[1]):
            kept.pop()
        if point != kept[-1]:
            kept.append(point)
    return "M" + " L".join(f"{x:g} {y:g}" for x, y in kept)


def _parent(parent: Parent) -> _Box:
    """Give a parent's box; of a long line above it the middle is left out until what is named has room."""
    above = [clean(name.term) for name in parent.lineage[::-1]]
    whole = "under " + " ‹ ".join(above) if above else "a root"
    note, kept = whole, len(above) - 1
    while kept > 1 and len(wrap(note, _BOX - 2 * _PADDING, _SMALL, 3)) > 2:
        kept -= 1
        note = "under " + " ‹ ".join((*above[:kept], "…", above[-1]))
    return _box(parent.name, note, whole)


def _box(name: Name, note: str = "", tip: str = "") -> _Box:
    lines = [(line, "term") for line in wrap(clean(name.term), _BOX - 2 * _PADDING, _FONT, _LINES)]
    if name.term != name.identifier:
        lines.append((wrap(clean(name.identifier), _BOX - 2 * _PADDING, _SMALL, 1)[0], "small"))
    lines += [(line, "small") for line in wrap(note, _BOX - 2 * _PADDING, _SMALL, 3) if line]
    kind = {True: "concept", False: "retired", None: "unknown"}[name.active]
    return _Box(kind, lines, "\n".join((_tip(name), *([tip or note] if tip or note else []))))


def _tip(name: Name) -> str:
    return f"{clean(name.fsn)}\n{clean(name.identifier)}"


def _below(descendants: int) -> str:
    return f"{descendants:,} below" if descendants else ""


def _text_box(kind: str, text: str, tip: str) -> _Box:
    return _Box(kind, [(line, "term") for line in wrap(clean(text), _BOX - 2 * _PADDING, _FONT, 2)], clean(tip))


def _rest(few: Few[object], what: str) -> list[_Box]:
    return [_text_box("more", f"… {few.more:,} more {what}", f"{few.more:,} more {what}")] if few.more else []


def _grid(boxes: list[_Box], few: Few[object], what: str) -> list[list[_Box]]:
    """Put boxes into rows of at most five, as even as can be."""
    every = [*boxes, *_rest(few, what)]
    if not every:
        return []
    columns = math.ceil(len(every) / math.ceil(len(every) / _COLUMNS))
    return [every[start : start + columns] for start in range(0, len(every), columns)]


def _band_width(rows: list[list[_Box]]) -> float:
    return len(rows[0]) * (_BOX + _GUTTER) if rows else 0.0


def _focus(of: Neighbourhood) -> _Box:
    room, name = _FOCUS - 2 * _PADDING, of.concept
    lines = [(line, "title") for line in wrap(clean(name.fsn), room, _BOLD, 5)]
    lines.append((wrap(clean(name.identifier), room, _SMALL, 1)[0], "small"))
    reason = f": {of.reason.term}" if of.reason else ""
    status = ("fully defined" if of.fully_defined else "primitive") if name.active else f"inactive{reason}"
    lines += [(line, "small") for line in wrap(clean(status), room, _SMALL, 2)]
    said = [_tip(name), *(clean(synonym) for synonym in of.synonyms)]
    kind = "focus retired" if not name.active else "focus defined" if of.fully_defined else "focus"
    return _Box(kind, lines, "\n".join(said), wide=_FOCUS)


def _right(of: Neighbourhood) -> list[_Block]:
    blocks = []
    for group, attributes in groupby(of.attributes.shown, key=lambda a: a.group):
        rows = [_attribute(of, a) for a in attributes]
        blocks.append(_Block(f"role group {group}" if group else "", rows, of_roles=True))
    blocks += _more_block(_rest(of.attributes, "attributes"), "attribute")
    links = [
        _Row(link.relation, _box(link.name), "history",
             f"{clean(of.concept.fsn)}: {link.relation} {clean(link.name.fsn)}")
        for link in of.history.shown
    ]  # fmt: skip
    links += [_Row("", box, "history", box.tip) for box in _rest(of.history, "associations")]
    if links:
        blocks.append(_Block("history", links))
    far = [end for end in of.ends.shown if len(end.path) > 2]  # the others are drawn already
    ends = [
        _Row(f"{end.kind}, {end.confidence:.2f}", _box(end.name), "history",
             "by way of " + ", ".join(clean(name.fsn) for name in end.path[1:-1]))
        for end in far
    ]  # fmt: skip
    if ends:
        blocks.append(_Block("active concepts that it leads to at last", ends))
    for system, rows in groupby(of.maps.shown, key=lambda row: str(row["system"])):
        blocks.append(_Block(f"map to {clean(system)}", [_mapped(row) for row in rows]))
    return blocks + _more_block(_rest(of.maps, "rows of maps"), "map")


def _mapped(row: dict[str, object]) -> _Row:
    rule = str(row["rule"])
    said = rule if rule != "TRUE" else f"group {row['group']}, priority {row['priority']}"
    tip = clean(" · ".join(str(row[key]) for key in ("system", "target", "rule", "advice") if row[key]))
    return _Row(said, _text_box("code", str(row["target"]) or "no code", tip), "map", tip)


def _attribute(of: Neighbourhood, attribute: Attribute) -> _Row:
    if attribute.target:
        box, end = _box(attribute.target), clean(attribute.target.fsn)
    else:
        box, end = _text_box("value", attribute.shown, attribute.shown), clean(attribute.shown)
    tip = f"{clean(of.concept.fsn)}: {clean(attribute.relation)} {end}"
    return _Row(attribute.relation, box, "attribute", tip)


def _left(of: Neighbourhood) -> list[_Block]:
    rows = [
        _Row(link.relation, _box(link.name), "attribute",
             f"{clean(link.name.fsn)}: {clean(link.relation)} {clean(of.concept.fsn)}")
        for link in of.inbound.shown
    ]  # fmt: skip
    rows += [_Row("", box, "attribute", box.tip) for box in _rest(of.inbound, "relations of others")]
    former = [
        _Row(link.relation, _box(link.name), "history",
             f"{clean(link.name.fsn)}: {link.relation} {clean(of.concept.fsn)}")
        for link in of.former.shown
    ]  # fmt: skip
    former += [_Row("", box, "history", box.tip) for box in _rest(of.former, "inactive concepts")]
    return [*([_Block("", rows)] if rows else []), *([_Block("inactive concepts that lead here", former)] if former else [])]


def _more_block(boxes: list[_Box], edge: str) -> list[_Block]:
    return [_Block("", [_Row("", box, edge, box.tip)]) for box in boxes]


def _described(of: Neighbourhood) -> str:
    """Say in words what the picture shows, for those who do not see it."""
    return " ".join(_sentences(of))


def _sentences(of: Neighbourhood) -> Iterator[str]:
    for title, few in (("Parents", of.parents), ("Children", of.children)):
        if few.total:
            names = "; ".join(clean(item.name.term) for item in few.shown)
            yield f"{title} ({few.total:,}): {names}{f'; and {few.more:,} more' if few.more else ''}."
    if of.attributes.total:
        said = "; ".join(
            f"{clean(a.relation)} {clean(a.target.term if a.target else a.shown)}" for a in of.attributes.shown
        )
        yield f"Attributes ({of.attributes.total:,}): {said}."
    if of.inbound.total:
        yield f"{of.inbound.total:,} attributes of other concepts lead here."
    if of.history.total:
        said = "; ".join(f"{link.relation} {clean(link.name.term)}" for link in of.history.shown)
        yield f"Inactive; history: {said}."
    if of.maps.total:
        yield f"{of.maps.total:,} rows of maps."
