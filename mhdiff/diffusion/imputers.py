r"""The simple things that a prior must beat: nothing, the mean, and a regression.

    NoPrior            z~ as it is; p(z~) = N(0, I). Nothing is imputed: the model does with what is present
    MeanImputer        a missing modality is the mean of the training fold, 0 on the standardised scale
    RegressionImputer  z~_b = f_b(z~_given, given),  L = mean of ||f_b - z~_b||^2 / d over the b shown and not given

f is a perceptron of all blocks, 0 where not given, and of which are given; it learns from the same views as the
diffusion prior (`mhdiff.diffusion.views`) and answers by the same kind of average. Its draws are all the same:
a regression knows the mean and no spread.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mhdiff.diffusion.ema import EMA
from mhdiff.diffusion.latents import Latents
from mhdiff.diffusion.prior_base import Prior
from mhdiff.diffusion.views import draw_views


class NoPrior(Prior):
    """Standardises and nothing more: the arm without a prior, with a standard normal as its density.

    Args:
        dim: Width of every latent.
        modalities: Number of modalities.
        classes: Not read.
        warmup: Number of training steps after which the standardisation is frozen.
        stop_gradient: Not read.
    """

    generates = False
    imputes = False
    models_shared = False
    models_modalities = False

    @property
    def learning(self) -> bool:
        """Only while the standardisation follows, see `Prior.learning`."""
        return self.scale.warming

    def loss(
        self,
        latents: Latents,
        label: Int64[Tensor, " batch"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """0: there is nothing to learn."""
        return self.scale.mean.new_zeros(())

    def denoise(self, latents: Latents, t: float | None = None) -> Float[Tensor, "batch dim"]:
        """The standardised latent as it is."""
        return self.standardise(latents)

    def _mean(self, z: Tensor, given: Tensor) -> Float[Tensor, "rows blocks dim"]:
        return torch.zeros_like(z)


class MeanImputer(NoPrior):
    """Puts the training fold's mean in a missing modality's place; otherwise `NoPrior`.

    While the model trains that is the mean of the standardisation; `refit` takes that of the trained model's latents.
    """

    imputes = True
    refits = True
    center: Tensor

    def __init__(
        self, dim: int, modalities: int, classes: int = 0, warmup: int = 500, stop_gradient: bool = True
    ) -> None:
        super().__init__(dim, modalities, classes, warmup, stop_gradient)
        self.register_buffer("center", torch.zeros(1 + modalities, dim))

    @torch.no_grad()
    def refit(self, batches: Iterable[Latents]) -> None:
        """Take the means of what is known, on the standardised scale, see `Prior.refit`."""
        total = self.center.new_zeros(self.center.shape, dtype=torch.float64)
        count = total.new_zeros(len(total))
        for latents in batches:
            has = self.known_blocks(latents)
            total += self.blocks(latents).double().masked_fill(~has[..., None], 0.0).sum(dim=0)
            count += has.sum(dim=0)
        self.center.copy_(total / count.clamp(min=1)[:, None])

    def _mean(self, z: Tensor, given: Tensor) -> Float[Tensor, "rows blocks dim"]:
        return self.center.to(z.dtype).expand_as(z)

    def _filled(self, z: Tensor, given: Tensor, drawn: Tensor) -> Tensor:
        return torch.where(given[..., None], z, drawn)


class RegressionImputer(Prior):
    """Puts a perceptron's answer in the place of what is missing; densities are standard normal, and it draws nobody.

    Args:
        dim: Width of every latent.
        modalities: Number of modalities.
        classes: Not read.
        width: Width of the hidden layers.
        ema_decay: Decay of the average that imputes; warmed up.
        warmup: Number of training steps after which the standardisation is frozen.
        stop_gradient: See `Prior`.
    """

    generates = False

    def __init__(
        self,
        dim: int,
        modalities: int,
        classes: int = 0,
        width: int = 256,
        ema_decay: float = 0.999,
        warmup: int = 500,
        stop_gradient: bool = True,
    ) -> None:
        super().__init__(dim, modalities, classes, warmup, stop_gradient)
        blocks = 1 + modalities
        self.regression = nn.Sequential(
            nn.Linear(blocks * (dim + 1), width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, blocks * dim),
        )
        self.ema = EMA(self.regression, ema_decay)

    @property
    def networks(self) -> Iterable[nn.Module]:
        """The perceptron and its average."""
        return self.regression, self.ema.averaged

    def update(self) -> None:
        """Take the parameters into the average."""
        self.ema.update(self.regression)

    def loss(
        self,
        latents: Latents,
        label: Int64[Tensor, " batch"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """The mean square error, see `Prior.loss`; the label is not read."""
        z = self._targets(latents)
        view = draw_views(latents.present, generator=generator)
        answer = self._answer(self.regression if self.training else self.ema.averaged, z, view.given)
        error = (answer - z).square().mean(dim=2)
        asked = view.shown & ~view.given
        return error.masked_fill(~asked, 0.0).sum() / asked.sum().clamp(min=1)

    def denoise(self, latents: Latents, t: float | None = None) -> Float[Tensor, "batch dim"]:
        """The standardised latent as it is: a regression knows of no noise."""
        return self.standardise(latents)

    def _answer(self, network: nn.Module, z: Tensor, given: Tensor) -> Tensor:
        known = torch.cat((z.masked_fill(~given[..., None], 0.0), given[..., None].to(z.dtype)), dim=2)
        answer: Tensor = network(known.flatten(1))
        return answer.to(z.dtype).reshape(z.shape)

    def _mean(self, z: Tensor, given: Tensor) -> Float[Tensor, "rows blocks dim"]:
        return self._answer(self.ema.averaged, z, given)
