"""The concept side of a graph alone: what guidance passes messages over. It knows no patient."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Int64
from torch import Tensor
from torch_geometric.data import HeteroData

REVERSE = "rev_"


@dataclass(frozen=True, eq=False)
class ConceptGraph:
    """Concepts and the relations among them.

    Args:
        num_nodes: Number of concepts N.
        edge_index: Edges [2, E] by relation, each relation followed by its reverse (`rev_` + name).
        modalities: Names of the modalities, in order.
    """

    num_nodes: int
    edge_index: dict[str, Int64[Tensor, "2 edges"]]
    modalities: tuple[str, ...] = ()

    @classmethod
    def from_data(cls, data: HeteroData, modalities: tuple[str, ...] = ()) -> ConceptGraph:
        """Take the concept side out of a graph.

        Args:
            data: The graph.
            modalities: Names of the modalities, in order.
        """
        kinds = [kind for kind in data.edge_types if kind[0] == kind[2] == "concept"]
        return cls(
            int(data["concept"].num_nodes), {kind[1]: data[kind].edge_index for kind in kinds}, modalities
        )

    @property
    def relations(self) -> dict[str, Int64[Tensor, "2 edges"]]:
        """The edges in the direction that the ontology states, without the reverse ones."""
        return {name: ends for name, ends in self.edge_index.items() if not name.startswith(REVERSE)}
