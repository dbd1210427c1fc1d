"""Several processes train what one would: the same gradients, each sample once, one copy of the graph a machine."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
import torch
from torch import distributed, multiprocessing
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from graph_builders import PatientGraph
from mhdiff.batch import Batch, EvidenceBatch
from mhdiff.cli import main
from mhdiff.guidance import Distance, Free, MessagePassing
from mhdiff.training.checkpoint import RunCheckpoint
from mhdiff.training.sampler import EpochShuffle, SharedBatches
from mhdiff.training.settle import FILE, RESTING
from mhdiff.training.shared import leave_mapped, share_of_step
from ontology.errors import InputError
from tests import small_model as small

GUIDANCE = {"passing": MessagePassing, "distance": Distance, "free": Free}
SIZE = 6
EDGES = 1 << 18
SMAPS = Path("/proc/self/smaps")


def part(name, graph):
    torch.manual_seed(0)
    options = {"dropout": 0.0} if name == "passing" else {}
    built = GUIDANCE[name](graph, 16, 2, embedding_dropout=0.0, **options)
    leave_mapped(built)
    return built


def loss(built, batch):
    """A mean over patients in which all that guidance gives counts."""
    guided = built(batch.evidence, batch.present)
    tokens = torch.where(guided.mask[..., None], guided.tokens, 0.0).square().sum((1, 2))
    return (tokens + guided.bias.sin().sum((1, 2, 3))).mean()


def some(batch, rows):
    evidence = batch.evidence
    fields = (evidence.concept[rows], evidence.weight[rows], evidence.polarity[rows])
    return Batch(batch.sample_id[rows], batch.present[rows], {}, EvidenceBatch(*fields), batch.label[rows])


@contextmanager
def group(rank, world, place):
    """Be one of several processes; what they share is let go only when all are done with it."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    meet, patience = f"file://{place}/meet", timedelta(minutes=10)
    distributed.init_process_group("gloo", init_method=meet, rank=rank, world_size=world, timeout=patience)
    yield
    distributed.barrier()
    gc.collect()  # gloo can wait for ever where DDP is taken down after its processes have parted
    distributed.destroy_process_group()


CUTS = {"halves": ((0, 3), (3, 6)), "uneven": ((0, 4), (4, 6))}


def gradients_apart(rank, name, cuts):
    built = DistributedDataParallel(part(name, small.concept_graph()))
    mine = some(small.batch(SIZE), slice(*cuts[rank]))
    (loss(built, mine) * share_of_step(len(mine), torch.device("cpu"))).backward()
    return {n: p.grad for n, p in built.module.named_parameters()}


def mapped(path):
    """Sum up, in KiB, what /proc/self/smaps says of the mappings of a file."""
    found, ours = {}, False
    for line in SMAPS.read_text().splitlines():
        key, _, rest = line.partition(":")
        if " " in key:  # the head of a mapping
            ours = line.endswith(str(path))
        elif ours and rest.strip().endswith("kB"):
            found[key] = found.get(key, 0) + int(rest.split()[0])
    return found


def steps_over(graph, rank):
    built = DistributedDataParallel(part("passing", graph))
    for _ in range(2):
        loss(built, some(small.batch(SIZE), slice(3 * rank, 3 * rank + 3))).backward()


def look_at_memory(rank, place):
    graph = PatientGraph.open(Path(place) / "graph").concept_graph()
    steps_over(graph, rank)
    distributed.barrier()  # both have the file before them when each looks
    return mapped(Path(place) / "graph" / "graph.safetensors")


def both(rank, world, place):
    """All that is asked of a pair of processes, which take longer to start than to answer."""
    with group(rank, world, place):
        told = {(name, cut): gradients_apart(rank, name, CUTS[cut]) for name in GUIDANCE for cut in CUTS}
        torch.save(told, Path(place) / f"gradients{rank}")
        if SMAPS.exists():
            (Path(place) / f"memory{rank}.json").write_text(json.dumps(look_at_memory(rank, place)))


