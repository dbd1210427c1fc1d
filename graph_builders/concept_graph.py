"""The concept side of a graph alone: what guidance passes messages over. It knows no patient."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxtyping import Int64, Shaped
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
        node: What else is known of each concept: `sctid`, `depth`, and the features that a graph was built with.
        edge: What else is known of each edge, by relation, such as a role `group` or a `weight`.
    """

    num_nodes: int
    edge_index: dict[str, Int64[Tensor, "2 edges"]]
    modalities: tuple[str, ...] = ()
    node: dict[str, Shaped[Tensor, " concept *features"]] = field(default_factory=dict)
    edge: dict[str, dict[str, Shaped[Tensor, " edges *features"]]] = field(default_factory=dict)

    @classmethod
    def from_data(cls, data: HeteroData, modalities: tuple[str, ...] = ()) -> ConceptGraph:
        """Take the concept side out of a graph.

        Args:
            data: The graph.
            modalities: Names of the modalities, in order.
        """
        kinds = [kind for kind in data.edge_types if kind[0] == kind[2] == "concept"]
        known = {name: value for name, value in data["concept"].items() if isinstance(value, Tensor)}
        edges = {
            kind[1]: {name: value for name, value in data[kind].items() if name != "edge_index"}
            for kind in kinds
        }
        return cls(
            int(data["concept"].num_nodes),
            {kind[1]: data[kind].edge_index for kind in kinds},
            modalities,
            known,
            edges,
        )

    @property
    def relations(self) -> dict[str, Int64[Tensor, "2 edges"]]:
        """The edges in the direction that the ontology states, without the reverse ones."""
        return {name: ends for name, ends in self.edge_index.items() if not name.startswith(REVERSE)}
