"""Tables of an OMOP database -> a folder of Parquet, which `import_omop` reads as it reads anybody's folder.

    tables/<table>.parquet      the columns that the adapter reads, every value as the text that a CSV would hold

Values become text here and are read by the same code as a CSV's, so that the same rows give the same cohort, byte by
byte. Rows come sorted by the table's key, since a database has no order of its own, and batch by batch, so that memory
is that of one batch.

In OHDSI's databases for SQLite, dates and times are numbers with a decimal point: seconds since 1970 began.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from mhdiff.cohort.account import Account
from mhdiff.cohort.omop_sql import Database, Held, open_database
from mhdiff.cohort.omop_tables import OTHERS, TABLES, VOCABULARY
from mhdiff.cohort.resumed import Parts, resumed
from ontology.errors import InputError
from ontology.progress import step

#: Columns of the tables that `TABLES` does not describe.
_MORE: Final[dict[str, tuple[str, ...]]] = {
    "person": ("person_id", "gender_concept_id", "year_of_birth", "month_of_birth", "day_of_birth", "birth_datetime",
               "race_concept_id", "ethnicity_concept_id", "location_id", "care_site_id"),
    "visit_occurrence": ("care_site_id",),
    "care_site": ("care_site_id", "care_site_name", "care_site_source_value"),
    "location": ("location_id", "state", "country", "location_source_value"),
    "concept": ("concept_id", "concept_name", "vocabulary_id", "concept_code"),
    "concept_relationship": ("concept_id_1", "concept_id_2", "relationship_id", "invalid_reason"),
}  # fmt: skip
_ONLY: Final = {"concept_relationship": ("relationship_id", "Maps to")}
#: What polars writes as Python does; not times, which may have a zone.
_QUICK: Final = frozenset({str, int, bool, float, date})
_EPOCH: Final = datetime(1970, 1, 1)


class Exported:
    """The tables of a database as a folder.

    Attributes:
        folder: The folder.
        parts: The parts of the import, of which the tables are the first.
        name: Name of the database.
        others: Tables of the database that nobody reads.
    """

    def __init__(self, parts: Parts, database: Database, others: list[str]) -> None:
        self.folder, self.parts, self.name, self.others = parts.path("tables"), parts, database.name, others
        self._shown = database.shown

    def names(self) -> dict[Path, str]:
        """Give each file's name in a report: that of its table."""
        return {file: file.stem for file in sorted(self.folder.glob("*.parquet"))}

    @contextmanager
    def said(self) -> Iterator[None]:
        """Let errors inside the block name the database and its table instead of a file of ours."""
        try:
            yield
        except InputError as error:
            place = Path(error.path) if error.path is not None else None
            if place is None or not place.is_relative_to(self.folder):
                raise
            where, remedy = self._shown, error.remedy
            if place == self.folder:
                remedy = "Name the schemas that hold the tables of the CDM and of its vocabulary: --schema cdm,vocab"
            else:
                where = f"table '{place.stem}' of {where}"
            raise InputError(
                error.problem, path=where, row=error.row, column=error.column, remedy=remedy
            ) from None


@contextmanager
def exported(
    source: str, out: str | Path, schemas: Sequence[str] = (), more: Mapping[str, Any] | None = None
) -> Iterator[Exported]:
    """Bring what the adapter reads of a database beside the folder to be written, and remove it at the end.

    A killed import leaves the tables that are finished, and the next one goes on from them if the tables have as many
    rows as before.

    Args:
        source: The database's URL.
        out: The folder that is going to be written.
        schemas: Where tables are looked for, in this order.
        more: What else must be as it was for an import to go on.

    Yields:
        The folder.

    Raises:
        InputError: If the database cannot be read.
    """
    with open_database(source, schemas) as database:
        held = database.tables()
        wanted = _wanted()
        tables = {name: database.described(held[name]) for name in wanted if name in held}
        sizes = {name: database.size(table) for name, table in tables.items()}
        found = {name: [table.schema, table.name, sizes[name]] for name, table in tables.items()}
        key = {**(more or {}), "database": database.place, "tables": found}
        with resumed(out, key) as parts:
            for name, table in tables.items():
                _bring(database, table, name, wanted[name], parts, sizes[name])
            (parts.folder / "tables").mkdir(exist_ok=True)
            others = sorted(held[name].name for name in held if name not in (*wanted, "vocabulary"))
            made = Exported(parts, database, others)
            with made.said():
                yield made


