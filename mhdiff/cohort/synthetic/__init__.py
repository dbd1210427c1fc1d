"""The known-answer cohort: patients drawn from a written-down model, with the exact posterior beside them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mhdiff.cohort.synthetic.generative import GenerativeModel as GenerativeModel
    from mhdiff.cohort.synthetic.settings import Settings as Settings
    from mhdiff.cohort.synthetic.write import synthesize as synthesize

_HOMES = {"GenerativeModel": "generative", "Settings": "settings", "synthesize": "write"}
__all__ = ["GenerativeModel", "Settings", "synthesize"]


def __getattr__(name: str) -> Any:
    """Import an exported name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"mhdiff.cohort.synthetic.{_HOMES[name]}"), name)
