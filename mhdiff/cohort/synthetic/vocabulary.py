"""What the cohort needs of the built-in terminology: leaves, terms, codes and lab tests.

`pneumonia.tsv` links the labels to the terminology: for `label`, the draws of `modality` fall on
the leaves under `anchor` with this weight; rows with label `*` are the background.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from mhdiff.cohort.synthetic.settings import CLASSES, MODALITIES
from ontology.builtin import Lab, Tables, tables
from ontology.errors import InputError

DIAGNOSES: Mapping[str, str] = {
    "bacterial": "bacterial_pneumonia",
    "viral": "viral_pneumonia",
    "aspiration": "aspiration_pneumonia",
    "fungal": "fungal_pneumonia",
}
"""The concept that each label of disease is: blinded by the task, with its descendants."""

QUESTIONS = ("bacterial pneumonia", "viral pneumonia", "aspiration pneumonia", "fungal pneumonia")
"""What a note may ask about, any of them at random: words that the task blinds."""


@dataclass(frozen=True)
class Link:
    """One row of pneumonia.tsv.

    Attributes:
        modality: The modality.
        label: A class, or `*` for the background.
        anchor: Key of the concept whose leaves are drawn.
        weight: Relative weight among the rows of this modality and label.
    """

    modality: str
    label: str
    anchor: str
    weight: float


@dataclass(frozen=True)
class Vocabulary:
    """The terminology as the cohort writes it down.

    Attributes:
        tables: The built-in terminology.
        links: From labels to anchors.
        labs: The tests that are ordered for pneumonia, in the order of the table.
        icd10: From key to ICD-10 code, where that code stands for this concept alone: nothing is lost by it.
        terms: From key to the terms that mean this concept alone.
    """

    tables: Tables
    links: tuple[Link, ...]
    labs: tuple[Lab, ...]
    icd10: Mapping[str, str]
    terms: Mapping[str, tuple[str, ...]]

    def sctid(self, key: str) -> int:
        """Give a concept's SCTID.

        Args:
            key: Its key in the tables.
        """
        return self.tables.by_key[key].sctid

    def leaves(self, anchor: str) -> tuple[str, ...]:
        """Give the keys of the leaves under a concept, sorted.

        Args:
            anchor: Key of the concept.
        """
        return self.tables.leaves(anchor)

    def leaves_of(self, modality: str) -> tuple[str, ...]:
        """Give the keys of all leaves that a modality can draw, sorted.

        Args:
            modality: The modality.
        """
        return tuple(
            sorted({k for link in self.links if link.modality == modality for k in self.leaves(link.anchor)})
        )

    def describe(self, code: str) -> str:
        """Give the preferred term behind a SNOMED or ICD-10 code that the cohort writes.

        Args:
            code: "SNOMED/<sctid>" or "ICD10/<code>".
        """
        system, value = code.split("/", 1)
        if system == "SNOMED":
            return self.tables.by_sctid[int(value)].preferred
        [key] = (k for k, c in self.icd10.items() if c == value)
        return self.tables.by_key[key].preferred


@cache
def vocabulary() -> Vocabulary:
    """Give the built-in terminology, read once."""
    known = tables()
    targets = Counter(code for _, code in known.icd10)
    sources = Counter(key for key, _ in known.icd10)
    owners = Counter(term.lower() for concept in known.concepts for term in set(concept.terms))
    return Vocabulary(
        tables=known,
        links=_links(known),
        labs=tuple(lab for lab in known.labs if "pneumonia" in lab.panels),
        icd10={key: code for key, code in known.icd10 if targets[code] == sources[key] == 1},
        terms={c.key: tuple(t for t in c.terms if owners[t.lower()] == 1) for c in known.concepts},
    )


def _links(known: Tables) -> tuple[Link, ...]:
    place = files("mhdiff.cohort.synthetic") / "pneumonia.tsv"
    rows = csv.DictReader(place.read_text(encoding="utf-8").splitlines(), delimiter="\t")
    links = []
    for number, row in enumerate(rows, start=2):
        link = Link(row["modality"], row["label"], row["anchor"], float(row["weight"]))
        for column, allowed in (
            ("modality", MODALITIES),
            ("label", (*CLASSES, "*")),
            ("anchor", known.by_key),
        ):
            if row[column] not in allowed:
                raise InputError(
                    f"unknown {column} {row[column]!r}", path=str(place), row=number, column=column
                )
        links.append(link)
    return tuple(links)
