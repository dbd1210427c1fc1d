"""Rows of a source that are broken: refused, counted by reason with file and line, and borne up to `--max-bad`.

    --max-bad 20    the import stops at the 21st refused row, of all files together
    --max-bad 2%    it stops after a file of which more than 2 % of the rows are refused; the default is 1%

Refused is what is broken: a value of another type, a key that is missing or there twice, an event before birth, an
image that cannot be read or lies outside the folder. What is whole and only not wanted, such as a row that no event
is made of, is dropped (`ImportReport.dropped`), and no limit stands against that.

Where an import stops, one `InputError` names the first refused row, and nothing is written, since adapters write
inside `ontology.files.atomic_directory`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from ontology.errors import InputError

_PLACES = 5


class MaxBad(NamedTuple):
    """How many rows may be refused.

    Attributes:
        number: A count of rows, or per cent of the rows of each file.
        percent: Which of the two.
    """

    number: float
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> MaxBad:
        """Read what the command line was given.

        Args:
            text: A count such as "20", or a percentage such as "0.5%".

        Raises:
            InputError: If it is neither.
        """
        match = re.fullmatch(r"(\d{1,12}(?:\.\d+)?)\s*(%?)", text.strip())
        if match is None or (match[2] and float(match[1]) > 100) or (not match[2] and "." in match[1]):
            raise InputError(
                f"--max-bad {text[:40]} is not understood",
                remedy="Give a count of rows such as 20, or a percentage of each file's rows such as 2%",
            )
        return cls(float(match[1]), bool(match[2]))

    def __str__(self) -> str:
        return f"{self.number:g}{'%' if self.percent else ''}"


DEFAULT: Final = MaxBad(1.0, percent=True)
_NO_LIMIT: Final = MaxBad(math.inf)


class Place(NamedTuple):
    """Where a row stands.

    Attributes:
        file: The file, relative to the source's folder.
        line: Its line, counted from 1; None where it has none.
        column: The column that is wrong; None where it is the whole row.
    """

    file: str
    line: int | None
    column: str | None

    def __str__(self) -> str:
        return ":".join(str(part) for part in self if part is not None)


@dataclass
class Refused:
    """The refused rows of an import.

    A worker of a parallel import fills one of its own (`apart`), which the importing process takes in (`merge`), file
    after file in a fixed order, so that the report does not depend on who was first. It can be pickled.

    Attributes:
        max_bad: How many are borne.
        root: Folder of the source; files are named relative to it.
        rows: File -> rows read.
        bad: File -> rows refused.
        counts: Reason -> rows refused.
        places: Reason -> the first few of them.
        first: File -> the place, reason and remedy of its first one.
        names: Path -> the file, as it is named here.
    """

    max_bad: MaxBad = DEFAULT
    root: Path = field(default_factory=Path)
    rows: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[Place]] = field(default_factory=dict)
    first: dict[str, tuple[Place, str, str]] = field(default_factory=dict)
    names: dict[Path, str] = field(default_factory=dict)

    def add(
        self,
        reason: str,
        file: Path,
        line: int | None = None,
        column: str | None = None,
        *,
        n: int = 1,
        remedy: str = "",
    ) -> None:
        """Refuse a row, once for each that is left out.

        Args:
            reason: What is wrong, in words that hold nothing of a patient.
            file: The file; its name must not hold a patient's id (give the table's name in its place otherwise).
            line: Line of the file.
            column: Column of the file.
            n: How many rows, of which this is the first.
            remedy: What the user can do about it.

        Raises:
            InputError: If it is one more than `max_bad`, a count, bears.
        """
        place = Place(self._name(file), line, column)
        self.counts[reason] += n
        self.bad[place.file] += n
        self.first.setdefault(place.file, (place, reason, remedy))
        seen = self.places.setdefault(reason, [])
        if len(seen) < _PLACES:
            seen.append(place)
        if not self.max_bad.percent and self.bad.total() > self.max_bad.number:
            self._stop(next(iter(self.first)), f"{self.bad.total()} refused so far")

    def add_lines(
        self, reason: str, file: Path, lines: Iterable[int], column: str | None = None, *, remedy: str = ""
    ) -> int:
        """Refuse several rows for one reason.

        Args:
            reason: See `add`.
            file: See `add`.
            lines: Their lines, in ascending order.
            column: See `add`.
            remedy: See `add`.

        Returns:
            How many they are.

        Raises:
            InputError: See `add`.
        """
        every = list(lines)
        for place, line in enumerate(every[:_PLACES]):
            rest = len(every) - min(len(every), _PLACES) if place == 0 else 0
            self.add(reason, file, line, column, n=1 + rest, remedy=remedy)
        return len(every)

    def read(self, file: Path, n: int = 1) -> None:
        """Count rows that were read, refused ones included: what a percentage is taken of.

        Args:
            file: The file.
            n: How many.
        """
        self.rows[self._name(file)] += n

    def check(self) -> None:
        """Stop if too many rows of a file are refused; call it when a file is read to its end.

        Raises:
            InputError: If there are; it names the first.
        """
        if not self.max_bad.percent:
            return
        for file, n in self.bad.items():
            rows = max(self.rows[file], n)
            if 100 * n > self.max_bad.number * rows:
                self._stop(file, f"{n} of the {rows} rows refused")

    def apart(self) -> Refused:
        """Give an empty account without a limit, for a worker to fill."""
        return Refused(_NO_LIMIT, self.root)

    def merge(self, other: Refused) -> None:
        """Take in what a worker refused, and stop if that is too much.

        Args:
            other: What the worker filled.

        Raises:
            InputError: If more rows are refused now than `max_bad` bears.
        """
        for mine, its in ((self.rows, other.rows), (self.bad, other.bad), (self.counts, other.counts)):
            mine.update(its)
        for reason, places in other.places.items():
            seen = self.places.setdefault(reason, [])
            seen += places[: _PLACES - len(seen)]
        for file, first in other.first.items():
            self.first.setdefault(file, first)
        for path, name in other.names.items():
            self.names.setdefault(path, name)
        if not self.max_bad.percent and self.bad.total() > self.max_bad.number:
            self._stop(next(iter(self.first)), f"{self.bad.total()} refused so far")
        self.check()

    def to_dict(self) -> dict[str, Any]:
        """Give the limit, the number of refused rows, and reason -> {count, first}, the most frequent first."""
        ordered = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        reasons = {
            reason: {"count": n, "first": [place._asdict() for place in self.places[reason]]}
            for reason, n in ordered
        }
        return {"max_bad": str(self.max_bad), "rows": self.bad.total(), "reasons": reasons}

    def text(self) -> list[str]:
        """Give the lines of a report; none where no row was read."""
        if not self.rows and not self.counts:  # an account that no adapter fills
            return []
        head = f"Refused (--max-bad {self.max_bad}):"
        if not self.counts:
            return [f"{head} nothing"]
        lines = [head]
        for reason, entry in self.to_dict()["reasons"].items():
            places = self.places[reason]
            more = " ..." if entry["count"] > len(places) else ""
            lines.append(f"  {entry['count']:>5}  {reason} ({', '.join(map(str, places))}{more})")
        return lines

    def _name(self, file: Path) -> str:
        if file not in self.names:
            inside = file.is_relative_to(self.root)
            self.names[file] = file.relative_to(self.root).as_posix() if inside else file.name
        return self.names[file]

    def _stop(self, file: str, how_many: str) -> None:
        place, reason, remedy = self.first[file]
        advice = f"--max-bad {self.max_bad} bears no more ({how_many}); a higher one leaves such rows out"
        raise InputError(
            reason,
            path=next(path for path, name in self.names.items() if name == file),
            row=place.line,
            column=place.column,
            remedy=f"{remedy.removesuffix('.')}. {advice}" if remedy else advice,
        )
