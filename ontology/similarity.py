"""How alike two concepts are by the is-a hierarchy: for pairs, and for whole matrices.

With A(c) the ancestors of c and c itself, IC its information content (`ontology.information`), m the common ancestor
of a and b with the most of it, and d(c) the longest way from c up to a root, in concepts, so that a root has d = 1:

- "resnik": IC(m). Resnik (1995), IJCAI.
- "lin": 2 IC(m) / (IC(a) + IC(b)); 1 where both are 0. Lin (1998), An information-theoretic definition of similarity,
  ICML.
- "jiang": 1 / (1 + D) with the distance D = IC(a) + IC(b) - 2 IC(m); "jiang_distance" is D itself. Jiang, Conrath
  (1997), Semantic similarity based on corpus statistics and lexical taxonomy, ROCLING X.
- "wu_palmer": 2 d / (d(a) + d(b)) with d the greatest d(c) of a common ancestor. Wu, Palmer (1994), Verb semantics and
  lexical selection, ACL. The longest way is taken, as by the shortest one an ancestor can lie deeper than what it is
  an ancestor of.
- "path": 1 / (1 + steps), the steps of the shortest is-a way up from both to a common ancestor.
- "jaccard": |A(a) ∩ A(b)| / |A(a) ∪ A(b)|. nxontology calls it "batet".

All are symmetric. All but "resnik" and the distance lie between 0 and 1, and are 1 for a concept and itself; "resnik"
is IC(a) there. A pair without a common ancestor (of two hierarchies with different roots) has similarity 0, and an
infinite distance.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ontology.ancestry import longest_depth, nodes_of
from ontology.closure import gather
from ontology.common import nearest, shared_ancestors
from ontology.errors import InputError
from ontology.information import ic as information_content

if TYPE_CHECKING:
    from ontology.model import Ontology

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

METRICS = ("resnik", "lin", "jiang", "jiang_distance", "wu_palmer", "path", "jaccard")
_INFORMED = {"resnik", "lin", "jiang", "jiang_distance"}
_BLOCK = 1 << 20


def similarities(
    ontology: Ontology,
    a: Any,
    b: Any,
    metrics: Iterable[str] = ("resnik", "lin", "wu_palmer", "jaccard"),
    ic: Floats | str = "sanchez",
) -> dict[str, Floats]:
    """Compare pairs of concepts by several metrics in one pass.

    Args:
        ontology: The ontology.
        a: SCTIDs or keys [n].
        b: SCTIDs or keys [n].
        metrics: Names from `METRICS`.
        ic: Information content of every concept [N], or the method of `ontology.information.ic` to compute it by.

    Returns:
        For each metric a float64 [n].

    Raises:
        ConceptNotFound: If a concept is not in the ontology.
        InputError: If a metric is unknown, or if lengths do not agree.
    """
    one, other = nodes_of(ontology, a), nodes_of(ontology, b)
    if len(one) != len(other):
        raise InputError(f"pairs need equally many concepts on both sides, not {len(one)} and {len(other)}")
    names = _checked(metrics)
    return _compare(ontology, one, other, names, _weights(ontology, names, ic))


def similarity(
    ontology: Ontology, a: Any, b: Any, metric: str = "lin", ic: Floats | str = "sanchez"
) -> Floats:
    """Compare pairs of concepts.

    Args:
        ontology: The ontology.
        a: SCTIDs or keys [n].
        b: SCTIDs or keys [n].
        metric: A name from `METRICS`.
        ic: Information content of every concept [N], or the method to compute it by.

    Returns:
        float64 [n].

    Raises:
        ConceptNotFound: If a concept is not in the ontology.
        InputError: If the metric is unknown, or if lengths do not agree.
    """
    return similarities(ontology, a, b, (metric,), ic)[metric]


def similarity_matrix(
    ontology: Ontology,
    rows: Any,
    columns: Any = None,
    metric: str = "lin",
    ic: Floats | str = "sanchez",
) -> Floats:
    """Compare every concept of one list with every one of another.

    Args:
        ontology: The ontology.
        rows: SCTIDs or keys [n].
        columns: SCTIDs or keys [m]; the rows themselves by default, where half of the work does.
        metric: A name from `METRICS`.
        ic: Information content of every concept [N], or the method to compute it by.

    Returns:
        float64 [n, m].

    Raises:
        ConceptNotFound: If a concept is not in the ontology.
        InputError: If the metric is unknown.
    """
    names = _checked((metric,))
    one = nodes_of(ontology, rows)
    other = one if columns is None else nodes_of(ontology, columns)
    weights = _weights(ontology, names, ic)
    result = np.empty((len(one), len(other)))
    step = max(1, _BLOCK // max(1, len(other)))
    for start in range(0, len(one), step):
        block = one[start : start + step]
        left = start if columns is None else 0  # what lies left of the block is known from above the diagonal
        a, b = np.repeat(block, len(other) - left), np.tile(other[left:], len(block))
        found = _compare(ontology, a, b, names, weights)[metric].reshape(len(block), -1)
        result[start : start + len(block), left:] = found
        if columns is None:
            result[left:, start : start + len(block)] = found.T
    return result


def _checked(metrics: Iterable[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys((metrics,) if isinstance(metrics, str) else metrics))
    if unknown := [name for name in names if name not in METRICS]:
        raise InputError(f"'{unknown[0]}' is no similarity", remedy=f"Choose from: {', '.join(METRICS)}")
    return names


def _weights(ontology: Ontology, names: tuple[str, ...], ic: Floats | str) -> dict[str, Floats]:
    """Give the weights of the nodes that the metrics take a maximum of."""
    found: dict[str, Any] = {}
    if _INFORMED & set(names):
        values = (
            information_content(ontology, ic) if isinstance(ic, str) else np.asarray(ic, dtype=np.float64)
        )
        if values.shape != (len(ontology),):
            raise InputError(f"there are {values.size:,} information contents for {len(ontology):,} concepts")
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise InputError("an information content is negative or not finite")
        found["ic"] = values
    if "wu_palmer" in names:
        found["depth"] = longest_depth(ontology) + 1.0
    return found


def _compare(
    ontology: Ontology, a: Ints, b: Ints, names: tuple[str, ...], weights: dict[str, Floats]
) -> dict[str, Floats]:
    closure = ontology.closure
    counts, maxima = shared_ancestors(closure, a, b, list(weights.values()))
    greatest = dict(zip(weights, maxima, strict=True))
    related = counts > 0
    found: dict[str, Floats] = {}
    if _INFORMED & set(names):
        best, both = greatest["ic"], weights["ic"][a] + weights["ic"][b]
        distance = np.where(related, np.maximum(both - 2 * best, 0.0), np.inf)
        lin = np.where(related, 1.0, 0.0)
        np.divide(2 * best, both, out=lin, where=related & (both > 0))
        found |= {"resnik": best, "lin": lin, "jiang": 1 / (1 + distance), "jiang_distance": distance}
    if "wu_palmer" in names:
        found["wu_palmer"] = 2 * greatest["depth"] / (weights["depth"][a] + weights["depth"][b])
    if "jaccard" in names:
        sizes = np.diff(closure.indptr)
        found["jaccard"] = counts / (sizes[a] + sizes[b] - counts)
    if "path" in names:
        found["path"] = 1 / (1 + _steps(ontology, a, b))
    return {name: found[name] for name in names}


def _steps(ontology: Ontology, a: Ints, b: Ints) -> Floats:
    """Give the is-a steps between pairs through a common ancestor."""
    nodes, places = np.unique(np.concatenate((a, b)), return_inverse=True)
    rows, distance = _upward(ontology, nodes)
    return nearest(rows, distance, places[: len(a)], places[len(a) :])


def _upward(ontology: Ontology, nodes: Ints) -> tuple[Any, Floats]:
    """Give the closure's rows of some nodes, and the least steps from each node to each of its ancestors."""
    size = len(ontology)
    rows = ontology.closure[nodes]
    keys = np.repeat(np.arange(len(nodes)), np.diff(rows.indptr)) * size + rows.indices
    distance = np.full(len(keys), -1.0)
    start: NDArray[Any] = np.arange(len(nodes))
    reached: NDArray[Any] = nodes
    steps = 0
    parents = ontology.parent_links
    while len(reached):
        places = np.unique(np.searchsorted(keys, start * size + reached))
        places = places[distance[places] < 0]
        distance[places] = steps
        steps += 1
        above, counts = gather(parents, keys[places] % size)
        start, reached = np.repeat(keys[places] // size, counts), above
    return rows, distance
