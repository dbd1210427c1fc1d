"""What the hierarchy of a graph alone says of its concepts: information content and depth.

`ontology.information` and `ontology.ancestry` say the same of a whole terminology. Here the numbers come from the
edges that a graph has, so that a slice, a rewired graph or a graph without its deepest levels gets numbers of its
own.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from graph_builders.reach import Reach
from ontology.errors import InputError


def information(reach: Reach, method: Literal["sanchez", "seco"] = "sanchez") -> Float32[Tensor, " nodes"]:
    """Give the intrinsic information content of every node, in nats (sanchez) or as a share (seco).

    Args:
        reach: Upward reach along the hierarchy.
        method: See `ontology.information`, which has the formulae and their sources.

    Raises:
        InputError: If the method is unknown.
    """
    above, below = reach.above.double(), reach.below.double()
    count = reach.num_nodes
    if method == "seco":
        found = 1 - below.log() / torch.tensor(float(max(count, 2))).double().log()
    elif method == "sanchez":
        leaf = reach.below == 1
        rows = torch.repeat_interleave(torch.arange(count), reach.above)
        leaves = torch.bincount(reach.node[leaf[rows]], minlength=count).double()
        found = -((leaves / above + 1) / (leaf.sum() + 1)).log()
    else:
        raise InputError(
            f"'{method}' is no kind of information content", remedy="Choose one of: sanchez, seco"
        )
    return found.clamp(min=0).float()


def longest_way_up(reach: Reach) -> Int64[Tensor, " nodes"]:
    """Give the longest way from each node up to a root, in steps.

    Args:
        reach: Upward reach along an acyclic hierarchy.
    """
    # A node reaches strictly more than whatever lies above it, so nodes ordered by how much they reach are in order.
    count = reach.num_nodes
    depth = torch.zeros(count, dtype=torch.int64)
    rows = torch.repeat_interleave(torch.arange(count), reach.above)
    step = reach.hops == 1
    source, target = rows[step], reach.node[step]
    for size in torch.unique(reach.above):
        here = reach.above[source] == size
        depth.scatter_reduce_(0, source[here], depth[target[here]] + 1, "amax")
    return depth
