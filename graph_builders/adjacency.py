"""Which concepts are linked: (I + A + A^T)^k > 0, sparse, and as sorted keys i*N + j for lookup anywhere.

The reach grows fast: k hops on an ontology with hubs (a root, "structure of lung") links almost everything to
everything. k <= 3 is meant for slices of some ten thousand concepts.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Int64
from scipy import sparse
from torch import Tensor


def within_hops(
    edge_index: Mapping[str, Int64[Tensor, "2 edges"]], num_nodes: int, hops: int
) -> sparse.csr_array:
    """Give the pairs of nodes that are at most `hops` undirected steps apart; each node is linked to itself.

    Args:
        edge_index: Edges by relation; their direction plays no role.
        num_nodes: Number of nodes N.
        hops: Number of steps k; 0 links each node to itself only.

    Returns:
        A bool matrix [N, N], symmetric, with sorted indices.
    """
    ends = [edges.cpu().numpy() for edges in edge_index.values()]
    source, target = np.concatenate([np.arange(num_nodes)[None].repeat(2, 0), *ends], axis=1)
    ones = np.ones(2 * len(source), dtype=bool)
    both = (np.r_[source, target], np.r_[target, source])
    step = sparse.csr_array((ones, both), shape=(num_nodes, num_nodes), dtype=bool)
    step.sum_duplicates()
    reached = sparse.eye_array(num_nodes, dtype=bool, format="csr")
    for _ in range(hops):
        reached = (reached @ step).astype(bool)
    reached = sparse.csr_array(reached)
    reached.sort_indices()
    return reached


def pair_keys(matrix: sparse.csr_array) -> Int64[Tensor, " pairs"]:
    """Give the key i*N + j of each non-zero entry, ascending.

    `torch.searchsorted(keys, i * N + j)` then answers "are i and j linked?" for any batch, on any device.

    Args:
        matrix: A sparse matrix [N, N].
    """
    entries = sparse.coo_array(matrix)
    keys = entries.row.astype(np.int64) * matrix.shape[1] + entries.col.astype(np.int64)
    return torch.from_numpy(np.unique(keys[entries.data != 0]))
