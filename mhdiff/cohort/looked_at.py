"""Files that rows name, looked at and kept in parts of an import, so that a killed one need not look at them again.

    <name>/<n>.parquet      of each file of the part: its path, size and time of change, why it is refused, its SHA-256
    <name>/<n>/<place>      the file itself, linked or copied, where the import brings it into the cohort

A file that has changed since is looked at again, with all of its part.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from mhdiff.cohort.account import Account
from mhdiff.cohort.image_files import suffix, unusable
from mhdiff.cohort.resumed import Parts
from mhdiff.cohort.source_files import bring, unusable_image
from ontology.files import sha256
from ontology.progress import step

FILES_A_PART: Final = 500
Check = Callable[[str, Path], tuple[str, str]]
_SCHEMA: Final[dict[str, pl.DataType]] = {
    "path": pl.String(),
    "size": pl.Int64(),  # null where there is no such file
    "changed": pl.Int64(),
    "reason": pl.String(),
    "remedy": pl.String(),
    "sha256": pl.String(),
}


class Look(NamedTuple):
    """What was found of a file.

    Attributes:
        reason: Why it is refused, "" if it can be taken.
        remedy: What the user can do about it.
        sha256: Of its bytes, "" where it is refused.
        place: The file to take it from.
    """

    reason: str
    remedy: str
    sha256: str
    place: Path


def looks(
    parts: Parts,
    name: str,
    root: Path,
    paths: Sequence[str],
    check: Check = unusable,
    *,
    keep: bool = True,
) -> Iterator[Look]:
    """Look at files, part by part, several at a time.

    Args:
        parts: The parts of the import, whose key must settle `paths`.
        name: Name of these parts.
        root: Folder that paths are relative to.
        paths: The files.
        check: Gives the reason why a file is refused and the remedy, twice "" if it can be taken.
        keep: Whether the files are kept with the parts, so that a source on another file system is copied only once.

    Yields:
        What was found, file by file in the order of `paths`.
    """
    for number, start in enumerate(range(0, len(paths), FILES_A_PART)):
        step(f"file {start:,} of {len(paths):,}", start / len(paths))
        own, part = paths[start : start + FILES_A_PART], f"{name}/{number}.parquet"
        kept = parts.path(f"{name}/{number}") if keep else None
        forget_changed(parts, part, root, own)
        parts.make(part, partial(_look, own, root, check, kept))
        found = pl.read_parquet(parts.path(part)).select("path", "reason", "remedy", "sha256")
        for place, (path, reason, remedy, digest) in enumerate(found.iter_rows()):
            file = root / path if kept is None else kept / f"{place}{suffix(path)}"
            yield Look(reason, remedy, digest, file)


def picture(path: str, root: Path) -> tuple[str, str]:
    """Give the reason why a file is no picture, JPEG or PNG, and the remedy, twice "" if it is one.

    Args:
        path: What the row says, relative to the folder.
        root: Folder that it must lie in.
    """
    return unusable_image(root / path, root)


def forget_changed(parts: Parts, part: str, root: Path, paths: Sequence[str] | None = None) -> bool:
    """Remove a finished part if a file that it looked at has changed since, and say whether.

    Args:
        parts: The parts of the import.
        part: Name of a part that `looks` has made, or has not made yet.
        root: Folder that paths are relative to.
        paths: The files that it must have looked at; None where they are not known.
    """
    file = parts.path(part)
    if not file.is_file():
        return False
    told = pl.read_parquet(file).select("path", "size", "changed")
    others = paths is not None and told["path"].to_list() != list(paths)
    changed = others or any((size, time) != stamp(path, root) for path, size, time in told.iter_rows())
    if changed:
        file.unlink()
    return changed


def _look(
    paths: Sequence[str], root: Path, check: Check, kept: Path | None, target: Path, _: Account
) -> None:
    if kept is not None:
        shutil.rmtree(kept, ignore_errors=True)  # what a killed import may have left
        kept.mkdir(parents=True)

    def one(numbered: tuple[int, str]) -> tuple[str, int | None, int | None, str, str, str]:
        place, path = numbered
        size, time = stamp(path, root)  # before it is read: a change while it is read is noticed, too
        reason, remedy = check(path, root)
        if reason:
            return path, size, time, reason, remedy, ""
        file = root / path
        if kept is not None:
            bring(file, kept / f"{place}{suffix(path)}")
            file = kept / f"{place}{suffix(path)}"
        return path, size, time, "", "", sha256(file)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as workers:
        rows = list(workers.map(one, enumerate(paths)))
    pl.DataFrame(rows, schema=_SCHEMA, orient="row").write_parquet(target)


def stamp(path: str, root: Path) -> tuple[int | None, int | None]:
    """Give size and time of change of a file, by which a change is noticed; twice None where there is none.

    Args:
        path: The file, relative to the folder.
        root: The folder.
    """
    try:
        told = (root / path).stat()
    except (OSError, ValueError):
        return None, None
    return told.st_size, told.st_mtime_ns
