"""What a concept inherits: the sum over all that it reaches upward, as an independent walk finds it."""

import networkx as nx
import pytest
import torch

from graph_builders import ConceptGraph
from graph_builders.nulls import make_null
from mhdiff.guidance import MessagePassing
from mhdiff.guidance.inheritance import Inheritance
from ontology import load_rf2
from ontology.builtin import write_rf2
from ontology.errors import InputError
from tests import small_model as small
from tests.null_graphs import MODALITIES, patient_graph


def upward(graph, names):
    """Who reaches whom, by networkx."""
    walked = nx.DiGraph()
    walked.add_nodes_from(range(graph.num_nodes))
    for name in names:
        walked.add_edges_from(graph.edge_index[name].T.tolist())
    return {c: sorted({c} | nx.descendants(walked, c)) for c in walked}


@pytest.mark.parametrize(("walk", "names"), [("is_a", ["is_a"]), ("all", ["is_a", "finding_site"])])
def test_a_state_is_the_sum_over_what_is_reached(walk, names):
    graph = small.concept_graph()
    own = torch.randn(graph.num_nodes, 5, dtype=torch.float64)

    def look_up(nodes):
        return own if nodes is None else own[nodes]

    part = Inheritance(graph, walk)
    found = part(look_up)
    above = upward(graph, names)
    for concept, reached in above.items():
        torch.testing.assert_close(found[concept], own[reached].sum(0) / len(reached) ** 0.5)
    some = torch.tensor([7, 0, 7, 3])
    torch.testing.assert_close(part(look_up, some), found[some])


def test_what_is_muted_is_not_inherited_along():
    graph = small.concept_graph()
    own = torch.randn(graph.num_nodes, 5)
    part = Inheritance(graph, "all")
    without = part(lambda nodes: own, muted=["finding_site", "rev_finding_site"])
    torch.testing.assert_close(without, Inheritance(graph, "is_a")(lambda nodes: own))
    alone = part(lambda nodes: own, muted=["is_a", "finding_site"])
    torch.testing.assert_close(alone, own)


def test_the_bias_channel_does_not_show_inherited_tokens():
    torch.manual_seed(0)
    graph, evidence = small.concept_graph(), small.batch(4).evidence
    present = torch.ones(4, 4, dtype=torch.bool)
    parts = {
        channels: MessagePassing(
            graph, small.DIM, 2, layers=0, inherit="all", channels=channels, anchors=3
        ).eval()
        for channels in ("bias", "both", "tokens")
    }
    state = parts["both"].state_dict()
    for part in parts.values():
        part.load_state_dict({name: state[name] for name in part.state_dict()})
    bias, both, tokens = (parts[name](evidence, present) for name in ("bias", "both", "tokens"))
    assert torch.equal(bias.bias, both.bias)
    assert torch.equal(both.tokens, tokens.tokens)
    assert not torch.allclose(bias.tokens, both.tokens)
    plain = MessagePassing(graph, small.DIM, 2, layers=0, channels="tokens").eval()
    plain.load_state_dict({name: state[name] for name in plain.state_dict()})
    assert torch.equal(bias.tokens, plain(evidence, present).tokens)


def test_a_severed_graph_leaves_each_concept_its_own_embedding(tmp_path):
    ontology = load_rf2(write_rf2(tmp_path / "builtin"))
    severed = make_null("severed", 0)(patient_graph(ontology, samples=20).data)
    concepts = ConceptGraph.from_data(severed, MODALITIES)
    own = torch.randn(concepts.num_nodes, 3)
    torch.testing.assert_close(Inheritance(concepts, "all")(lambda nodes: own), own)


def test_another_walk_is_refused():
    with pytest.raises(InputError, match="none, is_a or all"):
        MessagePassing(small.concept_graph(), small.DIM, 2, inherit="downward")
