r"""Modality masking: some of a patient's modalities are hidden in a training step.

    present'_m = present_m * (1 - b_m),   b_m ~ Bernoulli(p_m(e)) per patient and modality, at least one kept
    p_m(e) = a + (p_m - a) r(e / (E - 1)),   r(x) = x or (1 - cos(pi x)) / 2, and 1 from epoch E - 1 on

- present_m: whether modality m of a patient was observed; present'_m: whether the model is shown it;
- p_m: probability of hiding modality m; 0 hides nothing and draws nothing;
- a, E: where the curriculum starts, and over how many epochs it rises (or falls) to p_m; e counts from 0.

MuteBench found that training with modality dropout protects against missing modalities up to the largest rate that was
trained on and hardly beyond it. A curriculum's end should therefore be at the rate that is expected, not below it; that
it starts lower is for the encoders, which learn first from what is there.

`SubsetMasking` draws the pattern instead of its parts: every non-empty subset of what a patient has is equally likely,
so that each missing pattern is trained on as often as any other.

Random numbers come from a generator that is given, or from torch's own, which training seeds by (seed, epoch, rank).
What stands in for a hidden or absent modality is the model's learnable token, see `mhdiff.model`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from ontology.errors import InputError


class Masking(nn.Module, ABC):
    """Hides modalities at random while training; the identity in evaluation.

    Attributes:
        epoch: The training epoch, from 0, which a curriculum follows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes.

        Args:
            epoch: Its number, from 0.
        """
        self.epoch = epoch

    def forward(
        self,
        present: Bool[Tensor, "batch modalities"],
        modalities: Sequence[str] | None = None,
        generator: torch.Generator | None = None,
    ) -> Bool[Tensor, "batch modalities"]:
        """Choose what the model is shown.

        Args:
            present: What was observed.
            modalities: Names of the columns; needed where rates are by name.
            generator: Source of the random numbers.
        """
        return self.hide(present, modalities, generator) if self.training else present

    @abstractmethod
    def hide(
        self,
        present: Bool[Tensor, "batch modalities"],
        modalities: Sequence[str] | None,
        generator: torch.Generator | None,
    ) -> Bool[Tensor, "batch modalities"]:
        """Choose what the model is shown in a training step; at least one of what is present.

        Args:
            present: What was observed.
            modalities: Names of the columns.
            generator: Source of the random numbers.
        """


class ModalityMasking(Masking):
    """Hides each modality by itself.

    If all present modalities of a patient would be hidden, one of them, chosen fairly, is shown.

    Args:
        p: Probability of hiding a modality: one for all, or by name (one not named is never hidden).
        start: The probability in the first epoch, likewise; None for no curriculum. One not named starts at 0.
        epochs: Over how many epochs the probability goes from `start` to `p`; the last of them has `p`.
        shape: Of the way from `start` to `p`.
    """

    def __init__(
        self,
        p: float | dict[str, float] = 0.0,
        start: float | dict[str, float] | None = None,
        epochs: int = 1,
        shape: Literal["linear", "cosine"] = "linear",
    ) -> None:
        super().__init__()
        self.p, self.start = _checked(p), None if start is None else _checked(start)
        if epochs < 1 or shape not in ("linear", "cosine"):
            raise InputError(
                f"masking cannot rise over {epochs} epochs in the shape '{shape}'",
                remedy="Give masking.epochs of 1 or more, and masking.shape linear or cosine",
            )
        self.epochs, self.shape = epochs, shape

    @property
    def risen(self) -> float:
        """How far the curriculum has come in this epoch, r in [0, 1]."""
        x = 1.0 if self.epoch >= self.epochs - 1 else self.epoch / (self.epochs - 1)
        return x if self.shape == "linear" else (1 - math.cos(math.pi * x)) / 2

    def probabilities(self, count: int, modalities: Sequence[str] | None) -> list[float]:
        """p_m of each of `count` modalities in this epoch.

        Raises:
            InputError: If rates are by name and the names are not given, or one of them is unknown.
        """
        end = _by_column(self.p, count, modalities)
        if self.start is None:
            return end
        r = self.risen
        return [
            (1 - r) * a + r * b for a, b in zip(_by_column(self.start, count, modalities), end, strict=True)
        ]

    def hide(
        self,
        present: Bool[Tensor, "batch modalities"],
        modalities: Sequence[str] | None,
        generator: torch.Generator | None,
    ) -> Bool[Tensor, "batch modalities"]:
        """Hide each by itself, see `Masking.hide`."""
        rates = self.probabilities(present.shape[1], modalities)
        if not any(rates):
            return present
        p = torch.tensor(rates, device=present.device)
        # u < 1 is uniform for a hidden modality, whatever its p_m: the largest of them is a fair choice.
        u = torch.rand(present.shape, generator=generator, device=present.device) / p
        shown = present & ~(u < 1.0)
        rescued = torch.where(present, u, -1.0).argmax(dim=1, keepdim=True)
        lost = present.any(dim=1, keepdim=True) & ~shown.any(dim=1, keepdim=True)
        columns = torch.arange(present.shape[1], device=present.device)
        return shown | (lost & (columns == rescued))


class SubsetMasking(Masking):
    """Shows a subset of what a patient has, each non-empty one equally likely.

    Args:
        p: Probability that a patient is masked at all in a step; the others are shown whole.
    """

    def __init__(self, p: float = 1.0) -> None:
        super().__init__()
        self.p = float(_checked(p))  # type: ignore[arg-type]

    def hide(
        self,
        present: Bool[Tensor, "batch modalities"],
        modalities: Sequence[str] | None,
        generator: torch.Generator | None,
    ) -> Bool[Tensor, "batch modalities"]:
        """Show a uniform subset, see `Masking.hide`.

        The subsets of k present modalities are numbered 1 .. 2^k - 1; bit j of the number drawn says whether the j-th
        present one is shown.
        """
        if not self.p:
            return present
        drawn = torch.rand((2, len(present)), generator=generator, device=present.device, dtype=torch.float64)
        subsets = torch.pow(2.0, present.sum(1, dtype=torch.float64)) - 1
        number = 1 + (drawn[0] * subsets).long().clamp(max=(subsets.long() - 1).clamp(min=0))
        bit = (present.long().cumsum(1) - 1).clamp(min=0)
        chosen = present & ((number[:, None] >> bit) & 1).bool()
        return torch.where((drawn[1] < self.p)[:, None], chosen, present)


def _checked(p: float | dict[str, float]) -> float | dict[str, float]:
    for name, value in (p if isinstance(p, Mapping) else {"p": p}).items():
        if not 0.0 <= value <= 1.0:
            raise InputError(
                f"{value} for '{name}' is no probability of hiding a modality",
                remedy="Give a number from 0 to 1.",
            )
    return dict(p) if isinstance(p, Mapping) else float(p)


def _by_column(p: float | dict[str, float], count: int, modalities: Sequence[str] | None) -> list[float]:
    if not isinstance(p, dict):
        return [p] * count
    names = list(modalities or ())
    unknown = sorted(set(p) - set(names))
    if unknown or len(names) != count:
        raise InputError(
            f"masking names {sorted(p)}, but the modalities are {names or 'not named'}",
            remedy="Use the names of the task's modalities, or one number for all.",
        )
    return [p.get(name, 0.0) for name in names]
