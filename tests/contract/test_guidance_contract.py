"""What every guidance and every graph layer must do. A new one joins by being named in `PARTS`."""

from __future__ import annotations

import copy
import inspect
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch_geometric.nn import (
    ARMAConv,
    ClusterGCNConv,
    FastRGCNConv,
    FiLMConv,
    GATConv,
    GATv2Conv,
    GCNConv,
    GeneralConv,
    GraphConv,
    HANConv,
    HGTConv,
    LEConv,
    ResGatedGraphConv,
    RGATConv,
    RGCNConv,
    SAGEConv,
    SGConv,
    TAGConv,
    TransformerConv,
)

import mhdiff.guidance
from graph_builders import ConceptGraph
from mhdiff.batch import EvidenceBatch
from mhdiff.guidance import (
    GIN,
    Distance,
    Free,
    Guidance,
    Linked,
    MessagePassing,
    NoGuidance,
    OntologyAttention,
    Similarity,
)
from ontology.errors import InputError
from tests import small_model as small


def passing(**options):
    return lambda graph, dim, heads: MessagePassing(graph, dim, heads, **options)


PARTS = {
    "none": NoGuidance,
    "free": Free,
    "free with anchors": lambda g, d, h: Free(g, d, h, anchors=5),
    "linked": Linked,
    "linked 3 hops": lambda g, d, h: Linked(g, d, h, hops=3, polarity_gain="learned"),
    "similarity lin": Similarity,
    "similarity jaccard": lambda g, d, h: Similarity(g, d, h, measure="jaccard", polarity_gain="learned"),
    "similarity path": lambda g, d, h: Similarity(g, d, h, measure="path"),
    "similarity resnik": lambda g, d, h: Similarity(g, d, h, measure="resnik", ic="seco"),
    "similarity wu_palmer": lambda g, d, h: Similarity(g, d, h, measure="wu_palmer"),
    "distance": Distance,
    "attention over ancestors": OntologyAttention,
    "no rounds": passing(layers=0),
    "inherited alone": passing(layers=0, inherit="all", anchors=5),
    "inherited bias": passing(layers=0, inherit="is_a", channels="bias"),
    "SAGE inherited": passing(conv=SAGEConv, inherit="all"),
    "SAGE inherited over the batch's part": passing(conv=SAGEConv, inherit="all", part="batch"),
    "SAGE": passing(conv=SAGEConv),
    "SAGE bias": passing(conv=SAGEConv, channels="bias"),
    "SAGE anchors": passing(conv=SAGEConv, channels="bias", anchors=5),
    "SAGE tokens": passing(conv=SAGEConv, channels="tokens"),
    "SAGE over the batch's part": passing(conv=SAGEConv, part="batch"),
    "RGCN over a drawn part": passing(conv=RGCNConv, part="batch", fan_out=2, channels="bias"),
    "SAGE jumping cat": passing(conv=SAGEConv, jumping="cat", norm="batch"),
    "SAGE jumping max": passing(conv=SAGEConv, jumping="max", norm="graph"),
    "SAGE jumping lstm": passing(conv=SAGEConv, jumping="lstm", norm="pair"),
    "SAGE plain": passing(conv=SAGEConv, residual=False, norm="none", dropout=0.0),
    "GAT": passing(conv=GATConv),
    "GATv2": passing(conv=lambda i, o: GATv2Conv(i, o, heads=2, concat=False)),
    "GCN": passing(conv=GCNConv),
    "GIN": passing(conv=lambda i, o: GIN(i, o, train_eps=True)),
    "Graph": passing(conv=GraphConv),
    "Transformer": passing(conv=lambda i, o: TransformerConv(i, o, heads=2, concat=False)),
    "ResGated": passing(conv=ResGatedGraphConv),
    "General": passing(conv=GeneralConv),
    "LE": passing(conv=LEConv),
    "ClusterGCN": passing(conv=ClusterGCNConv),
    "TAG": passing(conv=lambda i, o: TAGConv(i, o, K=1)),
    "SG": passing(conv=SGConv),
    "ARMA": passing(conv=ARMAConv),
    "RGCN": passing(conv=RGCNConv),
    "FastRGCN": passing(conv=FastRGCNConv),
    "RGCN bases": passing(conv=lambda i, o, r: RGCNConv(i, o, r, num_bases=2)),
    "RGAT": passing(conv=RGATConv),
    "FiLM": passing(conv=lambda i, o, r: FiLMConv(i, o, r)),
    "HGT": passing(conv=lambda i, o, m: HGTConv(i, o, m, heads=2)),
    "HAN": passing(conv=lambda i, o, m: HANConv(i, o, m, heads=2)),
}
# Parameters that a layer of PyG makes and does not use with these settings.
UNUSED = {"ARMA": {"weight"}, "RGAT": {"w", "l1", "b1", "l2", "b2"}}
# Layers of PyG that make an index of their own on the default device and read it at once, which is no harm.
OWN_INDEX = {"RGCN", "RGCN bases", "RGCN over a drawn part", "HGT"}


