"""Which of the three forms of a convolution a factory is, and the rounds that are built of it.

- by relation: built from (in_channels, out_channels); one for each relation (SAGEConv, GATv2Conv, TransformerConv,
  `GIN`);
- with a number of relations: built from (in_channels, out_channels, num_relations) and called with the type of every
  edge (RGCNConv, RGATConv, FiLMConv);
- with metadata: built from (in_channels, out_channels, metadata) and called with dictionaries (HGTConv, HANConv).

A factory is tried on two nodes before anything is trained, so that a misfit is said at once and with what would fit.
Where it is linear, the first form has a round that does the same for all relations together.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch_geometric.nn.conv import MessagePassing as Convolution

from mhdiff.guidance.convolutions import ByMetadata, ByNumber, ByRelation, RelationRoutes, edge_type
from mhdiff.guidance.together import Together
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
    quick = [] if attributes else [Together.of(round_) for round_ in made if isinstance(round_, ByRelation)]
    return nn.ModuleList(cast(list[Together], quick)) if quick and all(quick) else made


def _form(
    conv: ConvFactory, dim: int, relations: Sequence[str]
) -> tuple[Callable[[], Convolution], type[ByRelation | ByNumber | ByMetadata]]:
    """Build it from two widths if that is enough, else with a number of relations, else with metadata."""
    factory = cast(Callable[..., Convolution], conv)
    third: list[tuple[tuple[Any, ...], type[ByRelation | ByNumber | ByMetadata]]] = [
        ((), ByRelation),
        ((max(len(relations), 1),), ByNumber),
        (((["concept"], [edge_type(r) for r in relations]),), ByMetadata),
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
            given = round_.eval()(torch.randn(2, dim), RelationRoutes(2, edges, extra))
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
