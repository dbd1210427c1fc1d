"""Modality masking: some of a patient's modalities are hidden in a training step.

    present'_m = present_m * (1 - b_m),   b_m ~ Bernoulli(p_m) per patient and modality, at least one kept

- present_m: whether modality m of a patient was observed; present'_m: whether the model is shown it;
- p_m: probability of hiding modality m; 0 hides nothing and draws nothing.

What stands in for a hidden or absent modality is the model's learnable token, see `mhdiff.model`.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from ontology.errors import InputError


class ModalityMasking(nn.Module):
    """Hides modalities at random while training; the identity in evaluation.

    If all present modalities of a patient would be hidden, one of them, chosen fairly, is shown.

    Args:
        p: Probability of hiding a modality: one for all, or by name (one not named is never hidden).
    """

    def __init__(self, p: float | dict[str, float] = 0.0) -> None:
        super().__init__()
        for name, value in (p if isinstance(p, Mapping) else {"p": p}).items():
            if not 0.0 <= value <= 1.0:
                raise InputError(
                    f"{value} for '{name}' is no probability of hiding a modality",
                    remedy="Give a number from 0 to 1.",
                )
        self.p = dict(p) if isinstance(p, Mapping) else float(p)

    def probabilities(self, count: int, modalities: Sequence[str] | None) -> list[float]:
        """p_m of each of `count` modalities.

        Raises:
            InputError: If p is by name and the names are not given, or one of them is unknown.
        """
        if not isinstance(self.p, dict):
            return [self.p] * count
        names = list(modalities or ())
        unknown = sorted(set(self.p) - set(names))
        if unknown or len(names) != count:
            raise InputError(
                f"masking names {sorted(self.p)}, but the modalities are {names or 'not named'}",
                remedy="Use the names of the task's modalities, or one number for all.",
            )
        return [self.p.get(name, 0.0) for name in names]

    def forward(
        self,
        present: Bool[Tensor, "batch modalities"],
        modalities: Sequence[str] | None = None,
        generator: torch.Generator | None = None,
    ) -> Bool[Tensor, "batch modalities"]:
        """Choose what the model is shown.

        Args:
            present: What was observed.
            modalities: Names of the columns; needed where p is by name.
            generator: Source of the random numbers.
        """
        rates = self.probabilities(present.shape[1], modalities)
        if not self.training or not any(rates):
            return present
        p = torch.tensor(rates, device=present.device)
        # u < 1 is uniform for a hidden modality, whatever its p_m: the largest of them is a fair choice.
        u = torch.rand(present.shape, generator=generator, device=present.device) / p
        shown = present & ~(u < 1.0)
        rescued = torch.where(present, u, -1.0).argmax(dim=1, keepdim=True)
        lost = present.any(dim=1, keepdim=True) & ~shown.any(dim=1, keepdim=True)
        columns = torch.arange(present.shape[1], device=present.device)
        return shown | (lost & (columns == rescued))
