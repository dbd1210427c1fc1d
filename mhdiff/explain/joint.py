"""Joint integrated gradients: one straight path for all inputs at once.

    a_i = (x_i - b_i) * integral_0^1 dF/dx_i (b + s (x - b)) ds,      sum_i a_i = F(x) - F(b)

The sum runs over all inputs of all modalities. Moving one modality at a time leaves the interactions out:
on a multiplicative model it misses most of the change. The integral is a Gauss-Legendre sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from captum.attr import IntegratedGradients
from jaxtyping import Float, Int
from torch import Tensor

ModelFunction = Callable[[dict[str, Tensor], Int[Tensor, " rows"]], Float[Tensor, "rows outputs"]]


@dataclass(frozen=True)
class JointAttribution:
    """What each input contributed to the change of one output from the baseline to the input.

    Args:
        inputs: Attributions by input, each shaped like the input.
        difference: F(x) - F(b), one number a sample.
        gap: |sum of all attributions - difference| / |difference|, one number a sample.
        steps: Number of points on the path.
    """

    inputs: dict[str, Tensor]
    difference: Float[Tensor, " batch"]
    gap: Float[Tensor, " batch"]
    steps: int

    def totals(self) -> dict[str, Tensor]:
        """Give the sum over each input's elements, one number a sample."""
        return {name: value.flatten(1).sum(dim=1) for name, value in self.inputs.items()}


def joint_integrated_gradients(
    model_fn: ModelFunction,
    inputs: dict[str, Tensor],
    baselines: dict[str, Tensor],
    target: int | Int[Tensor, " batch"],
    steps: int = 32,
    *,
    points_at_once: int = 1,
    seed: int = 0,
) -> JointAttribution:
    """Attribute one output to all inputs along one path.

    Whatever the model draws at random is drawn anew from `seed` at every point of the path, so that the
    noise is the same along it. That holds exactly with `points_at_once=1`; a model that draws nothing may
    take more.

    Args:
        model_fn: From the inputs and the number of the sample that each row belongs to (for everything that
            is not differentiated, such as masks) to the outputs. It must be in evaluation mode.
        inputs: Differentiable tensors by name, each with the samples along the first axis.
        baselines: The start of the path, with the same names and shapes.
        target: Which output, for all samples or for each.
        steps: Number of points on the path.
        points_at_once: How many points of the path are evaluated in one call.
        seed: Seed of the noise.

    Returns:
        The attributions, with the completeness gap of each sample.
    """
    names = list(inputs)
    x = tuple(inputs[name].detach() for name in names)
    b = tuple(baselines[name].detach().to(inputs[name]) for name in names)
    batch = len(x[0])
    rows = torch.arange(batch, device=x[0].device)
    goal = torch.as_tensor(target, device=x[0].device).expand(batch)

    def forward(*arguments: Tensor) -> Tensor:
        *points, row = arguments
        devices = [row.device] if row.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            outputs = model_fn(dict(zip(names, points, strict=True)), row)
        # What the model does not read (concepts, where there is no guidance) has a slope too: 0.
        unread = sum((0.0 * point).flatten(1).sum(dim=1) for point in points)
        return outputs.gather(1, goal[row][:, None])[:, 0] + unread

    attributions = IntegratedGradients(forward).attribute(
        x, b, additional_forward_args=(rows,), n_steps=steps, internal_batch_size=batch * points_at_once
    )
    with torch.no_grad():
        difference = forward(*x, rows) - forward(*b, rows)
    # What does not move has no part in the change, even where the gradient is not finite.
    exact = [
        torch.where(end == start, torch.zeros_like(end), a.detach())
        for a, end, start in zip(attributions, x, b, strict=True)
    ]
    total = torch.stack([a.flatten(1).sum(dim=1) for a in exact]).sum(dim=0)
    gap = (total - difference).abs() / difference.abs().clamp_min(1e-8)
    return JointAttribution(dict(zip(names, exact, strict=True)), difference, gap, steps)
