"""An `Ontology` as a folder of Parquet tables that lose nothing: `ontology.readers.parquet_tables` reads them back.

| file             | a row is                 | columns beside those of `ontology.parts`                         |
|------------------|--------------------------|------------------------------------------------------------------|
| nodes.parquet    | an active concept        | index, identifier, fsn, term                                     |
| edges.parquet    | a relation               | source_identifier, type_identifier, type_name, target_identifier |
| terms.parquet    | a description            | identifier                                                       |
| maps.parquet     | a code in another system | identifier                                                       |
| values.parquet   | a concrete value         | source_identifier, type_identifier                               |
| inactive.parquet | an inactive concept      | identifier                                                       |
| history.parquet  | a historical association | source_identifier, target_identifier                             |

The other tables of `Parts` have files of their own names, and every kind of reference set a `members-N.parquet`.
SCTIDs and keys are int64; an identifier is what a person writes, `22298006` or `DOID:1816`. `manifest.json` holds the
name, the fingerprint, the layers, the load report, and every table's rows, columns and SHA-256.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl

from ontology.codes import FIRST
from ontology.disassemble import disassemble
from ontology.errors import InputError
from ontology.files import atomic_directory, sha256
from ontology.model import Ontology
from ontology.parts import SCHEMAS

MARKER = "manifest.json"
FORMAT = "mh-diff parquet tables"
VERSION = 1
# The tables of `Parts` by the names that others give them.
FILES = {name: {"concepts": "nodes", "relations": "edges"}.get(name, name) for name in SCHEMAS}
# Columns that get an identifier beside them.
_NAMED = {
    "concepts": {"sctid": "identifier"},
    "relations": {
        "source": "source_identifier",
        "type": "type_identifier",
        "target": "target_identifier",
    },
    "terms": {"sctid": "identifier"},
    "maps": {"sctid": "identifier"},
    "values": {"source": "source_identifier", "type": "type_identifier"},
    "inactive": {"sctid": "identifier"},
    "history": {"source": "source_identifier", "target": "target_identifier"},
}


def write(onto: Ontology, path: str | Path) -> Path:
    """Write the ontology as Parquet tables, whole or not at all.

    Args:
        onto: The ontology.
        path: The folder; an older one of this kind is replaced, anything else is not touched.

    Returns:
        The folder.

    Raises:
        InputError: If the folder holds something else, or cannot be written.
    """
    parts = disassemble(onto)
    try:
        with atomic_directory(path, marker=MARKER) as folder:
            tables = {}
            for name, file in FILES.items():
                frame = _with_identifiers(getattr(parts, name), name, onto)
                tables[name] = _write(frame, folder / f"{file}.parquet")
            members = {}
            for number, (kind, frame) in enumerate(sorted(parts.members.items())):
                members[kind] = _write(frame, folder / f"members-{number}.parquet")
            manifest = {
                "format": FORMAT,
                "version": VERSION,
                "name": onto.name,
                "fingerprint": onto.fingerprint,
                "tables": tables,
                "members": members,
                "layers": list(onto.layers),
                "report": onto.report.as_dict(),
            }
            text = json.dumps(manifest, indent=1, ensure_ascii=False)
            (folder / MARKER).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the folder cannot be written ({error.strerror or error})",
            path=path,
            remedy="Name a folder that you may write to",
        ) from error
    return Path(path)


def identifiers(onto: Ontology, sctids: pl.Series) -> pl.Series:
    """Give the identifiers of SCTIDs and keys as text.

    Args:
        onto: The ontology, which knows the codes behind keys.
        sctids: int64.
    """
    text = sctids.cast(pl.String)
    if onto.codes.is_empty() or not (sctids >= FIRST).any():
        return text
    keys = onto.codes["key"].to_numpy()
    wanted = sctids.to_numpy()
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found = pl.Series(keys[place] == wanted)
    return onto.codes["code"].gather(place).zip_with(found, text)


def _with_identifiers(frame: pl.DataFrame, name: str, onto: Ontology) -> pl.DataFrame:
    for column, label in _NAMED.get(name, {}).items():
        frame = frame.with_columns(identifiers(onto, frame[column]).alias(label))
    if name == "concepts":
        sctids = frame["sctid"].to_list()
        frame = frame.with_columns(
            index=pl.int_range(pl.len(), dtype=pl.Int32),
            fsn=pl.Series([onto.fsn(s) for s in sctids], dtype=pl.String),
            term=pl.Series([onto.term(s) for s in sctids], dtype=pl.String),
        )
    if name == "relations":
        names = [onto.relation_name(kind) for kind in onto.relation_types.tolist()]
        frame = frame.with_columns(type_name=pl.Series(names, dtype=pl.String).gather(onto.relations.type))
    return frame


def _write(frame: pl.DataFrame, path: Path) -> dict[str, object]:
    frame.write_parquet(path, compression="zstd")
    columns = {column: str(kind).partition("(")[0] for column, kind in frame.schema.items()}
    return {"file": path.name, "rows": frame.height, "columns": columns, "sha256": sha256(path)}
