r"""What a prior over the latents is asked, whatever it is made of.

    [z~_0 | z~_1 .. z~_M],   z~_b = (z_b - m_b) / s_b     each block by its own statistics of the training fold
    log p(z) = log p(z~) - sum_i log s_i                  nats

- z_0: the shared latent that the fusion gives; z_1 .. z_M: the latents of the modalities;
- m, s: see `mhdiff.diffusion.standardise`;
- a block that is absent is 0, whatever stands in its place, and so is the shared block of a patient of whom nothing
  is present.

The gradient stops between the latents and the prior's loss, because a latent that shrinks is easy to model: trained
jointly, the encoders would lower the loss by collapsing. Through `denoise` the classifier's gradient does reach
them; the prior's own parameters learn from its loss alone.

Imputing. The modalities that a patient has are known, and the rest is drawn given them. A shared latent that was
fused from fewer modalities is not the complete patient's: for a patient who lacks something it is one of the blocks
to be drawn, and what stands in its place is not read. The shared latent of a complete patient is known, unless
`redraw` asks for draws of it given the modalities. A member that has no model of how the blocks hang together leaves
the shared one as the fusion gave it, and one that has none of the modalities puts a missing one at its mean. Drawn
anew or judged, a block that is not modelled is standard normal and independent of the rest.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from mhdiff.diffusion.condition import UNTOLD
from mhdiff.diffusion.latents import Latents
from mhdiff.diffusion.noise import Noise
from mhdiff.diffusion.standardise import Standardiser
from ontology.errors import InputError

_LOG_2PI = math.log(2 * math.pi)


class Prior(nn.Module, ABC):
    """A model of the blocks [shared | modality_1 .. modality_M]. What it gives is on the standardised scale.

    Args:
        dim: Width of every latent.
        modalities: Number of modalities, M.
        classes: Number of classes that it may be told; 0 for none.
        warmup: Number of calls of `observe` after which the standardisation is frozen.
        stop_gradient: Whether the gradient of the loss stops at the latents. False is for showing what happens then.
    """

    #: Whether `sample` and `sample_blocks` draw what resembles patients; otherwise they are standard normal.
    generates: bool = True
    #: Whether there are statistics that are counted and not descended to, which `refit` counts anew.
    refits: bool = False
    #: Whether the imputed blocks are meant to be diagnosed from; otherwise the model does with what is present.
    imputes: bool = True
    #: Whether the member has a model of the shared block, of the modality blocks, and of what the label says of them.
    models_shared: bool = True
    models_modalities: bool = True
    models_label: bool = False

    def __init__(
        self, dim: int, modalities: int, classes: int = 0, warmup: int = 500, stop_gradient: bool = True
    ) -> None:
        super().__init__()
        if dim < 1 or modalities < 1 or classes < 0 or warmup < 0:
            raise InputError(
                f"a prior cannot have width {dim}, {modalities} modalities, {classes} classes and a warm-up of "
                f"{warmup} steps",
                remedy="Give model.dim >= 1 and model.prior.init_args.warmup >= 0.",
            )
        self.dim, self.modalities, self.classes, self.stop_gradient = dim, modalities, classes, stop_gradient
        self.scale = Standardiser(dim, warmup)
        self.modality_scale = Standardiser(dim, warmup, blocks=modalities)

    # -- what the latents are to a prior

    def observe(self, latents: Latents) -> None:
        """Update the running statistics; only in training, and the standardisation no longer after `warmup` calls.

        Args:
            latents: A batch, of the training fold.
        """
        self.scale.observe(latents.shared, latents.known)
        self.modality_scale.observe(latents.modality, latents.present)

    @property
    def learning(self) -> bool:
        """Whether `observe` or `loss` would make anything of a step's latents; where not, they need not be computed."""
        return True

    def update(self) -> None:
        """Call after each optimiser step. A prior without an average has nothing to do here."""
        return None

    def refit(self, batches: Iterable[Latents]) -> None:
        """Count anew, by the weights of the model as they are now, what training has counted by those of every step.

        The standardisation stays as it is, since the head has learnt on it. Members without such statistics do nothing.

        Args:
            batches: The patients of the training fold, each once, with nothing masked.
        """
        return None

    def restandardise(self, latents: Latents) -> None:
        """Standardise by these patients from now on, whatever was frozen before.

        What has learned on the scale of before has to be told: see `mhdiff.model.MHDiff.restandardise`.

        Args:
            latents: The patients of the training fold, each once, with nothing masked.
        """
        self.scale.recount(latents.shared, latents.known)
        self.modality_scale.recount(latents.modality, latents.present)

    def standardise(self, latents: Latents) -> Float[Tensor, "batch dim"]:
        """The shared block, which is 0 for a patient of whom nothing is present."""
        absent = ~latents.known[:, None]
        return self.scale(latents.shared.masked_fill(absent, 0.0)).masked_fill(absent, 0.0)

    def blocks(self, latents: Latents) -> Float[Tensor, "batch blocks dim"]:
        """All 1 + M blocks, 0 where absent. That of an incomplete patient's shared latent is what was fused."""
        absent = ~latents.present[..., None]
        modality = self.modality_scale(latents.modality.masked_fill(absent, 0.0)).masked_fill(absent, 0.0)
        return torch.cat((self.standardise(latents)[:, None], modality), dim=1)

    def known_blocks(self, latents: Latents) -> Bool[Tensor, "batch blocks"]:
        """The blocks that imputing leaves as they are: present modalities, and a complete patient's shared block."""
        return torch.cat((latents.complete[:, None], latents.present), dim=1)

    @property
    def std(self) -> Float[Tensor, "blocks dim"]:
        """The standard deviations s of all blocks."""
        return torch.cat((self.scale.std[None], self.modality_scale.std))

    def destandardise(self, blocks: Float[Tensor, "*batch blocks dim"]) -> Float[Tensor, "*batch blocks dim"]:
        """Blocks on the scale of the latents.

        Args:
            blocks: Standardised blocks.
        """
        mean = torch.cat((self.scale.mean[None], self.modality_scale.mean))
        return blocks * self.std + mean

    @property
    def networks(self) -> Iterable[nn.Module]:
        """The networks that learn and those that answer, which `model.compile` translates; none by default."""
        return ()

    @property
    def draws_shared(self) -> bool:
        """Whether the shared block can be drawn given modalities: both are modelled, together."""
        return self.models_shared and self.models_modalities

    @property
    def has_spread(self) -> bool:
        """Whether draws of what is missing differ; otherwise each is the conditional mean."""
        return type(self)._draw is not Prior._draw

    @property
    def judges_modalities(self) -> bool:
        """Whether `block_log_likelihood` knows what the modalities say of each other; else all are standard normal."""
        own = type(self).block_log_likelihood is not Prior.block_log_likelihood
        return self.models_modalities and own

    @property
    def knows_time(self) -> bool:
        """Whether `denoise` reads its time."""
        return self.models_shared and hasattr(self, "denoise_time")

    def _time(self, t: float | None) -> float:
        """How much of the shared latent is taken for noise, as asked or as the member is set."""
        time = float(self.denoise_time) if t is None else t  # type: ignore[arg-type]
        if not 0.0 <= time <= 1.0:
            raise InputError(f"cannot denoise at t = {time}", remedy="Give a time in [0, 1].")
        return time

    # -- what a prior is asked

    @abstractmethod
    def loss(
        self,
        latents: Latents,
        label: Int64[Tensor, " batch"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """What the prior's own parameters learn from; no gradient reaches the latents.

        In training it is that of the parameters, in evaluation that of their average, where there is one.

        Args:
            latents: A batch of patients as they are, without anything masked.
            label: The class of each, or `UNTOLD`.
            generator: Source of the random numbers.
        """

    @abstractmethod
    def denoise(self, latents: Latents, t: float | None = None) -> Float[Tensor, "batch dim"]:
        """The posterior mean of the shared latent: deterministic, and differentiable in the latents.

        Args:
            latents: A batch.
            t: How much of the latent is taken for noise, in [0, 1]; by default the member's own.
        """

    def impute(
        self,
        latents: Latents,
        draws: int = 8,
        steps: int = 25,
        generator: torch.Generator | None = None,
        redraw: bool = False,
        common: bool = False,
    ) -> Float[Tensor, "draws batch blocks dim"]:
        """Draw the blocks that are not known given those that are.

        The random numbers held fixed, a draw is differentiable in what it is given, as `denoise` is: a diagnosis from
        draws can be explained. Where draws are wanted as data, ask under `torch.no_grad()`.

        Args:
            latents: A batch. What stands in a block that is drawn is not read.
            draws: How often.
            steps: Effort, in steps of Heun's method (two evaluations each).
            generator: Source of the random numbers.
            redraw: Draw the shared block of complete patients too.
            common: Draw all patients with the same random numbers, see `mhdiff.diffusion.noise`.
        """
        if draws < 1 or steps < 1:
            raise InputError(
                f"cannot impute with {draws} draws of {steps} steps", remedy="Give 1 or more of each."
            )
        z, given = self._given(latents, redraw)
        repeated, known = (x.expand(draws, *x.shape).flatten(0, 1) for x in (z, given))
        drawn = self._draw(repeated, known, steps, Noise(draws, len(z), common, generator))
        return self._filled(repeated, known, drawn).reshape(draws, *z.shape)

    def conditional_mean(self, latents: Latents, redraw: bool = False) -> Float[Tensor, "batch blocks dim"]:
        """The expectation of what `impute` draws, deterministic: in closed form or by the member's estimate of it.

        Args:
            latents: A batch.
            redraw: Do the same for the shared block of complete patients.
        """
        z, given = self._given(latents, redraw)
        return self._filled(z, given, self._mean(z, given))

    def sample_blocks(
        self,
        n: int,
        steps: int = 25,
        label: int | Int64[Tensor, " n"] | None = None,
        guidance: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "n blocks dim"]:
        """Draw complete patients.

        Args:
            n: How many.
            steps: Effort, in steps of Heun's method (two evaluations each).
            label: The class that they are drawn from: one for all, or one each.
            guidance: How much the label says: 0 as if none were told, 1 the law of the class, beyond 1 exaggerated.
            generator: Source of the random numbers.

        Raises:
            InputError: If there is no such class, or the member models none.
        """
        self._labels(n, label)
        mean = self.scale.mean
        shape = (n, 1 + self.modalities, self.dim)
        return torch.randn(shape, generator=generator, dtype=mean.dtype, device=mean.device)

    def evaluations(self, steps: int = 25, guidance: float = 1.0) -> int:
        """How often a draw of `sample_blocks` runs the network: once, unless the member walks.

        Args:
            steps: See `sample_blocks`.
            guidance: See `sample_blocks`.
        """
        return 1

    def evaluations_to_impute(self, steps: int = 25) -> int:
        """How often one draw of `impute` runs the network.

        Args:
            steps: See `impute`.
        """
        return self.evaluations(steps)

    def sample(
        self,
        n: int,
        steps: int = 25,
        label: int | Int64[Tensor, " n"] | None = None,
        guidance: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "n dim"]:
        """Draw shared latents, see `sample_blocks`."""
        return self.sample_blocks(n, steps, label, guidance, generator)[:, 0]

    def log_likelihood(
        self, latents: Latents, generator: torch.Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """Log-density of the shared latent on its own scale, in nats, without gradient.

        For a patient of whom nothing is present it is the density at the mean of the training fold.

        Args:
            latents: A batch.
            generator: Source of the random numbers of an estimate.
        """
        z = self.standardise(latents).detach()
        return -(z.square() + _LOG_2PI).sum(dim=1) / 2 - self._shared_volume()

    def plausibility(
        self,
        z: Float[Tensor, "n dim"],
        label: Int64[Tensor, " n"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, " n"]:
        """A cheap stand-in for the log-density of shared latents of a class, up to a constant, without gradient.

        It is for saying which of some latents are likelier, at a cost that a training step can bear; a density of which
        anything is reported is `log_likelihood`.

        Args:
            z: Shared latents, standardised.
            label: The class that each is taken for; None for none.
            generator: Source of the random numbers of an estimate.
        """
        self._labels(len(z), label)
        return -z.detach().square().sum(dim=1) / 2

    def block_log_likelihood(
        self,
        latents: Latents,
        block: int | None = None,
        generator: torch.Generator | None = None,
        probes: int | None = None,
    ) -> Float[Tensor, " batch"]:
        """Log-density of modality latents on their own scale, in nats, without gradient.

        Without `block` that of all present modalities together; with it that of one block given the other present
        modalities: how surprising this image is for these labs. The shared latent is never among what is known: it is
        made of the block in question. For block 0 it is the shared latent given the present modalities. 0 where the
        block is absent, or nothing is present: the density of nothing.

        Args:
            latents: A batch.
            block: Number of the block, 1 .. M, or 0 for the shared one.
            generator: Source of the random numbers of an estimate.
            probes: Where the density needs a trace, estimate it with so many probes, whatever its size: for scores of
                many patients. By default the member chooses.
        """
        counted, _ = self._asked(latents, block)
        each = -(self.blocks(latents).detach().square() + _LOG_2PI).sum(dim=2) / 2
        return each.masked_fill(~counted, 0.0).sum(dim=1) - self._log_volume(counted)

    # -- for the members

    def _draw(
        self,
        z: Float[Tensor, "rows blocks dim"],
        given: Bool[Tensor, "rows blocks"],
        steps: int,
        noise: Noise,
    ) -> Float[Tensor, "rows blocks dim"]:
        """Draw all blocks of complete patients given some, which are 0 where not given. By default the mean."""
        return self._mean(z, given)

    @abstractmethod
    def _mean(
        self, z: Float[Tensor, "rows blocks dim"], given: Bool[Tensor, "rows blocks"]
    ) -> Float[Tensor, "rows blocks dim"]:
        """The expectation of all blocks of complete patients given some, which are 0 where not given."""

    def _given(self, latents: Latents, redraw: bool) -> tuple[Tensor, Tensor]:
        """The known blocks, 0 elsewhere, and which they are."""
        given = self.known_blocks(latents)
        if not self.draws_shared or redraw:
            first = torch.zeros(1, dtype=torch.int64, device=given.device)
            given = given.index_fill(1, first, not self.draws_shared)
        return self.blocks(latents).masked_fill(~given[..., None], 0.0), given

    def _filled(self, z: Tensor, given: Tensor, drawn: Tensor) -> Tensor:
        if not self.models_modalities:
            drawn = torch.cat((drawn[:, :1], torch.zeros_like(drawn[:, 1:])), dim=1)
        return torch.where(given[..., None], z, drawn)

    def _targets(self, latents: Latents) -> Float[Tensor, "batch blocks dim"]:
        """The blocks that the loss is about: constants, unless the gradient is let through."""
        z = self.blocks(latents)
        return z.detach() if self.stop_gradient else z

    def _labels(self, n: int, label: int | Tensor | None) -> Int64[Tensor, " n"] | None:
        """One label a row, checked; None if none is told."""
        if label is None:
            return None
        if not self.models_label or not self.classes:
            raise InputError(
                f"{type(self).__name__} was not built to be told classes",
                remedy="Draw without a label, or take DiffusionPrior or VAEPrior with the number of classes.",
            )
        told = torch.as_tensor(label, dtype=torch.int64, device=self.scale.mean.device)
        if (told.ndim and len(told) != n) or bool(((told < UNTOLD) | (told >= self.classes)).any()):
            raise InputError(
                f"label {label} is neither one class nor one for each of {n} draws",
                remedy=f"Classes are 0 to {self.classes - 1}; {UNTOLD} stands for none.",
            )
        return told.expand(n)

    def _log_volume(self, counted: Bool[Tensor, "batch blocks"]) -> Float[Tensor, " batch"]:
        """The sum of log s_i over the counted blocks: what standardising adds to a log-density."""
        return (counted * self.std.log().sum(dim=1)).sum(dim=1)

    def _shared_volume(self) -> Float[Tensor, ""]:
        """The sum of log s_i over the shared block."""
        return self.scale.std.log().sum()

    def _asked(self, latents: Latents, block: int | None) -> tuple[Tensor, Tensor]:
        """Which blocks a density counts, and which it is given, see `block_log_likelihood`."""
        shared = latents.known[:, None]
        has = torch.cat((torch.zeros_like(shared), latents.present), dim=1)
        if block is None:
            return has, torch.zeros_like(has)
        if not 0 <= block <= self.modalities:
            raise InputError(
                f"there is no block {block}", remedy=f"Give 1 to {self.modalities}, or 0 for the shared one."
            )
        one = torch.zeros_like(has)
        one[:, block] = True
        return one & torch.cat((shared, latents.present), dim=1), has & ~one
