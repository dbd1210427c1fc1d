"""What the picture of a neighbourhood is made of: boxes, rows of attributes and blocks of rows, with their sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from ontology.few import Few
from ontology.lettering import clean, wrap
from ontology.neighbourhood import Attribute, Name, Neighbourhood, Parent

# Pixels.
ROW_GAP, GUTTER = 12, 30
BOX, FOCUS, LABEL, PADDING = 196, 240, 150, 10
FONT, SMALL, LEADING, LABEL_LEADING = 12, 10, 15, 13
FRAME = 20  # the height of a frame's title
_BOLD = 14.5  # the title has 13, but bold letters are wider
_COLUMNS = 5
_LINES = 3  # of a neighbour's name


@dataclass
class Box:
    """A concept or value: its lines with their class, its tooltip, and where it stands once it is placed."""

    kind: str
    lines: list[tuple[str, str]]
    tip: str
    wide: float = BOX
    x: float = 0.0
    y: float = 0.0

    @property
    def high(self) -> float:
        """Its height."""
        return len(self.lines) * LEADING + 12

    @property
    def middle(self) -> float:
        """The height of its middle, once it is placed."""
        return self.y + self.high / 2


@dataclass
class Row:
    """One attribute: what the line says, and the box at its other end."""

    relation: str
    box: Box
    edge: str
    tip: str
    label: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.label = wrap(clean(self.relation), LABEL - 8, SMALL + 1, 3)

    @property
    def high(self) -> float:
        """Its height, the gap below included."""
        return max(self.box.high, len(self.label) * LABEL_LEADING + 2) + ROW_GAP


@dataclass
class Block:
    """Rows that belong together; with a title they stand in a frame."""

    title: str
    rows: list[Row]
    of_roles: bool = False

    @property
    def high(self) -> float:
        """Its height, the frame included."""
        return sum(row.high for row in self.rows) + (FRAME + 8 if self.title else 0)


def parent_box(parent: Parent) -> Box:
    """Give a parent's box; of a long line above it the middle is left out until what is named has room.

    Args:
        parent: The parent.
    """
    above = [clean(name.term) for name in parent.lineage[::-1]]
    whole = "under " + " ‹ ".join(above) if above else "a root"
    note, kept = whole, len(above) - 1
    while kept > 1 and len(wrap(note, BOX - 2 * PADDING, SMALL, 3)) > 2:
        kept -= 1
        note = "under " + " ‹ ".join((*above[:kept], "…", above[-1]))
    return concept_box(parent.name, note, whole)


def concept_box(name: Name, note: str = "", tip: str = "") -> Box:
    """Give the box of a neighbour.

    Args:
        name: What it is called.
        note: A small line below its name.
        tip: What the tooltip says instead of the note.
    """
    lines = [(line, "term") for line in wrap(clean(name.term), BOX - 2 * PADDING, FONT, _LINES)]
    if name.term != name.identifier:
        lines.append((wrap(clean(name.identifier), BOX - 2 * PADDING, SMALL, 1)[0], "small"))
    lines += [(line, "small") for line in wrap(note, BOX - 2 * PADDING, SMALL, 3) if line]
    kind = {True: "concept", False: "retired", None: "unknown"}[name.active]
    return Box(kind, lines, "\n".join((_tip(name), *([tip or note] if tip or note else []))))


def _tip(name: Name) -> str:
    return f"{clean(name.fsn)}\n{clean(name.identifier)}"


def below(descendants: int) -> str:
    """Say how many concepts lie below; nothing where there are none.

    Args:
        descendants: How many.
    """
    return f"{descendants:,} below" if descendants else ""


def _text_box(kind: str, text: str, tip: str) -> Box:
    return Box(kind, [(line, "term") for line in wrap(clean(text), BOX - 2 * PADDING, FONT, 2)], clean(tip))


def _rest(few: Few[Any], what: str) -> list[Box]:
    said = f"{few.more:,} more of {few.total:,} {what}"
    return [_text_box("more", f"… {said}", said)] if few.more else []


def grid(boxes: list[Box], few: Few[Any], what: str) -> list[list[Box]]:
    """Put boxes, and one for those that are not shown, into rows of at most five, as even as can be.

    Args:
        boxes: The boxes.
        few: What they stand for.
        what: What those are called.
    """
    every = [*boxes, *_rest(few, what)]
    if not every:
        return []
    columns = math.ceil(len(every) / math.ceil(len(every) / _COLUMNS))
    return [every[start : start + columns] for start in range(0, len(every), columns)]


def band_width(rows: list[list[Box]]) -> float:
    """Say how wide a grid is, its gutters included.

    Args:
        rows: The grid.
    """
    return len(rows[0]) * (BOX + GUTTER) if rows else 0.0


def focus_box(of: Neighbourhood) -> Box:
    """Give the box of the concept itself.

    Args:
        of: Its neighbourhood.
    """
    room, name = FOCUS - 2 * PADDING, of.concept
    lines = [(line, "title") for line in wrap(clean(name.fsn), room, _BOLD, 5)]
    lines.append((wrap(clean(name.identifier), room, SMALL, 1)[0], "small"))
    reason = f": {of.reason.term}" if of.reason else ""
    status = ("fully defined" if of.fully_defined else "primitive") if name.active else f"inactive{reason}"
    lines += [(line, "small") for line in wrap(clean(status), room, SMALL, 2)]
    said = [_tip(name), *(clean(synonym) for synonym in of.synonyms)]
    kind = "focus retired" if not name.active else "focus defined" if of.fully_defined else "focus"
    return Box(kind, lines, "\n".join(said), wide=FOCUS)


def right_blocks(of: Neighbourhood) -> list[Block]:
    """Give what the concept leads to: role groups, values, history and maps.

    Args:
        of: Its neighbourhood.
    """
    blocks = []
    for group, attributes in groupby(of.attributes.shown, key=lambda a: a.group):
        rows = [_attribute(of, a) for a in attributes]
        blocks.append(Block(f"role group {group}" if group else "", rows, of_roles=True))
    blocks += _more_block(_rest(of.attributes, "attributes"), "attribute")
    links = [
        Row(link.relation, concept_box(link.name), "history",
             f"{clean(of.concept.fsn)}: {link.relation} {clean(link.name.fsn)}")
        for link in of.history.shown
    ]  # fmt: skip
    links += [Row("", box, "history", box.tip) for box in _rest(of.history, "associations")]
    if links:
        blocks.append(Block("history", links))
    far = [end for end in of.ends.shown if len(end.path) > 2]  # the others are drawn already
    ends = [
        Row(f"{end.kind}, {end.confidence:.2f}", concept_box(end.name), "history",
             "by way of " + ", ".join(clean(name.fsn) for name in end.path[1:-1]))
        for end in far
    ]  # fmt: skip
    if ends:
        blocks.append(Block("active concepts that it leads to at last", ends))
    for system, mapped in groupby(of.maps.shown, key=lambda row: str(row["system"])):
        blocks.append(Block(f"map to {clean(system)}", [_mapped(row) for row in mapped]))
    return blocks + _more_block(_rest(of.maps, "rows of maps"), "map")


def _mapped(row: dict[str, Any]) -> Row:
    rule = str(row["rule"])
    plain = (
        f"group {row['group']}, priority {row['priority']}" if row["group"] else row["predicate"] or "maps to"
    )
    said = rule if rule != "TRUE" else plain
    tip = clean(" · ".join(str(row[key]) for key in ("system", "target", "rule", "advice") if row[key]))
    return Row(said, _text_box("code", str(row["target"]) or "no code", tip), "map", tip)


def _attribute(of: Neighbourhood, attribute: Attribute) -> Row:
    if attribute.target:
        box, end = concept_box(attribute.target), clean(attribute.target.fsn)
    else:
        box, end = _text_box("value", attribute.shown, attribute.shown), clean(attribute.shown)
    tip = f"{clean(of.concept.fsn)}: {clean(attribute.relation)} {end}"
    return Row(attribute.relation, box, "attribute", tip)


def left_blocks(of: Neighbourhood) -> list[Block]:
    """Give what leads to the concept: attributes of others, and inactive concepts.

    Args:
        of: Its neighbourhood.
    """
    rows = [
        Row(link.relation, concept_box(link.name), "attribute",
             f"{clean(link.name.fsn)}: {clean(link.relation)} {clean(of.concept.fsn)}")
        for link in of.inbound.shown
    ]  # fmt: skip
    rows += [Row("", box, "attribute", box.tip) for box in _rest(of.inbound, "relations of others")]
    former = [
        Row(link.relation, concept_box(link.name), "history",
             f"{clean(link.name.fsn)}: {link.relation} {clean(of.concept.fsn)}")
        for link in of.former.shown
    ]  # fmt: skip
    former += [Row("", box, "history", box.tip) for box in _rest(of.former, "inactive concepts")]
    return [
        *([Block("", rows)] if rows else []),
        *([Block("inactive concepts that lead here", former)] if former else []),
    ]


def _more_block(boxes: list[Box], edge: str) -> list[Block]:
    return [Block("", [Row("", box, edge, box.tip)]) for box in boxes]


def described(of: Neighbourhood) -> str:
    """Say in words what the picture shows, for those who do not see it.

    Args:
        of: The neighbourhood.
    """
    return " ".join(_sentences(of))


def _sentences(of: Neighbourhood) -> Iterator[str]:
    for title, few in (("Parents", of.parents), ("Children", of.children)):
        if few.total:
            names = "; ".join(clean(item.name.term) for item in few.shown)
            yield f"{title} ({few.total:,}): {names}{f'; and {few.more:,} more' if few.more else ''}."
    if of.attributes.total:
        said = "; ".join(
            f"{clean(a.relation)} {clean(a.target.term if a.target else a.shown)}"
            for a in of.attributes.shown
        )
        yield f"Attributes ({of.attributes.total:,}): {said}."
    if of.inbound.total:
        yield f"{of.inbound.total:,} attributes of other concepts lead here."
    if of.history.total:
        said = "; ".join(f"{link.relation} {clean(link.name.term)}" for link in of.history.shown)
        yield f"Inactive; history: {said}."
    if of.maps.total:
        yield f"{of.maps.total:,} rows of maps."
