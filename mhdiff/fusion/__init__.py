"""Fusion: tokens of several modalities and an ontology bias between them -> one latent per patient."""

from mhdiff.fusion.attention import OntologyBiasedAttention
from mhdiff.fusion.base import Fusion, FusionOutput
from mhdiff.fusion.fusion import CrossModalFusion
from mhdiff.fusion.masking import Masking, ModalityMasking, SubsetMasking

__all__ = [
    "CrossModalFusion",
    "Fusion",
    "FusionOutput",
    "Masking",
    "ModalityMasking",
    "OntologyBiasedAttention",
    "SubsetMasking",
]
