"""How concepts hang together: the part of `Ontology` that walks relations."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology import closure as _closure
from ontology.errors import ConceptNotFound
from ontology.identifiers import IS_A, NAMES

if TYPE_CHECKING:
    from ontology.few import Few
    from ontology.model import Ontology, Relations

Ints = NDArray[np.int64]


class Step(NamedTuple):
    """One relation on a path; `forward` says whether the path walks it from source to target."""

    source: int
    relation_name: str
    target: int
    forward: bool


class Hierarchy:
    """Relations between concepts, for `Ontology`."""

    name: str
    sctids: Ints
    relation_types: Ints
    relations: Relations
    codes: pl.DataFrame
    indexes: dict[str, NDArray[Any]]

    if TYPE_CHECKING:  # what `Ontology` itself or another of its parts gives

        def index(self, concept: int | str) -> int: ...  # noqa: D102

        def indices(self, sctids: Any) -> Ints: ...  # noqa: D102

        def identifier(self, sctid: int) -> str: ...  # noqa: D102

        def term(self, sctid: int) -> str: ...  # noqa: D102

    @cached_property
    def _relation_names(self) -> dict[int, str]:
        names: dict[int, str] = {}
        labels = dict(self.codes.select("key", "label").iter_rows())
        for sctid in self.relation_types.tolist():
            named = self.indices([sctid])[0] >= 0 and self.term(sctid) != self.identifier(sctid)
            labelled = labels.get(sctid) or self.identifier(sctid)
            names[sctid] = self.term(sctid).lower() if named else NAMES.get(sctid, labelled)
        return {**names, IS_A: "is a"}

    def relation_name(self, relation_type: int) -> str:
        """Name a relationship type: "is a", "finding site"; its SCTID as text where nothing names it.

        Args:
            relation_type: SCTID of the type.

        Raises:
            ConceptNotFound: If no relation has this type.
        """
        if int(relation_type) not in self._relation_names:
            raise ConceptNotFound(
                f"no relation of '{self.name}' has the type {relation_type}",
                remedy=f"Types: {', '.join(f'{s} ({n})' for s, n in self._relation_names.items())}",
            )
        return self._relation_names[int(relation_type)]

    @cached_property
    def parent_links(self) -> _closure.Adjacency:
        """Is-a from each node up to its parents."""
        if "parents_indptr" in self.indexes:
            return _closure.Adjacency(self.indexes["parents_indptr"], self.indexes["parents_indices"])
        up = self.relations.type == 0
        return _closure.adjacency(self.relations.source[up], self.relations.target[up], len(self.sctids))

    @cached_property
    def child_links(self) -> _closure.Adjacency:
        """Is-a from each node down to its children."""
        if "children_indptr" in self.indexes:
            return _closure.Adjacency(self.indexes["children_indptr"], self.indexes["children_indices"])
        up = self.relations.type == 0
        return _closure.adjacency(self.relations.target[up], self.relations.source[up], len(self.sctids))

    def _neighbours(self, links: _closure.Adjacency, sctid: int) -> Ints:
        node = self.index(sctid)
        return self.sctids[links.indices[links.indptr[node] : links.indptr[node + 1]]]

    def parents(self, sctid: int) -> Ints:
        """Give the concepts one is-a step above, ascending.

        Args:
            sctid: The concept.
        """
        return self._neighbours(self.parent_links, sctid)

    def children(self, sctid: int) -> Ints:
        """Give the concepts one is-a step below, ascending.

        Args:
            sctid: The concept.
        """
        return self._neighbours(self.child_links, sctid)

    def ancestors(self, sctid: int, include_self: bool = False) -> Ints:
        """Give every concept above, ascending.

        Args:
            sctid: The concept.
            include_self: Whether the concept itself is among them.
        """
        node = self.index(sctid)
        if "closure_indptr" in self.indexes:
            start, end = self.indexes["closure_indptr"][node : node + 2]
            found = self.indexes["closure_indices"][start:end]
        else:
            found = _closure.reachable(self.parent_links, node)
        return self.sctids[found if include_self else found[found != node]]

    def descendants(self, sctid: int, include_self: bool = False) -> Ints:
        """Give every concept below, ascending.

        Args:
            sctid: The concept.
            include_self: Whether the concept itself is among them.
        """
        node = self.index(sctid)
        found = _closure.reachable(self.child_links, node)
        return self.sctids[found if include_self else found[found != node]]

    @cached_property
    def _levels(self) -> list[Ints]:
        return _closure.levels(self.parent_links, self.child_links)

    @cached_property
    def closure(self) -> Any:
        """The is-a closure: scipy csr_array [N, N] of bool; row i holds i and its ancestors."""
        if "closure_indptr" in self.indexes:
            return _closure.matrix(self.indexes["closure_indptr"], self.indexes["closure_indices"])
        return _closure.closure(self.parent_links, self._levels)

    @cached_property
    def depth(self) -> NDArray[np.int32]:
        """Shortest distance from a root in is-a steps, int32 [N]."""
        if "depth" in self.indexes:
            return self.indexes["depth"]
        return _closure.depths(self.parent_links, self.child_links)

    @cached_property
    def roots(self) -> Ints:
        """The concepts without parents, ascending."""
        return self.sctids[np.diff(self.parent_links.indptr) == 0]

    def path(self, a: int, b: int, relations: Iterable[int | str] | None = None) -> list[Step]:
        """Give a shortest path between two concepts over relations walked in either direction.

        Args:
            a: Where it starts.
            b: Where it ends.
            relations: Relationship types (SCTIDs or names) it may use; all of them by default.

        Returns:
            The steps; empty if `a` is `b` or if there is no path.
        """
        from ontology.paths import shortest_path

        return shortest_path(cast("Ontology", self), a, b, relations)

    def paths(
        self, a: int, b: int, relations: Iterable[int | str] | None = None, limit: int = 10
    ) -> Few[list[Step]]:
        """Give the shortest paths between two concepts, as `path` gives one, and how many there are.

        Args:
            a: Where they start.
            b: Where they end.
            relations: Relationship types (SCTIDs or names) they may use; all of them by default.
            limit: How many to give at most.
        """
        from ontology.paths import shortest_paths

        return shortest_paths(cast("Ontology", self), a, b, relations, limit)

    def paths_to_roots(self, sctid: int, limit: int = 10) -> Few[list[Step]]:
        """Give the is-a ways from a concept up to the roots, the shortest first, and how many there are.

        Args:
            sctid: The concept.
            limit: How many to give at most.
        """
        from ontology.paths import paths_to_roots

        return paths_to_roots(cast("Ontology", self), sctid, limit)

    def common_ancestors(self, a: int, b: int) -> Ints:
        """Give the ancestors that two concepts share, each being an ancestor of itself, ascending.

        Args:
            a: One concept.
            b: The other.
        """
        from ontology.ancestry import common_ancestors

        return common_ancestors(cast("Ontology", self), a, b)

    def least_common_ancestors(self, a: int, b: int) -> list[int]:
        """Give the common ancestors that have no other one below them, those with most ancestors first.

        Args:
            a: One concept.
            b: The other.

        Returns:
            SCTIDs; in a hierarchy with several parents there may be more than one, and none under different roots.
        """
        from ontology.ancestry import least_common_ancestors

        return least_common_ancestors(cast("Ontology", self), a, b)
