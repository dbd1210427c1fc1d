"""From an observable and how its value lies to the finding that says so.

A finding that `interprets` an observable and `has interpretation` above, below or abnormal stands for that
observable outside its reference range: "white cell count", above -> "leukocytosis".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from ontology.identifiers import HAS_INTERPRETATION, INTERPRETS

if TYPE_CHECKING:
    from ontology.model import Ontology

# Words in the name of the interpretation's concept -> where the value lies.
STATES = {
    "above": frozenset({"above", "raised", "increased", "increase", "high", "elevated"}),
    "below": frozenset({"below", "decreased", "decrease", "low", "lowered", "reduced"}),
    "abnormal": frozenset({"abnormal", "positive"}),
}


def state_of(name: str) -> str | None:
    """Read where a value lies from the name of an interpretation.

    Args:
        name: Its FSN, such as "Above reference range (qualifier value)".

    Returns:
        "above", "below", "abnormal", or None.
    """
    words = set(re.findall(r"[a-z]+", name.lower()))
    return next((state for state, telling in STATES.items() if words & telling), None)


def find_interpretations(ontology: Ontology) -> dict[tuple[int, str], int]:
    """Find the finding for each observable and state; of several, the most general, then the smallest SCTID.

    Args:
        ontology: The ontology.

    Returns:
        (observable, "above" | "below" | "abnormal") -> finding, as SCTIDs.
    """
    relations = ontology.relations
    names = {i: ontology.relation_name(t) for i, t in enumerate(ontology.relation_types.tolist())}
    wanted = {"interprets": INTERPRETS, "has interpretation": HAS_INTERPRETATION}

    def rows(name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        kinds = [
            i for i, t in enumerate(ontology.relation_types.tolist()) if names[i] == name or t == wanted[name]
        ]
        return np.flatnonzero(np.isin(relations.type, kinds))

    values: dict[int, list[tuple[int, str]]] = {}
    for row in rows("has interpretation").tolist():
        state = state_of(ontology.fsn(int(ontology.sctids[relations.target[row]])))
        if state is not None:
            values.setdefault(int(relations.source[row]), []).append((int(relations.group[row]), state))
    best: dict[tuple[int, str], tuple[int, int]] = {}
    for row in rows("interprets").tolist():
        finding, observable = int(relations.source[row]), int(ontology.sctids[relations.target[row]])
        stated = values.get(finding, [])
        # an interpretation in the same role group belongs to this observable; without one, any of the
        # finding's does
        same = [state for group, state in stated if group == relations.group[row]]
        for state in same or [state for _, state in stated]:
            rank = (int(ontology.depth[finding]), int(ontology.sctids[finding]))
            key = (observable, state)
            best[key] = min(best.get(key, rank), rank)
    return {key: sctid for key, (_, sctid) in best.items()}
