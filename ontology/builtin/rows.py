"""Reading one table: tab-separated, UTF-8, one header line, no quoting; `|` between the values of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ontology.errors import InputError


@dataclass(frozen=True)
class Row:
    """One line of a table and where it stands.

    Attributes:
        path: The table.
        line: Line number counted from 1; the header is line 1.
        cells: Text by column name.
    """

    path: Path
    line: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column]

    def many(self, column: str) -> tuple[str, ...]:
        """Give the values of a cell that are parted by `|`.

        Args:
            column: The column.
        """
        return tuple(part.strip() for part in self[column].split("|")) if self[column] else ()

    def number(self, column: str) -> float:
        """Read a cell as a number.

        Args:
            column: The column.

        Raises:
            InputError: If it is none.
        """
        try:
            return float(self[column])
        except ValueError:
            raise self.error(column, f"{self[column]!r} is no number") from None

    def error(self, column: str, problem: str, remedy: str = "") -> InputError:
        """Build the error that names this place.

        Args:
            column: The column that is wrong.
            problem: What is wrong.
            remedy: What to do about it.
        """
        return InputError(problem, path=self.path, row=self.line, column=column, remedy=remedy)


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Read a table.

    Args:
        path: The file.
        columns: The columns that its header must have, in this order.

    Raises:
        InputError: If the file is missing, is not UTF-8, has another header or a line with other cells.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise InputError("the table is missing", path=path) from None
    except UnicodeDecodeError as error:
        bad = error.object[: error.start].count(b"\n") + 1
        raise InputError("not UTF-8", path=path, row=bad, remedy="Save the table as UTF-8") from None
    lines = text.split("\n")
    if lines[0].rstrip("\r").split("\t") != list(columns):
        raise InputError(
            "the header is not as expected", path=path, row=1, remedy=f"Its columns are {', '.join(columns)}"
        )
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != len(columns):
            raise InputError(
                f"{len(cells)} cells, not {len(columns)}", path=path, row=number, remedy="Part cells by tabs"
            )
        rows.append(Row(path, number, dict(zip(columns, cells, strict=True))))
    return rows
