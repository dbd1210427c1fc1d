r"""Holm's step-down adjustment over a family of tests: the chance of any false claim stays at most alpha.

With p_(1) <= ... <= p_(m), the adjusted p_(i) is max_{j <= i} min(1, (m - j + 1) p_(j)) (Holm 1979); reject where it
is at most alpha. It holds under any dependence between the tests. A test that could not be made (an arm that failed, a
class nobody has) still belongs to the family that was planned: it has no adjusted p and counts in m, so that losing
an arm never makes another one significant.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ontology.errors import InputError


def holm(family: Mapping[str, float | None]) -> dict[str, float | None]:
    """Adjust the p-values of a family of m tests; for a rank p to be able to pass, a null needs m / alpha - 1 draws.

    Args:
        family: By name, each planned test's p; None or NaN where it could not be made.

    Returns:
        By name, in the same order, the adjusted p; None where there was none.

    Raises:
        InputError: If a p is not in [0, 1].
    """
    values = np.array([np.nan if p is None else p for p in family.values()], dtype=float)
    wrong = np.flatnonzero((values < 0) | (values > 1))
    if wrong.size:
        raise InputError(
            f"{values[wrong[0]]} of '{list(family)[wrong[0]]}' is no p-value", remedy="Give 0 to 1"
        )
    made = np.flatnonzero(~np.isnan(values))
    order = made[np.argsort(values[made], kind="stable")]
    steps = np.maximum.accumulate((len(values) - np.arange(len(order))) * values[order])
    adjusted: dict[str, float | None] = dict.fromkeys(family)
    names = list(family)
    for place, step in zip(order, steps, strict=True):
        adjusted[names[place]] = float(min(step, 1.0))
    return adjusted
