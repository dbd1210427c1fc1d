"""What a row holds: images, notes, labs, codes and labels. A broken value is refused, and the rest of its row kept."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.image_files import suffix
from mhdiff.cohort.import_report import ImportReport, presentable
from mhdiff.cohort.looked_at import looks
from mhdiff.cohort.manifest.columns import Columns, Entry
from mhdiff.cohort.manifest.people import BORN, SUBJECT, TIME, read_time
from mhdiff.cohort.resumed import Parts
from mhdiff.cohort.source_files import bring
from mhdiff.cohort.text_rows import LINE
from mhdiff.cohort.values import numbers
from ontology.errors import InputError

MAX_CLASSES: Final = 100
_WHEN, _VALUE, _UNIT = "\0when", "\0value", "\0unit"
_CODE: Final = r"^[^\s/][^\s/]{0,63}$"


class Values:
    """Reads the values of the rows.

    Args:
        rows: What `place_rows` gave.
        columns: What is declared.
        file: The manifest.
        report: Filled.
    """

    def __init__(self, rows: pl.DataFrame, columns: Columns, file: Path, report: ImportReport) -> None:
        self.rows, self.columns, self.file, self.report = rows, columns, file, report
        self.codes: dict[str, dict[str, object]] = {}

    def refuse(
        self, rows: pl.DataFrame, where: pl.Expr, reason: str, column: str, remedy: str
    ) -> pl.DataFrame:
        """Refuse the values where an expression holds, and give the others."""
        bad = where.fill_null(False)
        self.report.refused.add_lines(reason, self.file, rows.filter(bad)[LINE], column, remedy=remedy)
        return rows.filter(~bad)

    def held(self, entry: Entry) -> pl.DataFrame:
        """Give the rows that hold a value, with its time."""
        rows = self.rows.filter(pl.col(entry.column).is_not_null())
        rows = rows.with_columns(pl.col(entry.column).alias(_VALUE), pl.col(TIME).alias(_WHEN))
        if entry.time is not None:
            rows = read_time(rows, entry.time, "\0own", self.columns.time.form, self.file, self.report)
            rows = rows.with_columns(pl.coalesce("\0own", TIME).alias(_WHEN))
            early = pl.col(_WHEN) < pl.col(BORN)
            rows = self.refuse(
                rows, early, "the time is before the birth", entry.time, "Correct one of the two"
            )
        return rows

    def parted(self, entry: Entry) -> pl.DataFrame:
        """Give one row a value, where a cell holds several."""
        rows = self.held(entry)
        if entry.separator is not None:
            rows = rows.with_columns(pl.col(_VALUE).str.split(entry.separator)).explode(_VALUE)
        rows = rows.with_columns(pl.col(_VALUE).str.strip_chars()).filter(pl.col(_VALUE) != "")
        again = ~pl.struct(LINE, _VALUE).is_first_distinct()
        for line in rows.filter(again)[LINE]:
            self.report.dropped.add(f"{entry.column}: the same value twice in a cell", line)
        return rows.filter(~again)

    def notes(self) -> pl.DataFrame:
        """Give the notes as events."""
        found = []
        for entry in self.columns.notes:
            text = pl.col(entry.column).str.strip_chars()
            rows = self.held(entry).with_columns(text.alias(_VALUE)).filter(pl.col(_VALUE) != "")
            section = entry.what.removeprefix("NOTE//")
            self.code(entry.what, entry.description or f"Note, {section}")
            found.append(_events(rows, pl.lit(entry.what), text=pl.col(_VALUE)))
        return _together(found)

    def labs(self) -> pl.DataFrame:
        """Give the laboratory values as events, each in its declared unit."""
        found, unknown = [], []
        for entry in self.columns.labs:
            rows, name = self.held(entry), entry.column
            none = numbers(_VALUE).is_null()
            rows = self.refuse(rows, none, "the value is no number", name, "Write it with a decimal point")
            value = numbers(_VALUE)
            if entry.unit_column is not None:
                rows, strange = self.united(rows, entry)
                unknown.append(strange)
                value = value * pl.col(_UNIT)
            rows = rows.with_columns(value.alias(_VALUE))
            for bound, outside in zip(entry.possible, (pl.Expr.lt, pl.Expr.gt), strict=True):
                if bound is not None:
                    remedy = "Correct it, or see its unit"
                    wrong = outside(pl.col(_VALUE), bound)
                    rows = self.refuse(rows, wrong, "the value is not possible, as declared", name, remedy)
            code = f"LOINC/{entry.what}//{entry.unit}"
            self.code(
                code,
                entry.description or f"{name}, {entry.unit}",
                parent_codes=[f"LOINC/{entry.what}"],
                unit=entry.unit,
                ref_low=entry.reference[0],
                ref_high=entry.reference[1],
            )
            found.append(_events(rows, pl.lit(code), number=pl.col(_VALUE)))
        if unknown:
            words = dict(pl.concat(unknown).value_counts().iter_rows())
            self.report.name("units that are not declared", presentable(words))
        return _together(found)

    def united(self, rows: pl.DataFrame, entry: Entry) -> tuple[pl.DataFrame, pl.Series]:
        """Give the rows with the factor to the declared unit, and the unit texts that nobody declared."""
        column = entry.unit_column
        assert column is not None
        factors = {**entry.convert, entry.unit: 1.0}
        factor = pl.col(column).replace_strict(factors, default=None, return_dtype=pl.Float64)
        rows = rows.with_columns(factor.alias(_UNIT))
        strange = rows.filter(pl.col(_UNIT).is_null()).select(unit=pl.col(column).fill_null("(none)"))["unit"]
        others = rows.filter(pl.col(_UNIT).is_not_null(), pl.col(column) != entry.unit)
        for line in others[LINE]:
            self.report.changed.add(f"{entry.column}: converted to {entry.unit}, as declared", line)
        remedy = f"Write {entry.unit}, or declare the unit: convert: {{unit: factor}}"
        return self.refuse(rows, pl.col(_UNIT).is_null(), "the unit is not declared", column, remedy), strange

    def coded(self) -> pl.DataFrame:
        """Give the codes as events."""
        found = []
        for entry in self.columns.codes:
            rows = self.parted(entry)
            remedy = "Write codes alone" + ("" if entry.separator else ", or declare what separates them")
            rows = self.refuse(
                rows, ~pl.col(_VALUE).str.contains(_CODE), "the value is no code", entry.column, remedy
            )
            code = pl.concat_str(pl.lit(f"{entry.what}/"), _VALUE)
            for one in rows.select(code.unique().sort()).to_series():
                self.code(one, None)
            found.append(_events(rows, code))
        return _together(found)

    def images(self, parts: Parts, folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Bring the images into the cohort; give their events, and path, subject_id, sha256 and source_line."""
        root = self.file.parent
        found, table = [], []
        names: dict[int, int] = {}
        for column, entry in enumerate(self.columns.images):
            rows = self.parted(entry)
            good, brought = [], []
            looked = looks(parts, f"images/{column}", root, rows[_VALUE].to_list())
            told = rows.select(LINE, SUBJECT, _VALUE).iter_rows()
            for (line, subject, path), image in zip(told, looked, strict=True):
                good.append(not image.reason)
                if image.reason:
                    self.report.refused.add(image.reason, self.file, line, entry.column, remedy=image.remedy)
                    continue
                names[subject] = place = names.get(subject, -1) + 1
                new = f"images/{subject}_{place}{suffix(path)}"
                bring(image.place, folder / new)
                brought.append(new)
                table.append((new, subject, image.sha256, line))
            rows = rows.filter(pl.Series(good, dtype=pl.Boolean))
            self.code(entry.what, entry.description or f"Image, {entry.what.removeprefix('IMAGE//')}")
            found.append(_events(rows, pl.lit(entry.what), text=pl.Series(brought, dtype=pl.String)))
        schema = {"path": pl.String, "subject_id": pl.Int64, "sha256": pl.String, "source_line": pl.Int64}
        return _together(found), pl.DataFrame(table, schema=schema, orient="row")

    def labels(self) -> dict[str, pl.DataFrame]:
        """Give name -> subject_id, prediction_time, categorical_value."""
        given = {}
        for entry in self.columns.labels:
            rows = self.held(entry)
            if entry.values is not None:
                mapped = pl.col(_VALUE).replace_strict(entry.values, default=None, return_dtype=pl.String)
                rows = rows.with_columns(mapped.alias(_VALUE))
                rows = self.refuse(
                    rows,
                    pl.col(_VALUE).is_null(),
                    "the value is none of those declared",
                    entry.column,
                    "Correct it, or add it to 'values'",
                )
            if (n := rows[_VALUE].n_unique()) > MAX_CLASSES:
                raise InputError(
                    f"the label has {n} different values, at most {MAX_CLASSES} are classes",
                    path=self.file,
                    column=entry.column,
                    remedy="Map them to classes with 'values', or declare another column",
                )
            rows = rows.sort(SUBJECT, _WHEN, LINE)
            again = ~pl.struct(SUBJECT, _WHEN, _VALUE).is_first_distinct()
            for line in rows.filter(again)[LINE]:
                self.report.dropped.add(f"label {entry.what}: another row says it of the same time", line)
            rows = rows.filter(~again)
            rows = self.refuse(
                rows,
                ~pl.struct(SUBJECT, _WHEN).is_first_distinct(),
                "the subject has another label at the same time",
                entry.column,
                "Keep one of them",
            )
            given[entry.what] = rows.select(
                subject_id=SUBJECT, prediction_time=_WHEN, categorical_value=_VALUE
            )
        return given

    def code(self, code: str, description: str | None, **more: object) -> None:
        """Describe a code."""
        self.codes.setdefault(code, {"code": code, "description": description, **more})


def _events(
    rows: pl.DataFrame,
    code: pl.Expr,
    *,
    number: pl.Expr | None = None,
    text: pl.Expr | pl.Series | None = None,
) -> pl.DataFrame:
    return rows.select(
        subject_id=SUBJECT,
        time=_WHEN,
        code=code,
        numeric_value=(pl.lit(None) if number is None else number).cast(pl.Float32),
        text_value=pl.lit(None, pl.String) if text is None else text,
    )


def _together(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=meds.EVENTS), *frames])