@pytest.fixture(scope="module")
def two(small_data, tmp_path_factory):
    """The folder where two processes have left what they saw, with a graph of many edges in it."""
    place = tmp_path_factory.mktemp("two")
    graph = PatientGraph.open(small_data / "graph")
    data, draw = graph.data.clone(), torch.Generator().manual_seed(0)
    ends = torch.randint(0, data["concept"].num_nodes, (2, EDGES), generator=draw)
    data["concept", "near", "concept"].edge_index = ends
    data["concept", "rev_near", "concept"].edge_index = ends.flip(0).contiguous()
    PatientGraph(data, graph.evidence, graph.samples, graph.meta).save(place / "graph")
    multiprocessing.spawn(both, (2, str(place)), nprocs=2)
    return place


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", GUIDANCE)
def test_two_processes_have_the_gradients_of_one(name, cut, two):
    alone = part(name, small.concept_graph())
    loss(alone, some(small.batch(SIZE), slice(None))).backward()
    for rank in (0, 1):
        apart = torch.load(two / f"gradients{rank}")[name, cut]
        assert any(gradient.abs().sum() > 0 for gradient in apart.values())
        for which, parameter in alone.named_parameters():
            torch.testing.assert_close(apart[which], parameter.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(not SMAPS.exists(), reason="the system does not tell of mappings")
def test_the_graph_is_in_memory_once_a_machine(two):
    large = 2 * 2 * EDGES * 8 // 1024  # KiB
    for rank in (0, 1):
        told = json.loads((two / f"memory{rank}.json").read_text())
        assert told["Rss"] > 0.9 * large  # each process has all of it before it,
        assert told["Anonymous"] == told["Private_Dirty"] == 0  # none has written a copy of its own,
        assert told["Pss"] < 0.6 * told["Rss"]  # and both see the same pages


@pytest.mark.parametrize(
    ("rows", "size", "world"), [(63, 32, 2), (65, 32, 2), (100, 7, 3), (8, 2, 4), (9, 9, 1)]
)
def test_every_sample_is_in_one_batch_of_one_process(rows, size, world):
    shares = []
    for epoch in (0, 1):
        every = EpochShuffle(rows, 5)
        every.set_epoch(epoch)
        ranks = [list(SharedBatches(every, size, rank, world)) for rank in range(world)]
        assert {len(batches) for batches in ranks} == {len(SharedBatches(every, size, 0, world))}
        assert sorted(row for batches in ranks for batch in batches for row in batch) == list(range(rows))
        sizes = [len(batch) for batches in ranks for batch in batches]
        assert max(sizes) <= size
        assert max(sizes) - min(sizes) <= 1
        shares.append(ranks)
    assert rows < 10 or shares[0] != shares[1]


def test_too_few_samples_for_the_processes_are_refused():
    with pytest.raises(InputError, match=r"3 training samples cannot be shared by 4 processes"):
        SharedBatches(EpochShuffle(3, 0), 8, 0, 4)


def test_lightning_tells_the_sampler_of_shares_which_epoch_comes():
    from lightning_fabric.utilities.data import _set_sampler_epoch

    shares = SharedBatches(EpochShuffle(10, 0), 2, 0, 2)
    _set_sampler_epoch(DataLoader(range(10), batch_sampler=shares), 3)
    assert shares.sampler.epoch == 3


def fit(small_config, out, strategy, *more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable, "-m", "mhdiff", "fit", "-c", str(small_config), "--out", str(out),
        "--trainer.devices=2", f"--trainer.strategy={strategy}", *more,
    ]  # fmt: skip
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "ddp_spawn"])
def test_a_run_of_two_processes_is_whole(strategy, small_config, small_run, tmp_path):
    out = tmp_path / "run"
    done = fit(small_config, out, strategy)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch   1/2") == done.stderr.count("task pneumonia") == 1
    later = {FILE, *RESTING}  # written by those who use the run, as other tests may have
    alone = sorted(path.relative_to(small_run) for path in small_run.rglob("*") if path.name not in later)
    assert sorted(path.relative_to(out) for path in out.rglob("*")) == alone
    history, facts = (json.loads((out / name).read_text()) for name in ("history.json", "run.json"))
    assert [epoch["epoch"] for epoch in history] == [0, 1]
    assert facts["finished"]
    checkpoint = RunCheckpoint(out)
    checkpoint.catch_up()
    assert facts["best_epoch"] == checkpoint.best_epoch
    assert facts["best_tuning_loss"] == checkpoint.best == min(e["tuning/loss"] for e in history)
    state, whole = (json.loads((run / "preprocess.json").read_text()) for run in (out, small_run))
    assert state == whole  # what could not be used is counted once for all samples
    tuning = state["splits"]["tuning"]
    for epoch in history:  # a mean over all samples, each once
        assert abs(epoch["tuning/accuracy"] * tuning - round(epoch["tuning/accuracy"] * tuning)) < 1e-4
    assert main(["predict", str(out)]) == 0
    frame, expected = (pl.read_parquet(run / "predictions.parquet") for run in (out, predicted(small_run)))
    assert frame.select("pattern", "sample_id", "label", "split").equals(
        expected.select("pattern", "sample_id", "label", "split")
    )


def predicted(run):
    assert main(["predict", str(run)]) == 0
    return run
