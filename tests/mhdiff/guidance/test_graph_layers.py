"""Graph layers: what the graph may reach, which forms there are, and what is refused with what would fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.nn import (
    GATv2Conv,
    GCNConv,
    GINConv,
    GraphConv,
    HGTConv,
    PNAConv,
    RGCNConv,
    SAGEConv,
    TransformerConv,
)
from torch_geometric.nn.conv import MessagePassing as Convolution

from graph_builders import ConceptGraph, cut
from mhdiff.guidance import MessagePassing
from mhdiff.guidance.convolutions import ByMetadata, ByNumber, ByRelation
from mhdiff.guidance.together import Together
from ontology.errors import InputError
from tests import small_model as small


def run(part):
    return part.eval()(small.batch(4).evidence, torch.ones(4, 4, dtype=torch.bool))


def weighted_graph():
    graph = small.concept_graph()
    edge = {
        r: {"weight": torch.rand(ends.shape[1]), "kind": torch.rand(ends.shape[1], 3)}
        for r, ends in graph.edge_index.items()
    }
    return ConceptGraph(graph.num_nodes, graph.edge_index, graph.modalities, edge=edge)


@pytest.mark.parametrize("channels", ["bias", "tokens", "both"])
def test_the_graph_reaches_only_the_channels_that_are_on(channels):
    torch.manual_seed(0)
    part = MessagePassing(small.concept_graph(), small.DIM, 2, channels=channels)
    before = run(part)
    for parameter in part.rounds.parameters():  # other messages
        parameter.data += 1.0
    after = run(part)
    assert torch.equal(before.tokens, after.tokens) == (channels == "bias")
    assert (before.bias is None) == (channels == "tokens")
    if before.bias is not None:
        assert not torch.equal(before.bias, after.bias)


@pytest.mark.parametrize(
    ("conv", "form"),
    [
        (SAGEConv, Together),
        (lambda i, o: SAGEConv(i, o, aggr="max"), ByRelation),
        (GATv2Conv, ByRelation),
        (RGCNConv, ByNumber),
        (lambda i, o, m: HGTConv(i, o, m), ByMetadata),
    ],
)
def test_the_form_is_found_out(conv, form):
    part = MessagePassing(small.concept_graph(), small.DIM, 2, conv=conv)
    assert {type(r) for r in part.rounds} == {form}


def test_a_modality_has_the_score_of_the_mean_of_its_tokens():
    part = MessagePassing(small.concept_graph(), small.DIM, 2)
    out, e = run(part), small.batch(4).evidence
    count = out.mask.view(4, 4, small.SLOTS).sum(-1, keepdim=True).clamp(min=1)
    weighted = part.score.norm(out.tokens) * (e.weight.flatten(1) * out.mask)[..., None]
    pooled = weighted.view(4, 4, small.SLOTS, -1).sum(2) / count
    states = torch.cat([pooled, weighted], 1)
    query, key = (
        m(states).unflatten(-1, (2, -1)).transpose(1, 2) for m in (part.score.query, part.score.key)
    )
    wanted = query @ key.transpose(-1, -2) / (small.DIM // 2) ** 0.5
    torch.testing.assert_close(out.bias, wanted, atol=1e-6, rtol=1e-4)


class Needy(Convolution):
    def __init__(self, in_channels: int, out_channels: int, degree: nn.Module, bins: int) -> None:
        super().__init__()


class Strange(Convolution):
    """Built like any other, and called like none."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()

    def forward(self, x, edge_index, adjacency):
        return x


@pytest.mark.parametrize(
    ("conv", "words"),
    [
        (lambda i, o: GATv2Conv(i, o, heads=4), "64 channels.*concat: false"),
        (GINConv, "mhdiff.guidance.GIN"),
        (Needy, "num_relations.*RGCNConv"),
        (PNAConv, "metadata"),
        (Strange, r"Strange cannot be called with \(x, edge_index\)"),
        (lambda i, o, r: RGCNConv(i, 2 * o, r), "32 channels where 16"),
        (lambda i, o, m: HGTConv(i, o, m, heads=3), "heads"),
    ],
)
def test_a_convolution_that_does_not_fit_is_refused_with_what_would(conv, words):
    with pytest.raises(InputError, match=words):
        MessagePassing(small.concept_graph(), 16, 2, conv=conv)


