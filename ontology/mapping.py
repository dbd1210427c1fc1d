"""Codes of other systems to concepts and back, with where each mapping comes from and under which rule it holds.

A map is no function. One code stands for several concepts, one concept needs several codes (its map groups), within a
group the first rule in the order of priority decides, and a system may have no code at all (an empty target). All of
that is given back, not flattened away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import polars as pl

from ontology import codes as _codes
from ontology.identifiers import normalise_code, normalise_system
from ontology.rules import Patient, decide

if TYPE_CHECKING:
    from ontology.model import Ontology

_PREFIXES = {"ICD-10": "ICD10", "ICD-10-CM": "ICD10CM"}


@dataclass(frozen=True)
class Mapped:
    """One row of a map.

    Attributes:
        sctid: The concept.
        system: The code system.
        code: The code; empty where the system has none for the concept.
        predicate: How they correspond: a SKOS or SSSOM predicate, a correlation of RF2, or "" where nothing is said.
        group: Map group; a concept needs a code from each of its groups.
        priority: Order of the rules within the group.
        rule: The rule as written.
        holds: Whether the rule holds for the patient; None where what is known does not decide it.
        advice: The map's advice to a person who codes.
        confidence: From 0 to 1; None where the source gives none.
        origin: Where the row comes from: "refset:<SCTID>", a file's name.
    """

    sctid: int
    system: str
    code: str
    predicate: str
    group: int
    priority: int
    rule: str
    holds: bool | None
    advice: str
    confidence: float | None
    origin: str

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, ready for JSON."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Choice:
    """What one map group says of a concept.

    Attributes:
        origin: Where the group comes from.
        group: Its number.
        decided: Whether the rules are decided by what is known of the patient.
        targets: The row that holds; several where they are of equal rank, or, if it is not decided, every one that may.
    """

    origin: str
    group: int
    decided: bool
    targets: tuple[Mapped, ...]

    @property
    def classifiable(self) -> bool:
        """Whether the system has a code."""
        return any(target.code for target in self.targets)


_KEYED: WeakKeyDictionary[Any, pl.DataFrame] = WeakKeyDictionary()


def keyed(ontology: Ontology) -> pl.DataFrame:
    """Give the maps with the code in its one spelling, computed once.

    Args:
        ontology: The ontology.

    Returns:
        The columns of `Ontology.maps`, `sctid`, and `code`: upper case, ICD codes without their dot.
    """
    if ontology not in _KEYED:
        code = pl.col("target").str.strip_chars().str.to_uppercase()
        icd = pl.col("system").str.starts_with("ICD-10")
        _KEYED[ontology] = ontology.maps.with_columns(
            sctid=pl.Series(ontology.sctids[ontology.maps["concept"].to_numpy()], dtype=pl.Int64),
            code=pl.when(icd).then(code.str.replace_all(".", "", literal=True)).otherwise(code),
        )
    return _KEYED[ontology]


def map_code(ontology: Ontology, code: str, system: str, *, patient: Patient | None = None) -> list[Mapped]:
    """Give every concept that a code of another system stands for, with provenance.

    Args:
        ontology: The ontology.
        code: The code, such as "J18.9".
        system: ICD-10, ICD-10-CM, LOINC, "refset:<SCTID>" ...; the usual spellings are understood.
        patient: What is known, for rules by age and sex.

    Returns:
        One entry a row of a map; those whose rule holds first, then those that are not decided, then the others.
    """
    known = normalise_system(system)
    wanted = normalise_code(str(code), known)
    if not wanted:
        return []
    rows = _places(ontology).get((known, wanted), [])
    found = [_in_its_group(ontology, row, patient) for row in keyed(ontology)[rows].iter_rows(named=True)]
    order = {True: 0, None: 1, False: 2}
    return sorted(found, key=lambda m: (order[m.holds], m.sctid, m.group, m.priority))


_PLACES: WeakKeyDictionary[Any, dict[tuple[str, str], list[int]]] = WeakKeyDictionary()


def _places(ontology: Ontology) -> dict[tuple[str, str], list[int]]:
    """Give the rows of each code, found once."""
    if ontology not in _PLACES:
        rows = keyed(ontology).select("system", "code").with_row_index("row").filter(pl.col("code") != "")
        grouped = rows.group_by("system", "code", maintain_order=True).agg("row")
        _PLACES[ontology] = {(system, code): places for system, code, places in grouped.iter_rows()}
    return _PLACES[ontology]


def _in_its_group(ontology: Ontology, row: dict[str, Any], patient: Patient | None) -> Mapped:
    """Decide a row among the rows of its concept: a later rule only holds where no earlier one does."""
    mapped = _mapped(row, patient)
    if mapped.holds is False or (row["rule"] == "TRUE" and row["priority"] == 1):
        return mapped
    groups = map_concept(ontology, row["sctid"], row["system"], patient=patient)
    choice = next(c for c in groups if (c.origin, c.group) == (row["origin"], row["group"]))
    if mapped not in choice.targets:
        return replace(mapped, holds=False)
    return replace(mapped, holds=True if choice.decided else None)


def concepts_of(ontology: Ontology, code: str, system: str) -> list[int]:
    """Give the concepts of a code, each once and ascending, whatever their rules say.

    Where no map knows the code, it may be a concept itself: a vocabulary of OMOP's tables, a class of OBO.

    Args:
        ontology: The ontology.
        code: The code; for SNOMED the SCTID itself.
        system: The code system.
    """
    known = normalise_system(system)
    if known == "SNOMED":
        text = str(code).strip()
        plain = text.isascii() and text.isdecimal() and len(text) <= 18
        return [int(text)] if plain and int(text) in ontology else []
    rows = _places(ontology).get((known, normalise_code(str(code), known)), [])
    own = own_key(str(code).strip(), known)
    if not rows and own >= _codes.FIRST and own in ontology:
        return [own]
    return sorted(set(keyed(ontology)["sctid"].gather(rows).to_list()))


def own_key(code: str, system: str) -> int:
    """Give the key that a code has where it is a concept itself: that of the CURIE, as readers spell it.

    Args:
        code: The code, or its CURIE.
        system: A normalised code system.
    """
    return _codes.key(code if ":" in code else f"{_PREFIXES.get(system, system)}:{code}")


def map_concept(
    ontology: Ontology, sctid: int, system: str, *, patient: Patient | None = None
) -> list[Choice]:
    """Give the codes of a concept in another system, one choice a map group.

    Within a group the rules are tried in the order of priority; the first that holds decides. A rule that what is known
    cannot decide is kept as an alternative, and so are the rules after it.

    Args:
        ontology: The ontology.
        sctid: The concept.
        system: The code system.
        patient: What is known, for rules by age and sex.

    Raises:
        ConceptNotFound: If the concept is not an active one.
    """
    node = ontology.index(sctid)
    known = normalise_system(system)
    table = keyed(ontology)
    start, end = np.searchsorted(table["concept"].to_numpy(), (node, node + 1)).tolist()
    rows = [row for row in table.slice(start, end - start).to_dicts() if row["system"] == known]
    groups: dict[tuple[str, int], list[Mapped]] = {}
    for row in sorted(rows, key=lambda row: (row["origin"], row["group"], row["priority"])):
        groups.setdefault((row["origin"], row["group"]), []).append(_mapped(row, patient))
    return [_chosen(origin, group, members) for (origin, group), members in groups.items()]


def _chosen(origin: str, group: int, rows: list[Mapped]) -> Choice:
    may: list[Mapped] = []
    for priority in sorted({row.priority for row in rows}):
        here = [row for row in rows if row.priority == priority]
        certain = [row for row in here if row.holds]
        may += [row for row in here if row.holds is None] + certain
        if certain:
            return Choice(origin, group, len(may) == len(certain), tuple(may))
    return Choice(origin, group, not may, tuple(may))


def _mapped(row: dict[str, Any], patient: Patient | None) -> Mapped:
    confidence = row["confidence"]
    return Mapped(
        sctid=row["sctid"],
        system=row["system"],
        code=row["target"],
        predicate=row["predicate"],
        group=row["group"],
        priority=row["priority"],
        rule=row["rule"],
        holds=decide(row["rule"], patient),
        advice=row["advice"],
        confidence=None if confidence is None or math.isnan(confidence) else confidence,
        origin=row["origin"],
    )
