r"""Concepts inherit: the state that messages start from is made of the embeddings of all that a concept falls under.

.. math:: h^0_c = \frac{1}{\sqrt{|A(c)|}} \sum_{a \in A(c)} E_a

with A(c) everything that c reaches upward, itself among it: its ancestors, and where other relations are walked too,
the attributes of each (finding site, causative agent ...) and theirs. E_a is a concept's own embedding with its
features, see `Guidance`. After Choi et al., "GRAM: Graph-based attention model for healthcare representation learning"
(2017), with a plain sum in the place of attention: each embedding's length says how much it counts.

A concept that training saw once or never is then near its relatives from the first step, which rounds of messages
have to learn. On the known-answer cohort docs/ablation.md has what that is worth.
"""

from collections.abc import Callable, Collection
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from graph_builders import ConceptGraph
from graph_builders.reach import IS_A, chosen_relations, reach_upward
from mhdiff.guidance.spread import Spread
from ontology.errors import InputError

Inherit = Literal["none", "is_a", "all"]


class Inheritance(nn.Module):
    """Sums what a concept reaches upward; it has no parameters.

    Args:
        graph: The concept side of the graph.
        walk: `is_a`: ancestors; `all`: along every relation, in the direction that the ontology states.

    Raises:
        InputError: If there is no such walk, or the graph has no is-a.
    """

    def __init__(self, graph: ConceptGraph, walk: Inherit) -> None:
        super().__init__()
        if walk not in ("is_a", "all"):
            raise InputError(f"model.guidance.inherit cannot be '{walk}'", remedy="Choose none, is_a or all")
        self.graph, self.walk = graph, walk
        self.above = self._reached(())

    def _reached(self, muted: Collection[str]) -> Spread:
        names = [IS_A] if self.walk == "is_a" else chosen_relations(self.graph, None)
        reach = reach_upward(self.graph, [name for name in names if name not in muted])
        rows = reach.num_nodes
        row = torch.repeat_interleave(torch.arange(rows), reach.above)
        return Spread(row, reach.node, torch.ones(len(row)), rows, rows)

    def forward(
        self,
        own: Callable[[Int64[Tensor, " concept"] | None], Float[Tensor, "concept dim"]],
        nodes: Int64[Tensor, " part"] | None = None,
        muted: Collection[str] = (),
    ) -> Float[Tensor, "part dim"]:
        """Give h^0.

        Args:
            own: Gives E of some concepts, or of all.
            nodes: Only these concepts; all by default.
            muted: Relations that nothing is inherited along.
        """
        above = self._reached(muted).to(self.above.on_start.device) if muted else self.above
        start, node = above.on_start, above.on_index
        if nodes is None:
            count = start.diff()
            total = above(own(None))
        else:
            count = start[nodes + 1] - start[nodes]
            first = torch.repeat_interleave(start[nodes] - (count.cumsum(0) - count), count)
            entries = node[first + torch.arange(len(first), device=first.device)]
            different, place = torch.unique(entries, return_inverse=True)
            row = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
            ones = torch.ones(len(row), device=row.device)
            total = Spread(row, place, ones, len(count), len(different))(own(different))
        return total / count[:, None].to(total.dtype).sqrt()
