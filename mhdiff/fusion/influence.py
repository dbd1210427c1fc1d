r"""What the bias did to the attention: how large lambda*A was, and how far it moved alpha.

Undone without running the model again: attention without the bias is

.. math:: \alpha^0_{ij} = \frac{\alpha_{ij} e^{-\lambda A_{ij}}}{\sum_k \alpha_{ik} e^{-\lambda A_{ik}}}, \qquad
          \mathrm{moved} = \tfrac12 \sum_j |\alpha_{ij} - \alpha^0_{ij}| \in [0, 1]

which follows from the softmax. `moved` is the total variation distance between the two rows: the share of a token's
attention that went elsewhere.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Influence(NamedTuple):
    """Means over a batch, detached.

    Attributes:
        magnitude: Root mean square of lambda*A over present tokens and what they may attend to, by head.
        spread: The same after the mean of each row is taken away: what a softmax can see of it, by head.
        moved: Share of a present token's attention that the bias moved, by head, in [0, 1].
    """

    magnitude: Float[Tensor, " heads"]
    spread: Float[Tensor, " heads"]
    moved: Float[Tensor, " heads"]


@torch.no_grad()
def influence(
    attention: Float[Tensor, "batch heads token key"],
    bias: Float[Tensor, "batch #heads token key"],
    strength: Float[Tensor, " heads"],
    mask: Bool[Tensor, "batch token"],
) -> Influence:
    """Measure what the bias did.

    Args:
        attention: alpha, with the bias in it, over tokens and then anchors.
        bias: A over the same.
        strength: lambda by head.
        mask: Which tokens were present.
    """
    shift = (strength[:, None, None] * bias).float()
    anchors = bias.shape[-1] - mask.shape[-1]
    keys = torch.cat([mask, mask.any(-1, keepdim=True).expand(-1, anchors)], 1)
    pairs = (mask[:, :, None] & keys[:, None, :])[:, None]
    count = pairs.sum().clamp(min=1)
    rows = pairs.sum(-1, keepdim=True).clamp(min=1)
    shift = torch.where(pairs, shift, 0.0)
    centred = torch.where(pairs, shift - shift.sum(-1, keepdim=True) / rows, 0.0)
    magnitude = (shift.square().sum((0, 2, 3)) / count).sqrt()
    spread = (centred.square().sum((0, 2, 3)) / count).sqrt()
    without = attention.float().log() - shift
    without = without.masked_fill(~keys[:, None, None, :], -torch.inf)
    without = torch.where(pairs.any(-1, keepdim=True), without, 0.0).softmax(-1)
    distance = (attention.float() - without).abs().sum(-1) / 2
    moved = (distance * mask[:, None]).sum((0, 2)) / mask.sum().clamp(min=1)
    return Influence(magnitude, spread, moved)
