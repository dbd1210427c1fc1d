"""Null graphs: what is left of a gain when the ontology's meaning is gone.

    Permuted          concepts on other nodes; all structure kept
    Rewired           other neighbours; degrees and depths kept
    RandomEdges       other edges; only their numbers kept
    Cooccurrence      links counted in the training samples in place of the ontology's
    ShuffledEvidence  the ontology as it is, the evidence of other patients
    Severed           no links: every concept hears only itself

A new null is a subclass of `Null`; named in `NULLS` below, configurations, ablations and the contract test know it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graph_builders.nulls.base import EvidenceNull, Null
from graph_builders.nulls.cooccurrence import Cooccurrence
from graph_builders.nulls.permuted import Permuted
from graph_builders.nulls.random_edges import RandomEdges
from graph_builders.nulls.rewired import Rewired
from graph_builders.nulls.severed import Severed
from graph_builders.nulls.shuffled import ShuffledEvidence
from ontology.errors import InputError

#: The nulls by the name that a configuration gives them.
NULLS: dict[str, type[Null]] = {
    null.name: null for null in (Permuted, Rewired, RandomEdges, Cooccurrence, ShuffledEvidence, Severed)
}


def find_null(name: str) -> type[Null]:
    """Give a null by its name.

    Args:
        name: A key of `NULLS`.

    Raises:
        InputError: If there is none of this name.
    """
    if name not in NULLS:
        raise InputError(f"there is no null graph '{name}'", remedy=f"Known ones: none, {', '.join(NULLS)}")
    return NULLS[name]


def make_null(
    name: str, seed: int, *, within: str = "modality", split: Mapping[str, Sequence[int]] | None = None
) -> Null:
    """Build a null from what a configuration knows.

    Args:
        name: A key of `NULLS`.
        seed: Which draw.
        within: Among which concepts `Permuted` permutes.
        split: Sample ids by the name of their split, for the nulls that must not look beyond the training samples.

    Raises:
        InputError: If there is none of this name, or it needs samples that are not given.
    """
    return find_null(name).of(seed, within=within, split=split or {})


__all__ = [
    "NULLS",
    "Cooccurrence",
    "EvidenceNull",
    "Null",
    "Permuted",
    "RandomEdges",
    "Rewired",
    "Severed",
    "ShuffledEvidence",
    "find_null",
    "make_null",
]