def evidence(size=4, seed=0):
    return small.batch(size, seed).evidence


def everything(size=4):
    return torch.ones(size, 4, dtype=torch.bool)


def build(name, graph=None):
    torch.manual_seed(0)
    return PARTS[name](graph or small.concept_graph(), small.DIM, 2)


@pytest.fixture(params=PARTS)
def name(request):
    return request.param


def test_every_guidance_is_named_here():
    exported = {
        c
        for c in vars(mhdiff.guidance).values()
        if inspect.isclass(c) and issubclass(c, Guidance) and not inspect.isabstract(c)
    }
    assert exported == {type(build(name)) for name in PARTS}

    def below(kind):
        return {kind}.union(*(below(c) for c in kind.__subclasses__()))

    ours = {c for c in below(Guidance) if c.__module__.startswith("mhdiff.") and not inspect.isabstract(c)}
    assert ours == exported


def test_shapes(name):
    out = build(name)(evidence(), everything())
    tokens = 4 + 4 * small.SLOTS
    assert out.tokens.shape == (4, 4 * small.SLOTS, small.DIM)
    assert out.mask.shape == (4, 4 * small.SLOTS)
    assert out.bias is None or (
        out.bias.shape[0] == 4 and out.bias.shape[1] in (1, 2) and out.bias.shape[2:] == (tokens, tokens)
    )
    assert torch.isfinite(out.tokens).all()
    assert out.bias is None or torch.isfinite(out.bias).all()
    assert (out.anchors is None) == (out.toward is None)
    if out.anchors is not None:
        assert out.anchors.shape == (5, small.DIM)
        assert out.toward.shape == (4, 2, tokens, 5)
        assert torch.isfinite(out.toward).all()


def test_says_whether_it_gives_and_learns_a_bias(name):
    part = build(name)
    bias = part(evidence(), everything()).bias
    assert part.gives_bias == (bias is not None)
    assert part.learns_bias == (bias is not None and bias.requires_grad)


def test_absent_and_empty_evidence_gives_nothing(name):
    part, e = build(name), evidence()
    for out in (
        part(e, torch.zeros(4, 4, dtype=torch.bool)),
        part(EvidenceBatch(torch.full_like(e.concept, -1), e.weight, e.polarity), everything()),
    ):
        assert not out.mask.any()
        assert torch.count_nonzero(out.tokens) == 0
        assert out.bias is None or torch.count_nonzero(out.bias) == 0
        assert out.toward is None or torch.count_nonzero(out.toward) == 0


def test_a_single_modality_has_a_bias_only_within_itself(name):
    only = torch.zeros(4, 4, dtype=torch.bool)
    only[:, 2] = True
    part = build(name).eval()
    out, full = part(evidence(), only), part(evidence(), everything())
    theirs = torch.ones(4 + 4 * small.SLOTS, dtype=torch.bool)
    theirs[2] = False
    theirs[4 + 2 * small.SLOTS : 4 + 3 * small.SLOTS] = False
    assert torch.count_nonzero(out.tokens[:, theirs[4:]]) == 0
    if out.bias is not None:
        assert torch.count_nonzero(out.bias[:, :, theirs]) == 0
        assert torch.count_nonzero(out.bias[:, :, :, theirs]) == 0
        # What stands between tokens that are still there does not depend on those that are gone.
        torch.testing.assert_close(
            out.bias[:, :, ~theirs][..., ~theirs], full.bias[:, :, ~theirs][..., ~theirs]
        )


