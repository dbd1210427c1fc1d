r"""Positional encodings of concepts on the simple undirected graph of all relations.

Laplacian eigenvectors (Dwivedi et al. 2023, Benchmarking Graph Neural Networks, JMLR 24(43)) are PyG's, with a start
vector of their own, so that the same graph gives the same ones. An eigenvector is free in its sign: the sign is chosen
so that its entry of the greatest magnitude is positive, and of entries within .01% of it the first node's (nodes are in
the order of their SCTIDs). Where eigenvalues coincide, as they do in a forest and between the symmetrical parts of a
tree, any rotation of their eigenvectors would do; then the ones given depend on the solver, and a model must not read
more into them than that.

Random-walk encodings (Dwivedi et al. 2022, Graph Neural Networks with Learnable Structural and Positional
Representations, ICLR) are the chances to be back after m steps. Powers of the transition matrix P fill up fast in an
ontology, whose hubs link everything; but a walk can be met in the middle. With degrees d, :math:`d_i P^a_{ij} = d_j
P^a_{ji}`, hence

.. math::
    (P^{a+b})_{ii} = \sum_j P^a_{ij} P^b_{ij} \, d_i / d_j

so walks of half the length are enough, some rows at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence
from torch_geometric.data import Data, HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import AddLaplacianEigenvectorPE, BaseTransform

from graph_builders.features import undirected
from ontology.errors import InputError
from ontology.progress import step

# How many blocks are in memory at once, at most.
_THREADS = 4
# So full are rows that are no longer held as sparse ones.
_FULL = 0.05
# Entries of a block of rows, were it full: some 200 MB with their columns.
_BLOCK = 1 << 24


@functional_transform("laplacian_positions")
class LaplacianPositions(BaseTransform):
    """Add `x_laplacian` [N, k]: eigenvectors of the symmetrically normalised Laplacian, from the second smallest on.

    Args:
        k: How many. A graph of fewer than k + 1 concepts has fewer; the rest is 0.
        seed: Of the start vector of the iteration.

    Raises:
        InputError: If k is not positive.
    """

    def __init__(self, k: int = 8, seed: int = 0) -> None:
        self.k, self.seed = _positive("k", k), seed

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with the feature.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes.

        Raises:
            InputError: If the eigenvectors cannot be found.
        """
        count = int(data["concept"].num_nodes)
        found = torch.zeros(count, self.k)
        k = min(self.k, count - 1)
        if k > 0:
            step(f"Laplacian eigenvectors of {count:,} concepts")
            found[:, :k] = self._eigenvectors(undirected(data), count, k)
        data["concept"].x_laplacian = found
        return data

    def _eigenvectors(self, edges: torch.Tensor, count: int, k: int) -> torch.Tensor:
        start = np.random.default_rng(self.seed).standard_normal(count)
        add = AddLaplacianEigenvectorPE(k, attr_name="pe", is_undirected=True, v0=start)
        try:
            with torch.random.fork_rng(devices=[]):  # PyG draws signs, which are replaced below
                vectors = add(Data(edge_index=edges, num_nodes=count)).pe.to(torch.float32)
        except (ArpackNoConvergence, ArpackError) as error:
            raise InputError(
                f"the Laplacian eigenvectors of {count:,} concepts were not found ({error})",
                remedy="Ask for fewer, for random-walk positions, or for a smaller view",
            ) from error
        size = vectors.abs()
        first = (size >= (1 - 1e-4) * size.max(0).values).to(torch.int8).argmax(0)
        return vectors * vectors[first, torch.arange(k)].sign()

    def __repr__(self) -> str:
        return f"LaplacianPositions(k={self.k}, seed={self.seed})"


@functional_transform("random_walk_positions")
class RandomWalkPositions(BaseTransform):
    """Add `x_random_walk` [N, k - 1]: the chance to be back after 2, ..., k steps; 0 where nothing leads away.

    One step is left out: nothing leads from a concept to itself.

    Args:
        k: Length of the longest walk.

    Raises:
        InputError: If k is less than 2.
    """

    def __init__(self, k: int = 6) -> None:
        if _positive("k", k) < 2:
            raise InputError("a walk of one step never comes back", remedy="Give k >= 2")
        self.k = k

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with the feature.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes.
        """
        count = int(data["concept"].num_nodes)
        source, target = undirected(data).numpy()
        many = np.bincount(source, minlength=count).astype(np.float64)
        walk = sparse.csr_array((1 / many[source], (source, target)), shape=(count, count))
        found = np.zeros((count, self.k - 1))
        rows = max(1, _BLOCK // max(count, 1))
        blocks = [slice(start, min(start + rows, count)) for start in range(0, count, rows)]
        with ThreadPoolExecutor(min(os.cpu_count() or 1, _THREADS)) as pool:  # scipy lets go of the lock
            turned = sparse.csr_array(walk.T)
            done = pool.map(lambda part: list(_returns(walk, turned, part, many, self.k)), blocks)
            for part, columns in zip(blocks, done, strict=True):
                step("random walks", part.start / count)
                found[part] = np.stack(columns, axis=1)
        data["concept"].x_random_walk = torch.from_numpy(found.astype(np.float32))
        return data

    def __repr__(self) -> str:
        return f"RandomWalkPositions(k={self.k})"


def _returns(walk: Any, back: Any, part: slice, many: Any, longest: int) -> Iterator[Any]:
    """Give the chances to be back after 2, ..., `longest` steps, for some rows."""
    here: Any = sparse.csr_array(walk[part])
    before = here
    for length in range(2, longest + 1):
        if length > 2:
            if length % 2:
                here = _onward(before, walk, back)  # length = a + (a + 1)
            else:
                before = here
        yield many[part] * _sums(before, here, 1 / np.maximum(many, 1))


def _onward(rows: Any, walk: Any, back: Any) -> Any:
    """Walk one step further; rows that have filled up go on as a dense matrix, which is then many times as fast."""
    if sparse.issparse(rows):
        if rows.nnz < _FULL * rows.shape[0] * rows.shape[1]:
            return sparse.csr_array(rows @ walk)
        rows = rows.toarray()
    return (back @ rows.T).T


def _sums(before: Any, here: Any, weight: Any) -> Any:
    """Sum over the columns of the product of two matrices, of which the second may be dense."""
    if sparse.issparse(before):
        return np.asarray((before @ sparse.diags_array(weight)).multiply(here).sum(axis=1)).ravel()
    return np.einsum("ij,ij,j->i", before, here, weight)


def _positive(what: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{what} is {value!r}", remedy=f"Give a whole number {what} >= 1")
    return value
