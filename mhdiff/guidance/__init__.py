"""Guidance: the graph and a batch's evidence give the bias A between tokens, and concept tokens."""

from mhdiff.guidance.base import Guidance, GuidanceOutput, NoGuidance
from mhdiff.guidance.convolutions import GIN
from mhdiff.guidance.distance import Distance
from mhdiff.guidance.free import Free
from mhdiff.guidance.gram import OntologyAttention
from mhdiff.guidance.linked import Linked
from mhdiff.guidance.message_passing import MessagePassing
from mhdiff.guidance.similarity import Similarity

__all__ = [
    "GIN",
    "Distance",
    "Free",
    "Guidance",
    "GuidanceOutput",
    "Linked",
    "MessagePassing",
    "NoGuidance",
    "OntologyAttention",
    "Similarity",
]
