r"""Exact denoisers: of a mixture of Gaussians, and of one Gaussian, over all blocks side by side.

    p(z_0)  = sum_k w_k N(z_0; mu_k, C_k)
    r_k     = M_k^-1 (z_t - A mu_k),   M_k = A C_k A + S^2,   A = diag(alpha),   S = diag(sigma)
    p(k | z_t) prop. to w_k N(z_t; A mu_k, M_k)
    z_0     = sum_k p(k | z_t) (mu_k + C_k A r_k),   eps = S sum_k p(k | z_t) r_k

Nothing divides by sigma: at t = 0 a block of M_k is one of C_k, and the other blocks are denoised given its value.
The known answers of the samplers and of the likelihood, and the linear-Gaussian prior.

- a label restricts the sum to the components of its class;
- a block that is not present has alpha = 0 and r = 0: the others' marginal. Its own z_t is read as 0, its v is 0.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mhdiff.diffusion.condition import UNTOLD, Condition
from mhdiff.diffusion.denoiser import Denoiser, Estimate, per_block
from mhdiff.diffusion.schedule import Schedule
from ontology.errors import InputError


class MixtureDenoiser(Denoiser):
    """The exact denoiser of a mixture of Gaussians.

    Args:
        weights: w, positive; scaled to sum to 1.
        means: mu.
        covariances: C, each positive definite.
        classes: Class of each component; by default each is its own.
        schedule: The noise schedule.
    """

    log_weights: Tensor
    means: Tensor
    covariances: Tensor
    classes: Tensor

    def __init__(
        self,
        weights: Float[Tensor, " components"],
        means: Float[Tensor, "components dim"],
        covariances: Float[Tensor, "components dim dim"],
        classes: Int64[Tensor, " components"] | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        super().__init__(schedule)
        if not bool((weights > 0).all()):
            raise InputError(
                "a mixture has a weight that is not positive", remedy="Leave that component out."
            )
        if bool(torch.linalg.cholesky_ex(covariances).info.any()):
            raise InputError(
                "a covariance is not positive definite",
                remedy="Add a small variance to its diagonal, or leave out coordinates that depend on others.",
            )
        self.register_buffer("log_weights", (weights / weights.sum()).log())
        self.register_buffer("means", means)
        self.register_buffer("covariances", covariances)
        own = torch.arange(len(means), device=means.device)
        self.register_buffer("classes", own if classes is None else classes)

    def _log_weights(self, label: Tensor | None) -> Float[Tensor, "#batch components"]:
        if label is None:
            return self.log_weights[None]
        told = label[:, None]
        if bool(((told != UNTOLD) & (told != self.classes).all(dim=1, keepdim=True)).any()):
            last = int(self.classes.max())
            raise InputError(
                "a label has no component", remedy=f"The classes of this mixture are 0 to {last}."
            )
        return self.log_weights.masked_fill((told != UNTOLD) & (told != self.classes), -torch.inf)

    def forward(
        self,
        z_t: Float[Tensor, "batch *blocks dim"],
        t: Float[Tensor, "batch *times"],
        condition: Condition | None = None,
    ) -> Estimate:
        """Estimate the clean latent, see `Denoiser.forward`."""
        told = condition or Condition()
        alpha, sigma = self.schedule(per_block(t, z_t)[..., None])
        absent = _absent(told.present, z_t)
        z_t = z_t.masked_fill(absent, 0.0)
        a = alpha.masked_fill(absent, 0.0).expand(z_t.shape).flatten(1)
        s = sigma.masked_fill(absent, 1.0).expand(z_t.shape).flatten(1)
        marginal = (
            a[:, None, :, None] * self.covariances * a[:, None, None, :] + torch.diag_embed(s * s)[:, None]
        )
        away = z_t.flatten(1)[:, None] - a[:, None] * self.means
        root = torch.linalg.cholesky(marginal)
        r = torch.cholesky_solve(away[..., None], root).squeeze(-1)
        halved_log_det = root.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)
        share = (self._log_weights(told.label) - halved_log_det - (away * r).sum(dim=-1) / 2).softmax(dim=-1)
        each = self.means + torch.einsum("bki,kij->bkj", a[:, None] * r, self.covariances)
        z_0, eps = (torch.einsum("bk,bki->bi", share, part) for part in (each, s[:, None] * r))
        v = (a * eps - s * z_0).reshape(z_t.shape).masked_fill(absent, 0.0)
        return Estimate(z_t, v, alpha, sigma)


def _absent(present: Tensor | None, z_t: Tensor) -> Bool[Tensor, "#batch *blocks 1"]:
    if present is None:
        return torch.zeros((1,) * z_t.ndim, dtype=torch.bool, device=z_t.device)
    return ~present[..., None]


class GaussianDenoiser(MixtureDenoiser):
    """The exact denoiser of one Gaussian.

    Args:
        mean: mu.
        covariance: C; positive definite.
        schedule: The noise schedule.
    """

    def __init__(
        self,
        mean: Float[Tensor, " dim"],
        covariance: Float[Tensor, "dim dim"],
        schedule: Schedule | None = None,
    ) -> None:
        # of every class, so that a label changes nothing
        super().__init__(mean.new_ones(1), mean[None], covariance[None], schedule=schedule)

    def _log_weights(self, label: Tensor | None) -> Float[Tensor, "1 1"]:
        return self.log_weights[None]

    @property
    def mean(self) -> Float[Tensor, " dim"]:
        """Mu."""
        return self.means[0]

    @property
    def covariance(self) -> Float[Tensor, "dim dim"]:
        """C."""
        return self.covariances[0]
