"""Readers whose rows are kept: what stands between a data module and the files of images.

    row of a file = the entry under (maker, content of the file and its ending), or what the reader makes of it now

The content of a file is the SHA-256 of its bytes. Reading all bytes of a cohort only to name them would take much of
the time that a cache saves where files are large or far away, so the hash is remembered for the file's place, size,
number and times of change, under a hash of all these. The time at which a file system noted a change (ctime)
cannot be set by programs as the time of modification can: a file with other bytes has another one. It is trusted only
if it was some seconds old when the bytes were read, longer than any file system's clock takes to tick.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from mhdiff import console
from mhdiff.encoders.preprocess import FileReader
from mhdiff.image_cache.folder import CacheFolder
from mhdiff.image_cache.maker import maker_facts, maker_name
from ontology.errors import InputError
from ontology.files import sha256

#: Seconds after which a file that has the same times is the same.
SETTLED: Final = 5.0
_FILES: Final = "files"
Rows = dict[str, Tensor]


class ImageCache:
    """A folder in which rows of images are kept.

    Args:
        path: The folder; it is made.
        gib: How much it may hold, in GiB; None for as much as its disk has.
        apart: Folders of data, by what they are, that it may not lie in: their files are fingerprinted.

    Raises:
        InputError: If it lies in one of them, or holds something else.
    """

    def __init__(
        self, path: str | Path, gib: float | None = None, apart: dict[str, str | None] | None = None
    ) -> None:
        for what, place in (apart or {}).items():
            if place is not None and Path(path).resolve().is_relative_to(Path(place).resolve()):
                raise InputError(
                    f"data.image_cache lies in the folder of the {what}, whose files are fingerprinted",
                    path=path,
                    remedy="Name a folder beside it",
                )
        self.folder = CacheFolder(path, gib)
        self._told: set[str] = set()

    def reading(self, reader: FileReader) -> Callable[[Sequence[Path | None]], Rows]:
        """Give what reads files as a reader does, to the bit, and keeps what it gave.

        Args:
            reader: The reader; its report counts what is taken from the cache too.
        """
        facts = maker_facts(reader)
        if facts is None:
            name = type(reader).__name__
            if name not in self._told:
                self._told.add(name)
                console.say(
                    f"data.image_cache: what {name} reads is not kept, since it does not say in `relies_on` what it "
                    "depends on, or its source has changed since it was loaded"
                )
            return reader.transform
        shelf = maker_name(facts)
        self.folder.describe(shelf, facts)
        return KeptFiles(self.folder, shelf, reader).transform


@dataclass(frozen=True)
class KeptFiles:
    """A reader whose rows are kept.

    Attributes:
        folder: Where.
        shelf: The name of all that decides, but for the files.
        reader: What reads a file that is not there yet.
    """

    folder: CacheFolder
    shelf: str
    reader: FileReader

    def transform(self, paths: Sequence[Path | None]) -> Rows:
        """Read one file a sample, see `FileReader.transform`.

        Args:
            paths: The files; None where a sample has none.

        Raises:
            InputError: If a file that was not read before cannot be read, one is missing, or rows do not fit together.
        """
        if not paths:
            return self.reader.transform(paths)
        whole: Rows = {}
        for number, path in enumerate(paths):
            row = self._row(path)
            if not number:  # all samples of a split may be asked for at once: they are in memory once
                whole = {key: tensor.new_empty(len(paths), *tensor.shape[1:]) for key, tensor in row.items()}
            for key, tensor in whole.items():
                if (row[key].dtype, row[key].shape) != (tensor.dtype, (1, *tensor.shape[1:])):
                    raise InputError(
                        f"{type(self.reader).__name__} gives '{key}' as {row[key].dtype} {tuple(row[key].shape)} for "
                        f"one file and {tensor.dtype} {(1, *tensor.shape[1:])} for another",
                        remedy="Let its class say nothing in relies_on: its rows depend on each other",
                    )
                tensor[number] = row[key][0]
        return whole

    def _row(self, path: Path | None) -> Rows:
        try:
            seen = Seen.of(path) if path is not None and self.reader.stands_alone(path) else None
            content = None if seen is None else self._content(seen)
        except OSError:
            seen = None  # the reader says what is wrong
        if seen is None or content is None:
            return self.reader.transform([path])
        name = _name(content, seen.path)
        held = self.folder.get(self.shelf, name)
        if held is not None:
            try:
                row, report = _unpacked(held)
            except (SafetensorError, ValueError, KeyError):
                self.folder.distrust(self.shelf, name)
            else:
                self.reader.recount(report)
                return row
        before = dict(self.reader.report)
        row = self.reader.transform([path])
        if seen.still(content):
            self.folder.put(self.shelf, name, _packed(row, _counted(before, self.reader.report)))
        return row

    def _content(self, seen: Seen) -> str:
        """Give SHA-256 of a file's bytes, as it is remembered or as it is now."""
        known = self.folder.get(_FILES, seen.name)
        if known is not None:
            return bytes(known).decode("ascii")
        content = sha256(seen.path)
        if seen.settled and seen.still(content):
            self.folder.put(_FILES, seen.name, content.encode("ascii"))
        return content


@dataclass(frozen=True)
class Seen:
    """A file at the moment at which it was looked at.

    Attributes:
        path: The file.
        name: A hash of its place, number, size and times.
        settled: Whether a later change would show in its times.
    """

    path: Path
    name: str
    settled: bool

    @classmethod
    def of(cls, path: Path) -> Seen:
        """Look at a file.

        Args:
            path: The file.

        Raises:
            OSError: If it is no file that can be looked at.
        """
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError
        facts = (
            os.fspath(path.absolute()),
            *(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns),
        )
        name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        return cls(path, name, time.time() - found.st_ctime > SETTLED)

    def still(self, content: str) -> bool:
        """Say whether the file is what it was.

        Args:
            content: SHA-256 of its bytes then.
        """
        try:
            return Seen.of(self.path).name == self.name and (self.settled or sha256(self.path) == content)
        except OSError:
            return False


def _name(content: str, path: Path) -> str:
    """Name a file by its content, and by its ending, which says how it is read."""
    ending = "".join(path.suffixes[-2:])
    return hashlib.sha256(f"{content} ".encode() + os.fsencode(ending)).hexdigest()


def _counted(before: dict[str, Any], after: dict[str, Any]) -> dict[str, int]:
    return {
        reason: times - before.get(reason, 0)
        for reason, times in after.items()
        if isinstance(times, int) and times != before.get(reason, 0)
    }


def _packed(row: Rows, report: dict[str, int]) -> bytes:
    """Write a row and what was counted: the length of the report, the report, safetensors."""
    told = json.dumps(report).encode()
    tensors: bytes = save(
        {key: tensor.clone(memory_format=torch.contiguous_format) for key, tensor in row.items()}
    )
    return len(told).to_bytes(4, "little") + told + tensors


def _unpacked(payload: memoryview) -> tuple[Rows, dict[str, int]]:
    size = int.from_bytes(payload[:4], "little")
    return load(bytes(payload[4 + size :])), json.loads(bytes(payload[4 : 4 + size]))
