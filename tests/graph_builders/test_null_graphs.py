"""What each null graph keeps, and what it destroys, on the built-in terminology."""

import copy

import networkx as nx
import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data.datapipes.iter import IterableWrapper
from torch_geometric.data import HeteroData

from graph_builders import (
    ConceptGraph,
    Cooccurrence,
    Evidence,
    PatientGraph,
    RandomEdges,
    Rewired,
    Severed,
    ShuffledEvidence,
    build_ontology_graph,
    reach_around,
)
from graph_builders.build import connect
from graph_builders.nulls.base import read_samples, write_samples
from ontology import load_rf2
from ontology.builtin import write_rf2
from ontology.errors import InputError
from tests.null_graphs import (
    EVIDENCES,
    MODALITIES,
    changed,
    check_reverse,
    check_rewired,
    depth_below_roots,
    evidence_kept,
    evidence_table,
    is_a_links,
    is_acyclic,
    keys,
    patient_graph,
    split_of,
    stated,
    with_features,
)

SAMPLES = 60


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    return load_rf2(write_rf2(tmp_path_factory.mktemp("rf2") / "builtin"))


@pytest.fixture(scope="module")
def graph(builtin):
    return patient_graph(builtin, SAMPLES)


def networkx_is_a(data):
    graph = nx.DiGraph()
    graph.add_nodes_from(range(data["concept"].num_nodes))
    graph.add_edges_from(data["concept", "is_a", "concept"].edge_index.t().tolist())
    return graph


# Rewired


def test_what_rewiring_keeps(graph):
    data, null = graph.data, Rewired(1)(graph.data)
    check_rewired(data, null)
    before, after = networkx_is_a(data), networkx_is_a(null)
    assert nx.is_directed_acyclic_graph(after)
    roots = {node for node in before if before.out_degree(node) == 0}
    assert roots == {node for node in after if after.out_degree(node) == 0}
    assert all(nx.descendants(after, node) & roots for node in after if node not in roots)
    assert np.array_equal(depth_below_roots(is_a_links(null)), data["concept"].depth.numpy())


def test_the_range_of_a_relation_stays_what_it_was(graph):
    null = Rewired(1)(graph.data)
    is_a = networkx_is_a(graph.data)
    (root,) = (node for node in is_a if is_a.out_degree(node) == 0)
    tops = set(is_a.predecessors(root))
    above = {node: frozenset(({node} | nx.descendants(is_a, node)) & tops) for node in is_a}
    for kind in stated(graph.data):
        if kind[1] != "is_a":
            for before, after in zip(graph.data[kind].edge_index[1], null[kind].edge_index[1], strict=True):
                assert above[int(before)] == above[int(after)]


def test_what_rewiring_destroys(graph):
    rewired = Rewired(1)
    null = rewired(graph.data)
    told = rewired.report["relations"]
    share = changed(graph.data, null)
    assert share == {name: row["changed"] for name, row in told.items()}
    assert share["is_a"] > 0.5
    for name, row in told.items():
        free = row["edges"] - row["unswappable"] - row["short"]
        assert row["swaps"] >= 10 * free, name
    # Two concepts with a parent in common: few have still one.
    real, other = (is_a_links(data) for data in (graph.data, null))
    siblings = [(links @ links.T).astype(bool).tolil() for links in (real, other)]
    for one in siblings:
        one.setdiag(False)
    common, both = (m.tocsr().nnz for m in (siblings[0], siblings[0].multiply(siblings[1])))
    assert both < 0.5 * common


def test_parents_as_deep_as_their_children_make_no_circle():
    # All below the root, so all of depth 1, and below each other too: depth alone would not keep circles away. Another
    # relation among them runs in no circle either, a third one does.
    data = HeteroData()
    data["concept"].num_nodes = 25
    data["concept"].sctid = data["concept"].depth = torch.arange(25)
    rng = np.random.default_rng(0)
    below = np.array([(i, j) for i in range(1, 25) for j in range(1, i) if rng.random() < 0.2]).T
    root = np.stack([np.arange(1, 25), np.zeros(24, dtype=int)])
    connect(data, ("concept", "is_a", "concept"), np.concatenate([root, below], axis=1))
    connect(data, ("concept", "part_of", "concept"), below)
    connect(data, ("concept", "near", "concept"), np.concatenate([below, below[::-1]], axis=1))
    for seed in range(5):
        null = Rewired(seed)(data)
        check_rewired(data, null)
        part_of = nx.DiGraph(null["concept", "part_of", "concept"].edge_index.t().tolist())
        assert nx.is_directed_acyclic_graph(part_of)
        assert min(changed(data, null).values()) > 0.2


