"""Cutting a batch's part out of a whole edition, and messages over it, beside the whole edition's.

    python -m benchmarks.bench_cutting ONTOLOGY [--runs 3]

ONTOLOGY is a saved ontology. A batch is 256 patients of 3 modalities with 8 concepts each, drawn from the leaves with
frequencies that fall like 1 / rank, as codes do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.measure import Figure, Limit, Result, Stopwatch, child, repeated, run, spread, table

_PATIENTS, _MODALITIES, _SLOTS, _FAN_OUT = 256, 3, 8, 8


def _cutting(folder: Path) -> Result:
    import numpy as np
    import torch

    from graph_builders import ConceptGraph, build_ontology_graph
    from graph_builders.csr import ConceptCSR, without_reverse
    from graph_builders.cutting import cut
    from mhdiff.batch import EvidenceBatch
    from mhdiff.guidance import MessagePassing
    from ontology import Ontology

    with Stopwatch() as made:
        graph = ConceptGraph.from_data(build_ontology_graph(Ontology.open(folder)))
    with Stopwatch() as sorted_:
        csr = ConceptCSR.of(graph)
    up = without_reverse(csr)
    draw = np.random.default_rng(0)
    leaves = np.flatnonzero(np.bincount(graph.edge_index["is_a"][1].numpy(), minlength=graph.num_nodes) == 0)
    share = 1 / np.arange(1, len(leaves) + 1)
    places = (_PATIENTS, _MODALITIES, _SLOTS)
    concept = torch.from_numpy(draw.choice(draw.permutation(leaves), places, p=share / share.sum()))
    part = cut(csr, concept, 2, up)
    both = cut(csr, concept, 2, fan_out=_FAN_OUT)
    evidence = EvidenceBatch(concept, torch.ones(places), torch.zeros_like(concept))
    present = torch.ones(places[:2], dtype=torch.bool)

    def step(net: MessagePassing) -> None:
        out = net(evidence, present)
        assert out.bias is not None
        (out.tokens.sum() + out.bias.sum()).backward()

    over_part = MessagePassing(graph, 64, 4, part="batch", fan_out=_FAN_OUT)
    return made.result(
        sort=sorted_.result()["seconds"],
        up=repeated(lambda: cut(csr, concept, 2, up), 15),
        both=repeated(lambda: cut(csr, concept, 2, fan_out=_FAN_OUT), 15),
        step=repeated(lambda: step(over_part), 5),
        concepts=int(concept.unique().numel()),
        part=part.graph.num_nodes,
        drawn=both.graph.num_nodes,
        nodes=graph.num_nodes,
        edges=len(csr.source),
    )


WORKS = {"cutting": _cutting}


def measure(ontology: Path, runs: int = 3) -> list[Figure]:
    """Take the figures.

    Args:
        ontology: A saved ontology.
        runs: How often the work is done, each time in a process of its own.
    """
    found = [run("benchmarks.bench_cutting", "cutting", ontology) for _ in range(runs)]
    last = found[-1]

    def milliseconds(key: str) -> list[float]:
        return [1000 * one for result in found for one in result[key]]

    batch = f"{_PATIENTS} patients, {last['concepts']:,} different concepts of {last['nodes']:,}"
    up, both, step = (milliseconds(key) for key in ("up", "both", "step"))
    return [
        Figure(
            f"cut 2 hops up for {batch}: a part of {last['part']:,}",
            f"{spread(up, digits=1)} ms",
            sorted(up)[len(up) // 2] / 1000,
            Limit(0.02, 0.01),
        ),
        Figure(
            f"cut 2 hops all ways, at most {_FAN_OUT} neighbours a relation: a part of {last['drawn']:,}",
            f"{spread(both, digits=1)} ms",
        ),
        Figure(
            "cut, two rounds of SAGEConv for each relation over that part, and backward",
            f"{spread(step, digits=0)} ms",
        ),
        Figure(
            f"rows of {last['edges']:,} edges, once",
            f"{spread([r['sort'] for r in found])} s after {spread([r['seconds'] for r in found])} s for the graph",
        ),
    ]


def main() -> None:
    """Print the table, or do one work as a child."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ontology", type=Path, nargs="?", help="a saved ontology")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(WORKS, args.child)
    elif args.ontology is None:
        parser.error("give a saved ontology")
    else:
        print(table(measure(args.ontology, args.runs)))


if __name__ == "__main__":
    main()
