"""An import in parts: what a killed one has finished is kept beside the folder, and the next one goes on from it.

    .OUT.import/key.json        what is imported, from which files (name, size, time of change), with which options
    .OUT.import/<part>          a finished part; it is written under another name and moved into place at its end
    .OUT.import/<part>.json     its account

With another key the parts are thrown away. Bad input removes them too: nothing half-written stays behind it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from mhdiff import __version__
from mhdiff.cohort.account import Account
from mhdiff.mapped import here
from ontology.errors import InputError
from ontology.files import atomic_write

_TEMPORARY = ".unfinished"
AT_ONCE = 2  # how many files of events are in memory
Write = Callable[[Path, Account], None]


class Parts:
    """The finished parts of an import.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, name: str, write: Write) -> Account:
        """Give a part's account; make the part first where it is not finished.

        Args:
            name: Name of the part, a file below `folder`.
            write: Writes the part to the path that it is given, and counts.
        """
        target, told = self.folder / name, self.folder / f"{name}.json"
        if told.is_file() and target.is_file():
            return Account.from_dict(json.loads(told.read_text(encoding="utf-8")))
        target.parent.mkdir(parents=True, exist_ok=True)
        account, temporary = Account(), target.with_name(target.name + _TEMPORARY)
        write(temporary, account)
        os.replace(temporary, target)
        atomic_write(told, json.dumps(account.to_dict()))
        return account

    @contextmanager
    def make_all(self, makes: Sequence[tuple[str, Write]]) -> Iterator[Iterator[Account]]:
        """Give the accounts of parts in their order, while those that are not finished are made, two at once.

        Args:
            makes: Name of each part, and what writes it, as for `make`.
        """
        accounts: dict[str, Account] = {}

        def make(part: tuple[str, Write]) -> None:
            accounts[part[0]] = self.make(*part)

        # Closed, since nobody may remove the folder while a part is being written.
        with closing(here(make, makes, workers=AT_ONCE)) as made:
            yield (accounts.pop(name) for name, _ in made)

    def path(self, name: str) -> Path:
        """Give the place of a part.

        Args:
            name: Its name.
        """
        return self.folder / name


@contextmanager
def resumed(out: str | Path, key: dict[str, Any]) -> Iterator[Parts]:
    """Give the parts that a killed import of the same key has left, and remove them when the block ends well.

    Args:
        out: The folder that is going to be written.
        key: Says what is imported: plain data.

    Yields:
        The parts.
    """
    target = Path(out).absolute()
    folder = target.parent / f".{target.name}.import"
    text = json.dumps({"version": __version__, **key}, indent=1, sort_keys=True)
    held = folder / "key.json"
    if folder.exists() and (not held.is_file() or held.read_text(encoding="utf-8") != text):
        shutil.rmtree(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    atomic_write(held, text)
    try:
        yield Parts(folder)
    except InputError:
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)


def stamps(files: Iterable[Path], root: Path) -> dict[str, list[int]]:
    """Give size and time of change of some files, by which a changed source is noticed.

    Args:
        files: The files.
        root: What their names are relative to.
    """
    found = {}
    for file in sorted(files):
        told = file.stat()
        found[file.relative_to(root).as_posix()] = [told.st_size, told.st_mtime_ns]
    return found
