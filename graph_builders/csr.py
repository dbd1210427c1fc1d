"""The concept side of a graph as rows of arriving edges: what a batch's part is cut out of.

Row i lists the edges that end in concept i, ordered by relation: with them one walks against the messages, from where
they are wanted to where they come from. Made once, kept in three arrays, and mapped from a file, so that however many
processes of a node cut out of one ontology, there is one copy of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graph_builders.concept_graph import REVERSE, ConceptGraph
from ontology.errors import InputError
from ontology.files import atomic_directory

Ints = np.ndarray[Any, np.dtype[np.integer[Any]]]

MARKER = "csr.json"
_ARRAYS = ("start", "source", "edge", "kind")


@dataclass(frozen=True, eq=False)
class ConceptCSR:
    """Arriving edges of every concept.

    Args:
        start: Where the edges of (concept, relation) start, with the end after the last [N * R + 1].
        source: The concept that each edge comes from [E].
        edge: Its number among the edges of its relation, where its attributes are [E].
        kind: Its relation, as an index into `relations` [E].
        relations: Names of the R relations, reverse ones last, so that those that lead up are one stretch of a row.
        graph: The concept side that it was made of, for the attributes.
    """

    start: Ints
    source: Ints
    edge: Ints
    kind: Ints
    relations: tuple[str, ...]
    graph: ConceptGraph

    @property
    def num_nodes(self) -> int:
        """Number of concepts N."""
        return self.graph.num_nodes

    @classmethod
    def of(cls, graph: ConceptGraph) -> ConceptCSR:
        """Sort a graph's edges by where they end.

        Args:
            graph: The concept side of a graph, or of a whole ontology.
        """
        used = [name for name, ends in graph.edge_index.items() if ends.shape[1]]
        names = tuple(sorted(used, key=lambda name: name.startswith(REVERSE)))
        count, kinds = graph.num_nodes, len(names)
        ends = [graph.edge_index[name].cpu().numpy() for name in names]
        source = np.concatenate([np.empty(0, np.int64), *(e[0] for e in ends)])
        row = np.concatenate(
            [np.empty(0, np.int64), *(e[1] * kinds + number for number, e in enumerate(ends))]
        )
        edge = np.concatenate([np.empty(0, np.int64), *(np.arange(e.shape[1]) for e in ends)])
        order = np.argsort(row, kind="stable")
        start = np.zeros(count * kinds + 1, dtype=np.int64)
        np.cumsum(np.bincount(row, minlength=count * kinds), out=start[1:])
        source, edge = source[order].astype(np.int32), edge[order].astype(np.int32)
        return cls(start, source, edge, (row[order] % max(kinds, 1)).astype(np.int16), names, graph)

    def save(self, path: str | Path) -> None:
        """Write the arrays into a folder, whole or not at all; the graph itself is saved elsewhere.

        Args:
            path: The folder; it is replaced if it holds such arrays.

        Raises:
            InputError: If the folder holds something else.
        """
        with atomic_directory(path, marker=MARKER) as folder:
            for name in _ARRAYS:
                np.save(folder / f"{name}.npy", getattr(self, name))
            document = {"relations": self.relations, "nodes": self.num_nodes, "edges": len(self.source)}
            (folder / MARKER).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def open(cls, path: str | Path, graph: ConceptGraph) -> ConceptCSR:
        """Map the arrays that `save` wrote.

        Args:
            path: The folder.
            graph: The graph that they were made of.

        Raises:
            InputError: If the folder holds no such arrays, or those of another graph.
        """
        folder, remedy = Path(path), "Make it again: ConceptCSR.of(graph).save(folder)"
        try:
            document = json.loads((folder / MARKER).read_text(encoding="utf-8"))
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
            made = cls(**arrays, relations=tuple(document["relations"]), graph=graph)
            sizes = document["nodes"], document["edges"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"there are no rows of edges here ({error})", path=folder, remedy=remedy
            ) from error
        here = {name: ends.shape[1] for name, ends in graph.edge_index.items() if ends.shape[1]}
        if sizes != (graph.num_nodes, sum(here.values())) or set(made.relations) != set(here):
            raise InputError("the rows of edges were made of another graph", path=folder, remedy=remedy)
        return made


def without_reverse(csr: ConceptCSR) -> tuple[str, ...]:
    """Give the relations along which messages come down from what lies above: the reverse ones.

    A message along `rev_is_a` goes from a parent to its child, so walking these from a concept leads up.

    Args:
        csr: The rows.
    """
    return tuple(name for name in csr.relations if name.startswith(REVERSE))


def as_tensor(array: Ints) -> torch.Tensor:
    """Give a tensor of int64.

    Args:
        array: Whole numbers.
    """
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.int64))