@pytest.mark.parametrize(
    ("conv", "keyword", "name"),
    [
        (GraphConv, "edge_weight", "weight"),
        (GCNConv, "edge_weight", "weight"),
        (lambda i, o: GATv2Conv(i, o, edge_dim=3), "edge_attr", "kind"),
        (lambda i, o: TransformerConv(i, o, edge_dim=3), "edge_attr", "kind"),
    ],
)
def test_edge_attributes_reach_the_messages(conv, keyword, name):
    torch.manual_seed(0)
    part = MessagePassing(weighted_graph(), small.DIM, 2, conv=conv, edge_attributes={keyword: name})
    before = run(part).tokens
    for position in range(len(part.relations)):
        part.routes.get_buffer(f"{keyword}_{position}").mul_(3.0)
    assert not torch.allclose(before, run(part).tokens)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"edge_attributes": {"edge_weight": "ic"}}, "names 'ic'.*do not have"),
        ({"conv": SAGEConv, "edge_attributes": {"edge_weight": "weight"}}, "SAGEConv cannot be called"),
        (
            {"conv": lambda i, o, m: HGTConv(i, o, m), "edge_attributes": {"edge_attr": "kind"}},
            "takes no edge attr",
        ),
        ({"norm": "instance"}, "norm 'instance'"),
        ({"jumping": "sum"}, "jumping knowledge 'sum'"),
        ({"layers": -1}, "rounds"),
    ],
)
def test_what_does_not_fit_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        MessagePassing(weighted_graph(), small.DIM, 2, **options)


def test_a_leaf_is_not_drowned_by_relations_that_do_not_reach_it():
    """Messages are averaged over the relations that arrive at a concept, not over all of them."""
    edges = {"is_a": torch.tensor([[0], [1]]), "rev_is_a": torch.tensor([[1], [0]])}
    more = {f"r{i}": torch.tensor([[2], [3]]) for i in range(6)}
    torch.manual_seed(0)
    few = MessagePassing(ConceptGraph(4, edges), 16, 2, layers=1, norm="none", dropout=0.0).eval()
    torch.manual_seed(0)
    many = MessagePassing(ConceptGraph(4, edges | more), 16, 2, layers=1, norm="none", dropout=0.0).eval()
    many.load_state_dict(few.state_dict(), strict=False)
    torch.testing.assert_close(few.states()[:2], many.states()[:2])


@pytest.mark.parametrize("conv", [SAGEConv, RGCNConv, lambda i, o, m: HGTConv(i, o, m)])
@pytest.mark.parametrize("channels", ["bias", "both"])
def test_the_part_that_a_batch_needs_gives_what_the_whole_graph_gives(conv, channels):
    parts = []
    for part in ("whole", "batch"):
        torch.manual_seed(0)
        parts.append(MessagePassing(weighted_graph(), small.DIM, 2, conv=conv, channels=channels, part=part))
    whole, batch = (run(part) for part in parts)
    torch.testing.assert_close(whole.tokens, batch.tokens)
    torch.testing.assert_close(whole.bias, batch.bias)
    torch.testing.assert_close(parts[0].states(), parts[1].states())


def test_neighbours_are_drawn_anew_in_training_and_the_same_ones_in_evaluation():
    torch.manual_seed(0)
    part = MessagePassing(small.concept_graph(), small.DIM, 2, part="batch", fan_out=1, dropout=0.0)
    part.embedding_dropout = 0.0
    assert torch.equal(run(part).tokens, run(part).tokens)
    part.train()
    drawn = [part(small.batch(4).evidence, torch.ones(4, 4, dtype=torch.bool)).tokens for _ in range(6)]
    assert any(not torch.equal(drawn[0], other) for other in drawn[1:])
    graph = small.concept_graph()
    unlike = torch.where(
        torch.arange(small.CONCEPTS) == 7, 1.0, 0.0
    )  # concept 7 is worth more than all others
    graph = ConceptGraph(graph.num_nodes, graph.edge_index, graph.modalities, {"x_ic": unlike[:, None]})
    leaning = MessagePassing(graph, small.DIM, 2, part="batch", fan_out=1, importance="x_ic")
    parent = int(graph.edge_index["is_a"][1][6])
    drawn = [
        cut(leaning.rows, torch.tensor([parent]), 1, ["is_a"], 1, leaning.importance, s) for s in range(50)
    ]
    assert sum(7 in part.nodes.tolist() for part in drawn) > 45
    with pytest.raises(InputError, match="x_term"):
        MessagePassing(graph, small.DIM, 2, part="batch", fan_out=1, importance="x_term")
    for options in ({"fan_out": 3}, {"part": "batch", "fan_out": 0}, {"part": "half"}):
        with pytest.raises(InputError, match="part"):
            MessagePassing(small.concept_graph(), small.DIM, 2, **options)


@pytest.mark.parametrize("norm", ["layer", "batch", "graph", "pair", "none"])
def test_a_round_starts_as_a_small_change_and_learns_how_much_it_says(norm):
    torch.manual_seed(0)
    options = {"conv": SAGEConv, "layers": 2, "inherit": "is_a", "dropout": 0.0, "embedding_dropout": 0.0}
    built = MessagePassing(small.concept_graph(), 16, 2, norm=norm, **options)
    first = built._first()
    assert 0 < (built.states() - first).norm() < 2 * first.norm()  # at full size messages drown it
    with torch.no_grad():
        for gate in built.gates:
            gate.zero_()
    assert torch.equal(built.states(), first)
    built.states().square().sum().backward()
    assert all(gate.grad.abs().sum() > 0 for gate in built.gates)
    assert not len(MessagePassing(small.concept_graph(), 16, 2, conv=SAGEConv, residual=False).gates)