def test_edges_that_cannot_be_swapped_are_counted(toy):
    data = build_ontology_graph(toy)
    rewired = Rewired(0)
    null = rewired(data)
    check_rewired(data, null)
    told = rewired.report["relations"]
    assert sum(row["edges"] for row in told.values()) == sum(
        data[kind].edge_index.shape[1] for kind in stated(data)
    )
    for kind in stated(data):
        if kind[1] != "is_a":  # one edge of each of these relations
            assert told[kind[1]]["unswappable"] == told[kind[1]]["edges"]
            assert torch.equal(data[kind].edge_index, null[kind].edge_index)


def test_where_relation_types_were_merged_is_a_is_known_by_its_number(graph):
    data, number = copy.copy(graph.data), {}
    ends, relation = [], []
    for place, kind in enumerate(sorted(stated(graph.data), key=lambda kind: kind[1] != "is_a")):
        number[kind[1]] = place
        ends.append(data[kind].edge_index)
        relation.append(torch.full((ends[-1].shape[1],), place))
        del data[kind]
        del data[kind[2], f"rev_{kind[1]}", kind[0]]  # and the graph goes one way
    data["concept", "related", "concept"].edge_index = torch.cat(ends, 1)
    data["concept", "related", "concept"].relation = torch.cat(relation)
    for null in (Rewired(1), RandomEdges(1)):
        after = null(data)
        assert not [kind for kind in after.edge_types if kind[1] == "rev_related"]
        store = after["concept", "related", "concept"]
        is_a = nx.DiGraph(store.edge_index[:, store.relation == 0].t().tolist())
        assert nx.is_directed_acyclic_graph(is_a)
        if isinstance(null, Rewired):
            before = data["concept", "related", "concept"].edge_index
            for place in number.values():
                mine = store.relation == place
                assert torch.equal(before[1, mine].sort().values, store.edge_index[1, mine].sort().values)


# RandomEdges


def test_what_random_edges_keep_and_destroy(graph):
    data, null = graph.data, RandomEdges(1)(graph.data)
    check_reverse(null)
    evidence_kept(data, null)
    for kind in stated(data):
        source, target = null[kind].edge_index.numpy()
        assert len(source) == data[kind].edge_index.shape[1] == len(np.unique(keys(null, kind)))
        assert (source != target).all()
    assert is_acyclic(is_a_links(null))
    depth = data["concept"].depth.numpy()
    child, parent = null["concept", "is_a", "concept"].edge_index.numpy()
    assert (depth[child] >= depth[parent]).all()
    assert min(changed(data, null).values()) > 0.8
    degree = np.bincount(parent, minlength=len(depth))
    assert (
        degree.max() < np.bincount(data["concept", "is_a", "concept"].edge_index[1]).max() / 2
    )  # no hubs left


def test_endpoints_of_random_edges_are_drawn_evenly(toy):
    data = build_ontology_graph(toy)
    seen = np.zeros(len(toy))
    draws = 600
    for seed in range(draws):
        seen += np.bincount(
            RandomEdges(seed)(data)["concept", "is_a", "concept"].edge_index.flatten(), minlength=len(toy)
        )
    mean = draws * 2 * data["concept", "is_a", "concept"].edge_index.shape[1] / len(toy)
    assert np.abs(seen / mean - 1).max() < 0.15


def test_more_edges_than_pairs_are_refused(toy):
    data = build_ontology_graph(toy)
    ends = torch.zeros(2, len(toy) ** 2, dtype=torch.int64)
    data["concept", "full", "concept"].edge_index = ends
    with pytest.raises(InputError, match="cannot be drawn"):
        RandomEdges(0)(data)


# Cooccurrence


def pairs(data):
    return {tuple(sorted(pair)) for kind in stated(data) for pair in data[kind].edge_index.t().tolist()}


