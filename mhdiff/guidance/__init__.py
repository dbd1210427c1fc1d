"""Guidance: the graph and a batch's evidence give the bias A between tokens, and concept tokens."""

from mhdiff.guidance.base import Guidance, GuidanceOutput, NoGuidance
from mhdiff.guidance.linked import Linked
from mhdiff.guidance.message_passing import MessagePassing

__all__ = ["Guidance", "GuidanceOutput", "Linked", "MessagePassing", "NoGuidance"]
