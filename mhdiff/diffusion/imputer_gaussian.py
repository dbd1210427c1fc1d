r"""The linear-Gaussian prior over the blocks: running moments, and everything else in closed form.

    z ~ N(m, C),    E[z_b | z_g] = m_b + C_bg C_gg^-1 (z_g - m_g),    Cov[z_b | z_g] = C_bb - C_bg C_gg^-1 C_gb

    m_i  <- m_i + w_i a_i,       C_ij <- (1 - w_ij) C_ij + w_ij E_batch[d_i d_j] - (w_i a_i)(w_j a_j)^T

- g: the given blocks; b: the others;
- d_i = z_i - m_i: deviations of a batch's rows that have block i, about the mean so far; a_i: their mean;
- w_ij = n_batch,ij / (n_ij + n_batch,ij): counted for each pair of blocks by the rows that have both, up to
  `memory`. With everything present this is the covariance of all rows seen. A pair never seen together has C_ij = 0.
  The encoders move while they train, so the moments are counted anew by the trained model, see `Prior.refit`;
- moments of pairs need not fit together: eigenvalues of the correlation below `floor` are raised to it.

The shared block enters with complete patients, as in `mhdiff.diffusion.views`; for what is asked of it alone it has
the running moments of all patients, on which scale it is standard normal: `denoise` shrinks
it by alpha^2. The best that knows means and covariances only: what a deeper prior adds is beyond those.
"""

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, distributed

from mhdiff.diffusion.latents import Latents
from mhdiff.diffusion.noise import Noise
from mhdiff.diffusion.prior_base import Prior
from mhdiff.diffusion.schedule import VPSchedule
from ontology.errors import InputError