@pytest.mark.parametrize("rank", ["pmi", "count"])
def test_cooccurrence_takes_the_best_pairs_of_the_training_samples(graph, rank):
    train = split_of(SAMPLES)["train"]
    null = Cooccurrence(1, train, rank=rank)
    data = null(graph.data)
    check_reverse(data)
    evidence_kept(graph.data, data)
    assert is_acyclic(is_a_links(data))
    node = {int(sctid): i for i, sctid in enumerate(data["concept"].sctid)}
    present = graph.evidence.table.filter(
        (pl.col("polarity") == "present") & pl.col("sample_id").is_in(train)
    )
    bags = [{node[c] for c in group["concept"]} for _, group in present.group_by("sample_id")]
    together, alone = {}, {}
    for bag in bags:
        for i in bag:
            alone[i] = alone.get(i, 0) + 1
            for j in bag:
                if i < j:
                    together[i, j] = together.get((i, j), 0) + 1

    def score(pair):
        i, j = pair
        pmi = np.log(together[pair] * len(train) / (alone[i] * alone[j]))
        return (together[pair] >= 2, round(pmi if rank == "pmi" else together[pair], 9))

    chosen = pairs(data)
    edges = sum(graph.data[kind].edge_index.shape[1] for kind in stated(graph.data))
    assert len(chosen) == null.report["pairs"] == min(edges, len(together))
    assert chosen <= set(together)
    rest = set(together) - chosen
    assert not rest or min(map(score, chosen)) >= max(map(score, rest))
    if len(together) >= edges:
        assert all(data[k].edge_index.shape == graph.data[k].edge_index.shape for k in stated(graph.data))


def test_held_out_samples_have_no_influence_on_cooccurrence(builtin, graph):
    train = split_of(SAMPLES)["train"]
    others = evidence_table(builtin.sctids[np.diff(builtin.child_links.indptr) == 0], SAMPLES, seed=9)
    mine = pl.col("sample_id").is_in(train)
    # The same training samples among others: other evidence, another number of samples, observations and edges.
    swapped = Evidence(
        pl.concat([graph.evidence.table.filter(mine), others.table.filter(~mine)]),
        observed=pl.concat([graph.evidence.observed.filter(mine), others.observed.filter(~mine)]),
    )
    shell = copy.copy(graph.data)
    for kind in list(shell.edge_types):
        if "observation" in (kind[0], kind[2]):
            del shell[kind]
    del shell["observation"]
    there = PatientGraph.build(builtin, swapped, graph.samples, MODALITIES).data
    # On the concepts of the first graph, so that the two can be compared edge by edge.
    known = {int(sctid): place for place, sctid in enumerate(shell["concept"].sctid)}
    node, observation = there[EVIDENCES].edge_index
    place = torch.tensor([known.get(int(there["concept"].sctid[one]), -1) for one in node])
    held = place >= 0
    shell["observation"].num_nodes = there["observation"].num_nodes
    shell["observation"].sample_id = there["observation"].sample_id
    shell[EVIDENCES].edge_index = torch.stack([place[held], observation[held]])
    shell[EVIDENCES].polarity = there[EVIDENCES].polarity[held]
    assert not torch.equal(shell[EVIDENCES].edge_index, graph.data[EVIDENCES].edge_index)
    one, other = Cooccurrence(3, train)(graph.data), Cooccurrence(3, train)(shell)
    for kind in stated(graph.data):
        assert torch.equal(one[kind].edge_index, other[kind].edge_index)
    everyone = Cooccurrence(3, range(SAMPLES))(graph.data)
    assert pairs(everyone) != pairs(one)  # were held-out samples counted, it would show


def test_too_few_pairs_are_shared_out_and_told(graph):
    null = Cooccurrence(1, split_of(SAMPLES)["train"][:6])
    data = null(graph.data)
    kinds = stated(graph.data)
    sizes = {kind[1]: data[kind].edge_index.shape[1] for kind in kinds}
    assert min(sizes.values()) >= 1
    assert sum(sizes.values()) == null.report["pairs"] < null.report["edges"]
    assert sizes == {name: row["edges"] for name, row in null.report["relations"].items()}
    largest = max(kinds, key=lambda kind: graph.data[kind].edge_index.shape[1])
    assert sizes[largest[1]] == max(sizes.values())
    with pytest.raises(InputError, match="fewer than the graph has relations"):
        Cooccurrence(1, [SAMPLES])(graph.data)  # a sample that nothing is known of
    with pytest.raises(InputError, match="there are none"):
        Cooccurrence(1, [])
    with pytest.raises(InputError, match="Choose pmi or count"):
        Cooccurrence(1, [0], rank="lift")


