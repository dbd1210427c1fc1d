"""Does a task on a cohort leak its label? Checks that fail loudly, each with the threshold at which it does."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mhdiff.audit.run import Audit as Audit
    from mhdiff.audit.run import audit as audit
    from mhdiff.audit.thresholds import Thresholds as Thresholds

_HOMES = {"Audit": "run", "audit": "run", "Thresholds": "thresholds"}
__all__ = ["Audit", "Thresholds", "audit"]


def __getattr__(name: str) -> Any:
    """Import an exported name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"mhdiff.audit.{_HOMES[name]}"), name)