def test_patients_do_not_see_each_other(name):
    part, e = build(name).eval(), evidence()
    together = part(e, everything())
    alone = part(EvidenceBatch(e.concept[:1], e.weight[:1], e.polarity[:1]), everything(1))
    torch.testing.assert_close(together.tokens[:1], alone.tokens)
    if together.bias is not None:
        torch.testing.assert_close(together.bias[:1], alone.bias)


def test_eval_is_deterministic_and_state_dict_round_trips(name):
    part, other = build(name).eval(), build(name)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    other.load_state_dict(part.state_dict())
    a, b, c = (p(evidence(), everything()) for p in (part, part, other.eval()))
    assert torch.equal(a.tokens, b.tokens)
    assert torch.equal(a.tokens, c.tokens)
    if a.bias is not None:
        assert torch.equal(a.bias, b.bias)
        assert torch.equal(a.bias, c.bias)


def test_slots_may_come_in_any_order(name):
    part, e = build(name).eval(), evidence()
    order = torch.tensor([2, 0, 1])
    turned = EvidenceBatch(e.concept[..., order], e.weight[..., order], e.polarity[..., order])
    a, b = part(e, everything()), part(turned, everything())
    shape = (4, 4, small.SLOTS, small.DIM)
    torch.testing.assert_close(a.tokens.view(shape)[:, :, order], b.tokens.view(shape))
    if a.bias is not None:
        torch.testing.assert_close(a.bias[:, :, :4, :4], b.bias[:, :, :4, :4])


def test_concepts_may_be_numbered_in_any_order(name):
    if name == "RGCN over a drawn part":
        pytest.skip("which neighbours are drawn depends on their numbers")
    graph, e = small.concept_graph(), evidence()
    to = torch.randperm(small.CONCEPTS, generator=torch.Generator().manual_seed(3))
    renumbered = ConceptGraph(
        graph.num_nodes, {r: to[ends] for r, ends in graph.edge_index.items()}, graph.modalities
    )
    part, other = build(name).eval(), build(name, renumbered).eval()
    state = copy.deepcopy(part.state_dict())
    state["embedding.weight"][to] = part.state_dict()["embedding.weight"]
    other.load_state_dict(state)
    moved = EvidenceBatch(torch.where(e.concept >= 0, to[e.concept], -1), e.weight, e.polarity)
    a, b = part(e, everything()), other(moved, everything())
    torch.testing.assert_close(a.tokens, b.tokens, atol=1e-5, rtol=1e-4)
    if a.bias is not None:
        torch.testing.assert_close(a.bias, b.bias, atol=1e-5, rtol=1e-4)


def test_a_graph_of_isolated_concepts_will_do(name):
    graph = ConceptGraph(
        small.CONCEPTS, {"is_a": torch.empty(2, 0, dtype=torch.int64)}, tuple(small.MODALITIES)
    )
    part = build(name, graph).eval()
    out = part(evidence(), everything())
    assert torch.isfinite(out.tokens).all()
    assert out.bias is None or torch.isfinite(out.bias).all()
    # No messages: the tokens are what they are without an ontology.
    plain = part.tell(part.embedded(), evidence(), out.mask)
    torch.testing.assert_close(out.tokens, plain)


def test_a_graph_without_concepts_is_refused_where_there_would_be_nothing_to_say(name):
    graph = ConceptGraph(0, {"is_a": torch.empty(2, 0, dtype=torch.int64)}, tuple(small.MODALITIES))
    if name != "none":
        with pytest.raises(InputError, match="no concepts"):
            build(name, graph)
        return
    nobody = replace(evidence(), concept=torch.full_like(evidence().concept, -1))
    out = build(name, graph)(nobody, everything())
    assert not out.mask.any()
    assert (out.tokens == 0).all()


