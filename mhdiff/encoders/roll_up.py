"""Rare codes in the place of a nearest ancestor:  c -> argmin_a { d(c, a) : a above c, p(a) >= n }.

d counts is-a steps and p(a) the training patients who have a rare code that comes to stand at a; among equally near
ones the deepest is taken, then the smallest identifier. A frequent code's own concept is such a place, too. Roots are
none: everything is below them. Places are chosen from below: while one of them stands for fewer than n patients, the
deepest of these are given up, and their codes go on to the next one above.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from graph_builders.collect import vocabulary_code

if TYPE_CHECKING:
    from ontology import Ontology

Levels = list[list[int]]  # concepts by their distance from a code, 0 first, the best of each first


class Ancestors:
    """What is above a code.

    Args:
        ontology: The ontology.
    """

    def __init__(self, ontology: Ontology) -> None:
        self.ontology = ontology
        self.roots = {int(root) for root in ontology.roots}

    def concepts(self, code: str, parents: Sequence[str] | None = None) -> list[int]:
        """Give the concepts of a code: of its parents in the cohort, or else its own.

        Args:
            code: A MEDS code.
            parents: Its `parent_codes`.
        """
        for references in (parents or (), (code,)):
            named = [found for one in references if (found := vocabulary_code(one))]
            known = {c for system, value in named for c in self.ontology.concepts_of(value, system)}
            if known:
                return sorted(known)
        return []

    def levels(self, concepts: Iterable[int]) -> Levels:
        """Give concepts and all above them by distance, without roots.

        Args:
            concepts: Where the way up begins.
        """
        here = {int(concept) for concept in concepts if concept in self.ontology}
        seen: set[int] = set()
        found: Levels = []
        while here := here - seen:
            seen |= here
            found.append(sorted(here - self.roots, key=lambda c: (-self.depth(c), c)))
            here = {int(parent) for concept in here for parent in self.ontology.parents(concept)}
        return found

    def depth(self, concept: int) -> int:
        """Give a concept's distance from a root.

        Args:
            concept: The concept.
        """
        return int(self.ontology.depth[self.ontology.index(concept)])


def nearest(levels: Levels, places: Mapping[int, str] | set[int]) -> int | None:
    """Give the nearest place on the way up; None where there is none.

    Args:
        levels: What `Ancestors.levels` gave.
        places: Concepts that may be taken.
    """
    return next((concept for level in levels for concept in level if concept in places), None)


def choose(
    ways: Mapping[str, Levels], people: Mapping[str, set[int]], taken: set[int], n: int, above: Ancestors
) -> dict[str, int]:
    """Choose where rare codes stand.

    Args:
        ways: The way up from each of them.
        people: Who has each of them.
        taken: Concepts of frequent codes, which stand for enough patients by themselves.
        n: How many patients a place must stand for.
        above: Knows the depths.

    Returns:
        The place of each code that has one.
    """
    below: dict[int, set[int]] = {}
    for code, levels in ways.items():
        for level in levels:
            for concept in level:
                below.setdefault(concept, set()).update(people[code])
    places = {concept for concept, who in below.items() if len(who) >= n} - taken
    while True:
        found = {code: nearest(levels, places | taken) for code, levels in ways.items()}
        held: dict[int, set[int]] = {place: set() for place in places}
        for code, place in found.items():
            if place in held:
                held[place] |= people[code]
        few = {place for place, who in held.items() if 0 < len(who) < n}
        if not few:
            return {code: place for code, place in found.items() if place is not None}
        deepest = max(above.depth(place) for place in few)
        places -= {place for place in few if above.depth(place) == deepest}
