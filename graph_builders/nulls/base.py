"""What all null graphs share: a seed, a name, and how edges between concepts are replaced.

A null graph is the real one with some of its meaning taken out. Each is a PyG transform that says what it keeps and
what it destroys; the same seed gives the same graph.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from graph_builders.concept_graph import REVERSE
from ontology.errors import InputError

if TYPE_CHECKING:
    from graph_builders.evidence import Evidence

Indices = np.ndarray[Any, np.dtype[np.int64]]
Kind = tuple[str, str, str]

#: Attributes of the concept nodes that say something about the concept itself; all others belong to its place.
OF_THE_CONCEPT = ("sctid", "x_term*", "x_value*")
IS_A = "is_a"
_SPAN = re.compile(r"(-?\d+)(?:-(-?\d+))?")


class Null(BaseTransform):
    """Base of the family.

    Attributes:
        name: What the null is called in a configuration.
        drawn: Whether the seed decides anything.
        report: What the last call did, in plain values: counts of edges, swaps, pairs ...
    """

    name: ClassVar[str]
    drawn: ClassVar[bool] = True
    report: dict[str, Any]

    @classmethod
    def of(cls, seed: int, *, within: str = "modality", split: Mapping[str, Sequence[int]]) -> Null:
        """Build the null from what a configuration knows.

        Args:
            seed: Which draw.
            within: Among which concepts is permuted.
            split: Sample ids by the name of their split.
        """
        return cls(seed)  # type: ignore[call-arg]

    def __str__(self) -> str:
        """Give the repr with sets of samples as their sizes, fit for a person."""
        return repr(self)


class EvidenceNull(Null):
    """A null that changes which sample has which evidence, and nothing of the concept graph.

    `PatientGraph.transform` takes the evidence from it and makes the edges anew; on a HeteroData alone it moves the
    edges, and the two agree.
    """

    @abstractmethod
    def evidence(self, evidence: Evidence, modalities: Sequence[str]) -> Evidence:
        """Give the evidence after the null.

        Args:
            evidence: The evidence that a graph's edges were made from.
            modalities: Names in the order of their numbers.
        """


def stated_types(data: HeteroData) -> list[Kind]:
    """Give the edge types between concepts without the reverse ones, in the graph's order.

    Args:
        data: The graph.
    """
    return [k for k in data.edge_types if k[0] == k[2] == "concept" and not k[1].startswith(REVERSE)]


def reverse_of(data: HeteroData, kind: Kind) -> Kind | None:
    """Give the reverse of an edge type, None where the graph has none.

    Args:
        data: The graph.
        kind: The edge type.
    """
    back = (kind[2], f"{REVERSE}{kind[1]}", kind[0])
    return back if back in data.edge_types else None


def ends_of(data: HeteroData, kind: Kind) -> tuple[Indices, Indices]:
    """Give the sources and targets of an edge type.

    Args:
        data: The graph.
        kind: The edge type.
    """
    source, target = data[kind].edge_index.cpu().numpy()
    return source, target


def is_a_rows(data: HeteroData, kind: Kind) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Say which edges of a type are is-a: all, none, or those whose `relation` is 0 where types were merged.

    Args:
        data: The graph.
        kind: The edge type.
    """
    store = data[kind]
    count = store.edge_index.shape[1]
    if kind[1] == IS_A or "relation" not in store:
        return np.full(count, kind[1] == IS_A)
    return np.asarray(store.relation.cpu().numpy() == 0)


def set_ends(
    data: HeteroData, kind: Kind, source: Indices, target: Indices, rows: Indices | None = None
) -> None:
    """Replace the edges of a type, and those of its reverse in the same order.

    Args:
        data: The graph; its stores are changed, its tensors are not.
        kind: The edge type.
        source: New sources [E].
        target: New targets [E].
        rows: Which old edge's attributes each new edge gets [E]; None: the edge in the same place.
    """
    back = reverse_of(data, kind)
    for one, ends in ((kind, (source, target)), (back, (target, source))):
        if one is None:
            continue
        store, device = data[one], data[one].edge_index.device
        store.edge_index = torch.from_numpy(np.stack(ends).astype(np.int64)).to(device)
        if rows is not None:
            for name, value in list(store.items()):
                if name != "edge_index":
                    store[name] = value[torch.from_numpy(rows).to(device)]


def matching(data: HeteroData, patterns: Sequence[str]) -> list[str]:
    """Give the tensors of the concept nodes whose names match a pattern such as x_term*.

    Args:
        data: The graph.
        patterns: Shell-style patterns.
    """
    known = [name for name, value in data["concept"].items() if isinstance(value, torch.Tensor)]
    return [name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns)]


def shuffle_places(data: HeteroData, seed: int, keep: Sequence[str] = ()) -> list[str]:
    """Deal the features of places (x_laplacian, x_ic ...) out anew: computed on the real edges, they tell of them.

    Args:
        data: The graph; a row of these features goes to another node, all features of a node together.
        seed: Which permutation.
        keep: Patterns of names whose feature holds in the null graph too.

    Returns:
        The names of the features that were dealt out.
    """
    spared = set(matching(data, (*OF_THE_CONCEPT, *keep)))
    names = [name for name in matching(data, ("x_*",)) if name not in spared]
    if names:
        order = np.random.default_rng([seed, 1]).permutation(int(data["concept"].num_nodes))
        for name in names:
            value = data["concept"][name]
            data["concept"][name] = value[torch.from_numpy(order).to(value.device)]
    return names


def write_samples(samples: Sequence[int] | Indices) -> str:
    """Write sample ids as spans: 0-4,7,9-12.

    Args:
        samples: The ids.
    """
    ids = np.unique(np.asarray(samples, dtype=np.int64))
    if not len(ids):
        return ""
    starts = np.flatnonzero(np.r_[True, np.diff(ids) != 1])
    ends = np.r_[starts[1:] - 1, len(ids) - 1]
    pairs = zip(ids[starts].tolist(), ids[ends].tolist(), strict=True)
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in pairs)


def read_samples(samples: Sequence[int] | Indices | str) -> Indices:
    """Read sample ids, ascending, from a sequence or from spans as `write_samples` gives them.

    Args:
        samples: The ids.

    Raises:
        InputError: If a text holds anything else.
    """
    if not isinstance(samples, str):
        return np.unique(np.asarray(samples, dtype=np.int64))
    parts: list[Indices] = [np.empty(0, dtype=np.int64)]
    for span in filter(None, samples.split(",")):
        match = _SPAN.fullmatch(span.strip())
        if match is None:
            raise InputError(f"'{span}' names no samples", remedy="Write ids and spans, such as 0-4,7")
        first = int(match[1])
        parts.append(np.arange(first, int(match[2] or first) + 1))
    return np.unique(np.concatenate(parts))
