r"""What is asked of an attribution, as one number in [0, 1] a patient: 0 is what is wanted.

    p = |a| / (sum_k |a_k| + eps)
    sparsity     sum_k p_k - G(p),   G = sum_k (2 k - n - 1) p_(k) / n
    smoothness   (sum over neighbours k, l of |a_k - a_l|) / (2 d (sum_k |a_k| + eps))
    agreement    sum_{k outside the mask} p_k

- a: the attribution of each unit of one modality; n: how many there are; d: axes of their grid;
- sparsity is 1/n where one unit has all and 1 where all have alike; agreement is 1 - the relevance mass of
  `mhdiff.explain.pixels`;
- a unit is a pixel, a token, a lab or a code; p_(k) is sorted, smallest first; G is the Gini index;
- eps = 0.01, in the log odds that are attributed: where all together change the diagnosis by less than that there is
  nothing to shape, and dividing by it would make the gradient large.

Sparsity and smoothness: Erion et al., "Improving performance of deep learning models with axiomatic attribution priors
and expected gradients" (Nature Machine Intelligence 2021). Agreement: Ross et al., "Right for the right reasons" (IJCAI
2017), by share instead of by sum, so that shrinking all attributions gains nothing.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_LEAST = 1e-2


def shares(a: Float[Tensor, "batch *units"]) -> Float[Tensor, "batch unit"]:
    """Give p.

    Args:
        a: Attributions.
    """
    size = a.abs().flatten(1)
    return size / (size.sum(dim=1, keepdim=True) + _LEAST)


def sparsity(a: Float[Tensor, "batch *units"]) -> Float[Tensor, " batch"]:
    """How evenly the attribution is spread.

    Args:
        a: Attributions.
    """
    p = shares(a).sort(dim=1).values
    n = p.shape[1]
    rank = torch.arange(1, n + 1, dtype=p.dtype, device=p.device)
    return (p * (1 - (2 * rank - n - 1) / n)).sum(dim=1)


def smoothness(a: Float[Tensor, "batch *grid"]) -> Float[Tensor, " batch"]:
    """How much the attribution changes from one unit to the next.

    Args:
        a: Attributions on a grid: pixels, voxels, or the tokens of a note.
    """
    axes = range(1, a.ndim)
    change = sum((a.diff(dim=axis).abs().flatten(1).sum(dim=1) for axis in axes), a.new_zeros(len(a)))
    return change / (2 * len(axes) * (a.abs().flatten(1).sum(dim=1) + _LEAST))


def outside(a: Float[Tensor, "batch *units"], mask: Bool[Tensor, "batch *units"]) -> Float[Tensor, " batch"]:
    """How much of the attribution lies outside the mask.

    Args:
        a: Attributions.
        mask: Where the finding is.
    """
    return shares(a).masked_fill(mask.flatten(1), 0.0).sum(dim=1)
