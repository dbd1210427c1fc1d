"""A concept set as OHDSI's ATLAS exports it: which concepts of OMOP's vocabularies are meant.

    {"items": [{"concept": {"CONCEPT_ID": 40481087, "VOCABULARY_ID": "SNOMED", "CONCEPT_CODE": "444814009", ...},
                "isExcluded": false, "includeDescendants": true, "includeMapped": false}, ...]}

or the same below "expression", as the WebAPI has it. Of each item the code and its vocabulary are read, and the
concept_id where the ontology was made of OMOP's tables; whatever else there is, is not. What is excluded is taken from
what is included, whatever their order. `includeMapped` changes nothing: a code that maps to a concept of the set is
recorded as that concept in a CDM, and counts as it does for `concepts`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology import Ontology

_FLAGS: Final = ("isExcluded", "includeDescendants", "includeMapped")


@dataclass(frozen=True)
class Item:
    """One row of the set.

    Attributes:
        vocabulary: OMOP's name of the vocabulary, such as SNOMED or RxNorm.
        code: The code in it.
        concept_id: OMOP's number of the concept; None where the export has none.
        excluded: It is taken out.
        descendants: So are, or are included, all that are below it.
    """

    vocabulary: str
    code: str
    concept_id: int | None = None
    excluded: bool = False
    descendants: bool = False

    @property
    def meds(self) -> str:
        """Its code in MEDS, as the import of OMOP writes it: SNOMED/444814009."""
        vocabulary, code = re.sub(r"\s+", "_", self.vocabulary), re.sub(r"/+", "/", self.code)
        return f"{vocabulary}/{code}"

    def of(self, ontology: Ontology) -> set[int]:
        """Give its concept in an ontology, with the descendants where they are meant; empty if it is not there.

        Args:
            ontology: The ontology.
        """
        from ontology.mapping import own_key

        found = set() if self.concept_id is None else set(ontology.concepts_of(str(self.concept_id), "OMOP"))
        if not found and self.vocabulary.upper() == "SNOMED":
            found = set(ontology.concepts_of(self.code, "SNOMED"))
        elif not found and (own := own_key(self.code, self.vocabulary)) in ontology:
            found = {own}
        if self.descendants:
            found |= {int(below) for one in found for below in ontology.descendants(one)}
        return found


def hidden(items: Sequence[Item]) -> tuple[str, ...]:
    """Give the codes in MEDS of the items that are included.

    Args:
        items: The set.
    """
    return tuple(dict.fromkeys(item.meds for item in items if not item.excluded))


def concepts(items: Sequence[Item], ontology: Ontology) -> set[int]:
    """Give the concepts of an ontology that a set means.

    Args:
        items: The set.
        ontology: The ontology.
    """
    taken, out = _both(items, ontology)
    return taken - out


def codes(items: Sequence[Item], ontology: Ontology) -> set[str]:
    """Give the codes in MEDS that a set names itself, without those that it excludes or that are below such a one.

    Args:
        items: The set.
        ontology: Says what is below.
    """
    _, out = _both(items, ontology)
    never = excluded(items)
    own = {item.meds: replace(item, descendants=False).of(ontology) for item in items if not item.excluded}
    return {code for code, meant in own.items() if code not in never and not meant & out}


def excluded(items: Sequence[Item]) -> set[str]:
    """Give the codes in MEDS of the items that are excluded.

    Args:
        items: The set.
    """
    return {item.meds for item in items if item.excluded}


def _both(items: Sequence[Item], ontology: Ontology) -> tuple[set[int], set[int]]:
    taken: set[int] = set()
    out: set[int] = set()
    for item in items:
        (out if item.excluded else taken).update(item.of(ontology))
    return taken, out


def read_concept_set(path: Path) -> tuple[Item, ...]:
    """Read the file.

    Args:
        path: The JSON.

    Raises:
        InputError: If there is no such file, it is not JSON of this form, or it includes nothing.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(
            "there is no such file of a concept set", path=path, remedy="It is looked for beside the task's"
        ) from error
    except ValueError as error:
        raise InputError("the concept set is not JSON", path=path, remedy=_REMEDY) from error
    if isinstance(content, dict) and isinstance(content.get("expression"), dict):
        content = content["expression"]
    items = content.get("items") if isinstance(content, dict) else None
    if not isinstance(items, list):
        raise InputError("the concept set has no list 'items'", path=path, remedy=_REMEDY)
    made = tuple(_item(item, number, path) for number, item in enumerate(items, 1))
    if not any(not item.excluded for item in made):
        raise InputError("the concept set includes nothing", path=path, remedy="Include a concept in ATLAS")
    return made


_REMEDY: Final = "In ATLAS: Concept Sets, Export, Concept Set Expression JSON; see docs/omop.md"


def _item(item: Any, number: int, path: Path) -> Item:
    concept = item.get("concept") if isinstance(item, dict) else None
    if not isinstance(concept, dict):
        raise InputError(f"item {number} of the concept set has no 'concept'", path=path, remedy=_REMEDY)
    code, vocabulary, number_there = (
        concept.get(key) for key in ("CONCEPT_CODE", "VOCABULARY_ID", "CONCEPT_ID")
    )
    for key, value in (("CONCEPT_CODE", code), ("VOCABULARY_ID", vocabulary)):
        if not isinstance(value, str) or not value.strip():
            raise InputError(
                f"item {number} of the concept set has no '{key}' as a text", path=path, remedy=_REMEDY
            )
    if number_there is not None and type(number_there) is not int:
        raise InputError(
            f"item {number} of the concept set has a 'CONCEPT_ID' that is no whole number",
            path=path,
            remedy=_REMEDY,
        )
    flags = [item.get(flag, False) for flag in _FLAGS]
    for flag, value in zip(_FLAGS, flags, strict=True):
        if not isinstance(value, bool):
            raise InputError(
                f"item {number} of the concept set has a '{flag}' that is not true or false",
                path=path,
                remedy=_REMEDY,
            )
    return Item(str(vocabulary).strip(), str(code).strip(), number_there, flags[0], flags[1])
