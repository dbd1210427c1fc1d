"""A file's bytes to the rows that can be split into columns; every line that cannot is named, and left out."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology.rf2_files import MEMBER, RF2File
from ontology.rf2_table import MAY_END_EARLY
from ontology.validation.findings import FILE, LINE, Findings

_CHUNK = 1 << 23
_BOM = b"\xef\xbb\xbf"
_WHITE = np.isin(np.arange(256), list(b" \t\n\r\x0b\x0c"))
_IDS = re.compile(rb"[0-9]{6,18}")


class Lines(NamedTuple):
    """The lines of a file: where each begins and ends, its tabs, and whether it is blank or not UTF-8."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    tabs: NDArray[np.int32]
    blank: NDArray[np.bool_]
    spoiled: NDArray[np.bool_]


def texts(file: RF2File, data: bytes, findings: Findings) -> tuple[pl.DataFrame, set[int]]:
    """Split a file into columns of text.

    Args:
        file: The file.
        data: Its bytes.
        findings: Where the lines that cannot be split are noted.

    Returns:
        The columns of the header with `LINE`, empty fields as empty texts; and the identifiers that the lines that
        were left out mention.
    """
    begin = 3 if data.startswith(_BOM) else 0
    if begin:
        findings.one("byte-order-mark", file.path, 1)
    lines = _scan(file, data, begin, findings)
    comment = np.frombuffer(data, np.uint8)[np.minimum(lines.start, max(len(data) - 1, 0))] == ord("#")
    comment &= ~lines.blank
    number = np.arange(1, len(lines.start) + 1)
    for kind, marked in (("blank-line", lines.blank), ("comment-line", comment)):
        _note(findings, file, kind, number[marked])
    rows = ~lines.blank & ~comment & ~lines.spoiled & (number != file.header_line)
    lost = len(file.header) - 1 - lines.tabs
    short = rows & (lost > 0) & (lost <= _may_lack(file))
    _note(findings, file, "short-row", number[short], column=[file.header[-n] for n in lost[short]])
    wrong = rows & (lost != 0) & ~short
    found = lines.tabs[wrong] + 1
    _note(
        findings, file, "column-count", number[wrong],
        column=[file.header[n] if n < len(file.header) else None for n in found.tolist()],
        detail=[f"{n} instead of {len(file.header)}" for n in found.tolist()],
    )  # fmt: skip
    broken = np.flatnonzero(wrong | (lines.spoiled & ~comment & ~lines.blank))
    mentioned = {int(m) for i in broken for m in _IDS.findall(data, lines.start[i], lines.end[i])}
    kept = np.flatnonzero(rows & ~wrong)
    frame = _split(file, _joined(data, lines, kept, np.where(short, lost, 0)), len(kept))
    return frame.with_columns(pl.Series(LINE, number[kept].astype(np.uint32))), mentioned


def _scan(file: RF2File, data: bytes, begin: int, findings: Findings) -> Lines:
    parts: list[list[NDArray[np.generic]]] = [[np.empty(0, np.int64)] * 2]
    parts[0] += [np.empty(0, np.int32), np.empty(0, bool), np.empty(0, bool)]
    done = 0
    while begin < len(data):
        stop = min(begin + _CHUNK, len(data))
        if stop < len(data):
            cut = data.rfind(b"\n", begin, stop)
            cut = cut if cut >= 0 else data.find(b"\n", stop)
            stop = cut + 1 if cut >= 0 else len(data)
        view = np.frombuffer(data, np.uint8, stop - begin, begin)
        ends = np.flatnonzero(view == 10)
        ends = np.append(ends, len(view)) if view[-1] != 10 else ends
        starts = np.concatenate(([0], ends[:-1] + 1))
        tabs = np.add.reduceat(view == 9, starts, dtype=np.int32)
        full = np.add.reduceat(~_WHITE[view], starts, dtype=np.int32) > 0
        spoiled = np.zeros(len(starts), dtype=bool)
        try:
            data[begin:stop].decode()
        except UnicodeDecodeError:
            for i, (a, b) in enumerate(zip((starts + begin).tolist(), (ends + begin).tolist(), strict=True)):
                spoiled[i] = _spoiled(file, data[a:b], done + i + 1, findings)
        parts.append([starts + begin, ends + begin, tabs, ~full, spoiled])
        done, begin = done + len(starts), stop
    return Lines(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _spoiled(file: RF2File, line: bytes, number: int, findings: Findings) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        place = line.count(b"\t", 0, error.start)
        column = file.header[place] if place < len(file.header) else None
        findings.one("encoding", file.path, number, column, f"{line[error.start]:#04x}")
        return True
    return False


def _may_lack(file: RF2File) -> int:
    """Give how many texts a row may lack at its end, as `rf2_table` completes them."""
    if file.kind not in MAY_END_EARLY and not file.kind.startswith("reference set"):
        return 0
    own = 0
    for column in reversed(file.header):
        if column in MEMBER:
            break
        own += 1
    return own


def _joined(data: bytes, lines: Lines, kept: NDArray[np.int64], lack: NDArray[np.int64]) -> bytes:
    """Put the lines that are kept together again, each with its line end, those that lack tabs with them."""
    if not len(kept):
        return b""
    breaks = np.flatnonzero((np.diff(kept) != 1) | (lack[kept[1:]] > 0) | (lack[kept[:-1]] > 0)) + 1
    pieces = []
    for run in np.split(kept, breaks) if len(breaks) else [kept]:
        piece = data[lines.start[run[0]] : lines.end[run[-1]]]
        pieces.append(piece.rstrip(b"\r") + b"\t" * int(lack[run[0]]) if lack[run[0]] else piece)
    return b"\n".join(pieces) + b"\n"


def _split(file: RF2File, data: bytes, rows: int) -> pl.DataFrame:
    schema = dict.fromkeys(file.header, pl.String())
    if not rows:
        return pl.DataFrame(schema=schema)
    try:
        frame = pl.read_csv(
            data, has_header=False, schema=schema, separator="\t", quote_char=None, infer_schema=False
        ).select(pl.all().fill_null(""))
    except pl.exceptions.PolarsError:
        frame = pl.DataFrame(schema=schema)
    if frame.height == rows:
        return frame
    fields = [line.rstrip("\r").split("\t") for line in data.decode().split("\n")[:rows]]
    return pl.DataFrame(fields, schema=schema, orient="row")


def _note(
    findings: Findings,
    file: RF2File,
    kind: str,
    numbers: NDArray[np.int64],
    column: list[str] | list[str | None] | None = None,
    detail: list[str] | None = None,
) -> None:
    names = column if column is not None else [None] * len(numbers)
    rows = pl.DataFrame(
        {
            LINE: numbers,
            "name": names,
            "value": [""] * len(numbers),
            "detail": detail or [None] * len(numbers),
        },
        schema_overrides={"name": pl.String(), "detail": pl.String()},
    ).with_columns(pl.lit(findings.number(file.path)).alias(FILE))
    for (name,), some in rows.group_by("name", maintain_order=True):
        findings.add(kind, some, str(name) if name else None, value="value", detail="detail")
