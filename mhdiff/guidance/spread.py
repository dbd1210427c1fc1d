r"""A sum over fixed pairs, and back along the same pairs.

.. math:: y_i = \sum_{k:\, r_k = i} w_k \, x_{c_k}, \qquad
          \frac{\partial L}{\partial x_j} = \sum_{k:\, c_k = j} w_k \, \frac{\partial L}{\partial y_{r_k}}

- r_k, c_k, w_k: the pairs of a graph with their weights, which do not learn.

This is a product with a sparse matrix whose transpose is at hand. Gathering rows and adding them up where they belong
gives the same and writes every pair's row to memory, twice on the way back: over the 6,745 pairs that the concepts of
the built-in terminology inherit by, that took some twenty times as long.
"""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn


class Spread(nn.Module):
    """The sum; buffers that move with the model and are no part of its state.

    Args:
        row: r, in any order.
        column: c.
        weight: w.
        rows: How many there are.
        columns: How many there are.
    """

    on_index: Tensor
    on_start: Tensor

    def __init__(
        self,
        row: Int64[Tensor, " pair"],
        column: Int64[Tensor, " pair"],
        weight: Float[Tensor, " pair"],
        rows: int,
        columns: int,
    ) -> None:
        super().__init__()
        for name, here, there, count in (("on", row, column, rows), ("back", column, row, columns)):
            order = here.argsort(stable=True)
            start = torch.zeros(count + 1, dtype=torch.int64, device=here.device)
            torch.cumsum(torch.bincount(here, minlength=count), 0, out=start[1:])
            for part, value in (("index", there[order]), ("start", start), ("weight", weight[order])):
                self.register_buffer(f"{name}_{part}", value, persistent=False)

    def forward(self, x: Float[Tensor, "column dim"]) -> Float[Tensor, "row dim"]:
        """Sum.

        Args:
            x: What is summed.
        """
        on, back = (
            tuple(self.get_buffer(f"{way}_{part}") for part in ("index", "start", "weight"))
            for way in ("on", "back")
        )
        return _Sums.apply(x, *on, *back)


class _Sums(torch.autograd.Function):
    """PyTorch's `embedding_bag`, whose own way back counts and sorts the pairs anew each time."""

    # Detached, or it would prepare for that way back already.

    @staticmethod
    def forward(ctx: Any, x: Tensor, *pairs: Tensor) -> Tensor:
        ctx.save_for_backward(*pairs)
        index, start, weight = pairs[:3]
        return nn.functional.embedding_bag(
            index,
            x.detach(),
            start,
            mode="sum",
            per_sample_weights=weight.to(x.dtype),
            include_last_offset=True,
        )

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        index, start, weight, *back = ctx.saved_tensors
        return (_Sums.apply(gradient.contiguous(), *back, index, start, weight), *[None] * 6)
