"""What is asked of an ontology as a whole: the part of `Ontology` that hands a question to its module."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ontology.mapping import Mapped
    from ontology.model import Ontology
    from ontology.normalise import Normalised
    from ontology.rules import Patient

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

    def map(self, code: str, system: str, *, patient: Patient | None = None) -> list[Mapped]:
        """Give every concept that a code of another system stands for, with its provenance and rule.

        Args:
            code: The code, such as "J18.9".
            system: ICD-10, ICD-10-CM, LOINC, "refset:<SCTID>" ...; the usual spellings are understood.
            patient: What is known, for rules by age and sex.
        """
        from ontology.mapping import map_code

        return map_code(cast("Ontology", self), code, system, patient=patient)

    def concepts_of(self, code: str, system: str) -> list[int]:
        """Give the concepts of a code, each once and ascending, whatever their rules say; none if it is unknown.

        Args:
            code: The code, such as "J18.9"; for SNOMED the SCTID itself.
            system: Its code system; the usual spellings are understood.
        """
        from ontology.mapping import concepts_of

        return concepts_of(cast("Ontology", self), code, system)

    def normalise(self, code: str | int, system: str = "SNOMED") -> Normalised:
        """Bring a patient's code to active concepts, along history and maps.

        Args:
            code: The code.
            system: Its code system.
        """
        from ontology.normalise import normalise

        return normalise(cast("Ontology", self), code, system)
