"""Three kinds of PyTorch Geometric convolutions behind one call, and which of them a factory is.

- by relation: built from (in_channels, out_channels); one for each relation (SAGEConv, GATv2Conv, TransformerConv,
  `GIN`);
- with a number of relations: built from (in_channels, out_channels, num_relations) and called with the type of every
  edge (RGCNConv, RGATConv, FiLMConv);
- with metadata: built from (in_channels, out_channels, metadata) and called with dictionaries (HGTConv, HANConv).

A factory is tried on two nodes before anything is trained, so that a misfit is said at once and with what would fit.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch_geometric.nn import GINConv
from torch_geometric.nn.conv import MessagePassing as Convolution

from ontology.errors import InputError

#: Node types and edge types, as PyG's heterogeneous convolutions want them.
Metadata = tuple[list[str], list[tuple[str, str, str]]]
ConvFactory = (
    Callable[[int, int], Convolution]
    | Callable[[int, int, int], Convolution]
    | Callable[[int, int, Metadata], Convolution]
)
_FORMS = (
    "A convolution is built from (in_channels, out_channels) like SAGEConv, GATv2Conv or mhdiff.guidance.GIN, from "
    "(in_channels, out_channels, num_relations) like RGCNConv and RGATConv, or from (in_channels, out_channels, "
    "metadata) like HGTConv and HANConv"
)
_MISFIT = (TypeError, ValueError, RuntimeError, AttributeError, AssertionError, IndexError, KeyError)


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


class Routes(nn.Module):
    """What messages travel along in a graph or a part of one: buffers that move with the model, no part of its state.

    Args:
        num_nodes: Number of concepts N.
        edges: Edges [2, E] by relation.
        attributes: For each keyword of the convolution, edge attributes by relation.

    Attributes:
        relations: Names, in the order given.
    """

    reached: Tensor

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
            self._keep(f"edges_{position}", ends)
            # The concepts of this relation alone: a convolution over them costs what the relation's edges cost,
            # and gives each target what one over all concepts would give it.
            nodes, local = torch.unique(ends, return_inverse=True)
            arrived = torch.unique(local[1])
            self._keep(f"nodes_{position}", nodes)
            self._keep(f"local_{position}", local)
            self._keep(f"arrived_{position}", arrived)
            count[nodes[arrived]] += 1
            for keyword in self.keywords:
                self._keep(f"{keyword}_{position}", attributes[keyword][relation].float())
        self._keep("reached", count[:, None] > 0)
        for position in range(len(self.relations)):
            at = self.get_buffer(f"nodes_{position}")[self.get_buffer(f"arrived_{position}")]
            self._keep(f"weight_{position}", 1 / count[at, None])

    def _keep(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)

    def __getitem__(self, name: str) -> dict[str, Tensor]:
        """Give a buffer by relation: `edges`, `nodes`, `local`, `arrived`, `weight`, or a keyword."""
        return {r: self.get_buffer(f"{name}_{p}") for p, r in enumerate(self.relations)}

    def muted(self, names: Collection[str]) -> "Routes":
        """Give the same routes with no message along some relations; what a layer makes of a concept itself stays.

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
        build: Gives one convolution.
        relations: Names.
    """

    def __init__(self, build: Callable[[], Convolution], relations: Sequence[str]) -> None:
        super().__init__()
        self.relations = list(relations)

    @abstractmethod
    def forward(self, state: Float[Tensor, "concept dim"], routes: Routes) -> Float[Tensor, "concept dim"]:
        """Pass messages once.

        Args:
            state: State of every concept.
            routes: What they travel along.
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
        super().__init__(build, relations)
        self.convolutions = nn.ModuleDict({r.replace(".", " "): build() for r in relations})

    def forward(self, state: Float[Tensor, "concept dim"], routes: Routes) -> Float[Tensor, "concept dim"]:
        """Pass messages once; see `Round`."""
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
        super().__init__(build, relations)
        self.convolution = build()

    def forward(self, state: Float[Tensor, "concept dim"], routes: Routes) -> Float[Tensor, "concept dim"]:
        """Pass messages once; see `Round`."""
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
        super().__init__(build, relations)
        self.convolution = build()

    def forward(self, state: Float[Tensor, "concept dim"], routes: Routes) -> Float[Tensor, "concept dim"]:
        """Pass messages once; see `Round`."""
        ends = {_edge_type(r): edges for r, edges in routes["edges"].items()}
        message = self.convolution({"concept": state}, ends)["concept"]
        return cast(Tensor, torch.zeros_like(state) if message is None else message)


