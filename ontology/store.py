"""An ontology as a folder: .npy and Arrow columns to map into memory, `ontology.json` to vouch for them.

`ontology.json` is the marker of the folder; it holds the format's version, the fingerprint, the load
report, and the SHA-256 of every other file. `open_ontology` compares them all before anything is used.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology.errors import InputError
from ontology.files import atomic_directory, sha256
from ontology.model import Ontology, Relations
from ontology.parts import Parts
from ontology.report import LoadReport
from ontology.tables import (
    AXIOMS,
    CODES,
    DETAILS,
    DIALECTS,
    HISTORY,
    INACTIVE,
    INACTIVE_TERMS,
    MAPS,
    MEMBERS,
    STATED,
    TERMS,
    VALUES,
    Schema,
)

MARKER = "ontology.json"
FORMAT = 2
_REBUILD = "Build it again with: mhdiff ontology build SOURCE --out DIR"
_ARRAYS = {
    "sctids": np.int64,
    "defined": np.bool_,
    "relation_types": np.int64,
    "relation_source": np.int32,
    "relation_target": np.int32,
    "relation_type": np.int16,
    "relation_group": np.int32,
    "relation_id": np.int64,
}
_FRAMES: dict[str, Schema] = {
    "terms": TERMS,
    "maps": MAPS,
    "details": DETAILS,
    "values": VALUES,
    "inactive": INACTIVE,
    "inactive_terms": INACTIVE_TERMS,
    "dialects": DIALECTS,
    "history": HISTORY,
    "axioms": AXIOMS,
    "stated": STATED,
    "codes": CODES,
}


def _arrays(ontology: Ontology) -> dict[str, NDArray[Any]]:
    relations = ontology.relations
    return {
        "sctids": ontology.sctids,
        "defined": ontology.defined,
        "relation_types": ontology.relation_types,
        "relation_source": relations.source,
        "relation_target": relations.target,
        "relation_type": relations.type,
        "relation_group": relations.group,
        "relation_id": relations.id if relations.id is not None else np.zeros(0, dtype=np.int64),
    }


def content_hash(ontology: Ontology) -> str:
    """Hash what an ontology says, independent of files, name and load report.

    Args:
        ontology: The ontology.
    """
    digest = hashlib.sha256()
    for name, array in _arrays(ontology).items():
        digest.update(f"{name}:{array.dtype.str}:{len(array)}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    members = {f"members {kind}": frame for kind, frame in ontology.members.items()}
    for name, frame in {**{name: getattr(ontology, name) for name in _FRAMES}, **members}.items():
        for column in frame.get_columns():
            digest.update(f"{name}.{column.name}:{column.dtype}:{len(column)}\n".encode())
            if isinstance(column.dtype, pl.String):
                digest.update(column.str.len_bytes().to_numpy().tobytes())
                digest.update("".join(column.to_list()).encode())
            else:
                digest.update(column.to_physical().to_numpy().tobytes())
    return digest.hexdigest()


def save(ontology: Ontology, directory: str | Path) -> Path:
    """Write the folder whole or not at all.

    Args:
        ontology: The ontology.
        directory: The folder.

    Raises:
        InputError: If the folder holds something that is no ontology.
    """
    with atomic_directory(directory, marker=MARKER) as folder:
        for name, array in _arrays(ontology).items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        for name in _FRAMES:
            getattr(ontology, name).write_ipc(folder / f"{name}.arrow")
        members = {kind: f"members-{number}" for number, kind in enumerate(sorted(ontology.members))}
        for kind, file in members.items():
            ontology.members[kind].write_ipc(folder / f"{file}.arrow")
        document = {
            "format": FORMAT,
            "name": ontology.name,
            "fingerprint": ontology.fingerprint,
            "concepts": len(ontology),
            "relations": len(ontology.relations),
            "terms": ontology.terms.height,
            "maps": ontology.maps.height,
            "members": members,
            "layers": list(ontology.layers),
            "sha256": {file.name: sha256(file) for file in sorted(folder.iterdir())},
            "report": ontology.report.as_dict(),
        }
        (folder / MARKER).write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
    return Path(directory)


def open_ontology(directory: str | Path) -> Ontology:
    """Open a folder that `save` wrote; its columns are mapped, not read.

    Args:
        directory: The folder.

    Raises:
        InputError: If it is no such folder, if a file is damaged, or if it is of another format version.
    """
    folder = Path(directory)
    document = _document(folder)
    for name, expected in document["sha256"].items():
        file = folder / Path(name).name
        if not file.is_file() or sha256(file) != expected:
            state = "is damaged: its checksum differs" if file.is_file() else "is missing"
            raise InputError(f"the file {state}", path=file, remedy=_REBUILD)
    arrays = {name: _array(folder / f"{name}.npy", dtype) for name, dtype in _ARRAYS.items()}
    frames = {name: _frame(folder / f"{name}.arrow", schema) for name, schema in _FRAMES.items()}
    members = {kind: _frame(folder / f"{file}.arrow", None) for kind, file in document["members"].items()}
    return Ontology(
        name=str(document["name"]),
        sctids=arrays["sctids"],
        defined=arrays["defined"],
        relation_types=arrays["relation_types"],
        relations=Relations(
            source=arrays["relation_source"],
            target=arrays["relation_target"],
            type=arrays["relation_type"],
            group=arrays["relation_group"],
            id=arrays["relation_id"] if len(arrays["relation_id"]) else None,
        ),
        report=LoadReport.from_dict(document["report"]),
        stored_fingerprint=str(document["fingerprint"]),
        members=members,
        layers=tuple(document["layers"]),
        **frames,
    )


def _document(folder: Path) -> dict[str, Any]:
    path = folder / MARKER
    if not path.is_file():
        raise InputError(
            f"the folder holds no {MARKER}, so it is no ontology"
            if folder.is_dir()
            else "there is no such folder",
            path=folder,
            remedy=_REBUILD,
        )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"the file is no JSON ({error})", path=path, remedy=_REBUILD) from error
    keys = {
        "format": int,
        "name": str,
        "fingerprint": str,
        "sha256": dict,
        "report": dict,
        "members": dict,
        "layers": list,
    }
    wrong = [
        k
        for k, kind in keys.items()
        if not isinstance(document, dict) or not isinstance(document.get(k), kind)
    ]
    if wrong:
        raise InputError(
            f"the entry '{wrong[0]}' is missing or of the wrong kind", path=path, remedy=_REBUILD
        )
    if document["format"] != FORMAT:
        raise InputError(
            f"the folder is of format {document['format']}, this version reads format {FORMAT}",
            path=path,
            remedy=_REBUILD,
        )
    expected = {f"{name}.npy" for name in _ARRAYS} | {f"{name}.arrow" for name in _FRAMES}
    if missing := sorted(expected - set(document["sha256"])):
        raise InputError(f"it has no checksum of {missing[0]}", path=path, remedy=_REBUILD)
    return dict(document)


def _array(path: Path, dtype: Any) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"the column cannot be read ({error})", path=path, remedy=_REBUILD) from error
    if array.dtype != dtype or array.ndim != 1:
        raise InputError(f"the column is {array.dtype}, not {np.dtype(dtype)}", path=path, remedy=_REBUILD)
    return np.asarray(array)


def _frame(path: Path, schema: Schema | None) -> pl.DataFrame:
    try:
        frame = pl.read_ipc(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"the table cannot be read ({error})", path=path, remedy=_REBUILD) from error
    named = dict(frame.schema)
    if schema is None:  # a reference set has columns of its own after those that all have
        schema, named = MEMBERS, dict(list(named.items())[: len(MEMBERS)])
    if named != dict(schema):
        raise InputError("the table has other columns than expected", path=path, remedy=_REBUILD)
    return frame


def recognises(path: Path) -> bool:
    """Say whether a path is a folder that `save` wrote.

    Args:
        path: The path.
    """
    return (path / MARKER).is_file()


def read(path: Path, report: LoadReport) -> Parts:
    """Read a saved ontology as parts, to lay it over another.

    Args:
        path: The folder.
        report: The account of the load; the saved ontology's own one is not repeated in it.

    Raises:
        InputError: If it is no such folder, or damaged.
    """
    from ontology.disassemble import disassemble

    ontology = open_ontology(path)
    report.files_read.append({"file": path.name, "kind": "ontology", "rows": len(ontology)})
    report.count("concept", read=len(ontology), active=len(ontology))
    return disassemble(ontology)
