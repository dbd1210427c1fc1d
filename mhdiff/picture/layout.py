"""Where the boxes of a patient's graph stand: in layers from left to right, without overlap, the same each time.

Modalities, observations and the evidence's concepts have a column each. Every other concept stands one column to the
right of the last of those that lead to it (longest-path layering), so that relations point to the right; concepts
that lead to each other in a circle share a column. Within a column a box stands as near as there is room to the mean
height of what leads to it: the least-squares solution for a given order is an isotonic regression. A column that is
too long is broken into several, side by side, read along the rows; lines pass between the rows, not behind boxes.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import networkx as nx
import numpy as np
from scipy.optimize import isotonic_regression

# Pixels at scale 1.
WIDE, HIGH = 184.0, 40.0
ROW, COLUMN, LAYER = 52.0, 24.0, 76.0  # from row to row; between columns of a layer; between layers
ASPECT = 1.5  # wide to high, that long columns are broken for

K = TypeVar("K", bound=Hashable)
Place = tuple[float, float]


class Spot(NamedTuple):
    """Where a box stands: its upper left corner, and from where to where its layer reaches."""

    x: float
    y: float
    left: float
    right: float


def layers(evidence: Sequence[K], others: Sequence[K], edges: Sequence[tuple[K, K]]) -> dict[K, int]:
    """Give each concept its layer: 0 for evidence, else one more than the last of what leads to it.

    Args:
        evidence: Concepts of the first layer.
        others: All other concepts, each reached from the evidence.
        edges: Relations in the direction that the ontology states.
    """
    first = set(evidence)
    graph = nx.DiGraph()
    graph.add_nodes_from([*evidence, *others])
    graph.add_edges_from((a, b) for a, b in edges if b not in first)
    circles = nx.condensation(graph)
    depth: dict[int, int] = {}
    for circle in nx.topological_sort(circles):
        before = [depth[b] for b in circles.predecessors(circle)]
        depth[circle] = max(before) + 1 if before else 0
    return {node: depth[circles.graph["mapping"][node]] for node in graph}


def place(
    bands: Sequence[Sequence[K]], others: Mapping[K, int], edges: Sequence[tuple[K, K]]
) -> tuple[dict[K, Spot], list[Place]]:
    """Place concepts.

    Args:
        bands: The evidence by modality, each in the order wanted; a concept stands in one band.
        others: The layer of every other concept, from 1.
        edges: Relations in the direction that the ontology states.

    Returns:
        Where each concept stands; and of each band the heights of its first and last row.
    """
    by_layer: dict[int, list[K]] = {}
    for node, layer in others.items():
        by_layer.setdefault(layer, []).append(node)
    most = _rows([[len(band) for band in bands], *([len(by_layer[n])] for n in sorted(by_layer))])
    where, spans, x = _evidence(bands, most)
    leading: dict[K, list[K]] = {}
    for a, b in edges:
        leading.setdefault(b, []).append(a)
    for layer in sorted(by_layer):
        members = by_layer[layer]
        wanted = {n: [where[a].y for a in leading.get(n, ()) if a in where and a != n] for n in members}
        mean = {n: sum(ys) / len(ys) if ys else 0.0 for n, ys in wanted.items()}
        members = sorted(members, key=lambda n: mean[n])  # sorting is stable: ties keep the order given
        columns = math.ceil(len(members) / most)
        rows = [members[i : i + columns] for i in range(0, len(members), columns)]
        heights = spread([sum(mean[n] for n in row) / len(row) for row in rows], ROW)
        right = x + columns * (WIDE + COLUMN) - COLUMN
        for y, row in zip(heights, rows, strict=True):
            for column, node in enumerate(row):
                where[node] = Spot(x + column * (WIDE + COLUMN), y, x, right)
        x = right + LAYER
    return where, spans


def _evidence(bands: Sequence[Sequence[K]], most: int) -> tuple[dict[K, Spot], list[Place], float]:
    """Place the evidence, each band from a row of its own."""
    columns = _columns([len(band) for band in bands], most)
    where: dict[K, Spot] = {}
    right = columns * (WIDE + COLUMN) - COLUMN
    spans: list[Place] = []
    row = 0.0
    for band in bands:
        for number, node in enumerate(band):
            x, y = (number % columns) * (WIDE + COLUMN), (row + number // columns) * ROW
            where[node] = Spot(x, y, 0.0, right)
        used = max(math.ceil(len(band) / columns), 1)
        spans.append((row * ROW, (row + used - 1) * ROW))
        row += used + (0.5 if used > 1 else 0.2)
    return where, spans, right + LAYER


def _columns(bands: Sequence[int], most: int) -> int:
    columns = max(math.ceil(sum(bands) / most), 1)
    while columns < max(bands, default=1) and sum(math.ceil(n / columns) for n in bands) > most + len(bands):
        columns += 1
    return columns


def _rows(sizes: Sequence[Sequence[int]]) -> int:
    """Give the number of rows with which the whole is about `ASPECT` times as wide as it is high."""
    longest = max((sum(bands) for bands in sizes), default=1)
    for rows in range(1, longest + 1):
        wide = sum(math.ceil(sum(bands) / rows) * (WIDE + COLUMN) + LAYER for bands in sizes)
        if wide <= ASPECT * rows * ROW:
            return rows
    return max(longest, 1)


def spread(wanted: Sequence[float], apart: float) -> list[float]:
    """Give the heights nearest to those wanted (least squares) that keep the order and a distance.

    Args:
        wanted: Heights, in the order to keep.
        apart: The least distance from one to the next.
    """
    if not len(wanted):
        return []
    shift = np.arange(len(wanted)) * apart
    fitted: list[float] = (isotonic_regression(np.asarray(wanted) - shift).x + shift).tolist()
    return fitted
