"""A table's rows as text, each with its line: CSV, TSV (plain or gzipped), JSON lines or Parquet.

CSV is read line by line, so that a row is told by the line where it begins, whatever line breaks its notes hold, and so
that one broken row costs that row. A line that is not UTF-8 is read as Windows-1252 and counted.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import polars as pl

from mhdiff.cohort.gzip_files import INFLATED, MAX_LINE, RATIO
from mhdiff.cohort.import_report import ImportReport
from ontology.errors import InputError
from ontology.progress import step

LINE: Final = "\0line"  # a column that no file has
MAX_COLUMNS: Final = 10_000
_SEPARATORS: Final = {".csv": ",", ".tsv": "\t"}
_TOLD: Final = 50_000  # lines
_WIDE: Final = (
    "Select the columns that are needed before exporting it: a row is a visit, not a patient's whole life"
)


@dataclass(frozen=True)
class Wanted:
    """Which columns are read.

    Attributes:
        used: Column -> what declares it, in the order in which they are given.
        ignore: Columns that are known and not read.
        where: Where they are declared, for messages.
    """

    used: Mapping[str, str]
    ignore: tuple[str, ...] = ()
    where: str = "the table"


def read_rows(file: Path, wanted: Wanted, report: ImportReport) -> pl.DataFrame:
    """Read the wanted columns of all rows as text.

    Args:
        file: The table.
        wanted: Which columns.
        report: Where rows are counted, and columns named that are not declared.

    Returns:
        `LINE` and the wanted columns; null where a cell is empty or says NA.

    Raises:
        InputError: If the file is of no known kind or lacks a declared column, or too many rows are broken.
    """
    if not file.is_file():
        raise InputError("there is no such file", path=file, remedy="Give a file, not a folder")
    name = file.name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    if suffix in _SEPARATORS:
        table = _csv(file, _SEPARATORS[suffix], wanted, report)
    elif suffix in (".jsonl", ".ndjson"):
        table = _json_lines(file, wanted, report)
    elif name.endswith(".parquet"):
        table = _parquet(file, wanted, report)
    else:
        kinds = ".csv, .tsv, .jsonl (all perhaps .gz) or .parquet"
        raise InputError(
            "the kind of the file is not known", path=file, remedy=f"Its name must end in {kinds}"
        )
    report.refused.check()
    if table.is_empty():
        raise InputError("there is no usable row", path=file, remedy="Give a table with rows")
    return table


def _csv(file: Path, separator: str, wanted: Wanted, report: ImportReport) -> pl.DataFrame:
    rows: list[list[str]] = []
    line = 1
    limit = csv.field_size_limit(MAX_LINE)
    try:
        lines = _lines(file, report)
        first = next(lines, "")
        if first.count(separator) >= MAX_COLUMNS:
            _too_wide(file, first.count(separator) + 1)
        reader = csv.reader(_before(first, lines), delimiter=separator, strict=True)
        header = [name.strip() for name in next(reader, [])]
        _header(file, header, wanted, report)
        places = [header.index(name) for name in wanted.used]
        line = reader.line_num + 1
        for record in reader:
            report.refused.read(file)
            if not any(record):
                report.dropped.add("row: empty", line)
            elif len(record) != len(header):
                report.refused.add(
                    f"the row has {len(record)} fields, the header {len(header)}",
                    file,
                    line,
                    remedy="Repair the quotes or separators of this row",
                )
            else:
                rows.append([str(line), *(record[place] for place in places)])
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            "the file is not a CSV from here on",
            path=file,
            row=line,
            remedy="Look for a quote that is not closed",
        ) from error
    finally:
        csv.field_size_limit(limit)
    return _frame(rows, wanted)


def _json_lines(file: Path, wanted: Wanted, report: ImportReport) -> pl.DataFrame:
    rows: list[list[str | None]] = []
    seen: dict[str, None] = {}
    for line, text in enumerate(_lines(file, report), 1):
        if not text.strip():
            continue
        report.refused.read(file)
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            report.refused.add(
                "the line is no JSON object", file, line, remedy="Write one object a line, or remove the line"
            )
            continue
        seen.update(dict.fromkeys(record))
        if len(seen) > MAX_COLUMNS:
            _too_wide(file, len(seen))
        nested = next((n for n in wanted.used if isinstance(record.get(n), (dict, list))), None)
        if nested is not None:
            report.refused.add(
                "the value is a list or an object",
                file,
                line,
                nested,
                remedy="Write one text or number, several with a separator",
            )
            continue
        rows.append([str(line), *(_plain(record.get(name)) for name in wanted.used)])
    _header(file, list(seen), wanted, report)
    return _frame(rows, wanted)


def _plain(value: Any) -> str | None:
    if value is None:
        return None
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _parquet(file: Path, wanted: Wanted, report: ImportReport) -> pl.DataFrame:
    try:
        schema = pl.read_parquet_schema(file)
        if len(schema) > MAX_COLUMNS:
            _too_wide(file, len(schema))
        _header(file, list(schema), wanted, report)
        for name in wanted.used:
            if schema[name].is_nested() or schema[name] == pl.Binary:
                raise InputError(
                    f"the column is {schema[name]}",
                    path=file,
                    column=name,
                    remedy="Write one text or number a row, several with a separator",
                )
        step(f"reading {file.name}")
        held = pl.read_parquet(file, columns=list(wanted.used))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError("the file is not readable Parquet", path=file, remedy="Export it again") from error
    report.refused.read(file, held.height)
    text = held.select(_as_text(name, schema[name]) for name in wanted.used)
    return text.select(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(LINE), *wanted.used)


def _as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(name)
    if dtype.is_float():  # whole numbers beside gaps come from pandas as 12.0
        whole = value.cast(pl.Int64, strict=False)
        text = pl.when(whole == value).then(whole.cast(pl.String)).otherwise(value.cast(pl.String))
    elif isinstance(dtype, pl.Datetime) and dtype.time_zone is None:
        text = value.dt.to_string("%Y-%m-%d %H:%M:%S%.6f")
    else:
        text = value.cast(pl.String)
    return text.alias(name)


def _frame(rows: list[Any], wanted: Wanted) -> pl.DataFrame:
    schema = {LINE: pl.String, **dict.fromkeys(wanted.used, pl.String)}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col(LINE).cast(pl.Int64))


def _header(file: Path, header: list[str], wanted: Wanted, report: ImportReport) -> None:
    """Refuse a header that does not fit, and name the columns that nobody declared."""
    if len(header) > MAX_COLUMNS:
        _too_wide(file, len(header))
    for name, key in wanted.used.items():
        if name not in header:
            like = ", ".join(difflib.get_close_matches(name, header, 3, 0.6))
            raise InputError(
                f"the file lacks the column that '{key}' of {wanted.where} declares",
                path=file,
                row=1,
                column=name,
                remedy=f"Is it one of these: {like}?" if like else "Correct the name, or leave the key out",
            )
    for name in wanted.used:
        if header.count(name) > 1:
            raise InputError(
                "the column is there twice", path=file, row=1, column=name, remedy="Leave one of them"
            )
    strange = [n for n in header if n not in wanted.used and n not in wanted.ignore]
    report.name("columns not read, since they are not declared", {name[:40]: 1 for name in strange[:20]})
    if len(strange) > 20:
        report.name("columns not read, since they are not declared", {
            **{name[:40]: 1 for name in strange[:20]}, "(others)": len(strange) - 20
        })  # fmt: skip


def _too_wide(file: Path, width: int) -> NoReturn:
    raise InputError(
        f"the file has {width:,} or more columns, at most {MAX_COLUMNS:,} are read",
        path=file,
        row=1,
        remedy=_WIDE,
    )


def _before(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines


def _lines(file: Path, report: ImportReport) -> Iterator[str]:
    """Give the lines as text, line ends and all."""
    packed = file.name.lower().endswith(".gz")
    number = total = 0
    size = file.stat().st_size
    try:
        with gzip.open(file, "rb") if packed else file.open("rb") as stream:
            while raw := stream.readline(MAX_LINE):
                number += 1
                if number == 1:
                    raw = _start(file, raw)
                if len(raw) >= MAX_LINE:
                    raise InputError(
                        f"the line is longer than {MAX_LINE >> 20} MiB", path=file, row=number, remedy=_WIDE
                    )
                total += len(raw)
                if packed and total > max(INFLATED, RATIO * size):
                    raise InputError(
                        f"the gzip file holds more than {RATIO} times its size",
                        path=file,
                        row=number,
                        remedy="Unpack it and look at it first",
                    )
                if number % _TOLD == 0:
                    step(f"line {number:,} of {file.name}")
                try:
                    yield raw.decode("utf-8")
                except UnicodeDecodeError:
                    report.changed.add("line: not UTF-8, read as Windows-1252", number)
                    yield raw.decode("cp1252", errors="replace")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            "the gzip file is cut short or none", path=file, row=number + 1, remedy="Copy it again"
        ) from error


def _start(file: Path, raw: bytes) -> bytes:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError("the file is UTF-16", path=file, row=1, remedy="Save it as UTF-8")
    return raw.removeprefix(b"\xef\xbb\xbf")
