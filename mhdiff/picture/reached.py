"""Which concepts of a graph one sample's evidence leads to, and which of them are drawn.

From the concepts with evidence edges relations are followed in the direction that the ontology states, to ancestors
and to the targets of attributes. Where there are more concepts than may be drawn, evidence goes first, in the order
in which a model takes it (affirmed, then by weight, depth and SCTID); then what is fewest steps from evidence; then
what more of the evidence leads to; then by SCTID. So whatever is drawn is connected to evidence by what is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graph_builders.build import EVIDENCES
from graph_builders.reach import IS_A
from ontology.recognise import POLARITIES

if TYPE_CHECKING:
    from graph_builders import PatientGraph

Ints = np.ndarray[Any, np.dtype[np.int64]]

RULE = (
    "evidence first (affirmed, then by weight, depth and SCTID), then what is fewest steps from evidence, then what "
    "more of the evidence leads to, then by SCTID"
)


class Reached:
    """What one sample's evidence leads to.

    Args:
        graph: The graph of the cohort.
        sample: The sample.
        most: Concepts drawn at most.

    Attributes:
        sctids: The SCTID on each node of the graph [N].
        observed: The sample's modalities.
        evidence: Its evidence edges: node, modality, polarity, weight.
        relations: Names of the graph's relations, is-a first.
        source: Where each relation among the reached concepts starts [E].
        target: Where it ends [E].
        kind: Its place in `relations` [E].
        steps: Fewest steps from evidence to each node, -1 where none leads [N].
        ancestor: Whether is-a alone leads there [N].
        drawn: Nodes that are drawn, in the order of `RULE`.
        lost: The others.
    """

    def __init__(self, graph: PatientGraph, sample: int, most: int) -> None:
        self.graph, self.sample, self.most = graph, sample, most
        self.sctids: Ints = graph.data["concept"].sctid.numpy()
        self._read_evidence()
        self._reach()
        self._choose()

    def _read_evidence(self) -> None:
        """Take the sample's observations and evidence edges out of the graph."""
        data = self.graph.data
        mine = np.flatnonzero(data["observation"].sample_id.numpy() == self.sample)
        number = data["observation"].modality.numpy()[mine]
        self.observed = [self.graph.modalities[m] for m in number]
        modality_of = dict(zip(mine.tolist(), self.observed, strict=True))
        store = data[EVIDENCES]
        concept, observation = store.edge_index.numpy()
        here = np.isin(observation, mine)
        self.evidence = [
            {"node": int(c), "modality": modality_of[int(o)], "polarity": POLARITIES[int(p)], "weight": w}
            for c, o, p, w in zip(
                concept[here],
                observation[here],
                store.polarity.numpy()[here],
                (round(float(w), 4) for w in store.weight.numpy()[here]),
                strict=True,
            )
        ]

    def _reach(self) -> None:
        """Find every concept that the evidence leads to, and in how many steps."""
        relations = self.graph.concept_graph().relations
        self.relations = sorted(relations, key=lambda name: (name != IS_A, name))
        ends = [relations[name].numpy() for name in self.relations]
        source, target = np.concatenate([np.empty((2, 0), np.int64), *ends], axis=1)
        kind = np.repeat(np.arange(len(ends)), [edges.shape[1] for edges in ends])
        self.steps = _walk(len(self.sctids), source, target, sorted({e["node"] for e in self.evidence}))
        inside = self.steps >= 0
        kept = inside[source] & inside[target]
        self.source, self.target, self.kind = source[kept], target[kept], kind[kept]
        up = self.kind == 0 if self.relations[:1] == [IS_A] else np.zeros(len(self.kind), bool)
        seeds = sorted({e["node"] for e in self.evidence})
        self.ancestor = _walk(len(self.sctids), self.source[up], self.target[up], seeds) >= 0

    def _choose(self) -> None:
        """Choose what is drawn by `RULE`."""
        nodes = np.flatnonzero(self.steps >= 0)
        led = self._led(nodes)
        depth = self.graph.data["concept"].get("depth")
        best: dict[int, tuple[bool, float, int]] = {}
        for e in self.evidence:
            deep = 0 if depth is None else int(depth[e["node"]])
            key = (e["polarity"] != POLARITIES[0], -e["weight"], -deep)
            best[e["node"]] = min(key, best.get(e["node"], key))
        last = (True, 0.0, 0)
        order = sorted(
            nodes.tolist(),
            key=lambda n: (self.steps[n], best.get(n, last), -led[n], int(self.sctids[n])),
        )
        self.drawn, self.lost = order[: self.most], order[self.most :]

    def _led(self, nodes: Ints) -> dict[int, int]:
        """Count how many of the evidence's concepts lead to each concept."""
        following: dict[int, list[int]] = {}
        for a, b in zip(self.source.tolist(), self.target.tolist(), strict=True):
            following.setdefault(a, []).append(b)
        led = dict.fromkeys(nodes.tolist(), 0)
        for seed in sorted({e["node"] for e in self.evidence}):
            seen, stack = {seed}, [seed]
            while stack:
                for node in following.get(stack.pop(), ()):
                    if node not in seen:
                        seen.add(node)
                        stack.append(node)
            for node in seen:
                led[node] += 1
        return led

    def edges(self) -> tuple[list[tuple[int, int, int]], int]:
        """Give the relations among what is drawn, each once, and how many others there are.

        Returns:
            (from, to, place in `relations`), ascending; and the number of relations to or from what is not drawn.
        """
        inside = np.isin(self.source, self.drawn) & np.isin(self.target, self.drawn)
        ends = np.stack([self.source, self.target, self.kind], axis=1)
        kept = np.unique(ends[inside], axis=0).tolist()
        return [(a, b, k) for a, b, k in kept], len(np.unique(ends[~inside], axis=0))


def _walk(count: int, source: Ints, target: Ints, seeds: list[int]) -> Ints:
    """Give the fewest steps from the seeds to every node, -1 where none leads."""
    steps = np.full(count, -1, dtype=np.int64)
    steps[seeds] = 0
    frontier, walked = steps == 0, 0
    while frontier.any():
        walked += 1
        reached = np.zeros(count, dtype=bool)
        reached[target[frontier[source]]] = True
        frontier = reached & (steps < 0)
        steps[frontier] = walked
    return steps
