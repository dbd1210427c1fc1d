"""Why the model said so: attributions for pixels, words, labs, codes, concepts and whole modalities.

Names are loaded when they are first used, because captum and Pillow take time to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mhdiff.explain.explanation import Explanation
    from mhdiff.explain.joint import JointAttribution, joint_integrated_gradients
    from mhdiff.explain.modalities import modality_shapley, shapley_values
    from mhdiff.explain.model import ModelAttribution, attribute
    from mhdiff.explain.pixels import overlay, relevance

__all__ = [
    "Explanation",
    "JointAttribution",
    "ModelAttribution",
    "attribute",
    "joint_integrated_gradients",
    "modality_shapley",
    "overlay",
    "relevance",
    "shapley_values",
]

_HOME = {
    "Explanation": "explanation",
    "JointAttribution": "joint",
    "ModelAttribution": "model",
    "attribute": "model",
    "joint_integrated_gradients": "joint",
    "modality_shapley": "modalities",
    "overlay": "pixels",
    "relevance": "pixels",
    "shapley_values": "modalities",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
