"""A table of a report: what the page shows of it, and the same as CSV, as LaTeX and as Markdown.

A cell is text as a reader sees it, written by `mhdiff.report.text`; files for other programs are made from that text,
so that they can hold no other number. In CSV a figure with its interval takes three columns (why there is none stands
where it would begin), with a plain minus and no commas in counts; in LaTeX (booktabs) and Markdown it stays one.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mhdiff.report.text import MINUS, NONE

LONG = 34  # characters from which a cell may break over lines
_FIGURE = re.compile(rf"([+{MINUS}]?[\d.]+) \(([+{MINUS}]?[\d.]+) to ([+{MINUS}]?[\d.]+)\)")
_ALONE = re.compile(rf"([+{MINUS}]?[\d.]+) \((no interval: .*)\)()")
_COUNT = re.compile(r"\d{1,3}(,\d{3})+")
_ESCAPED = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", MINUS: "$-$", NONE: "--", "\N{EM DASH}": "---", "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$", "\N{SUPERSCRIPT TWO}": "$^2$", "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
    "\N{LEFTWARDS ARROW}": r"$\leftarrow$", "\N{LEFT RIGHT ARROW}": r"$\leftrightarrow$", "\N{MICRO SIGN}": r"$\mu$",
    "\N{GREEK SMALL LETTER MU}": r"$\mu$", "\N{GREEK SMALL LETTER LAMDA}": r"$\lambda$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$", "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{BLACK UP-POINTING TRIANGLE}": r"$\uparrow$", "\N{BLACK DOWN-POINTING TRIANGLE}": r"$\downarrow$",
    "\N{DEGREE SIGN}": r"$^\circ$", "\N{NO-BREAK SPACE}": "~",
    "\N{LEFT DOUBLE QUOTATION MARK}": "``", "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A cell that is more than text.

    Args:
        text: What it says.
        note: A second, smaller line.
        kind: "failed", "code", or that of a flag ("high", "low", ...).
        meter: A bar from the left, in percent; None for none.
        bar: A signed bar from the middle, see `mhdiff.report.figures.bars`.
    """

    text: str
    note: str = ""
    kind: str = ""
    meter: float | None = None
    bar: dict[str, float] | None = None

    def __str__(self) -> str:
        return f"{self.text}; {self.note}" if self.note else self.text


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        id: Its name: that of its files; in the page its anchor is `table-` and the name.
        caption: What it shows.
        columns: Headings; the first is that of the rows' names.
        rows: One cell a column; the first names the row.
        right: Headings of columns that are set flush right.
        whole: Whether it fills the width of the page.
    """

    id: str
    caption: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str | Cell]]
    right: tuple[str, ...] = ()
    whole: bool = False

    def __post_init__(self) -> None:
        wrong = [row for row in self.rows if len(row) != len(self.columns)]
        if wrong:
            raise ValueError(
                f"table {self.id}: {len(wrong[0])} cells for {len(self.columns)} columns: {wrong[0]}"
            )

    def csv(self) -> str:
        """Write it as CSV; a column that holds an interval becomes three, and one with second lines gets another."""
        places = range(len(self.columns))
        text = [[cell if isinstance(cell, str) else cell.text for cell in row] for row in self.rows]
        notes = [["" if isinstance(cell, str) else cell.note for cell in row] for row in self.rows]
        split = {i for i in places if any(_FIGURE.fullmatch(row[i]) for row in text)}
        noted = {i for i in places if any(row[i] for row in notes)}
        head: list[str] = []
        for i, name in enumerate(self.columns):
            head += [name, *([f"{name}, low", f"{name}, high"] if i in split else [])]
            head += [f"{name}, note"] if i in noted else []
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(head)
        for row, extra in zip(text, notes, strict=True):
            cells: list[str] = []
            for i, cell in enumerate(row):
                found = _FIGURE.fullmatch(cell) or _ALONE.fullmatch(cell) if i in split else None
                cells += list(found.groups()) if found else [cell, *([""] * 2 if i in split else [])]
                cells += [extra[i]] if i in noted else []
            writer.writerow([_plain(cell) for cell in cells])
        return out.getvalue()

    def latex(self) -> str:
        """Write it as a LaTeX table for the package booktabs."""
        wide = [max([0, *(len(str(row[i])) for row in self.rows)]) > LONG for i in range(len(self.columns))]
        kinds = ["p{4cm}" if wide[i] else "r" if c in self.right else "l" for i, c in enumerate(self.columns)]
        lines = [
            "% \\usepackage{booktabs}, and \\usepackage[T1]{fontenc} for names with accents",
            "\\begin{table}[htbp]",
            "\\centering\\small",
            f"\\caption{{{escape(self.caption)}}}",
            f"\\label{{tab:{self.id}}}",
            f"\\begin{{tabular}}{{{''.join(kinds)}}}",
            "\\toprule",
            " & ".join(map(escape, self.columns)) + r" \\",
            "\\midrule",
            *(" & ".join(escape(str(cell)) for cell in row) + r" \\" for row in self.rows),
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
        ]
        return "\n".join(lines) + "\n"

    def markdown(self) -> str:
        """Write it as a Markdown table, under its caption."""
        rule = ["---:" if name in self.right else "---" for name in self.columns]
        rows = [list(self.columns), rule, *([str(cell) for cell in row] for row in self.rows)]
        lines = [f"| {' | '.join(_inline(cell) for cell in row)} |" for row in rows]
        return "\n".join((_inline(self.caption), "", *lines)) + "\n"


def width(cell: str | Cell) -> int:
    """Give the length of a cell's longest line.

    Args:
        cell: The cell.
    """
    return len(cell) if isinstance(cell, str) else max(len(cell.text), len(cell.note))


def escape(text: str) -> str:
    """Write text for LaTeX.

    Args:
        text: Any text; line breaks become spaces.
    """
    return "".join(_ESCAPED.get(character, character) for character in " ".join(text.split("\n")))


def _inline(text: str) -> str:
    """One line of Markdown that shows the text as it is."""
    escaped = re.sub(r"([\\`*_|<>\[\]])", r"\\\1", " ".join(text.split()))
    return escaped.replace(MINUS, "-")


def _plain(cell: str) -> str:
    cell = cell.replace(MINUS, "-")
    return cell.replace(",", "") if _COUNT.fullmatch(cell) else cell


def tables_of(values: Any) -> list[Table]:
    """Find every table, and every figure that has numbers, in what a page shows, in its order.

    Args:
        values: What the template is given: tables in mappings, lists and tuples.

    Raises:
        ValueError: If two tables have one name.
    """
    from mhdiff.report.figures import Forest

    found: dict[str, Table] = {}

    def visit(value: Any) -> None:
        if isinstance(value, Table | Forest):
            table = value if isinstance(value, Table) else value.table
            if table is None or table == found.get(table.id):
                return
            if table.id in found:
                raise ValueError(f"two tables of the report are called {table.id}")
            found[table.id] = table
        elif isinstance(value, dict):
            for part in value.values():
                visit(part)
        elif isinstance(value, list | tuple):
            for part in value:
                visit(part)

    visit(values)
    return list(found.values())
