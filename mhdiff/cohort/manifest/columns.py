"""What the columns of a manifest are, as ten lines of YAML declare them.

    subject: patient                      # the only key that must be there
    key: row_id                           # may not repeat
    time: exam_date                       # or {column: ..., format: "%d.%m.%Y"}
                                          # or {offset: hours_in, unit: hours, from: admitted_at}
    site: hospital
    sex: sex                              # or {column: sex, values: {w: F, m: M}}
    birth: born                           # or age: years
    images: {xray: CXR//PA}               # or {xray: {code: CXR//PA, separator: ;, time: taken_at}}
    notes: {report: FINDINGS}             # or {report: {section: FINDINGS, time: dictated_at}}
    labs: {crp: {loinc: 1988-5, unit: mg/L, unit_column: crp_unit, convert: {mg/dL: 10}, range: [0, 5]}}
    codes: {icd: {vocabulary: ICD10, separator: ;}}
    labels: {pneumonia: diagnosis}        # or {pneumonia: {column: dx, time: asked_at, values: {y: sick, n: well}}}
    ignore: [comment]

A column that is not declared here is named in the report, one that is declared and not in the file is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mhdiff.cohort.text_rows import Wanted

SEXES: Final = {**dict.fromkeys(("f", "female"), "F"), **dict.fromkeys(("m", "male"), "M")}


@dataclass(frozen=True)
class Time:
    """When a row was.

    Attributes:
        column: Column of the time, or of the offset; None where no time is declared.
        form: strptime's form; None for ISO 8601.
        unit: Unit of an offset; None where the column is a time.
        start: Column of the time that offsets count from; None for an invented day 0.
    """

    column: str | None = None
    form: str | None = None
    unit: str | None = None
    start: str | None = None


@dataclass(frozen=True)
class Entry:
    """One column of images, notes, labs, codes or labels.

    Attributes:
        column: Its name.
        what: What it becomes: an image's code, a note's section, a LOINC code, a vocabulary, a label's name.
        time: Column of its own time; None for the row's.
        separator: What parts several values of one cell; None for one value.
        unit: UCUM unit of a lab's values as they are written.
        unit_column: Column that states each value's unit.
        convert: Unit as the source writes it -> factor that brings a value to `unit`.
        reference: Reference range of a lab, in `unit`.
        possible: Lowest and highest possible value of a lab, in `unit`.
        description: What the code is.
        values: A label's value -> class; None where the values are the classes.
    """

    column: str
    what: str
    time: str | None = None
    separator: str | None = None
    unit: str = ""
    unit_column: str | None = None
    convert: Mapping[str, float] = field(default_factory=dict)
    reference: tuple[float | None, float | None] = (None, None)
    possible: tuple[float | None, float | None] = (None, None)
    description: str = ""
    values: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Columns:
    """A manifest's columns.

    Attributes:
        file: The YAML file.
        subject: Column of the subject's id.
        key: Column that may not repeat.
        time: When a row was.
        site: Column of the hospital.
        sex: Column of the sex.
        sexes: What it says, in lower case -> F or M.
        birth: Column of the day of birth.
        age: Column of the age in years at the row's time.
        images: Columns of paths.
        notes: Columns of text.
        labs: Columns of numbers.
        codes: Columns of codes.
        labels: Columns of what is to be predicted.
        ignore: Columns that are known and not read.
    """

    file: Path
    subject: str
    key: str | None = None
    time: Time = field(default_factory=Time)
    site: str | None = None
    sex: str | None = None
    sexes: Mapping[str, str] = field(default_factory=lambda: dict(SEXES))
    birth: str | None = None
    age: str | None = None
    images: tuple[Entry, ...] = ()
    notes: tuple[Entry, ...] = ()
    labs: tuple[Entry, ...] = ()
    codes: tuple[Entry, ...] = ()
    labels: tuple[Entry, ...] = ()
    ignore: tuple[str, ...] = ()

    @property
    def used(self) -> dict[str, str]:
        """Every column that is read -> the key that declares it, in the order of the declaration."""
        return dict(self.wanted.used)

    @property
    def wanted(self) -> Wanted:
        """What is read of the file."""
        found: dict[str, str] = {self.subject: "subject"}
        single = (("key", self.key), ("time", self.time.column), ("time.from", self.time.start))
        for key, name in (*single, *((k, getattr(self, k)) for k in ("site", "sex", "birth", "age"))):
            if name is not None:
                found.setdefault(name, key)
        for kind in ("images", "notes", "labs", "codes", "labels"):
            for entry in getattr(self, kind):
                for name in (entry.column, entry.time, entry.unit_column):
                    if name is not None:
                        found.setdefault(name, kind)
        return Wanted(found, self.ignore, self.file.name)
