"""An ontology as a folder: .npy and Arrow columns to map into memory, `ontology.json` to vouch for them.

`ontology.json` is the marker of the folder; it holds the format's version, the fingerprint, the load
report, and size and SHA-256 of every other file. `open_ontology` compares the sizes before anything is used, and the
checksums too where that costs nothing, or on demand. What is derived from the columns (is-a both ways, its closure,
depths, what each concept is called and where its terms begin) is stored beside them.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology.errors import InputError
from ontology.files import atomic_directory, sha256
from ontology.model import Ontology, Relations
from ontology.parts import Parts
from ontology.progress import step
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
FORMAT = 3
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


# What `save` derives, so that an opened ontology need not.
INDEXES = {
    "term_starts": np.int64,
    "name_starts": np.int64,
    "name_bytes": np.uint8,
    "parents_indptr": np.int64,
    "parents_indices": np.int32,
    "children_indptr": np.int64,
    "children_indices": np.int32,
    "closure_indptr": np.int32,
    "closure_indices": np.int32,
    "depth": np.int32,
}
# Rows in a batch of an Arrow file: a few rows are read without the whole.
_BATCH = 1 << 16
# So many concepts' terms are read one by one; then the table is.
_FEW = 4
# Up to this size all checksums are compared at every open.
ALWAYS_VERIFIED = 64 * 2**20


def derive(ontology: Ontology) -> dict[str, NDArray[Any]]:
    """Derive from the columns what is stored beside them: the arrays of `INDEXES`.

    Args:
        ontology: The ontology; what it has in `indexes` already is taken from there.
    """
    parents, children, closure = ontology.parent_links, ontology.child_links, ontology.closure
    name_starts, name_bytes = ontology._names()
    found = {
        "term_starts": ontology._term_starts,
        "name_starts": name_starts,
        "name_bytes": name_bytes,
        "parents_indptr": parents.indptr,
        "parents_indices": parents.indices,
        "children_indptr": children.indptr,
        "children_indices": children.indices,
        "closure_indptr": closure.indptr,
        "closure_indices": closure.indices,
        "depth": ontology.depth,
    }
    return {name: np.ascontiguousarray(found[name], dtype=kind) for name, kind in INDEXES.items()}


def content_hash(ontology: Ontology) -> str:
    """Hash what an ontology says, independent of files, name, layers and load report.

    Args:
        ontology: The ontology.
    """
    jobs: list[tuple[str, Any]] = list(_arrays(ontology).items())
    members = {f"members {kind}": frame for kind, frame in ontology.members.items()}
    frames = {**{name: getattr(ontology, name) for name in _FRAMES}, **members}
    jobs += [
        (f"{name}.{column.name}", column)
        for name, frame in frames.items()
        for column in frame.get_columns()
        if column.name != "layer"  # where a concept comes from is not what it says
    ]
    with ThreadPoolExecutor() as pool:  # hashing lets go of the interpreter's lock
        digests = list(pool.map(_column_hash, jobs))
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _column_hash(job: tuple[str, Any]) -> str:
    name, column = job
    digest = hashlib.sha256()
    if isinstance(column, np.ndarray):
        digest.update(f"{name}:{column.dtype.str}:{len(column)}\n".encode())
        digest.update(np.ascontiguousarray(column).data)
    elif isinstance(column.dtype, pl.String):
        digest.update(f"{name}:{column.dtype}:{len(column)}\n".encode())
        lengths = column.str.len_bytes()
        digest.update(lengths.to_numpy().data)
        if lengths.sum():
            step = 1 << 13  # in pieces that fit into the cache, so that no second copy of all texts is made
            for start in range(0, len(column), step):
                digest.update(str(column[start : start + step].str.join("").item()).encode())
    else:
        digest.update(f"{name}:{column.dtype}:{len(column)}\n".encode())
        digest.update(np.ascontiguousarray(column.to_physical().to_numpy()).data)
    return f"{name} {digest.hexdigest()}"


def save(ontology: Ontology, directory: str | Path) -> Path:
    """Write the folder whole or not at all.

    Args:
        ontology: The ontology.
        directory: The folder.

    Raises:
        InputError: If the folder holds something that is no ontology.
    """
    members = {kind: f"members-{number}" for number, kind in enumerate(sorted(ontology.members))}
    frames = {name: getattr(ontology, name) for name in _FRAMES}
    frames |= {file: ontology.members[kind] for kind, file in members.items()}
    with atomic_directory(directory, marker=MARKER) as folder, ThreadPoolExecutor() as beside:
        fingerprint = beside.submit(lambda: ontology.fingerprint)
        indexes = beside.submit(derive, ontology)
        sums = {}
        for place, (name, frame) in enumerate(frames.items()):
            step(f"writing {name}", place / (len(frames) + 1))
            file = folder / f"{name}.arrow"
            frame.write_ipc(file, record_batch_size=_BATCH)
            sums[file] = beside.submit(sha256, file)
        step("closure and indexes", len(frames) / (len(frames) + 1))
        for name, array in {**_arrays(ontology), **indexes.result()}.items():
            file = folder / f"{name}.npy"
            np.save(file, array, allow_pickle=False)
            sums[file] = beside.submit(sha256, file)
        files = sorted(sums)
        document = {
            "format": FORMAT,
            "name": ontology.name,
            "fingerprint": fingerprint.result(),
            "concepts": len(ontology),
            "relations": len(ontology.relations),
            "terms": ontology.terms.height,
            "maps": ontology.maps.height,
            "members": members,
            "layers": list(ontology.layers),
            "bytes": {file.name: file.stat().st_size for file in files},
            "sha256": {file.name: sums[file].result() for file in files},
            "report": ontology.report.as_dict(),
        }
        (folder / MARKER).write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
    return Path(directory)


def open_ontology(directory: str | Path, *, verify: bool | None = None) -> Ontology:
    """Open a folder that `save` wrote; its columns are mapped, not read.

    Args:
        directory: The folder.
        verify: Whether to compare all checksums; by default only where all files together have at most 64 MiB.

    Raises:
        InputError: If it is no such folder, if a file is damaged, or if it is of another format version.
    """
    folder = Path(directory)
    document = read_document(folder)
    sizes = document["bytes"]
    for name, expected in sizes.items():
        file = folder / Path(name).name
        found = file.stat().st_size if file.is_file() else -1
        if found != expected:
            state = (
                f"is damaged: it has {found:,} bytes instead of {expected:,}" if found >= 0 else "is missing"
            )
            raise InputError(f"the file {state}", path=file, remedy=_REBUILD)
    if verify or (verify is None and sum(sizes.values()) <= ALWAYS_VERIFIED):
        for name, expected in document["sha256"].items():
            if sha256(folder / Path(name).name) != expected:
                raise InputError(
                    "the file is damaged: its checksum differs",
                    path=folder / Path(name).name,
                    remedy=_REBUILD,
                )
    arrays = {name: _array(folder / f"{name}.npy", dtype) for name, dtype in (_ARRAYS | INDEXES).items()}
    ontology = object.__new__(_Opened)
    ontology.__dict__.update(
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
        layers=tuple(document["layers"]),
        indexes={name: arrays[name] for name in INDEXES},
        folder=folder,
        _members=document["members"],
        _slices={},
    )
    return ontology


class _Opened(Ontology):
    """An ontology whose tables are read when they are first asked for: most questions need one or two of them.

    Of the terms, the largest table, only the rows of a concept are read as long as few concepts are asked for.
    """

    folder: Path
    _members: dict[str, str]
    _slices: dict[int, pl.DataFrame]

    def _terms_of(self, sctid: int) -> pl.DataFrame:
        node = self.index(sctid)
        if node not in self._slices and ("terms" in self.__dict__ or len(self._slices) == _FEW):
            return super()._terms_of(sctid)
        if node not in self._slices:
            start, end = (int(place) for place in self._term_starts[node : node + 2])
            self._slices[node] = _frame(self.folder / "terms.arrow", TERMS, slice(start, end))
        return self._slices[node]

    def __getattr__(self, name: str) -> Any:
        if name in _FRAMES:
            table: Any = _frame(self.folder / f"{name}.arrow", _FRAMES[name])
        elif name == "members":
            table = {
                kind: _frame(self.folder / f"{file}.arrow", None) for kind, file in self._members.items()
            }
        else:
            raise AttributeError(f"'Ontology' has no attribute '{name}'")
        self.__dict__[name] = table
        return table


def read_document(folder: Path) -> dict[str, Any]:
    """Read `ontology.json`, and hold that its entries are there.

    Args:
        folder: The folder.

    Raises:
        InputError: If the folder is no ontology, or of another format version.
    """
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
    expected = {f"{name}.npy" for name in (*_ARRAYS, *INDEXES)} | {f"{name}.arrow" for name in _FRAMES}
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


def _frame(path: Path, schema: Schema | None, rows: slice | None = None) -> pl.DataFrame:
    try:
        frame = (
            pl.read_ipc(path)
            if rows is None
            else pl.scan_ipc(path).slice(rows.start, rows.stop - rows.start).collect()
        )
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
