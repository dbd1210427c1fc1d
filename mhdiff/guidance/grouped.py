r"""One linear map a group of rows, as one product.

.. math:: y_n = x_n W_{g(n)}, \qquad
          \frac{\partial L}{\partial x_n} = \frac{\partial L}{\partial y_n} W_{g(n)}^T, \qquad
          \frac{\partial L}{\partial W_g} = \sum_{n:\, g(n) = g} x_n^T \frac{\partial L}{\partial y_n}

- g(n): the group of row n; the rows of a group stand together, and groups may differ much in size, so that padding
  them to one size (`torch.bmm`) would multiply mostly zeros.

Each is a loop over the groups that writes in place, and one node of the graph of gradients. Both ways back are of the
same two kinds, so they can be differentiated again. `torch.nn.functional.grouped_mm` does the same for some types and
widths.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def grouped_product(
    x: Float[Tensor, "row inner"], weight: Float[Tensor, "group inner outer"], sizes: Sequence[int]
) -> Float[Tensor, "row outer"]:
    """Multiply each group of rows by its own matrix.

    Args:
        x: The rows, group by group.
        weight: W of each group.
        sizes: How many rows each has.
    """
    if torch.is_autocast_enabled(x.device.type):
        kind = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(kind), weight.to(kind)
    return _Product.apply(x, weight, tuple(sizes))


class _Product(torch.autograd.Function):
    """Row by row times the matrix of the row's group."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, sizes: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.sizes = sizes
        y = x.new_empty(len(x), weight.shape[2])
        for part, own, into in zip(x.split(sizes), weight.unbind(), y.split(sizes), strict=True):
            torch.mm(part, own, out=into)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (x, weight), sizes = ctx.saved_tensors, ctx.sizes
        asked = ctx.needs_input_grad
        return (
            _Product.apply(gradient, weight.mT, sizes) if asked[0] else None,
            _Outer.apply(x, gradient, sizes) if asked[1] else None,
            None,
        )


class _Outer(torch.autograd.Function):
    """The sum over a group's rows of the products of two vectors, for each group."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, sizes: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.sizes = sizes
        weight = x.new_empty(len(sizes), x.shape[1], y.shape[1])
        for a, b, into in zip(x.split(sizes), y.split(sizes), weight.unbind(), strict=True):
            torch.mm(a.mT, b, out=into)
        return weight

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (x, y), sizes = ctx.saved_tensors, ctx.sizes
        asked = ctx.needs_input_grad
        return (
            _Product.apply(y, gradient.mT, sizes) if asked[0] else None,
            _Product.apply(x, gradient, sizes) if asked[1] else None,
            None,
        )
