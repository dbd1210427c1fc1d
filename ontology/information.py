"""Information content: how much it says that something is a concept. Natural logarithms; roots say (almost) nothing.

With the descendants D(c) and the ancestors A(c) of a concept c, itself among both, the leaves L (concepts without
children), and N concepts:

- "sanchez": IC(c) = -log((|L ∩ D(c)| / |A(c)| + 1) / (|L| + 1)). Sánchez, Batet, Isern (2011), Ontology-based
  information content computation, Knowledge-Based Systems 24(2), equation 10, doi:10.1016/j.knosys.2010.10.001. A leaf
  counts as a leaf below itself, as nxontology has it.
- "seco": IC(c) = 1 - log |D(c)| / log N. Seco, Veale, Hayes (2004), An intrinsic information content metric for
  semantic similarity in WordNet, ECAI 2004.
- "corpus": IC(c) = -log(f(c) / F), f(c) the occurrences of D(c) and F those of all concepts, each concept's own count
  raised by `smoothing`. Resnik (1995), Using information content to evaluate semantic similarity in a taxonomy,
  IJCAI 1995. A concept that never occurs, not even below itself, is taken for as rare as the rarest that does.

None of them grows on the way up: an ancestor never has more information than its descendant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ontology.errors import ConceptNotFound, InputError

if TYPE_CHECKING:
    from ontology.model import Ontology

Floats = NDArray[np.float64]

METHODS = ("sanchez", "seco", "corpus")


def ic(
    ontology: Ontology,
    method: str = "sanchez",
    counts: Mapping[int, float] | Any = None,
    smoothing: float = 1.0,
) -> Floats:
    """Give the information content of every concept.

    Args:
        ontology: The ontology.
        method: "sanchez", "seco" or "corpus".
        counts: For "corpus": how often each concept itself occurs, as {SCTID: count} or as an array [N] over the nodes.
        smoothing: For "corpus": what is added to the count of every concept; 1 is Laplace's rule, 0 adds nothing.

    Returns:
        float64 [N], not negative.

    Raises:
        InputError: If the method is unknown, or counts are missing, negative, of the wrong number, or all zero.
        ConceptNotFound: If a concept that is counted is not in the ontology.
    """
    if method not in METHODS:
        raise InputError(
            f"'{method}' is no kind of information content", remedy=f"Choose one of: {', '.join(METHODS)}"
        )
    if method == "corpus":
        return _corpus(ontology, counts, smoothing)
    if counts is not None:
        raise InputError(f"counts are given, but '{method}' uses none", remedy="Choose the method corpus")
    size, closure = len(ontology), ontology.closure
    if method == "seco":
        below = np.bincount(closure.indices, minlength=size)
        found = 1 - np.log(below) / np.log(size) if size > 1 else np.zeros(size)
    else:
        leaf = np.diff(ontology.child_links.indptr) == 0
        above = np.diff(closure.indptr)
        leaves = np.bincount(closure.indices[np.repeat(leaf, above)], minlength=size)
        found = -np.log((leaves / above + 1) / (int(leaf.sum()) + 1))
    return np.maximum(found, 0.0)


def _corpus(ontology: Ontology, counts: Mapping[int, float] | Any, smoothing: float) -> Floats:
    if counts is None:
        raise InputError("information content from a corpus needs counts")
    if not (np.isfinite(smoothing) and smoothing >= 0):
        raise InputError(f"the smoothing is {smoothing}, not a number from 0 on")
    size, closure = len(ontology), ontology.closure
    if isinstance(counts, Mapping):
        own = np.zeros(size)
        nodes = ontology.indices(np.fromiter(counts, dtype=np.int64, count=len(counts)))
        if len(missing := np.flatnonzero(nodes < 0)):
            sctid = list(counts)[int(missing[0])]
            raise ConceptNotFound(
                f"{len(missing):,} of the counted concepts are not in '{ontology.name}', the first is {sctid}",
                remedy="Bring inactive codes to active ones first",
            )
        own[nodes] = np.fromiter(counts.values(), dtype=np.float64, count=len(counts))
    else:
        own = np.array(counts, dtype=np.float64)
    if own.shape != (size,):
        raise InputError(f"there are {own.size:,} counts for {size:,} concepts")
    if not (np.isfinite(own).all() and (own >= 0).all()):
        raise InputError("a count is negative or no number")
    own = own + smoothing
    total = float(own.sum())
    if not total:
        raise InputError("all counts are zero", remedy="Choose a smoothing above 0")
    weights = np.repeat(own, np.diff(closure.indptr))
    frequency = np.bincount(closure.indices, weights=weights, minlength=size)
    rarest = float(frequency[frequency > 0].min())
    return np.maximum(-np.log(np.maximum(frequency, rarest) / total), 0.0)
