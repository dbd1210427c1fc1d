"""Evidence, graphs and message passing at size; every figure in a process of its own.

    python -m benchmarks.bench_scale ONTOLOGY [--patients 10000 30000 100000] [--only NAME] [--work DIR]

ONTOLOGY is a saved ontology, for the figures of the table one of full size (370,000 concepts). Patients are made of its
own terms (`benchmarks.made_cohort`): 50 coded events and one note of six sentences each. On a machine that is shared,
processor time is what counts. A further figure is a function in `PARTS` that gives rows, with its works in `WORKS`.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.made_cohort import make_cohort
from benchmarks.measure import Figure, Limit, Result, Stopwatch, child, run, table

_MODULE = "benchmarks.bench_scale"
BATCH, SLOTS, FAN_OUT = 32, 12, 8


def build(ontology: Path, cohort: Path, out: Path) -> Result:
    """Evidence and graph of a cohort, written; with the command's defaults, in this process."""
    from mhdiff.cohort import Cohort, Task
    from mhdiff.cohort_graph import graph_of_cohort
    from ontology import Ontology

    with Stopwatch() as watch:
        task = Task.load(cohort / "task.yaml")
        graph = graph_of_cohort(Ontology.open(ontology), Cohort.open(cohort), task)
        graph.save(out)
    return watch.result(rows=graph.evidence.table.height, concepts=graph.counts["nodes"]["concept"])


def passing(graph: Path, part: Path) -> Result:
    """Messages over a cohort's graph or a batch's part of it, forward and backward: three rounds of SAGE."""
    import torch
    from torch_geometric.nn import SAGEConv

    from graph_builders import PatientGraph
    from mhdiff.batch import EvidenceBatch
    from mhdiff.guidance import MessagePassing

    torch.manual_seed(0)
    opened = PatientGraph.open(graph)
    concepts = opened.concept_graph()
    cut = {"part": "batch", "fan_out": FAN_OUT} if str(part) == "batch" else {}
    guidance = MessagePassing(concepts, 64, 4, conv=SAGEConv, layers=3, channels="both", **cut)
    tokens = opened.tokens(opened.samples["sample_id"].head(BATCH).to_list(), opened.modalities, SLOTS)
    evidence = EvidenceBatch(tokens.concept, tokens.weight, tokens.polarity)
    present = torch.ones(evidence.concept.shape[:2], dtype=torch.bool)

    def step() -> None:
        guidance.zero_grad()
        guided = guidance(evidence, present)
        (guided.tokens.square().mean() + guided.bias.square().mean()).backward()

    return _steps(
        step, concepts=concepts.num_nodes, edges=sum(e.shape[1] for e in concepts.edge_index.values())
    )


def encoders() -> Result:
    """ResNet-50 on 224 x 224 and BERT-base on 128 tokens, random weights, forward and backward."""
    import torch

    from benchmarks.core import FullSizeEncoders

    torch.manual_seed(0)
    net = FullSizeEncoders()
    pixels, ids = net.inputs(BATCH)

    def step() -> None:
        net.zero_grad()
        image, text = net(pixels, ids)
        image.square().mean().backward()
        text.square().mean().backward()

    return _steps(step, runs=1)


def null(graph: Path, name: Path) -> Result:
    """One null graph of a cohort's graph."""
    from graph_builders import PatientGraph, make_null

    opened = PatientGraph.open(graph)
    control = make_null(str(name), 0, split={"train": opened.samples["sample_id"].to_list()})
    with Stopwatch() as watch:
        opened.transform(control)
    return watch.result()


def whole(ontology: Path, cohort: Path, out: Path) -> Result:
    """A cohort's graph with the whole ontology as its concept side."""
    from graph_builders import View
    from mhdiff.cohort import Cohort, Task
    from mhdiff.cohort_graph import graph_of_cohort
    from ontology import Ontology

    task = Task.load(cohort / "task.yaml")
    with Stopwatch() as watch:
        graph_of_cohort(Ontology.open(ontology), Cohort.open(cohort), task, View("whole")).save(out)
    return watch.result()


def _steps(step: Callable[[], None], runs: int = 3, **more: int) -> Result:
    step()  # what is made once is made before the clock runs
    with Stopwatch() as watch:
        for _ in range(runs):
            step()
    result = watch.result(**more)
    return result | {"seconds": result["seconds"] / runs, "cpu": result["cpu"] / runs}


