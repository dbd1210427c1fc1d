"""`mhdiff ontology`: terminology files to an ontology on disk, and questions to it."""

from __future__ import annotations

from mhdiff.commands.ontology import ask, build, check, compare, find, recognise, shapes, show
from mhdiff.commands.ontology.show import concept_document

_PARTS = (build, check, shapes, show, find, ask, recognise, compare)
VERBS = {name: verb for part in _PARTS for name, verb in part.VERBS.items()}

__all__ = ["VERBS", "concept_document"]
