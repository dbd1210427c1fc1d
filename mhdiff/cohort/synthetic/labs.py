"""Values of laboratory tests, drawn for a state.

A value is uniform strictly inside its state's interval, [lowest, ref_low), [ref_low, ref_high] or (ref_high,
highest], so that the state is all that it tells. A test is never low (or high) where the terminology has no
finding for it. Units, reference ranges and plausible extremes are those of the terminology's table of tests.
"""

from __future__ import annotations

import numpy as np

from ontology.builtin import Lab


def code_of(lab: Lab) -> str:
    """Give the MEDS code of a test, "LOINC/<code>//<unit>".

    Args:
        lab: The test.
    """
    return f"LOINC/{lab.loinc}//{lab.unit}"


def states_of(lab: Lab) -> tuple[bool, bool, bool]:
    """Say whether low, normal and high can occur.

    Args:
        lab: The test.
    """
    return bool(lab.lowered), True, bool(lab.raised)


def draw_value(lab: Lab, state: int, rng: np.random.Generator) -> float:
    """Draw a value inside a state's interval, rounded as reported and at least one step from its limits.

    Args:
        lab: The test.
        state: 0 low, 1 normal, 2 high.
        rng: Source of randomness.
    """
    step = 10.0**-lab.decimals
    low, high = (
        (lab.plausible_low, lab.ref_low - step),
        (lab.ref_low + step * bool(lab.lowered), lab.ref_high - step * bool(lab.raised)),
        (lab.ref_high + step, lab.plausible_high),
    )[state]
    return round(float(rng.uniform(low, high)), lab.decimals)