def _cohort(work: Path, ontology: Path, patients: int) -> Path:
    path = work / f"cohort-{patients}"
    if not path.is_dir():
        from ontology import Ontology

        make_cohort(path, Ontology.open(ontology), patients)
    return path


def _measured(result: Result) -> str:
    return f"{result['seconds']:,.1f} s; processor {result['cpu']:,.1f} s; peak {result['mib']:,.0f} MiB"


def growth(ontology: Path, work: Path, patients: list[int]) -> list[Figure]:
    """Evidence and graph by number of patients: the exponent of time and the peak of memory."""
    found, figures = {}, []
    for many in patients:
        cohort = _cohort(work, ontology, many)
        found[many] = run(_MODULE, "build", ontology, cohort, work / f"graph-{many}")
        what = f"evidence + graph of {many:,} patients ({found[many]['rows']:,} rows of evidence)"
        limit = Limit(4.0, 2.0, "GiB") if many == 100_000 else None
        figures.append(Figure(what, _measured(found[many]), found[many]["mib"] / 1024, limit))
    low, high = min(patients), max(patients)
    if low < high:
        power = math.log(found[high]["cpu"] / found[low]["cpu"]) / math.log(high / low)
        said = f"processor {found[low]['cpu']:.1f} s to {found[high]['cpu']:.1f} s"
        figures.append(Figure(f"growth from {low:,} to {high:,}", said, power, Limit(1.1, 1.0, "(exponent)")))
    return figures


def share(ontology: Path, work: Path, patients: list[int]) -> list[Figure]:
    """What part of a step message passing takes beside full-size encoders."""
    many = min(patients)
    graph = work / f"graph-{many}"
    if not graph.is_dir():
        run(_MODULE, "build", ontology, _cohort(work, ontology, many), graph)
    theirs = run(_MODULE, "encoders")
    figures = [Figure("ResNet-50 + BERT-base, forward and backward", _measured(theirs))]
    for part, how in (("batch", f"at most {FAN_OUT} neighbours a relation"), ("whole", "all of it")):
        ours = run(_MODULE, "passing", graph, Path(part))
        what = f"a step over {ours['concepts']:,} concepts and {ours['edges']:,} edges, {how}, batch {BATCH}"
        times = 100 * ours["cpu"] / theirs["cpu"]
        figures.append(
            Figure(f"messages, {what}", _measured(ours), times, Limit(25, 10, "% of the encoders"))
        )
    return figures


def nulls(ontology: Path, work: Path, patients: list[int]) -> list[Figure]:
    """Every null graph over the whole ontology."""
    from graph_builders import NULLS

    graph = work / "graph-whole"
    if not graph.is_dir():
        run(_MODULE, "whole", ontology, _cohort(work, ontology, min(patients)), graph)
    figures = []
    for name in NULLS:
        result = run(_MODULE, "null", graph, Path(name))
        figures.append(
            Figure(f"null graph `{name}`, whole edition", _measured(result), result["cpu"], Limit(60, 10))
        )
    return figures


WORKS = {"build": build, "passing": passing, "encoders": encoders, "null": null, "whole": whole}
PARTS: dict[str, Callable[[Path, Path, list[int]], list[Figure]]] = {
    "growth": growth,
    "share": share,
    "nulls": nulls,
}


def main(arguments: list[str] | None = None) -> None:
    """Measure and print the table.

    Args:
        arguments: The command line; by default that of the process.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ontology", type=Path)
    parser.add_argument("--patients", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated")
    parser.add_argument("--work", type=Path, help="where cohorts and graphs are kept; temporary by default")
    args = parser.parse_args(arguments)
    figures = []
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        for name in args.only or PARTS:
            print(f"{name} ...", file=sys.stderr)
            figures += PARTS[name](args.ontology, work, args.patients)
    print(table(figures))
    load = os.getloadavg()[0]
    print(f"\n{os.cpu_count()} cores, Python {platform.python_version()}; load at the end {load:.1f}")


if __name__ == "__main__":
    if "--child" in sys.argv[1:2]:
        child(WORKS, sys.argv[2:])
    else:
        main()
