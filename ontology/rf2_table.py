"""The rows of an RF2 file as typed columns: a fast way for faultless files, an exact one for all others.

RF2 is UTF-8, tab-separated, one header line, and has no quoting: a quotation mark is a character like any other.
Tolerated and counted: a byte order mark, blank lines, and comment lines that begin with '#'.

The fast way lets polars parse the columns with their types. It is taken back, and the file read again field by field,
as soon as anything does not fit: the number of tabs, a null where a number must be, a parse error. The exact way then
either finds the place of the fault, or that there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology.errors import InputError
from ontology.report import LoadReport
from ontology.rf2_files import FORMAT, RF2File

# What a column holds: an identifier, a whole number from 0, 0 or 1, a date or nothing, a text.
ID, NUMBER, ACTIVE, TIME, TEXT = "id", "number", "active", "time", "text"
Wanted = Mapping[str, str]
_TYPES: dict[str, Any] = {
    ID: pl.Int64(), NUMBER: pl.Int32(), ACTIVE: pl.Int8(), TIME: pl.Int32(), TEXT: pl.String()
}  # fmt: skip
# Tables of texts, in which published rows lack the tabs after their last text.
MAY_END_EARLY = ("MRCM domain", "MRCM attribute domain", "MRCM attribute range")
_BOM = b"\xef\xbb\xbf"
_TAB, _LINE_END = 9, 10


def schema_of(wanted: Wanted) -> dict[str, Any]:
    """Give the polars types of wanted columns.

    Args:
        wanted: Column name -> what it holds.
    """
    return {column: _TYPES[kind] for column, kind in wanted.items()}


def read_rows(file: RF2File, wanted: Wanted, report: LoadReport) -> pl.DataFrame:
    """Read columns of a file; a blank effectiveTime is null, an empty text is empty.

    Args:
        file: The file.
        wanted: Column name -> ID, NUMBER, ACTIVE, TIME or TEXT, in the order wanted.
        report: Where the file, and what was tolerated in it, is noted.

    Raises:
        InputError: If the file is not UTF-8, a line has too many or too few columns, or a value is not what its column
            must hold; it names the file, the line and the column.
    """
    frame = fast_rows(file, wanted)
    if frame is None:
        frame = _exact(file, wanted, file.entry.read(), report)
    report.files_read.append({"file": file.name, "kind": file.kind, "rows": frame.height})
    return frame


def fast_rows(file: RF2File, wanted: Wanted) -> pl.DataFrame | None:
    """Let polars parse the columns with their types.

    Args:
        file: The file.
        wanted: Column name -> ID, NUMBER, ACTIVE, TIME or TEXT.

    Returns:
        The columns, one row for each line below the header; None if anything in the file does not fit.
    """
    if file.header_line > 1 or not file.entry.size:
        return None
    frames = []
    with ThreadPoolExecutor(1) as beside:  # a piece is read or inflated while the one before is parsed
        blocks = _blocks(file.entry.pieces())
        following = beside.submit(next, blocks, None)
        while (block := following.result()) is not None:
            following = beside.submit(next, blocks, None)
            frame = _parsed(file, wanted, block)
            if frame is None:
                return None
            frames.append(frame)
    whole = pl.concat(frames)
    return whole if _fits(whole, wanted) else None


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Cut pieces anew, where lines end, and begin each with the header."""
    header, rest = b"", [b""]
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if not end:
            rest.append(piece)
            continue
        block = b"".join((header, *rest, memoryview(piece)[:end]))
        header, rest = block[: block.index(b"\n") + 1], [piece[end:]]
        yield block
    if any(rest):
        yield b"".join((header, *rest))


def _parsed(file: RF2File, wanted: Wanted, block: bytes) -> pl.DataFrame | None:
    last = file.header[-1]  # what a line that is too short lacks
    read = wanted if last in wanted else {**wanted, last: TEXT}
    try:
        frame = (
            pl.scan_csv(
                block,
                separator="\t",
                quote_char=None,
                schema={column: _TYPES[wanted.get(column, TEXT)] for column in file.header},
            )
            .select(pl.col(column).fill_null("") if kind == TEXT else column for column, kind in read.items())
            .collect(engine="streaming")
        )
    except pl.exceptions.PolarsError:
        return None  # the exact way names the place
    ends = frame[last]
    filled = bool((ends != "").all()) if read[last] == TEXT else not ends.null_count()
    remarks = wanted.get("id") != ID
    if not _regular(block, len(file.header), frame.height + 1, filled=filled, remarks=remarks):
        return None
    return frame.select(*wanted)


def _fits(frame: pl.DataFrame, wanted: Wanted) -> bool:
    if not frame.height:
        return True
    tests = []
    for column, kind in wanted.items():
        value = pl.col(column)
        if kind == ID:
            tests.append((value.min() >= 1) & (value.max() < 10**18) & (value.null_count() == 0))
        elif kind == NUMBER:
            tests.append((value.min() >= 0) & (value.null_count() == 0))
        elif kind == ACTIVE:
            tests.append((value.min() >= 0) & (value.max() <= 1) & (value.null_count() == 0))
        elif kind == TIME:
            tests.append((value.null_count() == pl.len()) | ((value.min() >= 10**7) & (value.max() < 10**8)))
        elif column == "id":
            tests.append((value != "").all())
    return bool(frame.select(pl.all_horizontal(tests)).item()) if tests else True