def rounds(
    conv: ConvFactory,
    dim: int,
    relations: Sequence[str],
    layers: int,
    attributes: Mapping[str, Mapping[str, Tensor]],
) -> nn.ModuleList:
    """Find out which of the three forms a factory has, and build its rounds.

    Args:
        conv: The factory.
        dim: Width of states.
        relations: Names of the relations, reverse ones included.
        layers: Number of rounds.
        attributes: For each keyword of the convolution, edge attributes by relation.

    Raises:
        InputError: If the factory fits no form, or gives another width than it got.
    """
    build, form = _form(conv, dim, relations)
    made = nn.ModuleList(form(build, relations) for _ in range(layers))
    if layers and relations:
        _try(form(build, relations), dim, relations, attributes)
    return made


def _form(
    conv: ConvFactory, dim: int, relations: Sequence[str]
) -> tuple[Callable[[], Convolution], type[ByRelation | ByNumber | ByMetadata]]:
    """Build it from two widths if that is enough, else with a number of relations, else with metadata."""
    factory = cast(Callable[..., Convolution], conv)
    third: list[tuple[tuple[Any, ...], type[ByRelation | ByNumber | ByMetadata]]] = [
        ((), ByRelation),
        ((max(len(relations), 1),), ByNumber),
        (((["concept"], [_edge_type(r) for r in relations]),), ByMetadata),
    ]
    refused: list[Exception] = []
    for extra, form in third:
        try:
            factory(dim, dim, *extra)
        except _MISFIT as error:
            refused.append(error)
        else:
            return lambda: factory(dim, dim, *extra), form  # noqa: B023  # returned at once
    raise InputError(
        f"model.guidance.conv cannot be built between concepts: from two widths, {_said(refused[0])}; with a number of "
        f"relations, {_said(refused[1])}; with metadata, {_said(refused[2])}",
        remedy=f"{_FORMS}. A class that needs more than that takes a subclass of yours",
    )


def _try(
    round_: ByRelation | ByNumber | ByMetadata,
    dim: int,
    relations: Sequence[str],
    attributes: Mapping[str, Mapping[str, Tensor]],
) -> None:
    """Pass messages between two nodes and look at what comes back."""
    edges = {r: torch.tensor([[0, 1], [1, 0]]) for r in relations}
    extra = {k: {r: torch.zeros(2, *by[r].shape[1:]) for r in relations} for k, by in attributes.items()}
    name = next(type(m).__name__ for m in round_.modules() if isinstance(m, Convolution))
    if attributes and isinstance(round_, ByMetadata):
        raise InputError(
            f"model.guidance.conv {name} takes no edge attributes ({', '.join(attributes)})",
            remedy="Leave model.guidance.edge_attributes empty, or take a convolution of another form",
        )
    form = {ByRelation: "(x, edge_index)", ByNumber: "(x, edge_index, edge_type)", ByMetadata: "dictionaries"}
    try:
        with torch.no_grad():
            given = round_.eval()(torch.randn(2, dim), Routes(2, edges, extra))
    except _MISFIT as error:
        raise InputError(
            f"model.guidance.conv {name} cannot be called with {form[type(round_)]} between concepts ({_said(error)})",
            remedy=f"{_FORMS}. Edge attributes are named in model.guidance.edge_attributes",
        ) from error
    if given.shape != (2, dim):
        raise InputError(
            f"model.guidance.conv {name} gives {given.shape[-1]} channels where {dim} are wanted",
            remedy="With several heads set concat: false, or choose heads so that the width comes back",
        )


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0] if str(error) else type(error).__name__


def _edge_type(relation: str) -> tuple[str, str, str]:
    return ("concept", relation, "concept")
