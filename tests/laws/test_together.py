"""Passing all relations together gives what relation by relation gives: values, both gradients, and what is on disk."""

from __future__ import annotations

import copy

import pytest
import torch
from torch_geometric.nn import GraphConv, SAGEConv

from graph_builders import ConceptGraph
from mhdiff.guidance import MessagePassing
from mhdiff.guidance.convolutions import ByRelation, RelationRoutes
from mhdiff.guidance.grouped import grouped_product
from mhdiff.guidance.spread import Spread
from mhdiff.guidance.together import Together, parts_of
from tests import small_model as small

DIM, NODES = 8, 15
CONVOLUTIONS = {
    "SAGE": SAGEConv,
    "SAGE sum": lambda i, o: SAGEConv(i, o, aggr="sum"),
    "SAGE without offset": lambda i, o: SAGEConv(i, o, bias=False),
    "Graph": GraphConv,
    "Graph mean": lambda i, o: GraphConv(i, o, aggr="mean"),
}
OTHERS = {
    "SAGE max": lambda i, o: SAGEConv(i, o, aggr="max"),
    "SAGE projected": lambda i, o: SAGEConv(i, o, project=True),
    "SAGE normalised": lambda i, o: SAGEConv(i, o, normalize=True),
    "SAGE without itself": lambda i, o: SAGEConv(i, o, root_weight=False),
    "SAGE against the arrows": lambda i, o: SAGEConv(i, o, flow="target_to_source"),
    "a subclass": type("Own", (SAGEConv,), {}),
}


def edges():
    """Relations of very different sizes: one of a single edge, one with an edge twice, one with none."""
    g = torch.Generator().manual_seed(3)
    many = torch.stack([torch.randint(0, NODES, (40,), generator=g), torch.randint(2, 9, (40,), generator=g)])
    return {
        "is_a": many,
        "due to": torch.tensor([[3], [11]]),
        "a.b": torch.tensor([[0, 0, 4, 5], [1, 1, 1, 12]]),
        "none": torch.empty(2, 0, dtype=torch.int64),
        "rev_is_a": many.flip(0),
    }


def both(name):
    torch.manual_seed(0)
    slow = ByRelation(lambda: CONVOLUTIONS[name](DIM, DIM), list(edges()))
    return slow, Together.of(slow)


@pytest.fixture(params=CONVOLUTIONS)
def name(request):
    return request.param


def told(round_, state, muted=()):
    routes = round_.routes(NODES, edges(), {})
    return round_(state, routes.muted(muted) if muted else routes)


@pytest.mark.parametrize("muted", [(), ("is_a", "none"), tuple(edges())])
def test_states_are_the_same(name, muted):
    slow, quick = both(name)
    state = torch.randn(NODES, DIM)
    torch.testing.assert_close(told(quick, state, muted), told(slow, state, muted))


def test_gradients_and_those_of_gradients_are_the_same(name):
    found = []
    for round_ in both(name):
        torch.manual_seed(1)
        state = torch.randn(NODES, DIM, requires_grad=True)
        torch.manual_seed(2)
        aim = torch.randn(NODES, DIM)
        (first,) = torch.autograd.grad((told(round_, state).sin() * aim).sum(), state, create_graph=True)
        first.square().sum().backward()
        weights = {k: p.grad for k, p in round_.named_parameters()}
        if isinstance(round_, Together):
            weights = as_on_disk(round_, weights)
        found.append({"first": first, "second": state.grad} | weights)
    slow, quick = found
    assert slow.keys() == quick.keys()
    for key, value in slow.items():
        torch.testing.assert_close(quick[key], torch.zeros_like(quick[key]) if value is None else value)


def as_on_disk(round_, gradients):
    """Name the gradients of the joined weights as the separate ones are named."""
    twin = copy.deepcopy(round_)
    twin.weight = torch.nn.Parameter(gradients["weight"])
    twin.bias = torch.nn.Parameter(gradients["bias"]) if "bias" in gradients else None
    return dict(twin.state_dict())


