"""What one part of the model is worth: arms x folds x seeds of one base configuration."""

from __future__ import annotations

from mhdiff.ablate.config import Ablation
from mhdiff.ablate.run import run

__all__ = ["Ablation", "run"]
