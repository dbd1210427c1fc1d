"""What a model loses when modalities are missing, and how much of that nobody can keep.

    gap              = ceiling - model                         what a better model could still gain
    drop             = model(fullest) - model                  what the model loses
    irreducible_drop = ceiling(fullest) - ceiling              what nobody can keep: the information is not there
    excess_drop      = drop - irreducible_drop                 what the model loses beyond it

Differences are of the figures as they are: of AUROC, above 0 is worse for the model; of Brier score and calibration
error, which are better when smaller, below 0 is. All are paired: a replicate takes the same patients for the model, the
ceiling and both patterns.
"""

from __future__ import annotations

from mhdiff.evaluate.bootstrap import Result


def losses(
    model: Result,
    fullest: Result | None = None,
    ceiling: Result | None = None,
    ceiling_fullest: Result | None = None,
) -> dict[str, Result]:
    """Give those differences that can be formed, by name.

    Args:
        model: Of a pattern.
        fullest: The model's with everything offered; None for the pattern in which it is, or other patients.
        ceiling: The exact posterior's under the pattern, where it is known.
        ceiling_fullest: The exact posterior's with everything offered, where it is known.
    """
    found: dict[str, Result] = {}
    if ceiling is not None:
        found["gap"] = ceiling - model
    if fullest is not None:
        found["drop"] = fullest - model
        if ceiling is not None and ceiling_fullest is not None:
            found["irreducible_drop"] = ceiling_fullest - ceiling
            found["excess_drop"] = found["drop"] - found["irreducible_drop"]
    return found
