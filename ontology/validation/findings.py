"""What validation found: a table of problems, and what could not be checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from ontology.errors import InputError
from ontology.validation.kinds import KINDS, SEVERITIES

FILE, LINE = "_file", "_line"
"""Columns that say where a row of a table was read: the number of its file in `Findings.files`, and the line."""

_CODES = list(KINDS)
_SCHEMA: dict[str, Any] = {
    "kind": pl.Enum(_CODES),
    "file": pl.Int32(),
    "line": pl.UInt32(),
    "column": pl.String(),
    "value": pl.String(),
    "detail": pl.String(),
    "remedy": pl.String(),
}


class Problem(NamedTuple):
    """One problem: how grave, of which kind, where, the value that is wrong, what is wrong with it, and the remedy."""

    severity: str
    kind: str
    file: str
    line: int | None
    column: str | None
    value: str
    message: str
    remedy: str

    def as_dict(self) -> dict[str, Any]:
        """Give a plain dict, ready for JSON."""
        return self._asdict()


@dataclass
class Findings:
    """The problems of one validation, kept as columns so that millions of them fit into memory.

    Attributes:
        format: What the source was read as.
        files: Paths of the files that problems may lie in.
        rows: How many rows were checked, by file.
        unread: What was not read: file, reason.
        unchecked: What could not be checked, and why, one sentence each.
        release_dates: The release's date of each package, "" where no name says one.
    """

    format: str = ""
    files: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    unread: list[dict[str, str]] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    release_dates: list[str] = field(default_factory=list)
    _frames: list[pl.DataFrame] = field(default_factory=list, repr=False)
    _numbers: dict[str, int] = field(default_factory=dict, repr=False)
    _table: pl.DataFrame | None = field(default=None, repr=False)

    def number(self, path: str | Path) -> int:
        """Give the number of a file, making one at its first mention.

        Args:
            path: The file.
        """
        name = str(path)
        if name not in self._numbers:
            self._numbers[name] = len(self.files)
            self.files.append(name)
        return self._numbers[name]

    def place(self, file: int, line: int | None) -> str:
        """Say where a row is, for the detail of another row's problem.

        Args:
            file: Number of the file.
            line: The line.
        """
        return f"{Path(self.files[file]).name}, line {line}"

    def add(
        self,
        kind: str,
        rows: pl.DataFrame,
        column: str | None,
        *,
        value: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Take in rows that all have one problem.

        Args:
            kind: Its code.
            rows: The rows, with `FILE` and `LINE`.
            column: The RF2 column that is wrong.
            value: The frame's column that holds the wrong value; `column` by default.
            detail: The frame's column that says more.
        """
        if rows.is_empty():
            return
        nothing = pl.lit(None, pl.String())
        source = value or column
        self._put(
            rows.select(
                kind=pl.lit(kind, _SCHEMA["kind"]),
                file=pl.col(FILE).cast(pl.Int32),
                line=pl.col(LINE).cast(pl.UInt32),
                column=pl.lit(column, pl.String()),
                value=pl.col(source).cast(pl.String) if source else nothing,
                detail=pl.col(detail).cast(pl.String) if detail else nothing,
                remedy=nothing,
            )
        )

    def one(
        self,
        kind: str,
        path: str | Path,
        line: int | None = None,
        column: str | None = None,
        value: str = "",
        detail: str = "",
        remedy: str | None = None,
    ) -> None:
        """Take in one problem.

        Args:
            kind: Its code.
            path: The file or folder.
            line: The line, from 1.
            column: The column's name.
            value: What is wrong.
            detail: What more there is to say.
            remedy: What to do, where it is not what the kind says.
        """
        row = (kind, self.number(path), line, column, value, detail or None, remedy)
        self._put(pl.DataFrame([row], schema=_SCHEMA, orient="row"))

    def refused(self, kind: str, error: InputError, path: str | Path) -> None:
        """Take in what was raised.

        Args:
            kind: The problem's code.
            error: The error.
            path: The file or folder, where the error names none.
        """
        self.one(
            kind,
            error.path or path,
            error.row,
            error.column,
            detail=error.problem,
            remedy=error.remedy or None,
        )

    def _put(self, frame: pl.DataFrame) -> None:
        self._table = None
        self._frames.append(frame)

    @property
    def table(self) -> pl.DataFrame:
        """All problems, by file, line and kind: kind, file (number), line, column, value, detail, remedy."""
        if self._table is None:
            whole = pl.concat(self._frames) if self._frames else pl.DataFrame(schema=_SCHEMA)
            self._table = whole.sort("file", "line", "kind", maintain_order=True)
            self._frames = [self._table]
        return self._table

    def __len__(self) -> int:
        return self.table.height

    def counts(self) -> dict[str, int]:
        """Count the problems of each kind that occurs, the gravest kinds first."""
        found = dict(self.table.group_by("kind").len().iter_rows())
        return {code: found[code] for code in _CODES if code in found}

    def severities(self) -> dict[str, int]:
        """Count errors, warnings and notes."""
        total = dict.fromkeys(SEVERITIES, 0)
        for code, count in self.counts().items():
            total[KINDS[code].severity] += count
        return total

    @property
    def errors(self) -> int:
        """How many errors there are."""
        return self.severities()["error"]

    def problems(self, kind: str | None = None, limit: int | None = None) -> Iterator[Problem]:
        """Go through the problems.

        Args:
            kind: Only those of this kind.
            limit: At most so many.
        """
        table = self.table if kind is None else self.table.filter(pl.col("kind") == kind)
        for code, file, line, column, value, detail, remedy in table.head(limit or table.height).iter_rows():
            known = KINDS[code]
            yield Problem(
                known.severity, code, self.files[file], line, column, value or "",
                f"{known.what}: {detail}" if detail else known.what, remedy or known.remedy,
            )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Give everything as plain dicts, lists, strings and numbers, ready for JSON."""
        return {
            "format": self.format,
            **self.severities(),
            "counts": self.counts(),
            "release_dates": self.release_dates,
            "rows": self.rows,
            "unread": self.unread,
            "unchecked": self.unchecked,
            "problems": [problem.as_dict() for problem in self.problems()],
        }
