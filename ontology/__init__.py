"""Terminology files to one frozen, columnar, indexed `Ontology`.

Names are imported on first use, so that `import ontology` costs nothing and `ontology.errors` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ontology.difference import Difference, diff
    from ontology.errors import ConceptNotFound, InputError
    from ontology.formats import load, load_obo, load_omop, load_owl, load_rdf, load_tables
    from ontology.layers import Layer, extend
    from ontology.model import Ontology, Relations, Step
    from ontology.parts import Parts
    from ontology.recognise import POLARITIES, Mention, Recogniser
    from ontology.report import LoadReport
    from ontology.rf2 import load_rf2
    from ontology.validation import validate

_HOME = {
    "ConceptNotFound": "errors",
    "Difference": "difference",
    "InputError": "errors",
    "Layer": "layers",
    "LoadReport": "report",
    "Mention": "recognise",
    "Ontology": "model",
    "POLARITIES": "recognise",
    "Recogniser": "recognise",
    "Relations": "model",
    "Step": "model",
    "Parts": "parts",
    "diff": "difference",
    "extend": "layers",
    "load": "formats",
    "load_obo": "formats",
    "load_omop": "formats",
    "load_owl": "formats",
    "load_rdf": "formats",
    "load_rf2": "rf2",
    "load_tables": "formats",
    "validate": "validation",
}

__all__ = [
    "POLARITIES",
    "ConceptNotFound",
    "Difference",
    "InputError",
    "Layer",
    "LoadReport",
    "Mention",
    "Ontology",
    "Parts",
    "Recogniser",
    "Relations",
    "Step",
    "diff",
    "extend",
    "load",
    "load_obo",
    "load_omop",
    "load_owl",
    "load_rdf",
    "load_rf2",
    "load_tables",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ontology' has no attribute {name!r}")
    return getattr(import_module(f"ontology.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