def _wanted() -> dict[str, list[str]]:
    """Give table -> its columns that are read, in a fixed order."""
    found: dict[str, dict[str, None]] = {}
    for table in TABLES:
        own = found.setdefault(table.name, {})
        own |= dict.fromkeys(["person_id", table.date, table.datetime, *table.columns.values()])
    for name in (*OTHERS, *VOCABULARY, *_MORE):
        found.setdefault(name, {}).update(dict.fromkeys(_MORE[name]))
    return {name: [column for column in columns if column] for name, columns in found.items()}


def _bring(database: Database, table: Held, name: str, wanted: list[str], parts: Parts, rows: int) -> None:
    columns = [column for column in wanted if column in table.columns]
    keys = (
        f"{name}_id",
        "concept_id_1",
        "concept_id_2",
        "person_id",
        *(c for c in wanted if c.endswith(("_date", "time"))),
    )
    order = [key for key in dict.fromkeys(keys) if key in table.columns]

    def write(target: Path, account: Account) -> None:
        batches = database.batches(table, columns, order, _ONLY.get(name))
        pieces, done = [pl.DataFrame(schema=dict.fromkeys(columns, pl.String)).lazy()], 0
        for batch in batches:
            step(f"reading table {name}", done / max(rows, done + len(batch)))
            piece = target.with_name(f"{target.name}-{len(pieces):06d}")
            frame(columns, batch, name).write_parquet(piece, compression="lz4", statistics=False)
            pieces.append(pl.scan_parquet(piece))
            done += len(batch)
        pl.concat(pieces).sink_parquet(target, statistics=False)
        for piece in target.parent.glob(f"{target.name}-*"):
            piece.unlink()

    if columns:
        parts.make(f"tables/{name}.parquet", write)


def frame(columns: Sequence[str], rows: Sequence[Sequence[Any]], table: str) -> pl.DataFrame:
    """Give a batch of rows as text, as a CSV would hold it.

    Args:
        columns: Names of the columns.
        rows: Values as a driver gives them.
        table: Name of the table, for messages.

    Raises:
        InputError: If a value is of bytes that are no UTF-8.
    """
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    return pl.DataFrame([_text(name, held, table) for name, held in zip(columns, values, strict=True)])


def _text(name: str, values: Sequence[Any], table: str) -> pl.Series:
    kinds = set(map(type, values)) - {type(None)}
    dated = name.endswith(("_date", "_datetime"))
    if not kinds:
        return pl.Series(name, [None], dtype=pl.String).new_from_index(0, len(values))
    if len(kinds) == 1 and kinds <= _QUICK - ({float} if dated else set()):  # most columns
        return pl.Series(name, values, strict=True).cast(pl.String)
    try:
        return pl.Series(name, [_written(value, dated) for value in values], dtype=pl.String)
    except UnicodeDecodeError:
        raise InputError(
            "the column holds bytes that are no UTF-8",
            path=f"table '{table}'",
            column=name,
            remedy="Store it as text",
        ) from None


def _written(value: Any, dated: bool) -> str | None:
    """Give a value as a CSV would hold it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and dated:
        return _instant(value)
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() else str(value)
    return bytes(value).decode() if isinstance(value, (bytes, bytearray, memoryview)) else str(value)


def _instant(seconds: float) -> str:
    """Give seconds since 1970 as a time; what is no time in the calendar as the number that it is."""
    try:
        return (_EPOCH + timedelta(seconds=round(seconds, 6))).isoformat(" ")
    except (OverflowError, ValueError):
        return str(seconds)
