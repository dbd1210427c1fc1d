"""Every null graph of a synthetic edition of full size: 370,000 concepts, 1.25 million relations, 10,000 patients."""

import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
import torch

from graph_builders import NULLS, make_null
from ontology import load_rf2
from tests.null_graphs import (
    changed,
    check_reverse,
    check_rewired,
    check_untouched,
    evidence_kept,
    is_a_links,
    is_acyclic,
    keys,
    snapshot,
    split_of,
    stated,
    whole_graph,
)

SAMPLES = 10_000


@pytest.fixture(scope="module")
def graph(shared, tmp_path_factory):
    out = tmp_path_factory.mktemp("edition")
    tool = shared / "tools/make_rf2.py"
    subprocess.run([sys.executable, str(tool), "--out", str(out)], check=True, capture_output=True)
    return whole_graph(load_rf2(next(out.iterdir())), SAMPLES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NULLS)
def test_what_a_null_of_full_size_keeps(name, graph, capsys):
    data, before = graph.data, snapshot(graph.data)
    null = make_null(name, 1, within="depth" if name == "permuted" else "modality", split=split_of(SAMPLES))
    start = time.perf_counter()
    done = graph.transform(null)
    seconds = time.perf_counter() - start
    after = done.data
    check_untouched(data, before)
    assert after.validate()
    new = changed(data, after)
    edges = {kind[1]: data[kind].edge_index.shape[1] for kind in stated(data)}
    share = sum(new[relation] * count for relation, count in edges.items()) / sum(edges.values())
    with capsys.disabled():
        sys.stderr.write(f"\n{null}: {seconds:.1f} s, {share:.1%} of {sum(edges.values()):,} edges are new\n")
    assert {kind[1]: after[kind].edge_index.shape[1] for kind in stated(after)} == edges
    assert torch.equal(after["concept"].sctid.sort().values, data["concept"].sctid.sort().values)
    match name:
        case "permuted":
            assert share == 0
            home = dict(zip(data["concept"].sctid.tolist(), data["concept"].depth.tolist(), strict=True))
            assert [home[sctid] for sctid in after["concept"].sctid.tolist()] == data[
                "concept"
            ].depth.tolist()
        case "rewired":
            check_rewired(data, after)
            told = null.report["relations"]
            assert {relation: row["changed"] for relation, row in told.items()} == new
            assert all(row["swaps"] >= 10 * (row["edges"] - row["unswappable"]) for row in told.values())
            assert all(row["short"] == 0 and row["changed"] > 0.9 for row in told.values())
        case "random" | "cooccurrence":
            check_reverse(after)
            evidence_kept(data, after)
            assert is_acyclic(is_a_links(after))
            assert share > 0.99
            for kind in stated(after):
                source, target = after[kind].edge_index
                assert not (source == target).any()
                assert len(np.unique(keys(after, kind))) == len(source)
        case "shuffled":
            assert share == 0
            assert null.report["moved"] > 0.9
            columns = ["modality", "concept", "polarity", "weight"]
            counts = [
                g.evidence.merged.group_by(columns).agg(pl.len().alias("n")).sort(columns)
                for g in (graph, done)
            ]
            assert counts[0].equals(counts[1])
            sizes = [
                torch.bincount(g.data["concept", "evidences", "observation"].edge_index[1])
                for g in (graph, done)
            ]
            assert torch.equal(*sizes)
        case "severed":
            evidence_kept(data, after)
            for kind in stated(after):
                assert torch.equal(after[kind].edge_index[0], after[kind].edge_index[1])
                assert torch.equal(after[kind].edge_index[1], data[kind].edge_index[1])
        case _:
            pytest.fail(f"say what {name} keeps")
