"""An `Ontology` for other tools; `FORMATS` names the writers that the command line offers.

| form              | is-a              | attribute, role group                             |
|-------------------|-------------------|---------------------------------------------------|
| networkx, GraphML | edge              | edge with type, name and group                    |
| Turtle            | `skos:broader`    | property; `rdf:Statement` with the group's number |
| OWL               | `rdfs:subClassOf` | `role some target`, inside `609096000 some (...)` |

The other writers are imported when they are used. `ontology.left_out` counts what a form has no place for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ontology.writers.graph import to_networkx, write_graphml
from ontology.writers.iris import BASE
from ontology.writers.owl import write_owl
from ontology.writers.rdf import write_turtle

if TYPE_CHECKING:
    from ontology.model import Ontology

__all__ = ["BASE", "FORMATS", "to_networkx", "write_graphml", "write_owl", "write_turtle"]

Writer = Callable[["Ontology", "str | Path"], Path]


def _lazy(name: str) -> Writer:
    def write(onto: Ontology, path: str | Path) -> Path:
        """Write the ontology with `ontology.writers.<name>`."""
        written = import_module(f"ontology.writers.{name}").write(onto, path)
        return Path(written)

    return write


FORMATS: dict[str, Writer] = {
    "turtle": write_turtle,
    "owl": write_owl,
    "graphml": write_graphml,
    "obo": _lazy("obo"),
    "obograph": _lazy("obograph"),
    "parquet": _lazy("parquet"),
    "pykeen": _lazy("pykeen"),
    "rf2": _lazy("rf2"),
}
