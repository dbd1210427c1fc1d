r"""The hierarchical diffusion prior: one model of the blocks [shared | modality_1 .. modality_M].

    L   = E w(t) ||v_hat(alpha z~ + sigma eps, t, shown, given, y) - v||^2     over the blocks shown and not given
    out = E[z_0 | z_t = alpha(t*) z~]             the shared block alone, denoised at t* with the averaged network
    E[z_b | z_given] = z_hat_b at t = 1           nothing is left of b there: one evaluation
    log p by the probability-flow equation        of the shared block alone, or of some blocks given others

- t: a time for each block: given blocks stand at 0, the others at one t (`mhdiff.diffusion.loss`);
- shown, given: drawn anew for each row and step (`mhdiff.diffusion.views`), so that p(z), p(z_m), p(z_m | z) and
  p(z_m | the others) are all this one model, and imputing is sampling. What the model learns is the law of the
  blocks that are shown, over the patients that have them;
- y: the label, which is dropped in some rows, so that the same network knows the law without it;
- t*: `denoise_time`; w: `weighting`. With `likelihood` w(1) is 0 and the conditional mean is hardly trained.

What denoises, imputes, samples and judges is the average (EMA), in training too, and validation's loss is its.
What is missing is imputed natively, told which blocks are given, or by RePaint (`mhdiff.diffusion.repaint`), which
holds the given blocks at their noised values and tells the denoiser nothing: `imputing`. For the same steps RePaint
asks `repaint_rounds` times as often; the conditional mean is native in both.

Bounded to parts by `hierarchy`, for nested ablations: `flat` is a prior over the shared block alone, which cannot
impute; `no_shared` one over the modalities alone, which leaves the shared latent as it is.
"""

from collections.abc import Callable, Iterable
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from mhdiff.diffusion.backbone import ResidualMLP
from mhdiff.diffusion.bound import denoising_bound
from mhdiff.diffusion.condition import UNTOLD, Condition
from mhdiff.diffusion.denoiser import Denoiser, VDenoiser, per_block
from mhdiff.diffusion.effort import SAMPLERS, SamplerName, sampler_for
from mhdiff.diffusion.ema import EMA
from mhdiff.diffusion.guided import Guided
from mhdiff.diffusion.imputers import NoPrior
from mhdiff.diffusion.latents import Latents
from mhdiff.diffusion.likelihood import EXACT_UP_TO, log_likelihood
from mhdiff.diffusion.loss import Weighting, denoising_loss
from mhdiff.diffusion.noise import Noise
from mhdiff.diffusion.prior_base import Prior
from mhdiff.diffusion.repaint import RePaint
from mhdiff.diffusion.sampler import DDIM, Sampler
from mhdiff.diffusion.schedule import Schedule
from mhdiff.diffusion.views import Hierarchy, draw_views
from ontology.errors import InputError

__all__ = ["DiffusionPrior", "Latents", "NoPrior", "Prior"]


