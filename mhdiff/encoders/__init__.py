"""From one modality's inputs to its embedding z_m, and the preprocessing fitted on the training fold.

Every name is loaded when it is first used, because transformers and MONAI take seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mhdiff.encoders.base import Encoder
    from mhdiff.encoders.embedded import Embedded
    from mhdiff.encoders.image import PretrainedImage, ResNet
    from mhdiff.encoders.preprocess import EventReader, FileReader, Preprocessor, restore
    from mhdiff.encoders.preprocess_codes import CodeTable
    from mhdiff.encoders.preprocess_image import ImageReader
    from mhdiff.encoders.preprocess_structured import LabTable
    from mhdiff.encoders.preprocess_text import HubText, WordPieceText
    from mhdiff.encoders.preprocess_volume import VolumeReader
    from mhdiff.encoders.specs import CodeSpec, EmbeddingSpec, ImageSpec, LabSpec, TextSpec
    from mhdiff.encoders.structured import CodeEncoder, LabEncoder
    from mhdiff.encoders.text import PretrainedText, SmallBert

__all__ = [
    "CodeEncoder",
    "CodeSpec",
    "CodeTable",
    "Embedded",
    "EmbeddingSpec",
    "Encoder",
    "EventReader",
    "FileReader",
    "HubText",
    "ImageReader",
    "ImageSpec",
    "LabEncoder",
    "LabSpec",
    "LabTable",
    "Preprocessor",
    "PretrainedImage",
    "PretrainedText",
    "ResNet",
    "SmallBert",
    "TextSpec",
    "VolumeReader",
    "WordPieceText",
    "restore",
]

_HOME = {
    "CodeEncoder": "structured",
    "CodeSpec": "specs",
    "CodeTable": "preprocess_codes",
    "Embedded": "embedded",
    "EmbeddingSpec": "specs",
    "Encoder": "base",
    "EventReader": "preprocess",
    "FileReader": "preprocess",
    "HubText": "preprocess_text",
    "ImageReader": "preprocess_image",
    "ImageSpec": "specs",
    "LabEncoder": "structured",
    "LabSpec": "specs",
    "LabTable": "preprocess_structured",
    "Preprocessor": "preprocess",
    "PretrainedImage": "image",
    "PretrainedText": "text",
    "ResNet": "image",
    "SmallBert": "text",
    "TextSpec": "specs",
    "VolumeReader": "preprocess_volume",
    "WordPieceText": "preprocess_text",
    "restore": "preprocess",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
