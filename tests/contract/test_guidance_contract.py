"""What every guidance must do. A new member joins by being a subclass; options it needs go into OPTIONS."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.nn import GATv2Conv, GINConv, GraphConv, SAGEConv, TransformerConv

import mhdiff.guidance
from mhdiff.batch import EvidenceBatch
from mhdiff.guidance import Guidance, Linked, MessagePassing
from ontology.errors import InputError
from tests import small_model as small

MEMBERS = [
    c
    for c in vars(mhdiff.guidance).values()
    if isinstance(c, type) and issubclass(c, Guidance) and c is not Guidance
]


def evidence(size=4, seed=0):
    return small.batch(size, seed).evidence


@pytest.fixture(params=MEMBERS, ids=lambda c: c.__name__)
def guidance(request):
    torch.manual_seed(0)
    return request.param(small.concept_graph(), small.DIM, 2)


def test_every_subclass_is_exported():
    assert {c.__name__ for c in Guidance.__subclasses__()} <= {c.__name__ for c in MEMBERS}


def test_shapes(guidance):
    e = evidence()
    out = guidance(e, torch.ones(4, 4, dtype=torch.bool))
    tokens = 4 + 4 * small.SLOTS
    assert out.tokens.shape == (4, 4 * small.SLOTS, small.DIM)
    assert out.bias is None or (
        out.bias.shape[0] == 4 and out.bias.shape[1] in (1, 2) and out.bias.shape[2:] == (tokens, tokens)
    )


def test_absent_and_empty_evidence_gives_zero_tokens(guidance):
    e = evidence()
    out = guidance(e, torch.zeros(4, 4, dtype=torch.bool))
    assert torch.count_nonzero(out.tokens) == 0
    assert out.bias is None or torch.count_nonzero(out.bias) == 0
    none = EvidenceBatch(torch.full_like(e.concept, -1), e.weight, e.polarity)
    assert torch.isfinite(guidance(none, torch.ones(4, 4, dtype=torch.bool)).tokens).all()


def test_eval_is_deterministic_and_state_dict_round_trips(guidance):
    guidance.eval()
    e, present = evidence(), torch.ones(4, 4, dtype=torch.bool)
    other = type(guidance)(small.concept_graph(), small.DIM, 2).eval()
    other.load_state_dict(guidance.state_dict())
    a, b, c = guidance(e, present), guidance(e, present), other(e, present)
    assert torch.equal(a.tokens, b.tokens)
    assert torch.equal(a.tokens, c.tokens)


def test_slots_may_come_in_any_order(guidance):
    guidance.eval()
    e, present = evidence(), torch.ones(4, 4, dtype=torch.bool)
    order = torch.tensor([2, 0, 1])
    turned = EvidenceBatch(e.concept[..., order], e.weight[..., order], e.polarity[..., order])
    a, b = guidance(e, present), guidance(turned, present)
    shape = (4, 4, small.SLOTS, small.DIM)
    torch.testing.assert_close(a.tokens.view(shape)[:, :, order], b.tokens.view(shape))
    if a.bias is not None:
        torch.testing.assert_close(a.bias[:, :, :4, :4], b.bias[:, :, :4, :4])


def test_bf16_autocast(guidance):
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(guidance(evidence(), torch.ones(4, 4, dtype=torch.bool)).tokens.float()).all()


@pytest.mark.parametrize("conv", [SAGEConv, GATv2Conv, GraphConv, TransformerConv])
def test_any_convolution_between_concepts(conv):
    out = MessagePassing(small.concept_graph(), small.DIM, 2, conv=conv)(
        evidence(), torch.ones(4, 4, dtype=torch.bool)
    )
    assert torch.isfinite(out.tokens).all()


def test_a_convolution_that_does_not_fit_is_refused_with_the_remedy():
    with pytest.raises(InputError, match="concat"):
        MessagePassing(small.concept_graph(), 16, 2, conv=lambda i, o: GATv2Conv(i, o, heads=4))
    with pytest.raises(InputError, match="in_channels"):
        MessagePassing(small.concept_graph(), 16, 2, conv=lambda i, o: GINConv(i, o))


@pytest.mark.parametrize("channels", ["bias", "tokens", "both"])
def test_the_graph_reaches_only_the_channels_that_are_on(channels):
    torch.manual_seed(0)
    g = MessagePassing(small.concept_graph(), small.DIM, 2, channels=channels).eval()
    present = torch.ones(4, 4, dtype=torch.bool)
    before = g(evidence(), present)
    for round_ in g.rounds:  # other messages
        for p in round_.parameters():
            p.data += 1.0
    after = g(evidence(), present)
    assert torch.equal(before.tokens, after.tokens) == (channels == "bias")
    assert (before.bias is None) == (channels == "tokens")
    if before.bias is not None:
        assert not torch.equal(before.bias, after.bias)


def test_linked_is_one_within_the_hops_and_zero_beyond():
    import networkx as nx

    graph = small.concept_graph()
    undirected = nx.Graph()
    undirected.add_nodes_from(range(graph.num_nodes))
    for edges in graph.edge_index.values():
        undirected.add_edges_from(edges.t().tolist())
    near = dict(nx.all_pairs_shortest_path_length(undirected, cutoff=2))
    e = evidence()
    bias = Linked(graph, small.DIM, 2, hops=2)(e, torch.ones(4, 4, dtype=torch.bool)).bias[:, 0]
    for b in range(4):
        flat = e.concept[b].flatten().tolist()
        for i, ci in enumerate(flat):
            for j, cj in enumerate(flat):
                wanted = ci >= 0 and cj >= 0 and cj in near[ci]
                assert bias[b, 4 + i, 4 + j].item() == float(wanted)
        for m in range(4):
            for n in range(4):
                pairs = [
                    (a, c)
                    for a in e.concept[b, m].tolist()
                    for c in e.concept[b, n].tolist()
                    if a >= 0 and c >= 0
                ]
                assert bias[b, m, n].item() == float(any(c in near[a] for a, c in pairs))