# ShuffledEvidence


def tokens_of(graph, samples):
    table = graph.tokens(samples, MODALITIES, 8)
    return table.concept, table.weight, table.polarity


def test_what_shuffling_evidence_keeps(graph):
    split = split_of(SAMPLES)
    shuffled = graph.transform(ShuffledEvidence(1, split))
    for kind in stated(graph.data):
        assert torch.equal(graph.data[kind].edge_index, shuffled.data[kind].edge_index)
    assert torch.equal(graph.data["concept"].sctid, shuffled.data["concept"].sctid)
    before, after = graph.evidence, shuffled.evidence
    assert before.observed.equals(after.observed)
    assert before.table.height == after.table.height
    named = pl.col("sample_id").replace_strict({i: n for n, ids in split.items() for i in ids})
    for columns in (["split", "modality", "concept", "polarity", "weight"], ["sample_id", "modality"]):
        counts = [
            e.merged.with_columns(split=named).group_by(columns).len().sort(columns) for e in (before, after)
        ]
        assert counts[0].equals(counts[1])  # frequencies in a split, and how much each observation has
    alone = ShuffledEvidence(1, split)(graph.data)  # the transform alone does what `transform` does
    for name, value in shuffled.data[EVIDENCES].items():
        assert torch.equal(value, alone[EVIDENCES][name]), name


def test_what_shuffling_evidence_destroys(graph):
    null = ShuffledEvidence(1, split_of(SAMPLES))
    shuffled = graph.transform(null)
    keys_ = ["sample_id", "modality", "concept", "polarity"]
    same = graph.evidence.merged.join(shuffled.evidence.merged, on=keys_).height
    assert null.report["moved"] == pytest.approx(1 - same / graph.evidence.merged.height)
    assert null.report["moved"] > 0.7
    assert null.report["without_a_partner"] == 0
    ours, theirs = (tokens_of(g, range(SAMPLES)) for g in (graph, shuffled))
    assert torch.equal(ours[0] >= 0, theirs[0] >= 0)  # as many tokens, of other patients
    assert not torch.equal(ours[0], theirs[0])


def test_no_evidence_crosses_from_one_split_to_another(graph):
    split = split_of(SAMPLES)
    shuffled = graph.transform(ShuffledEvidence(1, split))
    for ids in split.values():
        mine = pl.col("sample_id").is_in(ids)
        bags = [sorted(g.evidence.merged.filter(mine)["concept"]) for g in (graph, shuffled)]
        assert bags[0] == bags[1]


def test_a_moved_row_does_not_carry_another_patients_words(graph):
    shuffled = graph.transform(ShuffledEvidence(1, split_of(SAMPLES)))
    words = shuffled.evidence.table.filter(pl.col("text").is_not_null())
    assert words.height < graph.evidence.table.height
    assert (words["text"] == "patient " + words["sample_id"].cast(pl.String)).all()
    assert shuffled.evidence.table["source"].null_count() == 0


def test_a_shuffled_graph_is_saved_with_its_evidence(graph, tmp_path):
    shuffled = graph.transform(ShuffledEvidence(1, split_of(SAMPLES)))
    shuffled.save(tmp_path / "graph")
    again = PatientGraph.open(tmp_path / "graph")
    assert again.fingerprint == shuffled.fingerprint != graph.fingerprint
    assert all(
        torch.equal(a, b) for a, b in zip(tokens_of(again, [0, 1]), tokens_of(shuffled, [0, 1]), strict=True)
    )


def test_splits_that_do_not_fit_are_refused(graph):
    with pytest.raises(InputError, match="in no split, such as 2"):
        graph.transform(ShuffledEvidence(1, {"train": [0, 1]}))
    with pytest.raises(InputError, match="in two splits"):
        ShuffledEvidence(1, {"train": [0, 1], "held_out": [1]})
    with pytest.raises(InputError, match="there are none"):
        ShuffledEvidence(1, {})
    with pytest.raises(InputError, match="shuffle nothing"):
        ShuffledEvidence(1, {"train": [0, 1]}, rounds=0)
    with pytest.raises(InputError, match="names no samples"):
        ShuffledEvidence(1, {"train": "0-4;7"})