class GaussianImputer(Prior):
    """Draws what is missing from a normal given what is there. It has no parameters and learns by observing.

    Args:
        dim: Width of every latent.
        modalities: Number of modalities.
        classes: Not read.
        memory: Largest number of rows that the moments remember.
        floor: Smallest eigenvalue of the correlation of all coordinates.
        denoise_time: t*, in [0, 1): how much of the shared latent is taken for noise.
        warmup: Number of training steps after which the standardisation is frozen. The moments follow on.
        stop_gradient: Not read.
    """

    refits = True
    center: Tensor
    covariance: Tensor
    pairs: Tensor

    def __init__(
        self,
        dim: int,
        modalities: int,
        classes: int = 0,
        memory: int = 65536,
        floor: float = 1e-3,
        denoise_time: float = 0.1,
        warmup: int = 500,
        stop_gradient: bool = True,
    ) -> None:
        super().__init__(dim, modalities, classes, warmup, stop_gradient)
        if memory < 1 or not 0.0 < floor < 1.0 or not 0.0 <= denoise_time < 1.0:
            raise InputError(
                f"memory {memory}, floor {floor} and denoise_time {denoise_time} do not make a GaussianImputer",
                remedy="Give memory >= 1, floor in (0, 1) and denoise_time in [0, 1).",
            )
        self.memory, self.floor, self.denoise_time = memory, floor, denoise_time
        blocks = 1 + modalities
        self.register_buffer("center", torch.zeros(blocks * dim))
        self.register_buffer("covariance", torch.eye(blocks * dim))
        self.register_buffer("pairs", torch.zeros(blocks, blocks))

    def _full_precision(self) -> AbstractContextManager[None]:
        """Products of moments in the type that the moments have: solving does not stand bfloat16."""
        return torch.autocast(self.center.device.type, enabled=False)

    def loss(
        self,
        latents: Latents,
        label: Int64[Tensor, " batch"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """0: the moments are counted, not descended to."""
        return self.scale.mean.new_zeros(())

    @torch.no_grad()
    def observe(self, latents: Latents) -> None:
        """Update the standardisation and, in training mode, the moments, over all processes."""
        super().observe(latents)
        if self.training:
            self._take(latents, self.memory, shared=True)

    @torch.no_grad()
    def refit(self, batches: Iterable[Latents]) -> None:
        """Count the moments of all rows anew, see `Prior.refit`."""
        self.center.zero_()
        self.covariance.copy_(torch.eye(len(self.center)))
        self.pairs.zero_()
        for latents in batches:
            self._take(latents, math.inf, shared=False)

    def _take(self, latents: Latents, memory: float, shared: bool) -> None:
        """Update the moments by a batch, or by those of all processes."""
        has = self.known_blocks(latents)
        z = torch.cat((latents.shared[:, None], latents.modality), dim=1).to(self.center.dtype)
        center = self.center.reshape(1 + self.modalities, self.dim)
        away = (z - center).masked_fill(~has[..., None], 0.0).flatten(1)
        there = has.to(away.dtype)
        with self._full_precision():
            sums = [there.T @ there, away.sum(dim=0), away.T @ away]
        if shared and distributed.is_available() and distributed.is_initialized():
            for total in sums:
                distributed.all_reduce(total)
        count, first, second = sums
        w = count / (self.pairs + count).clamp(min=1)
        wide = self._spread(w)
        shift = wide.diagonal() * first / self._spread(count).diagonal().clamp(min=1)
        both = second / self._spread(count).clamp(min=1)
        # A block's first rows: nothing is kept of where the moments started.
        self.covariance.copy_((1 - wide) * self.covariance + wide * both - torch.outer(shift, shift))
        self.center += shift
        self.pairs.copy_((self.pairs + count).clamp(max=memory))

    def _spread(self, pairs: Float[Tensor, "blocks blocks"]) -> Float[Tensor, "all all"]:
        """A number for each pair of blocks -> one for each pair of coordinates."""
        return pairs.repeat_interleave(self.dim, 0).repeat_interleave(self.dim, 1)

    def law(self) -> tuple[Float[Tensor, " all"], Float[Tensor, "all all"]]:
        """Mean and covariance of all blocks on the standardised scale; the covariance is positive definite."""
        seen = self.pairs.diagonal().repeat_interleave(self.dim) > 0
        pair = self._spread(self.pairs) > 0
        eye = torch.eye(len(self.center), dtype=torch.bool, device=pair.device)
        scale = torch.cat((self.scale.mean[None], self.modality_scale.mean)).flatten()
        mean = torch.where(seen, (self.center - scale) / self.std.flatten(), 0.0)
        width = torch.where(seen, self.covariance.diagonal(), self.std.flatten().square())
        std = width.clamp(min=1e-6 * self.std.flatten().square()).sqrt()
        correlation = (self.covariance / std[:, None] / std).masked_fill(~pair, 0.0)
        with self._full_precision():
            values, vectors = torch.linalg.eigh(correlation.masked_fill(eye, 1.0))
            correlation = (vectors * values.clamp(min=self.floor)) @ vectors.T
        relative = std / self.std.flatten()
        return mean, relative[:, None] * correlation * relative

    def denoise(self, latents: Latents, t: float | None = None) -> Float[Tensor, "batch dim"]:
        """alpha^2 z~: the posterior mean of a standard normal seen at alpha z~, see `Prior.denoise`."""
        z = self.standardise(latents)
        alpha, _ = VPSchedule()(torch.full_like(z[:, :1], self._time(t)))
        return alpha.square() * z

    def _conditional(
        self, z: Float[Tensor, "rows blocks dim"], given: Bool[Tensor, "rows blocks"], noise: Tensor | None
    ) -> Float[Tensor, "rows blocks dim"]:
        """The conditional mean, and a draw around it if there is noise; solved once for each pattern."""
        mean, covariance = self.law()
        flat, out = z.flatten(1).to(mean.dtype), torch.zeros_like(z.flatten(1))
        patterns, which = torch.unique(given, dim=0, return_inverse=True)
        for k, pattern in enumerate(patterns):
            known, rows = pattern.repeat_interleave(self.dim), which == k
            asked = ~known
            gain = torch.linalg.solve(covariance[known][:, known], covariance[known][:, asked])
            answer = mean[asked] + (flat[rows][:, known] - mean[known]) @ gain
            if noise is not None:
                rest = covariance[asked][:, asked] - covariance[asked][:, known] @ gain
                answer = answer + noise.flatten(1)[rows][:, asked] @ _root(rest).T
            out[rows.nonzero(), asked.nonzero()[:, 0]] = answer.to(out.dtype)
        return out.reshape(z.shape)

    def _mean(self, z: Tensor, given: Tensor) -> Float[Tensor, "rows blocks dim"]:
        with self._full_precision():
            return self._conditional(z, given, None)

    def _draw(self, z: Tensor, given: Tensor, steps: int, noise: Noise) -> Float[Tensor, "rows blocks dim"]:
        with self._full_precision():
            return self._conditional(z, given, noise(z))

    def sample_blocks(
        self,
        n: int,
        steps: int = 25,
        label: int | Int64[Tensor, " n"] | None = None,
        guidance: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "n blocks dim"]:
        """Draw from N(m, C)."""
        noise = super().sample_blocks(n, steps, label, guidance, generator)
        mean, covariance = self.law()
        with self._full_precision():
            return (mean + noise.flatten(1) @ _root(covariance).T).reshape(noise.shape)

    def sample(
        self,
        n: int,
        steps: int = 25,
        label: int | Int64[Tensor, " n"] | None = None,
        guidance: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "n dim"]:
        """Draw shared latents of all patients: standard normal."""
        return super().sample_blocks(n, steps, label, guidance, generator)[:, 0]

    @torch.no_grad()
    def block_log_likelihood(
        self,
        latents: Latents,
        block: int | None = None,
        generator: torch.Generator | None = None,
        probes: int | None = None,
    ) -> Float[Tensor, " batch"]:
        """By the chain rule: of all that is asked or given, minus that of what is given."""
        counted, given = self._asked(latents, block)
        z = self.blocks(latents)
        given = given & counted.any(dim=1, keepdim=True)
        with self._full_precision():
            density = self._log_normal(z, counted | given) - self._log_normal(z, given)
        return density - self._log_volume(counted)

    def _log_normal(self, z: Tensor, here: Bool[Tensor, "rows blocks"]) -> Float[Tensor, " rows"]:
        mean, covariance = self.law()
        density = mean.new_zeros(len(z))
        patterns, which = torch.unique(here, dim=0, return_inverse=True)
        for k, pattern in enumerate(patterns):
            chosen, rows = pattern.repeat_interleave(self.dim), which == k
            if not bool(chosen.any()):
                continue
            root = torch.linalg.cholesky(covariance[chosen][:, chosen])
            away = (z.flatten(1)[rows][:, chosen] - mean[chosen]).T
            white = torch.linalg.solve_triangular(root, away, upper=False)
            size = math.log(2 * math.pi) * white.shape[0]
            density[rows] = -(white.square().sum(dim=0) + size) / 2 - root.diagonal().log().sum()
        return density


def _root(covariance: Float[Tensor, "k k"]) -> Float[Tensor, "k k"]:
    """A square root that stands rounding: of the part of a covariance that is left after conditioning."""
    values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    return vectors * values.clamp(min=0.0).sqrt()