def _regular(block: bytes, width: int, lines: int, *, filled: bool, remarks: bool) -> bool:
    """Say whether every line has its tabs, and neither a byte order mark nor an unnoticed comment is there.

    Args:
        block: The bytes.
        width: How many columns there are.
        lines: How many lines were read, the header among them.
        filled: Whether every row's last field has content, so that no line is too short: then their number tells that
            none is too long.
        remarks: Whether a row that begins with a number sign would have been read like any other.
    """
    if block.startswith(_BOM) or (remarks and b"#" in block and b"\n#" in block):
        return False
    between = np.frombuffer(block, np.uint8) <= _LINE_END  # other control characters are for the exact way
    last = int(not block.endswith(b"\n"))  # the last line need not end
    if filled:
        return int(np.count_nonzero(between)) + last == width * lines
    marks = np.frombuffer(block, np.uint8)[between]
    expected = np.full(width * lines, _TAB, dtype=np.uint8)
    expected[width - 1 :: width] = _LINE_END
    return np.array_equal(marks, expected[: len(expected) - last])


def _exact(file: RF2File, wanted: Wanted, data: bytes, report: LoadReport) -> pl.DataFrame:
    if data.startswith(_BOM):
        data = data[3:]
        report.tolerate("byte order mark at the beginning of a file", 1)
    _check_utf8(file, data)
    data, numbers = _without_remarks(file, data, report)
    if file.kind in MAY_END_EARLY or file.kind.startswith("reference set"):
        data = _padded(file, data, wanted, report)
    _check_width(file, data, numbers)
    try:
        texts = pl.read_csv(
            data,
            columns=list(wanted),
            separator="\t",
            quote_char=None,
            infer_schema=False,
        ).select(pl.col(column).fill_null("") for column in wanted)
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"the file cannot be split into columns ({error})", path=file.path, remedy=FORMAT
        ) from error
    if texts.height != len(numbers):
        raise InputError(
            f"the file has {len(numbers)} lines below its header, but {texts.height} rows could be read",
            path=file.path,
            remedy=FORMAT,
        )
    return pl.DataFrame([_column(file, texts[column], kind, numbers) for column, kind in wanted.items()])


_FAULTS = {
    ID: "this is no identifier",
    NUMBER: "this is no number",
    ACTIVE: "this is neither 0 nor 1",
    TIME: "this is no date of the form YYYYMMDD",
    TEXT: "a row has no identifier",
}
# From and below what a number must lie.
_RANGES = {ID: (1, 10**18), NUMBER: (0, 2**31), ACTIVE: (0, 2), TIME: (10**7, 10**8)}


def _column(file: RF2File, values: pl.Series, kind: str, numbers: NDArray[np.int64]) -> pl.Series:
    parsed = values
    if kind == TEXT:
        wrong = (values == "") if values.name == "id" else pl.Series([False])
    else:
        number = values.cast(pl.Int64, strict=False)
        low, high = _RANGES[kind]
        wrong = number.is_null() | (number < low) | (number >= high)
        if kind == TIME:  # a blank one is not yet released
            wrong &= values != ""
            parsed = pl.Series(
                values.name, values.to_frame().select(pl.when(pl.first() != "").then(pl.first())).to_series()
            )
    if len(places := wrong.arg_true()):
        row = int(places[0])
        raise InputError(
            f"{_FAULTS[kind]}: {values[row][:40]!r}",
            path=file.path,
            row=int(numbers[row]),
            column=values.name,
            remedy=FORMAT,
        )
    return parsed.cast(_TYPES[kind])


def _check_utf8(file: RF2File, data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        start = data.rfind(b"\n", 0, error.start) + 1
        place = data.count(b"\t", start, error.start)
        raise InputError(
            f"the bytes are not UTF-8 ({data[error.start]:#04x})",
            path=file.path,
            row=data.count(b"\n", 0, error.start) + 1,
            column=file.header[place] if place < len(file.header) else None,
            remedy="Unpack the release again, without any conversion; RF2 is UTF-8",
        ) from error


def _without_remarks(file: RF2File, data: bytes, report: LoadReport) -> tuple[bytes, NDArray[np.int64]]:
    """Leave out comments and blank lines; also give the line numbers of the rows that stay."""
    lines = data.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    kept = [i for i, line in enumerate(lines) if line.strip() and not line.startswith(b"#")]
    blank = sum(1 for line in lines if not line.strip())
    report.tolerate("blank line", blank)
    report.tolerate("comment line", len(lines) - len(kept) - blank)
    return b"\n".join(lines[i] for i in kept) + b"\n", np.array(kept[1:], dtype=np.int64) + 1


def _padded(file: RF2File, data: bytes, wanted: Wanted, report: LoadReport) -> bytes:
    """Give rows the empty texts at their end that an editor has cut off; only texts can be missing so."""
    width = len(file.header)
    texts = 0
    for column in reversed(file.header):
        if wanted.get(column) != TEXT or column == "id":
            break
        texts += 1
    lines = data.split(b"\n")
    short = 0
    for i, line in enumerate(lines[:-1]):
        lost = width - 1 - line.count(b"\t")
        if 0 < lost <= texts and i:
            lines[i] = line.rstrip(b"\r") + b"\t" * lost
            short += 1
    report.tolerate(f"{file.kind} row without its last, empty fields", short)
    return b"\n".join(lines) if short else data


def _check_width(file: RF2File, data: bytes, numbers: NDArray[np.int64]) -> None:
    width = len(file.header)
    for number, line in zip(numbers, data.split(b"\n")[1:], strict=False):
        if (found := line.count(b"\t") + 1) != width:
            raise InputError(
                f"the line has {found} columns instead of {width}",
                path=file.path,
                row=int(number),
                column=file.header[found] if found < width else None,
                remedy="The file may be cut off or edited; unpack the release again",
            )
