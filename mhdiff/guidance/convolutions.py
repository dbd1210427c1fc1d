"""Rounds of messages with PyTorch Geometric's convolutions: three kinds of them behind one call.

`mhdiff.guidance.forms` says which kind a convolution is of; `mhdiff.guidance.together` has a quicker round for some.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import cast

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch_geometric.nn import GINConv
from torch_geometric.nn.conv import MessagePassing as Convolution


class GIN(GINConv):
    """Graph isomorphism convolution built from two widths, its perceptron included (Xu et al., 2019, equation 4.1).

    Args:
        in_channels: Width of what comes in.
        out_channels: Width of what goes out.
        eps: How much a node's own state counts beyond 1.
        train_eps: Whether eps is learned.
    """

    def __init__(
        self, in_channels: int, out_channels: int, eps: float = 0.0, train_eps: bool = False
    ) -> None:
        perceptron = nn.Sequential(
            nn.Linear(in_channels, out_channels), nn.GELU(), nn.Linear(out_channels, out_channels)
        )
        super().__init__(perceptron, eps=eps, train_eps=train_eps)
        self.in_channels, self.out_channels = in_channels, out_channels


class Routes(nn.Module, ABC):
    """What messages travel along in a graph or a part of one: buffers that move with the model, no part of its state.

    Attributes:
        relations: Names, in the order given.
        reached: Which concepts something reaches.
    """

    relations: list[str]
    reached: Bool[Tensor, "concept 1"]

    def keep(self, name: str, value: Tensor) -> None:
        """Hold a tensor that moves with the model.

        Args:
            name: Its name.
            value: It.
        """
        self.register_buffer(name, value, persistent=False)

    @abstractmethod
    def muted(self, names: Collection[str]) -> "Routes":
        """Give the same routes with no message along some relations; what a layer makes of a concept itself stays.

        Args:
            names: Names of relations.
        """


class RelationRoutes(Routes):
    """What messages travel along, relation by relation.

    Args:
        num_nodes: Number of concepts N.
        edges: Edges [2, E] by relation.
        attributes: For each keyword of the convolution, edge attributes by relation.
    """

    def __init__(
        self,
        num_nodes: int,
        edges: Mapping[str, Int64[Tensor, "2 edges"]],
        attributes: Mapping[str, Mapping[str, Tensor]],
    ) -> None:
        super().__init__()
        self.relations, self.keywords = list(edges), list(attributes)
        device = next((ends.device for ends in edges.values()), None)
        count = torch.zeros(num_nodes, device=device)
        for position, (relation, ends) in enumerate(edges.items()):
            self.keep(f"edges_{position}", ends)
            # The concepts of this relation alone: a convolution over them costs what the relation's edges cost,
            # and gives each target what one over all concepts would give it.
            nodes, local = torch.unique(ends, return_inverse=True)
            arrived = torch.unique(local[1])
            self.keep(f"nodes_{position}", nodes)
            self.keep(f"local_{position}", local)
            self.keep(f"arrived_{position}", arrived)
            count[nodes[arrived]] += 1
            for keyword in self.keywords:
                self.keep(f"{keyword}_{position}", attributes[keyword][relation].float())
        self.keep("reached", count[:, None] > 0)
        for position in range(len(self.relations)):
            at = self.get_buffer(f"nodes_{position}")[self.get_buffer(f"arrived_{position}")]
            self.keep(f"weight_{position}", 1 / count[at, None])

    def __getitem__(self, name: str) -> dict[str, Tensor]:
        """Give a buffer by relation: `edges`, `nodes`, `local`, `arrived`, `weight`, or a keyword."""
        return {r: self.get_buffer(f"{name}_{p}") for p, r in enumerate(self.relations)}

    def muted(self, names: Collection[str]) -> "RelationRoutes":
        """Give the same routes with no message along some relations; see `Routes.muted`.

        Args:
            names: Names of relations.
        """
        quiet = copy.copy(self)
        quiet._buffers = dict(self._buffers)
        for position, relation in enumerate(self.relations):
            if relation in names:
                for prefix in ("edges", "local"):
                    quiet._buffers[f"{prefix}_{position}"] = self.get_buffer(f"{prefix}_{position}")[:, :0]
                for keyword in self.keywords:
                    quiet._buffers[f"{keyword}_{position}"] = self.get_buffer(f"{keyword}_{position}")[:0]
        return quiet

    def extra(self, relation: str) -> dict[str, Tensor]:
        """Give the edge attributes of a relation by keyword.

        Args:
            relation: Its name.
        """
        position = self.relations.index(relation)
        return {keyword: self.get_buffer(f"{keyword}_{position}") for keyword in self.keywords}


class Round(nn.Module, ABC):
    """One round of messages over all relations: states [N, dim] to messages [N, dim], 0 where nothing arrives.

    Args:
        relations: Names.
    """

    def __init__(self, relations: Sequence[str]) -> None:
        super().__init__()
        self.relations = list(relations)

    def routes(
        self,
        num_nodes: int,
        edges: Mapping[str, Int64[Tensor, "2 edges"]],
        attributes: Mapping[str, Mapping[str, Tensor]],
    ) -> Routes:
        """Give the form of a graph that this round reads.

        Args:
            num_nodes: Number of concepts N.
            edges: Edges [2, E] by relation.
            attributes: For each keyword of the convolution, edge attributes by relation.
        """
        return RelationRoutes(num_nodes, edges, attributes)

    @abstractmethod
    def forward(
        self,
        state: Float[Tensor, "concept dim"],
        routes: Routes,
        wanted: Bool[Tensor, " concept"] | None = None,
    ) -> Float[Tensor, "concept dim"]:
        """Pass messages once.

        Args:
            state: State of every concept.
            routes: What they travel along.
            wanted: Whose messages are read; a round may leave out the others'. None for all.
        """


class ByRelation(Round):
    """One convolution a relation, averaged over the relations that reach a concept.

    A mean over all relations would drown the one parent of a leaf in what most convolutions make of the leaf itself.
    Each convolution sees only the concepts of its relation's edges: with PyG's HeteroConv, which gives each of them all
    concepts, a batch of 256 patients of an edition with 370,000 concepts did not fit into 24 GiB.

    Args:
        build: Gives one convolution.
        relations: Names.
    """

    def __init__(self, build: Callable[[], Convolution], relations: Sequence[str]) -> None:
        super().__init__(relations)
        self.convolutions = nn.ModuleDict({plain_name(r): build() for r in relations})

    def forward(
        self,
        state: Float[Tensor, "concept dim"],
        routes: Routes,
        wanted: Bool[Tensor, " concept"] | None = None,
    ) -> Float[Tensor, "concept dim"]:
        """Pass messages once; see `Round`."""
        assert isinstance(routes, RelationRoutes)
        nodes, local, arrived, weight = (routes[n] for n in ("nodes", "local", "arrived", "weight"))
        total: Tensor | None = None
        for relation, convolution in zip(self.relations, self.convolutions.values(), strict=True):
            message = convolution(state[nodes[relation]], local[relation], **routes.extra(relation))
            message = message[arrived[relation]] * weight[relation].to(message.dtype)
            if total is None:
                total = message.new_zeros(len(state), message.shape[-1])
            total = total.index_add(0, nodes[relation][arrived[relation]], message)
        return torch.zeros_like(state) if total is None else total


class ByNumber(Round):
    """One convolution for all relations, which is told the number of each edge's relation.

    Args:
        build: Gives the convolution.
        relations: Names.
    """

    def __init__(self, build: Callable[[], Convolution], relations: Sequence[str]) -> None:
        super().__init__(relations)
        self.convolution = build()

    def forward(
        self,
        state: Float[Tensor, "concept dim"],
        routes: Routes,
        wanted: Bool[Tensor, " concept"] | None = None,
    ) -> Float[Tensor, "concept dim"]:
        """Pass messages once; see `Round`."""
        assert isinstance(routes, RelationRoutes)
        edges = routes["edges"]
        ends = torch.cat([edges[r] for r in self.relations], 1)
        number = torch.cat([torch.full_like(edges[r][0], p) for p, r in enumerate(self.relations)])
        extra = {k: torch.cat([routes.extra(r)[k] for r in self.relations]) for k in routes.keywords}
        return cast(Tensor, self.convolution(state, ends, number, **extra))


class ByMetadata(Round):
    """One convolution that knows all relations by name.

    Args:
        build: Gives the convolution.
        relations: Names.
    """

    def __init__(self, build: Callable[[], Convolution], relations: Sequence[str]) -> None:
        super().__init__(relations)
        self.convolution = build()

    def forward(
        self,
        state: Float[Tensor, "concept dim"],
        routes: Routes,
        wanted: Bool[Tensor, " concept"] | None = None,
    ) -> Float[Tensor, "concept dim"]:
        """Pass messages once; see `Round`."""
        assert isinstance(routes, RelationRoutes)
        ends = {edge_type(r): edges for r, edges in routes["edges"].items()}
        message = self.convolution({"concept": state}, ends)["concept"]
        return cast(Tensor, torch.zeros_like(state) if message is None else message)


def plain_name(relation: str) -> str:
    """Give a relation's name as a module can have it.

    Args:
        relation: Its name.
    """
    return relation.replace(".", " ")


def edge_type(relation: str) -> tuple[str, str, str]:
    """Give a relation's name as PyG's heterogeneous convolutions want it.

    Args:
        relation: Its name.
    """
    return ("concept", relation, "concept")
