"""How good the predictions are, how sure that is, and how far away the ceiling is."""

from __future__ import annotations

from mhdiff.evaluate.compare import paired_difference
from mhdiff.evaluate.predictions import check_predictions
from mhdiff.evaluate.summary import summarise

__all__ = ["check_predictions", "paired_difference", "summarise"]
