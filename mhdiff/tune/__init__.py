"""Searching for settings, on inner folds only."""

from __future__ import annotations

from mhdiff.tune.run import run
from mhdiff.tune.search import Search

__all__ = ["Search", "run"]
