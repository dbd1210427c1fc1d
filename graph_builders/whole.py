"""The whole ontology as a graph, without patients: what embedding concepts or pre-training needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch_geometric.data import HeteroData

from graph_builders.build import add_concepts
from graph_builders.view import View
from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology import Ontology


def build_ontology_graph(ontology: Ontology, view: View | None = None) -> HeteroData:
    """Build the graph of every active concept.

    Args:
        ontology: The ontology.
        view: Which relations to keep, and as which edge types; of the kind "whole". By default all, with their groups.

    Returns:
        data["concept"].sctid and .depth [N]; for each relation type edges concept-relation-concept [2, E] and their
        reverse (`rev_` + name), with .group [E], the role group.

    Raises:
        InputError: If the view is of another kind, which only makes sense around patients.
    """
    view = view or View("whole", groups=True)
    if view.kind != "whole":
        raise InputError(f"without patients there is no view '{view.kind}'", remedy="Use the view whole")
    data, none = HeteroData(), np.empty(0, dtype=np.int64)
    add_concepts(data, ontology, view, none, none)
    return data
