r"""The penalty on attributions, `ig_reg`: expected gradients with one point of one path a step.

    a_m = (x_m - x'_m) dF/dx_m (x' + alpha (x - x')),    alpha ~ U(0, 1),   x' another patient of the batch, at random
    L   = mean_patients mean_{m that has part} T(a_m)

- x = (x_1 .. x_M): what the encoders' `differentiable` gives, all modalities moved together, since one at a time misses
  what they do together; the reference's modality is the encoder's baseline where that patient lacks it, and for a
  patient who is alone in the batch;
- F: the log odds of the patient's class; evidence and attention masks stay as they are;
- T: see `mhdiff.losses.attribution_targets`; a: summed over what belongs to one unit (channels, hidden states).

In expectation over x' and alpha, a is the expected gradient, which adds up to F(x) - E F(x'). The gradient of L goes
through dF/dx, so it needs second derivatives: attention is written out in matrix products, and activations are smooth.
An attribution made by a library that does not keep its graph would raise nothing here and train nothing.

An absent or hidden modality has exactly no part. The network stays in the mode that it is in. References come from this
process's batch. Erion et al. (Nature Machine Intelligence 2021), eq. 3 and 4.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mhdiff.compiled import as_written
from mhdiff.encoders.base import Encoder
from mhdiff.losses.attribution_targets import outside, smoothness, sparsity
from mhdiff.losses.base import Loss, LossContext, drawing_from
from mhdiff.losses.schedule import Schedule
from ontology.errors import InputError

Target = Literal["sparsity", "smoothness", "agreement"]


class ExpectedGradients(Loss):
    """Shape what the diagnosis is attributed to.

    Args:
        weight: See `Loss`.
        log_only: See `Loss`.
        target: `sparsity`: few units say most; `smoothness`: neighbouring pixels or tokens say alike; `agreement`: what
            lies outside a mask says nothing (modalities and patients without a mask have no part).
        every: Computed in every so manieth step; it costs about two steps.
    """

    def __init__(
        self,
        weight: float | Schedule = 0.1,
        log_only: bool = False,
        target: Target = "sparsity",
        every: int = 1,
    ) -> None:
        super().__init__(weight, log_only)
        if target not in ("sparsity", "smoothness", "agreement"):
            raise InputError(
                f"attributions have no target '{target}'", remedy="Choose sparsity, smoothness or agreement"
            )
        if every < 1:
            raise InputError(f"every is {every}", remedy="Give 1 for every step, 4 for every fourth")
        self.target, self.every = target, every
        self.name = f"ig_reg_{target}"

    def due(self, step: int) -> bool:
        """Every so manieth step, see `Loss.due`."""
        return step % self.every == 0

    def forward(self, context: LossContext) -> Float[Tensor, ""]:
        """Compute it, see `Loss.forward`."""
        batch, encoders = context.batch, context.net.encoders
        if self.target == "agreement" and not batch.masks:
            raise InputError(
                "mhdiff.losses.ExpectedGradients(target: agreement) needs masks, and the batch has none",
                remedy="Set data.masks to the cohort's folder of masks, such as truth/masks",
            )
        attributed = self.attribute(context)
        total = parts = batch.present.new_zeros(len(batch), dtype=torch.float32)
        for column, (name, a) in enumerate(attributed.items()):
            part = batch.present[:, column]
            told = self._told(per_unit(a, encoders[name]), encoders[name], batch.masks, name)  # type: ignore[arg-type]
            if told is None:
                continue
            value, has = told
            part = part & has
            total = total + value.masked_fill(~part, 0.0)
            parts = parts + part
        return (total / parts.clamp(min=1)).sum() / max(len(batch), 1)

    def attribute(self, context: LossContext) -> dict[str, Float[Tensor, "batch *shape"]]:
        """Give a_m of every modality, with a graph where gradients are on.

        Args:
            context: The step.
        """
        batch, keep = context.batch, torch.is_grad_enabled()
        device = batch.present.device
        moved, points = {}, {}
        rows = len(batch)
        alpha = torch.rand(rows, generator=context.generator, device=device)
        # A shift by 1 .. rows - 1 never gives a patient itself.
        ahead = torch.rand((), generator=context.generator, device=device) * (rows - 1)
        other = (torch.arange(rows, device=device) + 1 + ahead.long().clamp(max=max(rows - 2, 0))) % max(
            rows, 1
        )
        with torch.enable_grad():
            for column, (name, encoder) in enumerate(context.net.encoders.items()):
                assert isinstance(encoder, Encoder)
                x = context.features[name]
                along = (-1, *[1] * (x.ndim - 1))
                there = context.present[other, column] & (other != torch.arange(rows, device=device))
                start = torch.where(there.view(along), x[other], encoder.baseline(batch.inputs[name]))
                here = batch.present[:, column].view(along)
                moved[name] = torch.where(here, x - start, 0.0)
                point = torch.where(here, start + alpha.view(along).to(x.dtype) * (x - start), 0.0)
                points[name] = point if point.requires_grad else point.requires_grad_()
            with drawing_from(context.generator, device), as_written():
                logits = _exact(context.net.run(points, batch, batch.evidence.weight).logits)
            own = batch.label[:, None]
            odds = logits.gather(1, own)[:, 0] - logits.scatter(1, own, -torch.inf).logsumexp(dim=1)
            # No patient meets another in the model, so the gradient of the sum holds the gradient of each.
            slopes = torch.autograd.grad(
                odds.sum(),
                list(points.values()),
                create_graph=keep,
                materialize_grads=True,
                allow_unused=True,
            )
        return {name: _exact(moved[name]) * _exact(slope) for name, slope in zip(points, slopes, strict=True)}

    def _told(
        self, a: Tensor, encoder: Encoder, masks: Mapping[str, Tensor], name: str
    ) -> tuple[Float[Tensor, " batch"], Bool[Tensor, " batch"]] | None:
        """T of one modality and which patients it speaks of; None where it says nothing of this modality."""
        every = torch.ones(len(a), dtype=torch.bool, device=a.device)
        if self.target == "sparsity":
            return sparsity(a), every
        if self.target == "smoothness":
            return (smoothness(a), every) if encoder.unit_axis is not None else None
        if name not in masks:
            return None
        return outside(a, masks[name]), masks[name].flatten(1).any(dim=1)


def per_unit(a: Float[Tensor, "batch *shape"], encoder: Encoder) -> Float[Tensor, "batch *units"]:
    """Add up what belongs to one pixel or one token.

    Args:
        a: Attributions, shaped like the encoder's differentiable tensor.
        encoder: Says along which axis a unit's parts lie.
    """
    return a if encoder.unit_axis is None else a.sum(dim=encoder.unit_axis)


def _exact(x: Tensor) -> Tensor:
    """At least single precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
