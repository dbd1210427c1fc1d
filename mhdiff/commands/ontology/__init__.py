"""`mhdiff ontology`: terminology files to an ontology on disk, and questions to it."""

from __future__ import annotations

from mhdiff.commands.ontology import ask, build, compare, show
from mhdiff.commands.ontology.show import concept_document

VERBS = {**build.VERBS, **show.VERBS, **ask.VERBS, **compare.VERBS}

__all__ = ["VERBS", "concept_document"]
