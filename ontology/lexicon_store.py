"""A lexicon as a folder of arrays; that of an ontology is kept in `lexicon`, in the folder it was opened from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ontology.errors import InputError
from ontology.files import atomic_directory, sha256
from ontology.lexicon import Lexicon, source_of
from ontology.lexicon_build import rules
from ontology.model import Ontology

MARKER = "lexicon.json"
FOLDER = "lexicon"
FORMAT = 2
_REBUILD = "Remove the folder; the next note that is read builds it again"
_ARRAYS: dict[str, Any] = {
    "words": np.uint8,
    "edges": np.uint64,
    "filter": np.uint8,
    "entry_starts": np.int32,
    "entry_nodes": np.int32,
    "entry_cases": np.int32,
    "cased": np.uint8,
}


class Origin(NamedTuple):
    """How an ontology's lexicon came about.

    Attributes:
        lexicon: The lexicon.
        built: Why it was built; empty where it was opened.
        held: Why it is only held in memory; empty where it is on disk.
    """

    lexicon: Lexicon
    built: str = ""
    held: str = ""


def save(lexicon: Lexicon, directory: str | Path) -> Path:
    """Write a lexicon whole or not at all.

    Args:
        lexicon: The lexicon.
        directory: The folder to make, or an older lexicon to replace.

    Returns:
        The folder.

    Raises:
        InputError: If the folder is there and holds something else.
    """
    target = Path(directory)
    names = {MARKER, *(f"{name}.npy" for name in _ARRAYS)}
    # a lexicon that lost its marker is ours all the same
    ours = target.is_dir() and names.issuperset(path.name for path in target.iterdir())
    with atomic_directory(target, marker=None if ours else MARKER) as folder:
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(lexicon, name))
        document = {
            "format": FORMAT,
            "terms": lexicon.terms,
            "skipped": lexicon.skipped,
            "fingerprint": lexicon.fingerprint,
            "source": list(lexicon.source),
            "rules": lexicon.rules,
            "lengths": {name: len(getattr(lexicon, name)) for name in _ARRAYS},
            "sha256": {name: sha256(folder / f"{name}.npy") for name in _ARRAYS},
        }
        (folder / MARKER).write_text(json.dumps(document, indent=1), encoding="utf-8")
    return target


def open_lexicon(directory: str | Path) -> Lexicon:
    """Open a folder that `save` wrote; its arrays are compared with their checksums and mapped into memory.

    Args:
        directory: The folder.

    Raises:
        InputError: If it is no such folder, or a file of it is damaged.
    """
    folder = Path(directory)
    marker = folder / MARKER
    try:
        document = json.loads(marker.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise InputError(
                f"the lexicon is of format {document['format']}, not {FORMAT}", path=folder, remedy=_REBUILD
            )
        lengths = {name: int(document["lengths"][name]) for name in _ARRAYS}
        sums = {name: str(document["sha256"][name]) for name in _ARRAYS}
        concepts, rows, total = (int(number) for number in document["source"])
        facts: dict[str, Any] = {
            "terms": int(document["terms"]),
            "skipped": {str(k): int(v) for k, v in document["skipped"].items()},
            "fingerprint": str(document["fingerprint"]),
            "source": (concepts, rows, total),
            "rules": str(document["rules"]),
        }
    except FileNotFoundError as error:
        raise InputError(f"the folder holds no {MARKER}", path=folder, remedy=_REBUILD) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"the file does not describe a lexicon ({error})", path=marker, remedy=_REBUILD
        ) from error
    arrays: dict[str, Any] = {
        name: _array(folder / f"{name}.npy", kind, lengths[name], sums[name])
        for name, kind in _ARRAYS.items()
    }
    return Lexicon(**arrays, **facts)


def check_belongs(lexicon: Lexicon, ontology: Ontology) -> None:
    """See that a lexicon is that of an ontology, made as this version makes it.

    Args:
        lexicon: The lexicon.
        ontology: The ontology.

    Raises:
        InputError: If it is not.
    """
    if (lexicon.fingerprint, lexicon.source) != (ontology.fingerprint, source_of(ontology)):
        raise InputError("the lexicon is that of another ontology", remedy="Build it again from this one")


def own_lexicon(ontology: Ontology) -> Origin:
    """Open the lexicon that is kept with an ontology, or build it and keep it there for the next time.

    Args:
        ontology: The ontology. Of one that was opened from no folder, or from one that cannot be written to, the
            lexicon is only held in memory.
    """
    if ontology.folder is None or not Path(ontology.folder).is_dir():
        return Origin(Lexicon.build(ontology), "the ontology is not on disk", "the ontology is not on disk")
    folder = Path(ontology.folder) / FOLDER
    reason = "there was none yet"
    if folder.exists():
        try:
            found = open_lexicon(folder)
            check_belongs(found, ontology)
            if found.rules == rules():
                return Origin(found)
            reason = "that on disk was made by other rules"
        except InputError as error:
            reason = f"that on disk is of no use: {error.problem}"
    built = Lexicon.build(ontology)
    try:
        return Origin(open_lexicon(save(built, folder)), reason)
    except (OSError, InputError) as error:
        return Origin(built, reason, str(error))


def _array(path: Path, kind: Any, length: int, checksum: str) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r" if length else None, allow_pickle=False)
        damaged = sha256(path) != checksum
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"the column cannot be read ({error})", path=path, remedy=_REBUILD) from error
    if damaged:
        raise InputError("the file is damaged: its checksum differs", path=path, remedy=_REBUILD)
    if array.dtype != kind or array.shape != (length,):
        raise InputError(
            f"the column is {array.dtype} {array.shape}, not {np.dtype(kind)} ({length},)",
            path=path,
            remedy=_REBUILD,
        )
    return np.asarray(array)
