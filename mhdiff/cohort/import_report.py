"""What an import read, kept, changed and dropped: counts with their reasons, and no text of a patient."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mhdiff.cohort.refused import Refused
from mhdiff.cohort.suppress import SMALL, Told, cell, one_way, ordered

SMALL_CLASS = 10  # a class with fewer patients than this is pointed out
_LINES = 5
_CODE_LIKE = r"^[A-Za-z0-9%][A-Za-z0-9%._:+/*^()-]{0,19}$"  # no words: free text is never repeated
_SEEN = 5  # what stands in fewer rows is not shown: it may be a patient's
_MOST_SITES = 30
_UNKNOWN_SITE, _OTHERS = "unknown", "all others"
_KIND = r"[A-Za-z][A-Za-z0-9_.-]{0,39}"
#: A table or a folder, without a number as long as an id's; images and notes are called after patients.
_MOST_FILES = 60
_FILE = r"(?!.*\d{6})[A-Za-z][A-Za-z0-9_-]*(?:\.[0-9_-][A-Za-z0-9_-]*)*(?:\.(?:csv|tsv|parquet)(?:\.gz)?)?"


def presentable(counts: Mapping[str, int], pattern: str = _CODE_LIKE, *, most: int = 20) -> dict[str, int]:
    """Give what may be named of a source's words: often seen and like a code; the rest is only counted.

    Args:
        counts: Word -> rows.
        pattern: What such a word looks like.
        most: How many are shown.
    """
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [(word, n) for word, n in ordered if n >= _SEEN and re.fullmatch(pattern, word)][:most]
    rest = sum(counts.values()) - sum(n for _, n in shown)
    return dict(shown) | ({"(rare or no codes, not shown)": rest} if rest else {})


def told_kinds(kinds: Mapping[str, int]) -> dict[str, int]:
    """Give kinds of events, the beginnings of codes of which nothing is known, as they may be shown, by name.

    Args:
        kinds: Kind -> events.
    """
    return dict(
        sorted(presentable(kinds, _KIND, most=60).items(), key=lambda item: (item[0].startswith("("), item))
    )


def told_files(names: Sequence[str]) -> list[str]:
    """Give the names of tables and folders as they may be shown; of other files it is only said how many there are.

    Args:
        names: The names.
    """
    shown = [name for name in names if all(re.fullmatch(_FILE, part) for part in name.split("/"))][
        :_MOST_FILES
    ]
    if rest := len(names) - len(shown):
        shown.append(f"({rest} more, whose names are not shown)")
    return shown


@dataclass
class Tally:
    """Counts by reason, with the first few lines of the source where it happened.

    Attributes:
        counts: Reason -> count.
        lines: Reason -> up to five line numbers of the source file.
    """

    counts: Counter[str] = field(default_factory=Counter)
    lines: dict[str, list[int]] = field(default_factory=dict)

    def add(self, reason: str, line: int | None = None, n: int = 1) -> None:
        """Count one more.

        Args:
            reason: Why, in words that hold nothing of a patient.
            line: Line of the source file.
            n: How many.
        """
        self.counts[reason] += n
        seen = self.lines.setdefault(reason, [])
        if line is not None and len(seen) < _LINES:
            seen.append(line)

    def to_dict(self) -> dict[str, Any]:
        """Give reason -> {count, first_lines}, the most frequent first."""
        ordered = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return {reason: {"count": n, "first_lines": self.lines[reason]} for reason, n in ordered}


@dataclass
class ImportReport:
    """The account of an import.

    Attributes:
        kind: Kind of the source.
        read: What was read: rows, patients, images.
        written: What was written: subjects, events by kind, samples.
        refused: Broken rows, by reason, with file and line.
        dropped: What was left out, by reason.
        changed: What was read differently than it stands there, by reason.
        labels: Task -> class -> {samples, patients}; told without those that would name somebody, see `told_labels`.
        worded: Tasks whose classes are what the source says, and not words of ours or of a declaration.
        licences: Licence -> number of images.
        sites: Site -> number of patients; told without those of few, see `told_sites`.
        choices: Decisions that a reader of results must know.
        named: What could not be used, by name: title -> item -> how often.
        not_read: Files of the source that no adapter reads; told as `told_files` gives them.
    """

    kind: str
    read: dict[str, int] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)
    refused: Refused = field(default_factory=Refused)
    dropped: Tally = field(default_factory=Tally)
    changed: Tally = field(default_factory=Tally)
    labels: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    worded: set[str] = field(default_factory=set)
    licences: dict[str, int] = field(default_factory=dict)
    sites: dict[str, int] = field(default_factory=dict)
    choices: list[str] = field(default_factory=list)
    named: dict[str, dict[str, int]] = field(default_factory=dict)
    not_read: list[str] = field(default_factory=list)

    def name(self, title: str, items: dict[str, int]) -> None:
        """Name what could not be used; nothing is said where there is nothing.

        Args:
            title: What the items are.
            items: Item -> how often, in the order to show; no item may be the words of a patient.
        """
        if items:
            self.named[title] = items

    def told_labels(self) -> dict[str, dict[str, dict[str, Told]]]:
        """Give the labels as they may be shown: classes of fewer than five patients, and others with them, hidden.

        A class that is the source's own word may be a patient's: of fewer than five they are told together.
        """
        return {
            name: _told(_together(classes) if name in self.worded else classes)
            for name, classes in self.labels.items()
        }

    def told_sites(self) -> dict[str, Told]:
        """Give the sites as they may be shown: those of fewer than five patients together, and without names.

        How many patients have no known site is said elsewhere too, so nothing is hidden behind that number.
        """
        known = {site: n for site, n in self.sites.items() if site != _UNKNOWN_SITE}
        largest = sorted(known, key=lambda site: (-known[site], site))[: _MOST_SITES - 1]
        shown = {site: known[site] for site in largest if known[site] >= SMALL}
        if rest := sum(known.values()) - sum(shown.values()):
            shown[_OTHERS] = rest
        told = ordered(one_way(shown)) if shown else {}
        if _UNKNOWN_SITE in self.sites:
            told[_UNKNOWN_SITE] = cell(self.sites[_UNKNOWN_SITE])
        return told

    def small_classes(self) -> list[str]:
        """Give the classes with fewer than ten patients, as "task: class (n)", and those that are hidden."""
        return [
            f"{name}: {value} ({n['patients']})"
            for name, classes in self.told_labels().items()
            for value, n in classes.items()
            if isinstance(n["patients"], str) or n["patients"] < SMALL_CLASS
        ]

    def to_dict(self) -> dict[str, Any]:
        """Give the report as plain data, for JSON."""
        return {
            "kind": self.kind,
            "read": self.read,
            "written": self.written,
            "refused": self.refused.to_dict(),
            "dropped": self.dropped.to_dict(),
            "changed": self.changed.to_dict(),
            "labels": self.told_labels(),
            "small_classes": self.small_classes(),
            "licences": self.licences,
            "sites": self.told_sites(),
            "choices": self.choices,
            "named": self.named,
            "not_read": told_files(self.not_read),
        }

    def text(self) -> str:
        """Give the report for a person to read."""
        lines = [f"Import of {self.kind}"]
        for title, counts in (("Read", self.read), ("Written", self.written)):
            lines.append(f"{title}: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
        lines += self.refused.text()
        for title, tally in (("Dropped", self.dropped), ("Changed", self.changed)):
            lines.append(f"{title}:" if tally.counts else f"{title}: nothing")
            for reason, entry in tally.to_dict().items():
                where = ", ".join(map(str, entry["first_lines"]))
                more = " ..." if entry["count"] > len(entry["first_lines"]) else ""
                lines.append(
                    f"  {entry['count']:>5}  {reason}" + (f" (lines {where}{more})" if where else "")
                )
        for title, items in self.named.items():
            lines.append(f"{title[0].upper()}{title[1:]}: " + ", ".join(f"{k} {n}" for k, n in items.items()))
        if self.not_read:
            lines.append("Files not read: " + ", ".join(told_files(self.not_read)))
        for task, classes in self.told_labels().items():
            parts = [f"{c} {n['samples']} samples of {n['patients']} patients" for c, n in classes.items()]
            lines.append(f"Labels {task}: " + "; ".join(parts))
        if small := self.small_classes():
            lines.append(f"Classes with fewer than {SMALL_CLASS} patients, or not shown: " + ", ".join(small))
        if self.licences:
            lines.append("Licences of the images: " + ", ".join(f"{n} {k}" for k, n in self.licences.items()))
        lines.append("Patients by site: " + ", ".join(f"{k} {n}" for k, n in self.told_sites().items()))
        lines += ["Choices:", *(f"  - {choice}" for choice in self.choices)]
        return "\n".join(lines)


def _together(classes: Mapping[str, Mapping[str, int]]) -> dict[str, Mapping[str, int]]:
    """Put the classes of fewer than five patients together."""
    made: dict[str, Mapping[str, int]] = {v: n for v, n in classes.items() if n["patients"] >= SMALL}
    rest = [n for n in classes.values() if n["patients"] < SMALL]
    if rest:
        made[_OTHERS] = {what: sum(n[what] for n in rest) for what in ("samples", "patients")}
    return made


def _told(classes: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, Told]]:
    """Protect samples and patients of the classes of a task; what is hidden of one is hidden of the other."""
    patients = {value: n["patients"] for value, n in classes.items()}
    shown = one_way({value: n["samples"] for value, n in classes.items()}, patients), one_way(patients)
    return {
        value: dict.fromkeys(("samples", "patients"), next(n for n in own if isinstance(n, str)))
        if any(isinstance(n, str) for n in own)
        else {"samples": own[0], "patients": own[1]}
        for value in classes
        if (own := (shown[0][value], shown[1][value]))
    }
