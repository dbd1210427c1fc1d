"""Rare classes apart from common ones: the mean over either of AUROC and AUPRC, each class against the rest.

They are figures like the others (`rare_auroc`, `rare_auprc`, `common_auroc`, `common_auprc`): a replicate's is the mean
of the classes' in that replicate, and is undefined where one of them was not drawn. Common is every class that somebody
has and that is not rare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mhdiff.evaluate.bootstrap import Result
from mhdiff.evaluate.metrics import Metrics
from mhdiff.evaluate.predictions import Scored
from ontology.errors import InputError

#: By name, the figure of a class that is averaged.
RARE = {"rare_auroc": "auroc", "rare_auprc": "auprc"}
COMMON = {"common_auroc": "auroc", "common_auprc": "auprc"}


def check_rare(asked: Sequence[str], classes: Sequence[str]) -> None:
    """Refuse names of rare classes that are no classes.

    Args:
        asked: The names.
        classes: Names of all classes.

    Raises:
        InputError: If one is not there.
    """
    if unknown := [name for name in asked if name not in classes]:
        raise InputError(f"'rare' names {', '.join(unknown)}", remedy=f"The classes are {', '.join(classes)}")


@dataclass(frozen=True)
class Rare:
    """Which classes are rare.

    Args:
        asked: The names, or the largest share, that was asked for; None if nothing was.
        classes: Names of all classes.
        places: Which of them are rare.
        counts: How many samples have each class.
    """

    asked: tuple[str, ...] | float | None
    classes: tuple[str, ...]
    places: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, asked: tuple[str, ...] | float | None, classes: Sequence[str], scored: Scored) -> Rare:
        """Find the rare classes among evaluated samples. A class that nobody has is not rare by its share.

        Args:
            asked: Names, the largest share of the samples, or None.
            classes: Names of the classes.
            scored: The samples.

        Raises:
            InputError: If a class is named that is not there.
        """
        counts = np.bincount(scored.labels, minlength=len(classes))
        if isinstance(asked, tuple):
            check_rare(asked, classes)
            places = [i for i, name in enumerate(classes) if name in asked]
        else:
            limit = 0.0 if asked is None else asked * counts.sum()
            places = [i for i, count in enumerate(counts) if 0 < count <= limit]
        return cls(asked, tuple(classes), tuple(places), tuple(map(int, counts)))

    @property
    def common(self) -> tuple[int, ...]:
        """Which classes somebody has that are not rare; none if no class is rare, for then all figures are theirs."""
        if not self.places:
            return ()
        return tuple(i for i, count in enumerate(self.counts) if count and i not in self.places)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The figures that are told: none if no class is rare."""
        return (*(RARE if self.places else ()), *(COMMON if self.common else ()))

    def added(self, result: Result) -> Result:
        """Put the figures of the rare classes and of the common ones among the overall ones.

        Args:
            result: Figures and their replicates.
        """
        draws, without = (None if m is None else self._added(m) for m in (result.draws, result.without))
        return Result(self._added(result.point), draws, without)

    def _added(self, metrics: Metrics) -> Metrics:
        mean = {
            name: metrics.per_class[own][:, list(places)].mean(axis=1)
            for names, places in ((RARE, self.places), (COMMON, self.common))
            for name, own in names.items()
            if places
        }
        return Metrics(metrics.overall | mean, metrics.per_class)

    def describe(self) -> dict[str, Any] | None:
        """Say which classes are rare, with how many samples have them; None if that was not asked."""
        if self.asked is None:
            return None
        asked = list(self.asked) if isinstance(self.asked, tuple) else self.asked
        found = {self.classes[i]: self.counts[i] for i in self.places}
        why = {} if found else {"reason": f"no class has a share of {self.asked} or less of the samples"}
        return {"asked": asked, "n": sum(self.counts), "n_positive": found, **why}
