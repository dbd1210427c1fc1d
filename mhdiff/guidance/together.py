r"""All relations in one go, for convolutions that are linear in what arrives and in the concept itself.

.. math:: m_i = \frac{1}{|R_i|} \sum_{r \in R_i} \Big( W_r a_{ri} + b_r + V_r h_i \Big), \qquad
          a_{ri} = \sum_{j \to_r i} w_{rj} h_j

- R_i: the relations through which something reaches concept i;
- w_rj: 1, or for a mean one over the number of concepts that reach i through r;
- W_r, b_r, V_r: the weights of SAGEConv and GraphConv.

It is the round of `mhdiff.guidance.convolutions.ByRelation` with the same weights, which goes relation by relation:
some fifteen small operations each, whose number and not whose size takes the time where an ontology has many relations.
Here a round is a sum over all edges, one product by groups of rows (i, r), and a sum over each concept's rows. Where
only some concepts' messages are wanted, only their rows are multiplied. On disk the weights have the names that they
have there, relation by relation.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch_geometric.nn import GraphConv, SAGEConv
from torch_geometric.nn.aggr import MeanAggregation, SumAggregation
from torch_geometric.nn.conv import MessagePassing as Convolution

from mhdiff.guidance.convolutions import ByRelation, Round, Routes, plain_name
from mhdiff.guidance.grouped import grouped_product
from mhdiff.guidance.spread import Spread


class Parts(NamedTuple):
    """What a convolution is made of: names of its two linear maps, and whether it takes means."""

    neighbours: str
    own: str
    mean: bool


def parts_of(convolution: Convolution) -> Parts | None:
    """Say what a convolution is made of, if it is nothing but two linear maps and a sum or mean.

    Args:
        convolution: The convolution. A subclass may do anything, and is not looked into.
    """
    kind = type(convolution)
    if kind not in (SAGEConv, GraphConv) or convolution.flow != "source_to_target":
        return None
    sums = type(convolution.aggr_module)
    if sums not in (MeanAggregation, SumAggregation):
        return None
    if kind is GraphConv:
        return Parts("lin_rel", "lin_root", sums is MeanAggregation)
    if convolution.normalize or convolution.project or not convolution.root_weight:
        return None
    return Parts("lin_l", "lin_r", sums is MeanAggregation)


class JoinedRoutes(Routes):
    """What messages travel along where all relations are passed over together.

    The places that messages arrive at are the pairs of a relation and a concept that it reaches, relation by relation.

    Args:
        num_nodes: Number of concepts N.
        edges: Edges [2, E] by relation.
        mean: Whether a place gets the mean of what arrives, or the sum.
        muted: Relations along which nothing arrives; what is made of a concept itself still is.
    """

    target: Tensor
    relation: Tensor

    def __init__(
        self,
        num_nodes: int,
        edges: Mapping[str, Int64[Tensor, "2 edges"]],
        mean: bool,
        muted: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.relations = list(edges)
        self.num_nodes, self.edges, self.mean = num_nodes, dict(edges), mean
        ends = torch.cat(list(edges.values()), 1)
        device = ends.device
        length = torch.tensor([e.shape[1] for e in edges.values()], device=device)
        number = torch.repeat_interleave(torch.arange(len(length), device=device), length)
        places, place, arriving = torch.unique(
            number * num_nodes + ends[1], return_inverse=True, return_counts=True
        )
        relation, target = places // max(num_nodes, 1), places % max(num_nodes, 1)
        self.sizes = torch.bincount(relation, minlength=len(length)).tolist()
        count = torch.bincount(target, minlength=num_nodes)
        weight = 1 / arriving[place] if mean else torch.ones(len(place), device=device)
        quiet = torch.tensor([name in muted for name in edges], dtype=torch.bool, device=device)
        weight = weight.masked_fill(quiet[number], 0.0)
        share = 1 / count[target]
        # Each place's neighbours and its own concept, one after the other, so that one sum gathers both.
        every = torch.arange(len(places), device=device)
        self.gather = Spread(
            torch.cat([2 * place, 2 * every + 1]),
            torch.cat([ends[0], target]),
            torch.cat([weight, torch.ones(len(places), device=device)]),
            2 * len(places),
            num_nodes,
        )
        self.scatter = Spread(target, every, share, num_nodes, len(places))
        self.offset = Spread(target, relation, share, num_nodes, len(length))
        self.keep("reached", count[:, None] > 0)
        self.keep("target", target)
        self.keep("relation", relation)

    def places(self, wanted: Bool[Tensor, " concept"]) -> tuple[Int64[Tensor, " place"], list[int]]:
        """Give the places of some concepts, and how many of them belong to each relation.

        Args:
            wanted: Which concepts.
        """
        place = wanted.index_select(0, self.target).nonzero()[:, 0]
        of = torch.bincount(self.relation.index_select(0, place), minlength=len(self.relations))
        return place, of.tolist()

    def muted(self, names: Collection[str]) -> "JoinedRoutes":
        """Give the same routes with no message along some relations; see `Routes.muted`.

        Args:
            names: Names of relations.
        """
        return type(self)(self.num_nodes, self.edges, self.mean, names).to(self.reached.device)


class Together(Round):
    """The round.

    Args:
        one_by_one: The round whose weights it takes.
        parts: What its convolutions are made of.

    Attributes:
        weight: W_r above V_r, transposed, for each relation.
        bias: b_r, if the convolutions have one.
    """

    def __init__(self, one_by_one: ByRelation, parts: Parts) -> None:
        super().__init__(one_by_one.relations)
        self.parts = parts
        made = list(one_by_one.convolutions.values())
        near, own = ([getattr(c, name) for c in made] for name in (parts.neighbours, parts.own))
        joined = [torch.cat([a.weight, b.weight], 1).T for a, b in zip(near, own, strict=True)]
        self.weight = nn.Parameter(torch.stack(joined).detach())
        has_bias = near[0].bias is not None
        self.bias = nn.Parameter(torch.stack([a.bias for a in near]).detach()) if has_bias else None

    @classmethod
    def of(cls, one_by_one: ByRelation) -> "Together | None":
        """Give the round that does the same as another, if its convolutions are of a kind that is known.

        Args:
            one_by_one: The other.
        """
        found = {parts_of(convolution) for convolution in one_by_one.convolutions.values()}
        parts = found.pop() if len(found) == 1 else None
        return None if parts is None else cls(one_by_one, parts)

    def routes(
        self,
        num_nodes: int,
        edges: Mapping[str, Int64[Tensor, "2 edges"]],
        attributes: Mapping[str, Mapping[str, Tensor]],
    ) -> JoinedRoutes:
        """Give the form of a graph that this round reads; see `Round.routes`."""
        return JoinedRoutes(num_nodes, edges, self.parts.mean)

    def forward(
        self,
        state: Float[Tensor, "concept dim"],
        routes: Routes,
        wanted: Bool[Tensor, " concept"] | None = None,
    ) -> Float[Tensor, "concept dim"]:
        """Pass messages once; see `Round`."""
        assert isinstance(routes, JoinedRoutes)
        gathered = routes.gather(state).view(-1, 2 * state.shape[1])
        if wanted is None:
            arrived = grouped_product(gathered, self.weight, routes.sizes)
        else:
            place, sizes = routes.places(wanted)
            some = grouped_product(gathered.index_select(0, place), self.weight, sizes)
            arrived = some.new_zeros(len(gathered), some.shape[1]).index_copy(0, place, some)
        message: Tensor = routes.scatter(arrived)
        return message if self.bias is None else message + routes.offset(self.bias).to(message.dtype)

    def _named(self, prefix: str) -> list[tuple[str, Tensor]]:
        """Give the weights by the names that they have on disk."""
        inner = self.weight.shape[1] // 2
        found = []
        for position, relation in enumerate(self.relations):
            start = f"{prefix}convolutions.{plain_name(relation)}."
            both = self.weight[position].T
            found.append((f"{start}{self.parts.neighbours}.weight", both[:, :inner]))
            if self.bias is not None:
                found.append((f"{start}{self.parts.neighbours}.bias", self.bias[position]))
            found.append((f"{start}{self.parts.own}.weight", both[:, inner:]))
        return found

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        for name, value in self._named(prefix):
            destination[name] = value.clone() if keep_vars else value.detach().clone()

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        own = self._named(prefix)
        with torch.no_grad():
            for name, value in own:
                if name not in state_dict:
                    missing_keys.append(name)
                elif state_dict[name].shape != value.shape:
                    error_msgs.append(f"{name}: {tuple(state_dict[name].shape)}, not {tuple(value.shape)}")
                else:
                    value.copy_(state_dict[name])
        known = {name for name, _ in own}
        strange = [name for name in state_dict if name.startswith(prefix) and name not in known]
        unexpected_keys.extend(strange if strict else [])