class DiffusionPrior(Prior):
    """The diffusion prior.

    Args:
        dim: Width of every latent.
        modalities: Number of modalities.
        classes: Number of classes that it is told; 0 for none.
        backbone: How to build the network from (dim, blocks, classes).
        hierarchy: `full`, `flat` or `no_shared`: the blocks that are modelled.
        weighting: Weight of the noise levels in the loss.
        denoise_time: t*, in [0, 1): how much of the latent is taken for noise.
        label_dropout: Share of the rows whose label is not told in training.
        ema_decay: Decay of the average; warmed up.
        warmup: Number of training steps after which the standardisation is frozen.
        stop_gradient: See `Prior`.
        schedule: The noise schedule; by default `VPSchedule` with its defaults.
        imputing: `native` or `repaint`: how what is missing is drawn.
        repaint_rounds: How often RePaint walks each stretch of a draw's steps; 1 is no resampling.
        sampler: What draws walk by, see `mhdiff.diffusion.effort`; RePaint takes ancestral steps, whatever it is.
    """

    models_label = True

    def __init__(
        self,
        dim: int,
        modalities: int,
        classes: int = 0,
        backbone: Callable[[int, int, int], nn.Module] = ResidualMLP,
        hierarchy: Hierarchy = "full",
        weighting: Weighting = "v",
        denoise_time: float = 0.1,
        label_dropout: float = 0.5,
        ema_decay: float = 0.999,
        warmup: int = 500,
        stop_gradient: bool = True,
        schedule: Schedule | None = None,
        imputing: Literal["native", "repaint"] = "native",
        repaint_rounds: int = 10,
        sampler: SamplerName = "dpm_solver",
    ) -> None:
        super().__init__(dim, modalities, classes, warmup, stop_gradient)
        if weighting not in ("v", "eps", "likelihood", "soft-min-snr"):
            raise InputError(
                f"there is no weighting '{weighting}'",
                remedy="Choose v, eps, likelihood or soft-min-snr.",
            )
        if hierarchy not in ("full", "flat", "no_shared"):
            raise InputError(f"there is no hierarchy '{hierarchy}'", remedy="Choose full, flat or no_shared.")
        if imputing not in ("native", "repaint") or repaint_rounds < 1:
            raise InputError(
                f"there is no imputing '{imputing}' with {repaint_rounds} repaint_rounds",
                remedy="Choose native or repaint for model.prior.init_args.imputing, and repaint_rounds >= 1.",
            )
        if sampler not in SAMPLERS:
            raise InputError(
                f"there is no sampler '{sampler}'",
                remedy=f"Choose one of {', '.join(SAMPLERS)} for model.prior.init_args.sampler.",
            )
        if not 0.0 <= denoise_time < 1.0:
            raise InputError(
                f"a denoise_time of {denoise_time} is outside [0, 1)",
                remedy="0 is data and 1 is noise; the default is 0.1.",
            )
        if not 0.0 < label_dropout <= 1.0:
            raise InputError(
                f"a label_dropout of {label_dropout} is outside (0, 1]",
                remedy="Imputing is done without the label, so some rows must go without: the default is 0.5.",
            )
        self.imputing, self.repaint_rounds = imputing, repaint_rounds
        self.sampler: SamplerName = sampler
        self.hierarchy: Hierarchy = hierarchy
        self.weighting: Weighting = weighting
        self.denoise_time, self.label_dropout = denoise_time, label_dropout
        self.models_shared, self.models_modalities = hierarchy != "no_shared", hierarchy != "flat"
        self.imputes = hierarchy != "flat"
        #: The modelled ones among all blocks.
        self.span = slice(0 if self.models_shared else 1, 1 + modalities if self.models_modalities else 1)
        blocks = self.span.stop - self.span.start
        self.denoiser = VDenoiser(backbone(dim, blocks, classes), schedule)
        self.ema = EMA(self.denoiser, ema_decay)

    @property
    def averaged(self) -> Denoiser:
        """The averaged denoiser, which takes no gradient."""
        denoiser = self.ema.averaged
        assert isinstance(denoiser, Denoiser)
        return denoiser

    @property
    def networks(self) -> Iterable[nn.Module]:
        """The denoiser and its average."""
        return self.denoiser, self.averaged

    def update(self) -> None:
        """Take the parameters into the average."""
        self.ema.update(self.denoiser)

    @torch.no_grad()
    def restandardise(self, latents: Latents) -> None:
        """Standardise anew, and let the network start from the Gaussian law of these latents, if it can.

        Args:
            latents: The patients of the training fold, each once, with nothing masked.
        """
        super().restandardise(latents)
        known = self.known_blocks(latents)
        if not self.models_modalities:  # then incomplete patients teach the shared block too
            known = torch.cat((latents.known[:, None], known[:, 1:]), dim=1)
        for part in self.modules():  # the network and its average
            if isinstance(part, ResidualMLP):
                part.begin(self.blocks(latents)[:, self.span], known[:, self.span])

    def loss(
        self,
        latents: Latents,
        label: Int64[Tensor, " batch"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """The denoising loss, see `Prior.loss`."""
        z = self._targets(latents)[:, self.span]
        view = draw_views(latents.present, self.hierarchy, generator)
        shown, given = view.shown[:, self.span], view.given[:, self.span]
        told = label if self.classes else None
        if told is not None:
            dropped = torch.rand(told.shape, generator=generator, device=told.device) < self.label_dropout
            told = told.masked_fill(dropped, UNTOLD)
        return denoising_loss(
            self.denoiser if self.training else self.averaged,
            z.masked_fill(~shown[..., None], 0.0),
            self.weighting,
            keep=shown,
            observed=given,
            generator=generator,
            condition=Condition(told, shown, given),
        )

    def denoise(self, latents: Latents, t: float | None = None) -> Float[Tensor, "batch dim"]:
        """E[z_0 | z_t = alpha z~] of the shared block alone, see `Prior.denoise`.

        A patient of whom nothing is present gets the answer to z~ = 0.
        """
        z = self.standardise(latents)
        if not self.models_shared:
            return z
        times = torch.full_like(z[:, 0], self._time(t))
        alpha, _ = self.averaged.schedule(times)
        only, shown = self._shared_alone(alpha[:, None] * z)
        return self.averaged(only, per_block(times, only), Condition(None, shown)).z_0[:, 0]

    def _shared_alone(self, z: Float[Tensor, "batch dim"]) -> tuple[Tensor, Tensor]:
        """The modelled blocks with the shared one alone, and that it is the one shown."""
        blocks = torch.cat((z[:, None], z.new_zeros(len(z), self.span.stop - 1, self.dim)), dim=1)
        shown = torch.zeros_like(blocks[..., 0], dtype=torch.bool)
        shown[:, 0] = True
        return blocks, shown

    def _draw(self, z: Tensor, given: Tensor, steps: int, noise: Noise) -> Float[Tensor, "rows blocks dim"]:
        held = Condition(None, None, given[:, self.span])
        if self.imputing == "native":
            return self._walk(z, held, 1.0, steps, noise)
        part = z[:, self.span]
        start = torch.where(given[:, self.span, None], part, noise(part))
        sampler = self._repaint(steps)
        sampler.at_once = max(len(start), 1)  # the numbers of a step are those of all rows
        drawn = sampler(start, generator=noise, condition=held)
        return torch.cat((z[:, : self.span.start], drawn, z[:, self.span.stop :]), dim=1)

    def _repaint(self, steps: int) -> RePaint:
        """As many ancestral steps as a native draw has evaluations, in four stretches, see `repaint`."""
        return RePaint(DDIM(self.averaged, 2 * steps, eta=1.0), max(steps // 2, 1), self.repaint_rounds)

    def _walk(
        self,
        z: Float[Tensor, "rows blocks dim"],
        condition: Condition,
        guidance: float,
        steps: int,
        noise: Noise,
    ) -> Float[Tensor, "rows blocks dim"]:
        """From noise to blocks given the observed ones of z; the blocks of z that are not modelled stay."""
        part = z[:, self.span]
        start = noise(part)
        if condition.observed is not None:
            start = torch.where(condition.observed[..., None], part, start)
        sampler = self._sampler(steps, guidance)
        if self.sampler in ("ancestral", "euler_maruyama"):
            sampler.at_once = max(len(start), 1)  # the numbers of a step are those of all rows
        drawn = sampler(start, condition.observed, noise, condition)
        return torch.cat((z[:, : self.span.start], drawn, z[:, self.span.stop :]), dim=1)

    def evaluations(self, steps: int = 25, guidance: float = 1.0) -> int:
        """Those of the sampler, see `Prior.evaluations`."""
        return self._sampler(steps, guidance).evaluations

    def _sampler(self, steps: int, guidance: float) -> Sampler:
        return sampler_for(Guided(self.averaged, scale=guidance), 2 * steps, self.sampler)

    def evaluations_to_impute(self, steps: int = 25) -> int:
        """Those of the sampler, see `Prior.evaluations_to_impute`."""
        return self.evaluations(steps) if self.imputing == "native" else self._repaint(steps).evaluations

    def _mean(self, z: Tensor, given: Tensor) -> Float[Tensor, "rows blocks dim"]:
        """The denoiser's answer at t = 1, where z_t says nothing of the blocks that are not given."""
        part, known = z[:, self.span], given[:, self.span]
        times = torch.ones_like(part[..., 0]).masked_fill(known, 0.0)
        mean = self.averaged(part, times, Condition(None, None, known)).z_0
        return torch.cat((z[:, : self.span.start], mean, z[:, self.span.stop :]), dim=1)

    @torch.no_grad()
    def sample_blocks(
        self,
        n: int,
        steps: int = 25,
        label: int | Int64[Tensor, " n"] | None = None,
        guidance: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "n blocks dim"]:
        """Draw complete patients by the sampler, with 2 * `steps` evaluations, see `Prior.sample_blocks`."""
        blocks = super().sample_blocks(n, generator=generator)
        told = Condition(self._labels(n, label))
        return self._walk(blocks, told, guidance, steps, Noise(1, n, False, generator))

    @torch.no_grad()
    def sample(
        self,
        n: int,
        steps: int = 25,
        label: int | Int64[Tensor, " n"] | None = None,
        guidance: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "n dim"]:
        """Draw from the law of the shared block alone, of all patients and not the complete ones only."""
        noise = super().sample_blocks(n, generator=generator)[:, 0]
        told = self._labels(n, label)
        if not self.models_shared:
            return noise
        blocks, shown = self._shared_alone(noise)
        return self._walk(blocks, Condition(told, shown), guidance, steps, Noise(1, n, False, generator))[
            :, 0
        ]

    def log_likelihood(
        self, latents: Latents, generator: torch.Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """By the probability-flow equation, see `Prior.log_likelihood`."""
        if not self.models_shared:
            return super().log_likelihood(latents, generator)
        z, shown = self._shared_alone(self.standardise(latents).detach())
        exact = self.dim <= EXACT_UP_TO or None
        condition = Condition(None, shown)
        density = log_likelihood(self.averaged, z, exact=exact, generator=generator, condition=condition)
        return density - self._shared_volume()

    def block_log_likelihood(
        self,
        latents: Latents,
        block: int | None = None,
        generator: torch.Generator | None = None,
        probes: int | None = None,
    ) -> Float[Tensor, " batch"]:
        """By the probability-flow equation, see `Prior.block_log_likelihood`."""
        if not self.models_modalities or (block == 0 and not self.models_shared):
            return super().block_log_likelihood(latents, block, generator, probes)
        counted, given = self._asked(latents, block)
        z = self.blocks(latents).detach()[:, self.span]
        here: Bool[Tensor, "batch blocks"] = (counted | given)[:, self.span]
        exact = None if block is None else self.dim <= EXACT_UP_TO or None
        condition = Condition(None, here, given[:, self.span])
        density = log_likelihood(
            self.averaged,
            z,
            exact=exact if probes is None else False,
            probes=4 if probes is None else probes,
            generator=generator,
            condition=condition,
        )
        return density - self._log_volume(counted)

    @torch.no_grad()
    def plausibility(
        self,
        z: Float[Tensor, "n dim"],
        label: Int64[Tensor, " n"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, " n"]:
        """The denoising bound, see `mhdiff.diffusion.bound`."""
        told = self._labels(len(z), label)
        if not self.models_shared:
            return super().plausibility(z, label, generator)
        blocks, shown = self._shared_alone(z)
        return denoising_bound(self.averaged, blocks, Condition(told, shown), generator=generator)
