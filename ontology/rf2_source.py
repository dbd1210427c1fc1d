"""Where RF2 files lie: in a folder or in the release's zip, read straight from either.

A zip is never unpacked to disk. Names that lead out of it, symbolic links, and entries that would inflate beyond
reason, each or all together, are refused before a byte of them is read; so is a directory that lies about the sizes.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ontology.errors import InputError

# RF2 text deflates to a fourth or a tenth of its size; deflate's own limit is about 1,000.
MAX_RATIO = 200
_RATIO_COUNTS_FROM = 64 * 2**20
MAX_BYTES = 64 * 2**30
# The UK edition, the largest one, has some hundred files.
MAX_ENTRIES = 50_000


_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, struct.error)
PIECE = 1 << 23
_CHUNK = 1 << 20
_BEWARE = "Do not trust this file"
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, then the lengths of name and extra field


@dataclass(frozen=True)
class Entry:
    """One file of a release, in a folder or in a zip.

    Attributes:
        name: Its path within the release, with slashes.
        path: Where it is, for messages; inside a zip: the zip's path, `!`, and the name.
        size: Bytes.
        zipped: The zip that holds it, None for a file on disk.
    """

    name: str
    path: Path
    size: int
    zipped: Path | None = None

    @property
    def filename(self) -> str:
        """The last part of the name."""
        return PurePosixPath(self.name).name

    def read(self) -> bytes:
        """Give the whole content.

        Raises:
            InputError: If it cannot be read, or the zip is damaged.
        """
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """Give the content in pieces of some megabytes.

        Raises:
            InputError: If it cannot be read, or the zip is damaged.
        """
        with self._named_errors():
            if self.zipped is not None:
                yield from _inflated(self.zipped, self.name, self.size)
                return
            with self.path.open("rb", buffering=0) as file:
                while piece := file.read(PIECE):
                    yield piece

    def lines(self) -> Iterator[bytes]:
        """Give the lines one by one, to look at the first ones only."""
        with self._named_errors():
            if self.zipped is None:
                with self.path.open("rb") as file:
                    yield from file
            else:
                with zipfile.ZipFile(self.zipped) as archive, archive.open(self.name) as inside:
                    yield from inside

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(f"the file cannot be read ({error.strerror})", path=self.path) from error
        except _DAMAGED as error:
            raise InputError(
                f"the zip is damaged or encrypted ({error})",
                path=self.path,
                remedy="Download the release again",
            ) from error


def _inflated(archive: Path, name: str, size: int) -> Iterator[bytes]:
    """Inflate an entry to the size that its header declares, and no byte further."""
    with zipfile.ZipFile(archive) as opened:
        info = opened.getinfo(name)
        if info.compress_type != zipfile.ZIP_DEFLATED or info.flag_bits & 1:
            with opened.open(info) as inside:
                while piece := inside.read(PIECE):
                    yield piece
            return
    codec = _codec()
    inflate, checksum, written = codec.decompressobj(-15), 0, 0
    with archive.open("rb") as file:
        file.seek(info.header_offset)
        signature, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        if signature != b"PK\3\4":
            raise zipfile.BadZipFile("an entry does not begin where the directory says")
        file.seek(name_length + extra_length, io.SEEK_CUR)
        left, chunk, piece = info.compress_size, b"", b""
        while not inflate.eof and (left or chunk or piece):  # output can be waiting though all input is taken
            if not chunk and left:
                chunk = file.read(min(_CHUNK, left))
                left = left - len(chunk) if chunk else 0
            try:
                piece = inflate.decompress(chunk, min(PIECE, size - written + 1))
            except codec.error as error:  # that of isal is not zlib's
                raise zipfile.BadZipFile(str(error)) from error
            chunk = inflate.unconsumed_tail
            written += len(piece)
            if written > size:
                raise zipfile.BadZipFile("an entry is larger than it says")
            checksum = codec.crc32(piece, checksum)
            yield piece
    if written != size or checksum != info.CRC:
        raise zipfile.BadZipFile("the checksum of an entry differs")


def _codec() -> Any:
    """Give the fastest inflater that is installed; isal does in a third of the time what zlib does."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib
    return isal_zlib


def entries(source: str | Path) -> list[Entry]:
    """List the files of a release, ordered by name.

    Args:
        source: A folder or a zip.

    Raises:
        InputError: If it is neither, the zip is damaged, or an entry's name leads out of it or its size is absurd.
    """
    root = Path(source)
    if root.is_dir():
        found = []
        for folder, _, names in os.walk(root):
            for name in names:
                path = Path(folder) / name
                size = path.stat().st_size if path.exists() else 0
                found.append(Entry(path.relative_to(root).as_posix(), path, size))
        return sorted(found, key=lambda entry: entry.name)
    if not root.exists():
        raise InputError(
            "there is no such folder or zip", path=root, remedy="Give an RF2 release, unpacked or zipped"
        )
    try:
        with zipfile.ZipFile(root) as archive:
            infos = archive.infolist()
    except (*_DAMAGED, OSError, ValueError) as error:
        raise InputError(
            f"this is a file, and no zip that can be read ({error})",
            path=root,
            remedy="Give the folder of an RF2 release, or its zip",
        ) from error
    return sorted(_checked(root, infos), key=lambda entry: entry.name)


def _checked(root: Path, infos: list[zipfile.ZipInfo]) -> Iterator[Entry]:
    total, packed, seen = 0, 0, set()
    there = root.stat().st_size
    if len(infos) > MAX_ENTRIES:
        raise InputError(f"the zip has {len(infos):,} entries: no release does", path=root, remedy=_BEWARE)
    for info in infos:
        if info.is_dir():
            continue
        name = info.filename.replace("\\", "/")
        where = Path(f"{root}!/{name}")
        if name.startswith("/") or ".." in PurePosixPath(name).parts or (len(name) > 1 and name[1] == ":"):
            raise InputError("the entry's name leads out of the zip", path=where, remedy=_BEWARE)
        if name in seen:
            raise InputError("the zip holds two entries of this name", path=where, remedy=_BEWARE)
        seen.add(name)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise InputError(
                "the entry is a symbolic link, which is never followed", path=where, remedy=_BEWARE
            )
        total, packed = total + info.file_size, packed + info.compress_size
        if packed > there:
            raise InputError(
                f"the entries say that they take {packed:,} bytes of a zip of {there:,}: they lie, "
                "or lie over one another",
                path=where,
                remedy=_BEWARE,
            )
        # one entry may be all blanks; all of them together may not
        ratio = max(
            n / max(1, m) if n > _RATIO_COUNTS_FROM else 0
            for n, m in ((info.file_size, info.compress_size), (total, packed))
        )
        if total > MAX_BYTES or ratio > MAX_RATIO:
            raise InputError(
                f"the zip would inflate {ratio:,.0f} times, to {total:,} bytes up to this entry: no release does",
                path=where,
                remedy=_BEWARE,
            )
        yield Entry(info.filename, where, info.file_size, root)
