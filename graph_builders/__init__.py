"""Graphs that link patients' concepts to modalities."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graph_builders.build import build_graph
    from graph_builders.collect import collect_evidence
    from graph_builders.concept_graph import ConceptGraph
    from graph_builders.csr import ConceptCSR
    from graph_builders.cutting import Part, cut
    from graph_builders.evidence import Evidence
    from graph_builders.nulls import (
        NULLS,
        Cooccurrence,
        EvidenceNull,
        Null,
        Permuted,
        RandomEdges,
        Rewired,
        Severed,
        ShuffledEvidence,
        make_null,
    )
    from graph_builders.paths import PathFinder, Step, shortest_path
    from graph_builders.patient_graph import PatientGraph
    from graph_builders.reach import Reach, reach_around, reach_upward
    from graph_builders.recipe import Recipe
    from graph_builders.tokens import TokenTable
    from graph_builders.view import View
    from graph_builders.whole import build_ontology_graph

_HOME = {
    "ConceptCSR": "csr",
    "ConceptGraph": "concept_graph",
    "Cooccurrence": "nulls",
    "Evidence": "evidence",
    "EvidenceNull": "nulls",
    "NULLS": "nulls",
    "Null": "nulls",
    "Part": "cutting",
    "PathFinder": "paths",
    "PatientGraph": "patient_graph",
    "Permuted": "nulls",
    "RandomEdges": "nulls",
    "Reach": "reach",
    "Recipe": "recipe",
    "Rewired": "nulls",
    "Severed": "nulls",
    "ShuffledEvidence": "nulls",
    "Step": "paths",
    "TokenTable": "tokens",
    "View": "view",
    "build_graph": "build",
    "build_ontology_graph": "whole",
    "collect_evidence": "collect",
    "cut": "cutting",
    "make_null": "nulls",
    "reach_around": "reach",
    "reach_upward": "reach",
    "shortest_path": "paths",
}

__all__ = [
    "NULLS",
    "ConceptCSR",
    "ConceptGraph",
    "Cooccurrence",
    "Evidence",
    "EvidenceNull",
    "Null",
    "Part",
    "PathFinder",
    "PatientGraph",
    "Permuted",
    "RandomEdges",
    "Reach",
    "Recipe",
    "Rewired",
    "Severed",
    "ShuffledEvidence",
    "Step",
    "TokenTable",
    "View",
    "build_graph",
    "build_ontology_graph",
    "collect_evidence",
    "cut",
    "make_null",
    "reach_around",
    "reach_upward",
    "shortest_path",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"graph_builders.{_HOME[name]}"), name)
    raise AttributeError(f"module 'graph_builders' has no attribute '{name}'")
