"""A graph's tensors are mapped, not read, when it is opened; sizes vouch for large files, checksums for small ones."""

import gc
import os
import subprocess
import sys

import polars as pl
import pytest
import torch
from toy_terminology import MODALITIES, make_window

from graph_builders import Evidence, PatientGraph, View, collect_evidence
from ontology.errors import InputError


@pytest.fixture
def graph(toy, events, samples):
    return PatientGraph.build(
        toy, collect_evidence(make_window(events), toy), samples, MODALITIES, View("whole")
    )


def damage(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_large_graphs_are_checked_by_size_and_on_demand(graph, tmp_path, monkeypatch):
    monkeypatch.setattr("graph_builders.storage.ALWAYS_VERIFIED", 0)
    graph.save(tmp_path / "g")
    PatientGraph.open(tmp_path / "g", verify=True)
    damage(tmp_path / "g" / "graph.safetensors")
    PatientGraph.open(tmp_path / "g")  # nobody reads what is only mapped
    with pytest.raises(InputError, match="checksum"):
        PatientGraph.open(tmp_path / "g", verify=True)
    os.truncate(tmp_path / "g" / "graph.safetensors", 100)
    with pytest.raises(InputError, match="100 bytes instead of"):
        PatientGraph.open(tmp_path / "g")


def test_opening_maps_the_tensors(graph, tmp_path):
    """In a process of its own: memory of a 128 MiB feature stays on disk until it is read, and then is shared."""
    data = graph.data.clone()
    data["concept"].x_large = torch.ones(
        data["concept"].num_nodes, (128 << 20) // 4 // data["concept"].num_nodes
    )
    PatientGraph(data, graph.evidence, graph.samples, graph.meta).save(tmp_path / "g")
    script = (
        "import sys, gc, torch\n"
        "from graph_builders import PatientGraph\n"
        "def memory(kind):\n"
        "    lines = dict(l.split(':') for l in open('/proc/self/status'))\n"
        "    return int(lines[kind].split()[0]) >> 10\n"
        "before = memory('RssAnon'), memory('RssFile')\n"
        "graph = PatientGraph.open(sys.argv[1])\n"
        "gc.collect()\n"
        "opened = memory('RssAnon'), memory('RssFile')\n"
        "assert float(graph.data['concept'].x_large.sum()) > 0\n"
        "read = memory('RssAnon'), memory('RssFile')\n"
        "print(*before, *opened, *read)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "g")],
        env=os.environ,
        check=True,
        capture_output=True,
        text=True,
    )
    anonymous, _, opened_anonymous, opened_file, read_anonymous, read_file = map(int, done.stdout.split())
    assert opened_anonymous - anonymous < 80  # MiB; what was imported, but no copy of the tensors
    assert read_anonymous - opened_anonymous < 50
    assert read_file - opened_file > 100


def test_what_is_mapped_is_not_written_to(graph, tmp_path):
    graph.save(tmp_path / "g")
    before = (tmp_path / "g" / "graph.safetensors").read_bytes()
    opened = PatientGraph.open(tmp_path / "g")
    opened.data["concept"].depth.add_(1)
    del opened
    gc.collect()
    assert (tmp_path / "g" / "graph.safetensors").read_bytes() == before


def test_the_evidence_is_taken_as_it_was_written(graph, tmp_path):
    graph.save(tmp_path / "g")
    again = PatientGraph.open(tmp_path / "g")
    assert again.evidence.table.equals(graph.evidence.table)
    assert again.evidence.observed.equals(graph.evidence.observed)
    assert again.evidence.merged.equals(graph.evidence.merged)
    with pytest.raises(InputError, match="other columns"):
        Evidence.stored(pl.DataFrame({"concept": [1]}), {}, graph.evidence.blinded, graph.evidence.observed)
