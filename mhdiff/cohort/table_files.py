"""Tables as a source's files hold them: CSV (plain or gzipped, commas or tabs) or Parquet, found by name and scanned.

Nothing is taken on trust: the first line is read with a limit, and a gzip file is looked at whole before polars reads
it, see `gzip_files`.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort.gzip_files import MAX_LINE, check_gzip
from mhdiff.cohort.text_rows import MAX_COLUMNS
from ontology.errors import InputError

_SUFFIXES: Final = (".csv", ".csv.gz", ".tsv", ".parquet")
_WIDE: Final = "See whether it is the table that its name says, and export it again with a row a line"


def find(folders: list[Path], name: str) -> list[Path]:
    """Give the files of a table: one, or the parts of a folder of that name; none if it is not there.

    Args:
        folders: Where to look, in this order.
        name: Name of the table.

    Raises:
        InputError: If two files of one folder are the same table.
    """
    for folder in folders:
        here = [p for p in sorted(folder.iterdir()) if table_name(p) == name]
        if len(here) > 1:
            raise InputError(
                f"the table '{name}' is there twice: {', '.join(p.name for p in here)}",
                path=folder,
                remedy="Leave one of them",
            )
        if here and here[0].is_dir():
            parts = sorted(p for p in here[0].iterdir() if p.name.lower().endswith(_SUFFIXES))
            if not parts:
                raise InputError(
                    "the folder of the table holds no CSV or Parquet",
                    path=here[0],
                    remedy="Put its parts there, or remove the folder",
                )
            return parts
        if here:
            return here
    return []


def table_name(path: Path) -> str:
    """Give the table that a file or folder is by its name, "" for a file that is no table.

    Args:
        path: The file or folder.
    """
    name = path.name.lower()
    if path.is_dir():
        return name
    suffix = next((s for s in sorted(_SUFFIXES, key=len, reverse=True) if name.endswith(s)), None)
    return name[: -len(suffix)] if suffix else ""


def scan(
    file: Path, *, plain: bool = False, most: int = MAX_COLUMNS, looked_at: bool = False
) -> pl.LazyFrame:
    """Give a file's rows lazily, columns in lower case, and `row`: its line where no value holds a line break.

    Args:
        file: A CSV or Parquet file.
        plain: Whether quotes are letters where tabs separate: so Athena writes vocabularies.
        most: How many columns are borne.
        looked_at: Whether another process of this import has scanned the file before, so that a gzip file need not be
            looked at again.

    Raises:
        InputError: If the file has no header, more columns than are borne, or is not what its name says.
    """
    with reading(file):
        if file.suffix.lower() == ".parquet":
            frame = pl.scan_parquet(file).with_row_index("row", offset=2)
        else:
            tabs = "\t" in _first_line(file, most)
            if file.suffix.lower() == ".gz" and not looked_at:
                check_gzip(file)
            frame = pl.scan_csv(
                file,
                separator="\t" if tabs else ",",
                quote_char=None if tabs and plain else '"',
                infer_schema=False,
                row_index_name="row",
                row_index_offset=2,
            )
        names = frame.collect_schema().names()
    _too_many(file, len(names) - 1, most)
    small = [name.strip().strip("\ufeff").lower() for name in names]
    if doubled := sorted(name for name, n in Counter(small).items() if n > 1):
        raise InputError(
            "the column is there twice", path=file, row=1, column=doubled[0], remedy="Leave one of them"
        )
    return frame.rename(dict(zip(names, small, strict=True)))


def need(file: Path, held: list[str], columns: tuple[str, ...]) -> None:
    """Refuse a table that lacks a column.

    Args:
        file: Its file.
        held: The columns that it has.
        columns: Those that it must have.

    Raises:
        InputError: If one is missing.
    """
    for column in columns:
        if column not in held:
            raise InputError(
                "the table lacks the column",
                path=file,
                row=1,
                column=column,
                remedy=f"It needs: {', '.join(columns)}. Export it again as CDM 5.3 or 5.4",
            )


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Say which file it is that cannot be parsed inside the block, and which line where that can be found.

    What the parser says is not repeated: it may quote a row.

    Args:
        file: The file that is read.

    Raises:
        InputError: Instead of what polars raises. A full disk and the like pass.
    """
    try:
        yield
    except (pl.exceptions.PolarsError, zlib.error) as error:
        raise _unreadable(file, error) from error
    except OSError as error:
        if isinstance(error, PermissionError):
            raise InputError("the file may not be read", path=file, remedy="Check its permissions") from error
        if error.errno is not None:
            raise
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> InputError:
    if not file.name.lower().endswith((".csv", ".tsv")):
        return InputError("the file is not readable", path=file, remedy="Export it again")
    separator, width = "", 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError:
                return InputError("the line is not UTF-8", path=file, row=number, remedy="Convert the file")
            if '"' in text:  # from here on commas need not part values
                break
            if not separator:
                separator = "\t" if "\t" in text else ","
                width = text.count(separator)
            if text.count(separator) > width:
                return InputError(
                    "the line has more values than the header", path=file, row=number,
                    remedy="Quote values that hold a comma",
                )  # fmt: skip
    kind = re.sub(r"[^A-Za-z]", "", type(error).__name__)
    return InputError(f"the file is not readable as CSV ({kind})", path=file, remedy="Export it again")


def _first_line(file: Path, most: int) -> str:
    with gzip.open(file, "rb") if file.suffix.lower() == ".gz" else file.open("rb") as stream:
        try:
            line = stream.readline(MAX_LINE + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _unreadable(file, error) from error
    if len(line) > MAX_LINE:
        raise InputError(
            f"the first line is longer than {MAX_LINE >> 20} MiB", path=file, row=1, remedy=_WIDE
        )
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(file, error) from error
    _too_many(file, text.count("\t" if "\t" in text else ",") + 1, most)
    if not text.strip():
        raise InputError("the file has no header", path=file, row=1, remedy="Export the table again")
    return text


def _too_many(file: Path, columns: int, most: int) -> None:
    if columns > most:
        raise InputError(
            f"the table has {columns:,} columns, at most {most:,} are read", path=file, row=1, remedy=_WIDE
        )