def test_weights_on_disk_have_one_form(name):
    slow, quick = both(name)
    state = slow.state_dict()
    assert list(quick.state_dict()) == list(state)
    for key, value in quick.state_dict().items():
        assert torch.equal(value, state[key])
    changed = {key: value + 1 for key, value in state.items()}
    quick.load_state_dict(changed)
    slow.load_state_dict(changed)
    x = torch.randn(NODES, DIM)
    torch.testing.assert_close(told(quick, x), told(slow, x))
    key = next(iter(changed))
    for wrong, words in (
        ({k: v for k, v in changed.items() if k != key}, "Missing key"),
        (changed | {"convolutions.other.lin_l.weight": changed[key]}, "Unexpected key"),
        (changed | {key: changed[key][:3]}, r"\(3, 8\)"),
    ):
        with pytest.raises(RuntimeError, match=words):
            quick.load_state_dict(wrong)


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_not_linear_goes_relation_by_relation(other):
    assert parts_of(OTHERS[other](DIM, DIM)) is None
    relations = list(edges())
    assert Together.of(ByRelation(lambda: OTHERS[other](DIM, DIM), relations)) is None


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64])
def test_other_numbers(name, kind):
    slow, quick = both(name)
    x = torch.randn(NODES, DIM)
    near = {"atol": 5e-2, "rtol": 5e-2} if kind is torch.bfloat16 else {}
    wanted = told(slow, x)
    torch.testing.assert_close(told(quick.to(kind), x.to(kind)).float(), wanted, **near)


def test_the_whole_guidance_trains_to_the_same_states():
    """Ten steps of AdamW with both rounds: the same start, the same random numbers, the same end."""
    ends = []
    for joined in (True, False):
        torch.manual_seed(0)
        graph = ConceptGraph(NODES, edges(), tuple(small.MODALITIES))
        part = MessagePassing(graph, DIM, 2, conv=SAGEConv, layers=2, inherit="is_a")
        assert all(isinstance(round_, Together) for round_ in part.rounds)
        if not joined:
            apart(part, graph)
        optimiser = torch.optim.AdamW(part.parameters(), lr=1e-2)
        for step in range(10):
            torch.manual_seed(step)
            aim = torch.randn(NODES, DIM)
            optimiser.zero_grad()
            (part.states() - aim).square().mean().backward()
            optimiser.step()
        ends.append(part.eval().states())
    torch.testing.assert_close(*ends, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("norm", ["layer", "none", "batch"])
@pytest.mark.parametrize("jumping", ["last", "cat"])
def test_a_step_that_multiplies_only_what_it_reads_learns_the_same(layers, norm, jumping, monkeypatch):
    torch.manual_seed(0)
    options = {"layers": layers, "norm": norm, "jumping": jumping, "inherit": "is_a", "dropout": 0.3}
    part = MessagePassing(small.concept_graph(), small.DIM, 2, **options).train()
    evidence = small.batch(3).evidence
    asked, found = [], []
    product = grouped_product

    def counting(x, weight, sizes):
        asked.append(len(x))
        return product(x, weight, sizes)

    monkeypatch.setattr("mhdiff.guidance.together.grouped_product", counting)
    for whole in (False, True):
        if whole:
            monkeypatch.setattr(part, "_read", lambda evidence: None)
        part.zero_grad()
        torch.manual_seed(1)
        out = part(evidence, torch.ones(3, 4, dtype=torch.bool))
        (out.tokens.sin().sum() + out.bias.cos().sum()).backward()
        found.append({"tokens": out.tokens} | {n: p.grad for n, p in part.named_parameters()})
    for name, value in found[1].items():
        torch.testing.assert_close(found[0][name], value, msg=name)
    few, many = asked[layers - 1], asked[2 * layers - 1]
    assert few < many if norm != "batch" else few == many  # over a whole batch of concepts all are needed


def apart(part, graph):
    """Put rounds that go relation by relation in the place of those that do not."""
    for place, round_ in enumerate(part.rounds):
        slow = ByRelation(lambda: SAGEConv(DIM, DIM), part.relations)
        slow.load_state_dict(round_.state_dict())
        part.rounds[place] = slow
    part.routes = RelationRoutes(graph.num_nodes, {r: graph.edge_index[r] for r in part.relations}, {})


def test_sums_and_products_have_the_gradients_that_they_claim():
    g = torch.Generator().manual_seed(0)
    row, column = torch.randint(0, 5, (12,), generator=g), torch.randint(0, 4, (12,), generator=g)
    weight = torch.rand(12, generator=g, dtype=torch.float64)
    spread = Spread(row, column, weight, 6, 4)
    dense = torch.zeros(6, 4, dtype=torch.float64).index_put((row, column), weight, accumulate=True)
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(spread(x), dense @ x)
    assert torch.autograd.gradcheck(spread, x)
    assert torch.autograd.gradgradcheck(spread, x)
    rows = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    maps = torch.randn(4, 3, 2, dtype=torch.float64, requires_grad=True)
    sizes = [4, 0, 1, 2]
    each = torch.cat([a @ b for a, b in zip(rows.split(sizes), maps, strict=True)])
    torch.testing.assert_close(grouped_product(rows, maps, sizes), each)
    assert torch.autograd.gradcheck(lambda a, b: grouped_product(a, b, sizes), (rows, maps))
    assert torch.autograd.gradgradcheck(lambda a, b: grouped_product(a, b, sizes), (rows, maps))
