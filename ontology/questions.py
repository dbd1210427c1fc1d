"""What is asked of an ontology as a whole: the part of `Ontology` that hands a question to its module."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology.identifiers import normalise_code, normalise_system

if TYPE_CHECKING:
    from ontology.model import Ontology

Ints = NDArray[np.int64]


class Questions:
    """Questions that have a module of their own, for `Ontology`."""

    sctids: Ints
    maps: pl.DataFrame

    def find_interpretations(self) -> dict[tuple[int, str], int]:
        """Give the finding that stands for an observable above or below its range, or abnormal.

        Returns:
            (observable, "above" | "below" | "abnormal") -> finding, as SCTIDs.
        """
        from ontology.interpretations import find_interpretations

        return find_interpretations(cast("Ontology", self))

    @cached_property
    def _mapped(self) -> dict[tuple[str, str], list[int]]:
        found: dict[tuple[str, str], list[int]] = {}
        nodes = self.maps["concept"].to_numpy()
        for system, target, sctid in zip(
            self.maps["system"], self.maps["target"], self.sctids[nodes].tolist(), strict=True
        ):
            concepts = found.setdefault((system, normalise_code(target, system)), [])
            if sctid not in concepts:
                concepts.append(sctid)
        return {key: sorted(concepts) for key, concepts in found.items()}

    def map(self, code: str, system: str) -> list[int]:
        """Give every concept that a code of another system stands for; none if it is unknown.

        Args:
            code: The code, such as "J18.9".
            system: ICD-10, ICD-10-CM, LOINC, SNOMED or "refset:<SCTID>"; the usual spellings are understood.
        """
        known = normalise_system(system)
        if known == "SNOMED":
            text = str(code).strip()
            plain = text.isascii() and text.isdecimal() and len(text) <= 18
            return [int(text)] if plain and int(text) in cast("Ontology", self) else []
        return list(self._mapped.get((known, normalise_code(str(code), known)), []))
