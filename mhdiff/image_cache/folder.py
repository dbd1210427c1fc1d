"""The folder of a cache: entries that are whole or not there, and are never trusted unseen.

    entry = SHA-256(shelf, name, payload)  payload

The digest covers the entry's own name: one that is cut short, was changed, or was put in another's place is noticed,
thrown away and made anew. An entry is written under another name and moved into place, so that any number of processes
may share a folder without a lock: who comes second replaces an entry by the same bytes.

Keeping is never worth a training. A folder that cannot be written, or a disk that is full or would be soon, is told
once; what is there is still read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mhdiff import console
from ontology.errors import InputError
from ontology.files import atomic_write

TAG: Final = "CACHEDIR.TAG"
FACTS: Final = "reader.json"
_NEW: Final = "new"
_TEXT: Final = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"  # of https://bford.info/cachedir
    "# What mhdiff made of images (data.image_cache). It can be made again: see mhdiff cohort image-cache.\n"
)
_DIGEST: Final = 32
#: Bytes of its disk that a cache leaves free: checkpoints may have to go there.
SPARE: Final = 1 << 30
#: Seconds after which a file that somebody began to write is taken for left behind.
_LEFT: Final = 86_400
_STOPPED, _DISTRUSTED = 0, 1


class CacheFolder:
    """A cache's folder, opened.

    Args:
        path: The folder; it is made.
        gib: How much it may hold, in GiB; None for as much as its disk has, but for a rest.

    Raises:
        InputError: If the folder holds something else, or the limit is none.
    """

    def __init__(self, path: str | Path, gib: float | None = None) -> None:
        self.path = Path(path)
        if gib is not None and not gib > 0:
            raise InputError(f"data.image_cache_gib is {gib}", remedy="Give GiB above 0, or leave it out")
        self.limit = None if gib is None else int(gib * (1 << 30))
        self._said = mmap.mmap(-1, 2)  # shared with processes that are forked: one speaks for all
        self._held: int | None = None
        self._since = 0
        refuse_foreign(self.path)
        try:
            self._lay_out()
            self._sweep()
        except OSError as error:
            self._stop(_reason(error))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_said": bytes(self._said)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        said = mmap.mmap(-1, 2)
        said[:] = state["_said"]
        self.__dict__.update(state, _said=said)

    def get(self, shelf: str, name: str) -> memoryview | None:
        """Give an entry's payload; None where there is none that can be trusted.

        Args:
            shelf: The folder within the folder.
            name: Its name there.
        """
        place = self._place(shelf, name)
        try:
            whole = memoryview(place.read_bytes())
        except OSError:
            return None
        if whole[:_DIGEST] == _digest(shelf, name, whole[_DIGEST:]):
            return whole[_DIGEST:]
        self.distrust(shelf, name)
        return None

    def put(self, shelf: str, name: str, payload: bytes) -> None:
        """Keep an entry, where there is room.

        Args:
            shelf: The folder within the folder.
            name: Its name there.
            payload: Its content.
        """
        self._keep(self._place(shelf, name), _digest(shelf, name, payload) + payload)

    def describe(self, shelf: str, facts: dict[str, Any]) -> None:
        """Write beside a shelf's entries what made them; where that was done before, say that they are in use.

        Args:
            shelf: The folder within the folder.
            facts: What to write.
        """
        place = self.path / shelf / FACTS
        try:
            os.utime(place)
        except FileNotFoundError:
            self._keep(place, json.dumps(facts, indent=1).encode())
        except OSError:
            return  # somebody else's, or of a disk that is read only

    def distrust(self, shelf: str, name: str) -> None:
        """Throw an entry away that is not what was written there.

        Args:
            shelf: The folder within the folder.
            name: Its name there.
        """
        with contextlib.suppress(OSError):
            self._place(shelf, name).unlink()
        self._say(
            _DISTRUSTED,
            f"data.image_cache: an entry in {self.path} was damaged or of another name; it is made anew, as "
            "others like it will be",
        )

    def _place(self, shelf: str, name: str) -> Path:
        return self.path / shelf / name[:2] / name

    def _keep(self, place: Path, content: bytes) -> None:
        """Write a file whole or not at all, and stop writing if that cannot be done."""
        if self._said[_STOPPED]:
            return
        try:
            full = self._full(len(content))
            if full is None:
                self._write(place, content)
                return
        except FileNotFoundError:  # what is cleared at this very moment is kept the next time
            return
        except OSError as error:
            full = _reason(error)
        self._stop(full)

    def _write(self, place: Path, content: bytes) -> None:
        fresh = self.path / _NEW / f"{os.getpid()}-{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            handle = os.open(fresh, flags, 0o666)  # as the umask wants it
        except FileNotFoundError:  # the folder was removed meanwhile
            self._lay_out()
            handle = os.open(fresh, flags, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            try:
                os.replace(fresh, place)
            except FileNotFoundError:
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(fresh, place)
        except BaseException:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise

    def _full(self, size: int) -> str | None:
        """Give the reason why there is no room for so many bytes; None if there is."""
        if shutil.disk_usage(self._standing()).free - size < SPARE:
            return f"its disk has less than {SPARE >> 20:,} MiB left"
        if self.limit is None:
            return None
        if self._held is None or self._since > self.limit // 64:  # others write too
            self._held, self._since = sum(size for _, size in sizes_below(self.path)), 0
        if self._held + size > self.limit:
            return f"it holds the {self.limit / (1 << 30):g} GiB of data.image_cache_gib"
        self._held, self._since = self._held + size, self._since + size
        return None

    def _standing(self) -> Path:
        """Give the folder, or what is left of the way to it."""
        return next(path for path in (self.path.absolute(), *self.path.absolute().parents) if path.exists())

    def _lay_out(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        if not is_cache(self.path):
            atomic_write(self.path / TAG, _TEXT)
        (self.path / _NEW).mkdir(exist_ok=True)

    def _sweep(self) -> None:
        """Try to write, and remove what processes that were killed left half-written."""
        probe = self.path / _NEW / f"{os.getpid()}-{secrets.token_hex(8)}"
        probe.touch(exist_ok=False)
        probe.unlink()
        for left in (self.path / _NEW).iterdir():
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > _LEFT:
                    left.unlink()

    def _stop(self, reason: str) -> None:
        self._say(
            _STOPPED,
            f"data.image_cache: nothing more is put into {self.path}: {reason}. What it holds is used, other images "
            "are read anew",
        )

    def _say(self, what: int, message: str) -> None:
        if not self._said[what]:
            self._said[what] = 1
            console.say(message)


def is_cache(path: Path) -> bool:
    """Say whether a folder is a cache of ours.

    Args:
        path: The folder.
    """
    try:
        told = (path / TAG).read_text(encoding="utf-8")
        return told.startswith(_TEXT.splitlines()[0]) and "mhdiff" in told
    except (OSError, UnicodeDecodeError):
        return False


def refuse_foreign(path: Path) -> None:
    """Refuse a folder that holds something else.

    Args:
        path: The folder.

    Raises:
        InputError: If it is a file, or holds something and is no cache of ours.
    """
    if path.exists() and not path.is_dir():
        raise InputError(
            "a file stands where the cache of images should go", path=path, remedy="Name another folder"
        )
    try:
        there = [found.name for found in path.iterdir()] if path.is_dir() else []
    except OSError:
        return  # it cannot be read, nor written: told where that is tried
    if any(not name.startswith(f".{TAG}.") for name in there) and not is_cache(path):
        raise InputError(
            f"the folder is not empty and is no cache of images (it has no {TAG} of mhdiff)",
            path=path,
            remedy="Name another folder, or empty it yourself",
        )


def sizes_below(folder: Path) -> Iterator[tuple[str, int]]:
    """Give name and bytes of all files below a folder, and pass over what disappears meanwhile.

    Args:
        folder: The folder.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if not entry.is_dir(follow_symlinks=False):
                    yield entry.name, entry.stat(follow_symlinks=False).st_size
                    continue
            yield from sizes_below(Path(entry.path))


def _digest(shelf: str, name: str, payload: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(f"{shelf}/{name}\n".encode())
    digest.update(payload)
    return digest.digest()


def _reason(error: OSError) -> str:
    """Say why a file could not be written, without its name."""
    return error.strerror or type(error).__name__
