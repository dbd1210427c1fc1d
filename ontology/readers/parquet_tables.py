"""The folder of Parquet tables that `ontology.writers.parquet` wrote, read back without loss.

Every table is held against the manifest: its checksum, its rows and its columns. The identifiers and names that stand
beside the keys are for people and other tools; they are not read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from ontology.assemble import assemble
from ontology.errors import InputError
from ontology.files import sha256
from ontology.model import Ontology
from ontology.parts import SCHEMAS, Parts
from ontology.report import LoadReport
from ontology.tables import MEMBERS, Schema
from ontology.writers.parquet import FORMAT, MARKER, VERSION

_AGAIN = "Export the ontology again"
_COUNTED = {
    "concepts": "concept",
    "terms": "description",
    "relations": "relationship",
    "maps": "map",
    "values": "concrete values",
    "history": "association",
}


def recognises(path: Path) -> bool:
    """Tell whether a folder holds such tables, by its manifest.

    Args:
        path: The folder.
    """
    marker = path / MARKER
    if not marker.is_file():
        return False
    with marker.open("rb") as file:
        return FORMAT.encode() in file.read(200)


def read(path: Path, report: LoadReport) -> Parts:
    """Read the tables.

    Args:
        path: The folder.
        report: The account of the load; counts are added to it.

    Raises:
        InputError: If it is no such folder, or a file is missing, damaged or of another kind.
    """
    manifest = _manifest(path)
    frames = {}
    for name, schema in SCHEMAS.items():
        entry = manifest["tables"].get(name)
        frames[name] = _table(path, name, entry, schema, report).select(*schema)
    members = {}
    for kind, entry in manifest["members"].items():
        members[str(kind)] = _table(path, str(kind), entry, MEMBERS, report)
    known = {MARKER, *(entry["file"] for entry in report.files_read)}
    for other in sorted(file.name for file in path.iterdir() if file.name not in known):
        report.files_not_read.append({"file": other, "reason": "the manifest does not name it"})
    report.source = report.source or str(manifest["name"])
    for name, kind in _COUNTED.items():
        rows = frames[name].height
        if rows or name in ("concepts", "terms", "relations", "maps"):
            report.count(kind, read=rows, active=rows)
    report.count("concept", used=frames["concepts"].height)
    return Parts(**frames, members=members)


def open_tables(path: str | Path) -> Ontology:
    """Read the tables and make the ontology that was written, with its name, its layers and its load report.

    Args:
        path: The folder.

    Raises:
        InputError: If it is no such folder, if a file is damaged, or if the fingerprint differs.
    """
    folder = Path(path)
    manifest = _manifest(folder)
    parts = read(folder, LoadReport())
    original = LoadReport.from_dict(manifest["report"])
    onto = assemble(str(manifest["name"]), parts, LoadReport(), path=folder, layers=tuple(manifest["layers"]))
    if onto.fingerprint != manifest["fingerprint"]:
        raise InputError("the tables do not give the ontology of the manifest", path=folder, remedy=_AGAIN)
    object.__setattr__(onto, "report", original)
    return onto


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MARKER
    if not path.is_file():
        problem = f"the folder holds no {MARKER}" if folder.is_dir() else "there is no such folder"
        raise InputError(problem, path=folder, remedy="Name a folder that the Parquet export wrote")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"the file is no JSON ({error})", path=path, remedy=_AGAIN) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(f"this is no manifest of '{FORMAT}'", path=path, remedy=_AGAIN)
    if document.get("version") != VERSION:
        raise InputError(
            f"the tables are of version {document.get('version')}, this program reads version {VERSION}",
            path=path,
            remedy=_AGAIN,
        )
    kinds = {"name": str, "fingerprint": str, "tables": dict, "members": dict, "layers": list, "report": dict}
    for key, kind in kinds.items():
        if not isinstance(document.get(key), kind):
            raise InputError(f"the entry '{key}' is missing or of the wrong kind", path=path, remedy=_AGAIN)
    return document


def _table(folder: Path, name: str, entry: Any, schema: Schema, report: LoadReport) -> pl.DataFrame:
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        raise InputError(
            f"the manifest names no file of the table '{name}'", path=folder / MARKER, remedy=_AGAIN
        )
    path = folder / Path(entry["file"]).name
    if not path.is_file():
        raise InputError("the file is missing", path=path, remedy=_AGAIN)
    if sha256(path) != entry.get("sha256"):
        raise InputError("the file is damaged: its checksum differs", path=path, remedy=_AGAIN)
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"the table cannot be read ({error})", path=path, remedy=_AGAIN) from error
    for column, kind in schema.items():
        if frame.schema.get(column) != kind:
            raise InputError(
                f"the column is {frame.schema.get(column, 'missing')}, not {kind}",
                path=path,
                column=column,
                remedy=_AGAIN,
            )
    if frame.height != entry.get("rows"):
        raise InputError(
            f"there are {frame.height:,} rows, and the manifest says {entry.get('rows')}",
            path=path,
            remedy=_AGAIN,
        )
    report.files_read.append({"file": path.name, "kind": name, "rows": frame.height})
    return frame
