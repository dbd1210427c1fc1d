"""Cohorts: MEDS datasets, the tasks defined over them, their splits, and the adapters that write them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mhdiff.cohort.cohort import Cohort as Cohort
    from mhdiff.cohort.meds import write_meds as write_meds
    from mhdiff.cohort.task import Task as Task
    from mhdiff.cohort.window import Window as Window

_HOMES = {"Cohort": "cohort", "Task": "task", "Window": "window", "write_meds": "meds"}
__all__ = ["Cohort", "Task", "Window", "write_meds"]


def __getattr__(name: str) -> Any:
    """Import an exported name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"mhdiff.cohort.{_HOMES[name]}"), name)
