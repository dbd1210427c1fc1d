"""One patient's graph as a picture that can be searched, filtered and walked."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mhdiff.picture.page import write_picture
    from mhdiff.picture.patient import Picture, draw_patient

_HOME = {"Picture": "patient", "draw_patient": "patient", "write_picture": "page"}

__all__ = ["Picture", "draw_patient", "write_picture"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"mhdiff.picture.{_HOME[name]}"), name)
    raise AttributeError(f"module 'mhdiff.picture' has no attribute '{name}'")
