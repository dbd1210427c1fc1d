r"""Unimodal diagnosis: each modality's own latent must tell the classes apart too.

    L = sum_{m in N} mean_b present_m^b CE(W_m z_m^b + c_m, y^b)

- z_m^b: the encoder's latent of modality m of patient b, before fusion; present_m^b: whether the model is shown it;
- N: the modalities that were named, or all; W_m, c_m: a linear map of its own for each, which only this loss learns and
  which takes no part in the diagnosis;
- CE: cross-entropy, of the scores in the training split's frequencies where the diagnosis is trained on others.

Trained together, the modality that is learned first explains the labels, and the gradient of the others fades before
they have learned what they could alone. Wang, Tran and Feiszli, "What makes training multi-modal classification
networks hard?" (CVPR 2020), with fixed weights; they estimate the weights by how each modality overfits.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mhdiff.losses.base import Loss, LossContext
from mhdiff.losses.schedule import Schedule
from mhdiff.model import MHDiff
from mhdiff.training.spec import DataSpec
from ontology.errors import InputError


class Unimodal(Loss):
    """Cross-entropy of a linear diagnosis from each modality alone.

    Args:
        weight: See `Loss`.
        log_only: See `Loss`.
        modalities: Which; None for all. Those that a run leaves out by `data.modalities` are passed over.
    """

    name = "unimodal"

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        log_only: bool = False,
        modalities: list[str] | None = None,
    ) -> None:
        super().__init__(weight, log_only)
        if modalities is not None and (not modalities or len(set(modalities)) < len(modalities)):
            raise InputError(
                f"mhdiff.losses.Unimodal has modalities {modalities}",
                remedy="Name each once, or give null for all",
            )
        self.modalities = modalities
        self.maps = nn.ModuleDict()
        self.places: list[int] = []

    def build(self, spec: DataSpec, net: MHDiff) -> None:
        """Make the maps, see `Loss.build`."""
        names = [m for m in spec.modalities if self.modalities is None or m in self.modalities]
        self.places = [spec.modalities.index(m) for m in names]
        self.maps = nn.ModuleDict({m: nn.Linear(net.dim, len(spec.classes)) for m in names})

    def forward(self, context: LossContext) -> Float[Tensor, ""]:
        """Compute it, see `Loss.forward`."""
        latents = context.output.latents
        with torch.autocast(latents.present.device.type, enabled=False):
            z = latents.modality.float().masked_fill(~latents.present[..., None], 0.0)
            scores = [to_classes(z[:, place]) for place, to_classes in self._each()]
            if not scores:
                return z.new_zeros(())
            logits = context.natural(torch.stack(scores, 1))
            return self.of(logits, context.batch.label, latents.present[:, self.places])

    def of(
        self,
        logits: Float[Tensor, "batch modality classes"],
        label: Int[Tensor, " batch"],
        here: Bool[Tensor, "batch modality"],
    ) -> Float[Tensor, ""]:
        """Compute it from scores.

        Args:
            logits: Scores of the classes by each modality.
            label: The true classes.
            here: Which modalities the patients are shown with.
        """
        each = nn.functional.cross_entropy(
            logits.flatten(0, 1), label.repeat_interleave(here.shape[1]), reduction="none"
        )
        return each.view(here.shape).masked_fill(~here, 0.0).mean(0).sum()

    def _each(self) -> Iterable[tuple[int, nn.Module]]:
        return zip(self.places, self.maps.values(), strict=True)
