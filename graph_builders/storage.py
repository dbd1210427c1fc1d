"""How a graph lies on disk: tensors in safetensors, tables in parquet, the rest in graph.json.

Tensors are mapped, not read: opening costs the same whatever their size, and processes on one machine share the pages.
As with an ontology, sizes are compared at every open, and checksums up to 64 MiB or on demand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Shaped
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch_geometric.data import HeteroData

from graph_builders.evidence import Evidence
from ontology.errors import InputError
from ontology.files import sha256
from ontology.store import ALWAYS_VERIFIED

MARKER = "graph.json"
FORMAT = 2
#: What a graph was built from and by; all of it is in graph.json and in the fingerprint.
META = ("ontology", "cohort", "task", "modalities", "view", "slice", "transforms", "edits")
#: The same, of which graphs that were written before say nothing.
LATER = ("analytes",)
_TENSORS = "graph.safetensors"
_TABLES = ("evidence.parquet", "observed.parquet", "samples.parquet")
_REMEDY = "Build it again with `mhdiff graph build`"


def to_tensors(data: HeteroData) -> dict[str, Shaped[Tensor, "*shape"]]:
    """Name every tensor of a graph: "concept/sctid", "concept/is_a/concept/edge_index".

    Args:
        data: The graph.

    Raises:
        InputError: If an attribute is no tensor.
    """
    tensors: dict[str, Tensor] = {}
    for kind in (*data.node_types, *data.edge_types):
        prefix = kind if isinstance(kind, str) else "/".join(kind)
        for name, value in data[kind].items():
            if name == "num_nodes":
                continue
            if not isinstance(value, Tensor):
                raise InputError(f"the graph's attribute {prefix}/{name} is no tensor and cannot be saved")
            tensors[f"{prefix}/{name}"] = value.contiguous()
    return tensors


def from_tensors(tensors: dict[str, Shaped[Tensor, "*shape"]], num_nodes: dict[str, int]) -> HeteroData:
    """Undo `to_tensors`.

    Args:
        tensors: The tensors by name.
        num_nodes: Number of nodes by type.
    """
    data = HeteroData()
    for kind, count in num_nodes.items():
        data[kind].num_nodes = count
    for key, tensor in tensors.items():
        *place, name = key.split("/")
        data[place[0] if len(place) == 1 else tuple(place)][name] = tensor
    return data


def write_folder(
    folder: Path, data: HeteroData, evidence: Evidence, samples: pl.DataFrame, document: dict[str, Any]
) -> None:
    """Write a graph's files; graph.json comes last.

    Args:
        folder: An empty folder.
        data: The graph.
        evidence: Its evidence.
        samples: Its samples.
        document: What graph.json says.
    """
    assert evidence.observed is not None
    save_file(to_tensors(data), str(folder / _TENSORS))
    for name, table in zip(_TABLES, (evidence.table, evidence.observed, samples), strict=True):
        table.write_parquet(folder / name)
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
        for name in (_TENSORS, *_TABLES)
    }
    full = {"format": FORMAT, **document, "blinded": evidence.blinded.tolist(), "files": files}
    (folder / MARKER).write_text(json.dumps(full, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_document(folder: Path) -> dict[str, Any]:
    """Read graph.json.

    Args:
        folder: A graph's folder.

    Raises:
        InputError: If it is missing, damaged or of another format.
    """
    path = folder / MARKER
    if not path.is_file():
        raise InputError(f"there is no graph here (no {MARKER})", path=folder, remedy=_REMEDY)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"the file is no valid JSON ({error})", path=path, remedy=_REMEDY) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else None
        raise InputError(
            f"the graph has format {found}, this version reads {FORMAT}", path=path, remedy=_REMEDY
        )
    missing = [
        name
        for name in (*META, "fingerprint", "structure", "counts", "coverage", "blinded", "files")
        if name not in document
    ]
    if missing:
        raise InputError(f"the file says nothing of '{missing[0]}'", path=path, remedy=_REMEDY)
    return document


def read_folder(
    folder: Path,
    verify: bool | None = None,
) -> tuple[dict[str, Any], dict[str, Shaped[Tensor, "*shape"]], Evidence, pl.DataFrame]:
    """Read a graph's files; its tensors are mapped.

    Args:
        folder: A graph's folder.
        verify: Whether to compare all checksums; by default only where all files together have at most 64 MiB.

    Returns:
        graph.json, the tensors, the evidence, the samples.

    Raises:
        InputError: If a file is missing or is not the one that was written.
    """
    document = read_document(folder)
    files = document["files"]
    if (
        not isinstance(files, dict)
        or set(files) != {_TENSORS, *_TABLES}
        or any(not isinstance(known, dict) or set(known) != {"bytes", "sha256"} for known in files.values())
    ):
        raise InputError("the file does not list the graph's files", path=folder / MARKER, remedy=_REMEDY)
    for name, written in files.items():
        path = folder / name
        if not path.is_file():
            raise InputError("a file of the graph is missing", path=path, remedy=_REMEDY)
        if path.stat().st_size != written["bytes"]:
            raise InputError(
                f"the file is damaged: it has {path.stat().st_size:,} bytes instead of {written['bytes']:,}",
                path=path,
                remedy=_REMEDY,
            )
    size = sum(written["bytes"] for written in files.values())
    if verify or (verify is None and size <= ALWAYS_VERIFIED):
        for name, written in files.items():
            if sha256(folder / name) != written["sha256"]:
                raise InputError(
                    "the file is damaged: its checksum is not the one written",
                    path=folder / name,
                    remedy=_REMEDY,
                )
    try:
        tensors = load_file(str(folder / _TENSORS))
        table, observed, samples = (pl.read_parquet(folder / name) for name in _TABLES)
        blinded = np.asarray(document["blinded"], dtype=np.int64)
        evidence = Evidence.stored(table, document["coverage"], blinded, observed)
    except (SafetensorError, pl.exceptions.PolarsError, KeyError, ValueError) as error:
        raise InputError(f"the graph cannot be read ({error})", path=folder, remedy=_REMEDY) from error
    return document, tensors, evidence, samples
