"""`mhdiff ontology`: terminology files to an ontology on disk, and questions to it."""

from __future__ import annotations

from mhdiff.commands.ontology import ask, build, check, compare, show
from mhdiff.commands.ontology.show import concept_document

VERBS = {name: verb for part in (build, check, show, ask, compare) for name, verb in part.VERBS.items()}

__all__ = ["VERBS", "concept_document"]