def test_evidence_without_a_partner_is_counted_and_stays(graph):
    alone = ShuffledEvidence(1, {"train": range(1, SAMPLES), "held_out": [0]})
    shuffled = graph.transform(alone)
    first = pl.col("sample_id") == 0
    assert shuffled.evidence.table.filter(first).equals(graph.evidence.table.filter(first))
    assert alone.report["without_a_partner"] == graph.evidence.merged.filter(first).height > 0


# Severed


def test_what_severing_keeps_and_destroys(graph):
    data, null = graph.data, Severed()(graph.data)
    evidence_kept(data, null)
    for kind in [kind for kind in data.edge_types if kind[0] == kind[2] == "concept"]:
        source, target = null[kind].edge_index
        assert torch.equal(source, target)  # every concept hears only itself
        assert torch.equal(target, data[kind].edge_index[1])  # as often as it was reached
    reach = reach_around(ConceptGraph.from_data(null), hops=3)
    assert reach.above.tolist() == [1] * null["concept"].num_nodes


# Features


@pytest.mark.parametrize(
    ("null", "stays"),
    [
        (Rewired(1), {"x_term", "x_value", "x_depth"}),
        (RandomEdges(1), {"x_term", "x_value"}),
        (Cooccurrence(1, range(0, SAMPLES, 2)), {"x_term", "x_value"}),
        (Severed(), {"x_term", "x_value"}),
        (ShuffledEvidence(1, split_of(SAMPLES)), {"x_term", "x_value", "x_depth", "x_laplacian"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_features_of_the_real_place_do_not_stay_where_edges_changed(graph, null, stays):
    data = with_features(copy.copy(graph.data))
    after = null(data)["concept"]
    for name in ("x_term", "x_value", "x_depth", "x_laplacian"):
        assert torch.equal(after[name], data["concept"][name]) == (name in stays), name
        assert after[name].shape == data["concept"][name].shape
    if not isinstance(null, Severed):
        assert torch.equal(after.x_laplacian.sort(0).values, data["concept"].x_laplacian.sort(0).values)
    elif "x_laplacian" not in stays:
        assert not after.x_laplacian.any()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("permuted_concepts", {"seed": 1}),
        ("rewired_relations", {"seed": 1}),
        ("random_relations", {"seed": 1}),
        ("cooccurrence_relations", {"seed": 1, "train": "0-39"}),
        ("shuffled_evidence", {"seed": 1, "split": {"train": "0-59"}}),
        ("severed_relations", {}),
    ],
)
def test_each_is_a_functional_transform_of_pyg(graph, name, options):
    pipe = getattr(IterableWrapper([graph.data]), name)(**options)
    (null,) = pipe
    assert null.validate()
    assert null is not graph.data


def test_samples_are_written_as_spans_and_read_again():
    assert write_samples([7, 0, 1, 2, 2]) == "0-2,7"
    assert write_samples([]) == ""


@given(st.sets(st.integers(-(2**40), 2**40) | st.integers(-9, 9)))
def test_any_set_of_samples_can_be_written(ids):
    assert read_samples(write_samples(sorted(ids))).tolist() == sorted(ids)


def test_evidence_that_has_no_node_is_shuffled_too(graph):
    lean = copy.copy(graph.data)
    gone = int(lean[EVIDENCES].edge_index[0].bincount().argmax())  # the most frequent concept
    number = lean["concept"].sctid.clone()
    number[gone] = 0
    lean["concept"].sctid = number
    edited = PatientGraph(lean, graph.evidence, graph.samples, graph.meta)
    shuffled = edited.transform(ShuffledEvidence(1, split_of(SAMPLES)))
    mine = pl.col("concept") == int(graph.data["concept"].sctid[gone])
    before, after = (
        e.merged.filter(mine).select("sample_id", "modality") for e in (graph.evidence, shuffled.evidence)
    )
    assert before.height == after.height
    assert not before.equals(after)
