r"""What stands behind the prior: from a patient's denoised latent to the scores of the classes.

    Perceptron   logits = W_2 dropout(SiLU(W_1 z + b_1)) + b_2        the model's own
    Linear       logits = W z + b                                     under late fusion, a mean of logits

A head may look at the modalities' own latents beside z, and may have a loss of its own, which `mhdiff.losses.HeadLoss`
brings into training: `mhdiff.baselines.LabelDiffusion` does both.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mhdiff.diffusion.latents import Latents


class Head(nn.Module, ABC):
    """From latents to scores; built as (dim, modalities, classes, **settings)."""

    @property
    @abstractmethod
    def readers(self) -> list[nn.Linear]:
        """The linear maps, with an offset, whose first `dim` columns read z."""

    @abstractmethod
    def forward(
        self, z: Float[Tensor, "batch dim"], latents: Latents | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Score the classes.

        Args:
            z: The shared latent, standardised and denoised.
            latents: What it was fused from; None where it is not known, as for a latent that was drawn.
        """

    def own(self) -> Iterable[nn.Parameter]:
        """Parameters that learn from `loss` alone; none by default."""
        return ()

    def loss(
        self,
        z: Float[Tensor, "batch dim"],
        latents: Latents,
        label: Int64[Tensor, " batch"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """What the head learns from beside the diagnosis; 0 by default.

        Args:
            z: The shared latent, standardised and denoised.
            latents: What it was fused from.
            label: The classes.
            generator: Source of the random numbers.
        """
        return z.new_zeros(())

    def update(self) -> None:
        """Call after each optimiser step. A head without an average has nothing to do here."""
        return None

    @torch.no_grad()
    def moved(self, shift: Float[Tensor, " dim"], ratio: Float[Tensor, " dim"]) -> None:
        """Give the same answers to z' as before to z = ratio * z' + shift.

        Args:
            shift: By how much.
            ratio: By what.
        """
        for first in self.readers:
            old = first.weight[:, : len(shift)]
            first.bias.add_(old @ shift.to(old.dtype))
            first.weight[:, : len(shift)] = old * ratio.to(old.dtype)


class Perceptron(nn.Sequential, Head):
    """A perceptron with one hidden layer.

    Args:
        dim: Width of z.
        modalities: Not read.
        classes: Number of classes.
        dropout: Dropout before the last layer.
    """

    def __init__(self, dim: int, modalities: int, classes: int, dropout: float = 0.1) -> None:
        super().__init__(nn.Linear(dim, dim), nn.SiLU(), nn.Dropout(dropout), nn.Linear(dim, classes))

    @property
    def readers(self) -> list[nn.Linear]:
        """See `Head.readers`."""
        first = self[0]
        assert isinstance(first, nn.Linear)
        return [first]

    def forward(  # type: ignore[override]
        self, z: Float[Tensor, "batch dim"], latents: Latents | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Score the classes, see `Head.forward`."""
        scores: Tensor = super().forward(z)
        return scores


class Linear(Head):
    """A linear map.

    Args:
        dim: Width of z.
        modalities: Not read.
        classes: Number of classes.
    """

    def __init__(self, dim: int, modalities: int, classes: int) -> None:
        super().__init__()
        self.out = nn.Linear(dim, classes)

    @property
    def readers(self) -> list[nn.Linear]:
        """See `Head.readers`."""
        return [self.out]

    def forward(
        self, z: Float[Tensor, "batch dim"], latents: Latents | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Score the classes, see `Head.forward`."""
        scores: Tensor = self.out(z)
        return scores
