"""How good the predictions are, how sure that is, and how far away the ceiling is.

Names are imported when they are first used: training reads what a predictions frame is, and none of the statistics, so
a change of those trains no cell of an ablation anew.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mhdiff.evaluate.compare import paired_difference as paired_difference
    from mhdiff.evaluate.predictions import check_predictions as check_predictions
    from mhdiff.evaluate.summary import summarise as summarise

_FROM = {"check_predictions": "predictions", "paired_difference": "compare", "summarise": "summary"}
__all__ = ["check_predictions", "paired_difference", "summarise"]


def __getattr__(name: str) -> Any:
    """Import an exported name when it is first used."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"mhdiff.evaluate.{_FROM[name]}"), name)
