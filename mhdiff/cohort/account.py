"""What became of the rows of one part of a source: counts that are stored beside the part, and add up to the report.

An import that is killed goes on where it stopped, and its report must be the one of an import that was not: so every
part keeps its account on disk, and the report is made of all of them in the order of the parts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mhdiff.cohort.import_report import ImportReport, Tally
from mhdiff.cohort.refused import Refused


class Broken(NamedTuple):
    """Rows of a source that cannot be used.

    Attributes:
        reason: What is wrong, in words that hold nothing of a patient.
        file: The table, relative to the source's folder.
        line: Line of the first of them; None where it has none.
        column: The column that is wrong; None where it is the whole row.
        n: How many.
        remedy: What the user can do about it.
    """

    reason: str
    file: str
    line: int | None
    column: str | None
    n: int
    remedy: str = ""


@dataclass
class Account:
    """Counts of one part.

    Attributes:
        rows: Table -> rows read, relative to the source's folder.
        read: What was read -> how many, for people.
        broken: Rows that are refused.
        dropped: What is whole and left out, by reason.
        changed: What was read differently than it stands there, by reason.
        named: What could not be used, by name: title -> item -> how often.
        choices: Decisions that a reader of results must know.
    """

    rows: Counter[str] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)
    broken: list[Broken] = field(default_factory=list)
    dropped: Tally = field(default_factory=Tally)
    changed: Tally = field(default_factory=Tally)
    named: dict[str, dict[str, int]] = field(default_factory=dict)
    choices: list[str] = field(default_factory=list)

    def report(self, whole: ImportReport) -> ImportReport:
        """Give a report that fills this account, for code that fills reports.

        Args:
            whole: The report of the import, which `into` fills later: its limit stands for the part alone, too.
        """
        return ImportReport(
            whole.kind,
            read=self.read,
            refused=_Noted(whole.refused.max_bad, whole.refused.root, account=self),
            dropped=self.dropped,
            changed=self.changed,
            choices=self.choices,
            named=self.named,
        )

    def refuse(
        self,
        reason: str,
        file: str,
        line: int | None = None,
        column: str | None = None,
        n: int = 1,
        remedy: str = "",
    ) -> None:
        """Count rows that cannot be used.

        Args:
            reason: What is wrong.
            file: The table.
            line: Line of the first of them.
            column: The column that is wrong.
            n: How many.
            remedy: What the user can do about it.
        """
        self.broken.append(Broken(reason, file, line, column, n, remedy))

    def into(self, report: ImportReport, source: Path) -> None:
        """Add the counts to a report.

        Args:
            report: The report of the whole import.
            source: Folder of the source.

        Raises:
            InputError: If more rows are refused now than the report's `refused` bears.
        """
        for what, n in self.read.items():
            report.read[what] = report.read.get(what, 0) + n
        for file, n in self.rows.items():
            report.refused.read(source / file, n)
        for reason, file, line, column, n, remedy in self.broken:
            report.refused.add(reason, source / file, line, column, n=n, remedy=remedy)
        report.refused.check()
        report.choices += self.choices
        for title, items in self.named.items():
            known = report.named.get(title, {})
            report.name(title, known | {item: known.get(item, 0) + n for item, n in items.items()})
        for mine, whole in ((self.dropped, report.dropped), (self.changed, report.changed)):
            for reason, n in mine.counts.items():
                lines = mine.lines[reason][:n]
                for place, line in enumerate(lines or [None]):
                    whole.add(reason, line, n=n - max(len(lines), 1) + 1 if place == 0 else 1)

    def to_dict(self) -> dict[str, Any]:
        """Give the account as plain data, for JSON."""
        return {
            "rows": dict(self.rows),
            "read": dict(self.read),
            "broken": [list(entry) for entry in self.broken],
            "dropped": [dict(self.dropped.counts), self.dropped.lines],
            "changed": [dict(self.changed.counts), self.changed.lines],
            "named": self.named,
            "choices": self.choices,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Account:
        """Make the account again.

        Args:
            content: What `to_dict` gave.
        """
        dropped, changed = (
            Tally(Counter(counts), lines) for counts, lines in (content["dropped"], content["changed"])
        )
        return cls(
            Counter(content["rows"]),
            Counter(content["read"]),
            [Broken(*entry) for entry in content["broken"]],
            dropped,
            changed,
            content["named"],
            content["choices"],
        )


@dataclass
class _Noted(Refused):
    """Refused rows that are noted in an account, besides."""

    account: Account = field(default_factory=Account)

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
        """Refuse and note rows; for the arguments see `Refused.add`."""
        self.account.refuse(reason, self._name(file), line, column, n, remedy)
        super().add(reason, file, line, column, n=n, remedy=remedy)

    def read(self, file: Path, n: int = 1) -> None:
        """Count and note rows that were read; for the arguments see `Refused.read`."""
        self.account.rows[self._name(file)] += n
        super().read(file, n)
