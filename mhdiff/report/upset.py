"""Which modalities samples have together, as a picture: sets in columns, patterns in rows, counts as bars.

After Lex et al., UpSet: Visualization of Intersecting Sets (2014), turned on its side, so that it stays narrow enough
for a phone: a filled dot is a modality that is there, a line joins those of a pattern. What is hidden has a dashed bar
of one length, whatever its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

from mhdiff.cohort.suppress import Told
from mhdiff.report.text import count, plural

ROW, COLUMN, BARS, LEFT = 24, 26, 190, 14
MOST = 20  # patterns that are drawn
_NUMBER = 52  # room of a count behind its bar
_LETTER = 6.4  # width of one, for the room that slanted names need
_BLUE, _GREY, _EMPTY, _INK, _WASH = "#0072b2", "#6b7484", "#c9d0da", "#1b2230", "#f5f7fa"


def upset(patterns: Mapping[str, Told], samples_with: Mapping[str, Told]) -> str:
    """Draw the picture.

    Args:
        patterns: "image+note" -> how many samples have just these, as `mhdiff.cohort.describe` tells it.
        samples_with: Modality -> how many samples have it, perhaps with others; in the order of the columns.

    Returns:
        An SVG document.
    """
    names = list(samples_with)
    shown, left = list(patterns.items())[:MOST], len(patterns) - MOST
    longest = max((len(name) for name in names), default=0)
    top = 26 + 0.75 * longest * _LETTER  # names stand at 50 degrees
    start = LEFT + len(names) * COLUMN + 10
    wide = max(
        start + BARS + _NUMBER + longest * _LETTER, LEFT + len(names) * COLUMN + 0.7 * longest * _LETTER
    )
    known = [n for n in (*dict(shown).values(), *samples_with.values()) if isinstance(n, int)]
    scale = BARS / max([1, *known])
    parts = [_names(names, top)]
    y = top
    for pattern, told in shown:
        parts.append(_row(pattern.split("+"), names, told, y, start, scale, _BLUE))
        y += ROW
    if left > 0:
        parts.append(_text(LEFT - 6, y + 16, f"and {plural(left, 'rarer pattern')}"))
        y += ROW
    parts.append(_text(LEFT - 6, y + 26, "Samples that have it, whatever else they have"))
    y += 34
    for name, told in samples_with.items():
        parts.append(_row([name], names, told, y, start, scale, _GREY, name))
        y += ROW
    said = "; ".join(f"{pattern.replace('+', ' and ')}: {told}" for pattern, told in shown)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {y + 8:.0f}" width="{wide:.0f}" '
        f'height="{y + 8:.0f}" role="img" font-family="system-ui, sans-serif" font-size="12" '
        f'aria-label="Samples by the modalities that they have: {escape(said, {chr(34): "&quot;"})}">'
        f"<title>Samples by the modalities that they have</title>{''.join(parts)}</svg>\n"
    )


def _names(names: list[str], top: float) -> str:
    parts = []
    for i, name in enumerate(names):
        x = LEFT + i * COLUMN
        parts.append(
            f'<text x="{x}" y="{top - 8:.1f}" fill="{_INK}" transform="rotate(-50 {x} {top - 8:.1f})">'
            f"{escape(name)}</text>"
        )
    return "".join(parts)


def _row(
    own: list[str],
    names: list[str],
    told: Told,
    y: float,
    start: float,
    scale: float,
    colour: str,
    label: str = "",
) -> str:
    """One row: dots, the line that joins the filled ones, and the bar with its count."""
    middle = y + ROW / 2
    places = [LEFT + i * COLUMN for i, name in enumerate(names) if name in own]
    dots = "".join(
        f'<circle cx="{LEFT + i * COLUMN}" cy="{middle}" r="{6 if name in own else 3.5}" '
        f'fill="{colour if name in own else _EMPTY}"/>'
        for i, name in enumerate(names)
    )
    line = (
        f'<line x1="{places[0]}" x2="{places[-1]}" y1="{middle}" y2="{middle}" stroke="{colour}" stroke-width="3"/>'
        if len(places) > 1
        else ""
    )
    if isinstance(told, int):
        width = max(told * scale, 1 if told else 0)
        bar = f'<rect x="{start}" y="{middle - 7}" width="{width:.1f}" height="14" fill="{colour}"/>'
    else:
        width = 26
        bar = (
            f'<rect x="{start + 0.75}" y="{middle - 6.25}" width="{width - 1.5}" height="12.5" fill="{_WASH}" '
            f'stroke="{colour}" stroke-width="1.5" stroke-dasharray="3 2"/>'
        )
    # Nothing at all stands as a word where its dots would be.
    none = _text(LEFT - 6, middle + 4, "none") if not places else ""
    said = f"{count(told)} {label}".strip()
    return f"{line}{'' if none else dots}{none}{bar}{_text(start + width + 6, middle + 4, said)}"


def _text(x: float, y: float, said: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{_INK}">{escape(said)}</text>'