def test_an_isolated_concept_among_others_keeps_its_state(name):
    graph = small.concept_graph()
    lonely = ConceptGraph(small.CONCEPTS + 1, graph.edge_index, graph.modalities)
    part = build(name, lonely).eval()
    if getattr(part, "jumping", "last") in ("cat", "lstm"):
        pytest.skip("a learned map over the rounds makes another state of the same states")
    torch.testing.assert_close(part.states()[-1], part.embedded()[-1])


def dense_graph():
    """Several neighbours for every concept: attention to a single one has no gradient."""
    g = torch.Generator().manual_seed(5)
    above = torch.tensor(
        [[i, i // 2 - k] for i in range(2, small.CONCEPTS) for k in range(min(2, i // 2))]
    ).t()
    some = torch.randint(0, small.CONCEPTS, (2, 40), generator=g)
    edges = {"is_a": above, "rev_is_a": above.flip(0), "site": some, "rev_site": some.flip(0)}
    return ConceptGraph(small.CONCEPTS, edges, tuple(small.MODALITIES))


def test_a_gradient_reaches_every_parameter(name):
    part = build(name, dense_graph()).train()
    part.embedding_dropout = 0.0
    out = part(evidence(), everything())
    loss = (out.tokens * torch.randn_like(out.tokens)).sum()
    if out.bias is not None:
        loss = loss + (out.bias * torch.randn_like(out.bias)).sum()
    if out.anchors is not None:
        loss = loss + (out.toward * torch.randn_like(out.toward)).sum() + out.anchors.sum()
    loss.backward()
    without = [n for n, p in part.named_parameters() if p.grad is None or (p.numel() and not p.grad.any())]
    assert {n.rsplit(".", 1)[-1] for n in without} == UNUSED.get(name, set())


def test_bf16_autocast(name):
    with torch.autocast("cpu", torch.bfloat16):
        out = build(name)(evidence(), everything())
    assert torch.isfinite(out.tokens.float()).all()
    assert out.bias is None or torch.isfinite(out.bias.float()).all()


def test_stays_on_the_device_of_what_it_is_given(name):
    """Whatever a forward pass makes without a device lands on "meta" here, and would not mix with the rest."""
    part = build(name).eval()
    registered = {
        id(t) for module in part.modules() for t in (*module.parameters(False), *module.buffers(False))
    }
    for module in part.modules():
        loose = [
            k for k, v in vars(module).items() if isinstance(v, torch.Tensor) and id(v) not in registered
        ]
        assert not loose, f"{type(module).__name__}.{loose} would stay behind"
    if name in OWN_INDEX:
        return
    e, present = evidence(), everything()
    with torch.device("meta"):
        out = part(e, present)
    assert out.tokens.device.type == "cpu"
    assert out.bias is None or out.bias.device.type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_gives_on_a_gpu_what_it_gives_on_the_cpu(name):
    part, e = build(name).eval(), evidence()
    here = part(e, everything())
    there = part.cuda()(
        EvidenceBatch(e.concept.cuda(), e.weight.cuda(), e.polarity.cuda()), everything().cuda()
    )
    torch.testing.assert_close(here.tokens, there.tokens.cpu(), atol=1e-4, rtol=1e-3)


def test_features_of_the_graph_are_read():
    graph = small.concept_graph()
    graph = ConceptGraph(
        graph.num_nodes, graph.edge_index, graph.modalities, {"x_term": torch.randn(small.CONCEPTS, 5)}
    )
    with_features = build("SAGE", graph).eval()
    assert with_features.features == ("x_term",)
    before = with_features(evidence(), everything()).tokens
    with torch.no_grad():
        with_features.get_buffer("feature_x_term").neg_()
    assert not torch.equal(before, with_features(evidence(), everything()).tokens)
    assert build("none", graph).features == ()
    alone = MessagePassing(graph, small.DIM, 2, learn_embedding=False)
    assert alone.embedding is None
    assert isinstance(alone, nn.Module)
    assert torch.isfinite(alone(evidence(), everything()).tokens).all()
