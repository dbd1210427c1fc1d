r"""DiffMIC-style: the label itself is diffused, guided by what the whole and what the parts say of it.

    y^_g = softmax(G z),    y^_l = mean_{m present} softmax(L_m z_m),    y^ = (y^_g + y^_l) / 2
    y_t  = alpha_t y_0 + (1 - alpha_t) y^ + sigma_t eps,      that is  u_t = alpha_t u_0 + sigma_t eps  with  u = y - y^
    L    = ||eps^(y^_g, y^_l) - eps||^2 / C + w / 2 (MMD(eps, eps^(y^_g, y^_g)) + MMD(eps, eps^(y^_l, y^_l)))
    p    = 1/K sum_k softmax(-(y_0^k - 1)^2 / tau),           y_0^k drawn from t = 1 to t = 0 given z, y^_g and y^_l

- y_0: the label, one-hot; z: the fused latent, the whole; z_m: the modalities' own latents, the parts; alpha, sigma:
  the variance-preserving schedule; C: number of classes. Written in the residual u the paper's process is the plain
  one, and our denoisers and samplers serve it;
- G, L: learn from cross-entropy of y^, which is the logits in training; eps^ from L alone, with y^ held fixed;
- MMD: between the true and the estimated noises of a batch, by the kernel exp(-|a - b|^2 / C).

After Yang et al., "DiffMIC: Dual-guidance diffusion network for medical image classification" (MICCAI 2023), section 2;
probabilities as in Han et al., "CARD: Classification and regression diffusion models" (NeurIPS 2022). There whole and
parts are an image and its salient crops; here a patient and the modalities. Corrected, against the published code: the
walk starts where training ends and takes all of the way down (there the first 60 of 1000 steps, begun at full noise);
what diagnoses is the averaged network (there averaged and never used); the sampler that a checkpoint is chosen by is
the one that is reported, on tuning patients (there on the test set); the kernel divides by C once. Ours are layer
instead of batch normalisation, since patients must not see each other, and K draws with common random numbers.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from mhdiff.diffusion.backbone import LevelFeatures
from mhdiff.diffusion.condition import Condition
from mhdiff.diffusion.denoiser import VDenoiser
from mhdiff.diffusion.ema import EMA
from mhdiff.diffusion.latents import Latents
from mhdiff.diffusion.loss import denoising_loss, draw_times
from mhdiff.diffusion.noise import Noise
from mhdiff.diffusion.sampler import DDIM
from mhdiff.diffusion.schedule import VPSchedule
from mhdiff.head import Head
from ontology.errors import InputError

_SCHEDULE = VPSchedule()


class LabelDiffusion(Head):
    """A head that diffuses the label.

    Args:
        dim: Width of a latent.
        modalities: Number of modalities.
        classes: Number of classes.
        width: Width of the noise network.
        draws: K.
        steps: Steps of a draw, which are ancestral.
        mmd: w, weight of the regularisation.
        tau: How near to 1 a drawn coordinate must be to count for its class.
        ema_decay: Decay of the average that diagnoses.
    """

    def __init__(
        self,
        dim: int,
        modalities: int,
        classes: int,
        width: int = 128,
        draws: int = 16,
        steps: int = 20,
        mmd: float = 0.5,
        tau: float = 0.2,
        ema_decay: float = 0.99,
    ) -> None:
        super().__init__()
        if draws < 1 or steps < 1 or width < 1 or not mmd >= 0 or not tau > 0:
            raise InputError(
                f"LabelDiffusion cannot have width {width}, {draws} draws of {steps} steps, mmd {mmd} and tau {tau}",
                remedy="Give model.head.init_args width, draws and steps of 1 or more, mmd >= 0 and tau > 0",
            )
        self.classes, self.draws, self.steps, self.mmd, self.tau = classes, draws, steps, mmd, tau
        self.whole = nn.Linear(dim, classes)
        self.parts = nn.ModuleList(nn.Linear(dim, classes) for _ in range(modalities))
        self.network = _LabelNetwork(dim, classes, width)
        self.ema = EMA(self.network, ema_decay)

    @property
    def readers(self) -> list[nn.Linear]:
        """See `Head.readers`."""
        return [self.whole, self.network.feature, self._averaged.feature]

    @property
    def _averaged(self) -> "_LabelNetwork":
        averaged = self.ema.averaged
        assert isinstance(averaged, _LabelNetwork)
        return averaged

    def own(self) -> Iterable[nn.Parameter]:
        """The noise network's, see `Head.own`."""
        return self.network.parameters()

    def update(self) -> None:
        """Take the parameters into the average, see `Head.update`."""
        self.ema.update(self.network)

    def guidance(
        self, z: Float[Tensor, "batch dim"], latents: Latents | None
    ) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch classes"]]:
        """Give y^_g and y^_l, which is y^_g where no modality's latent is known.

        Args:
            z: The fused latent.
            latents: The modalities' own; None where they are not known.
        """
        whole = self.whole(z).softmax(-1)
        if latents is None:
            return whole, whole
        there = latents.present[..., None]
        own = latents.modality.masked_fill(~there, 0.0)
        said = torch.stack([part(own[:, m]) for m, part in enumerate(self.parts)], 1).softmax(-1)
        mean = said.masked_fill(~there, 0.0).sum(1) / there.sum(1).clamp(min=1)
        return whole, torch.where(latents.known[:, None], mean, whole)

    def forward(
        self, z: Float[Tensor, "batch dim"], latents: Latents | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Score the classes: by the guidance in training, by the draws afterwards; see `Head.forward`."""
        whole, parts = self.guidance(z, latents)
        middle = (whole + parts) / 2
        if self.training:
            return middle.clamp(min=1e-12).log()
        told = torch.cat([z, whole, parts], 1).repeat(self.draws, 1)
        noise = Noise(self.draws, len(z), True, torch.Generator().manual_seed(0))
        start = noise(told.new_zeros(len(told), self.classes))
        sampler = DDIM(_denoiser(self._averaged, told), self.steps, eta=1.0)
        sampler.at_once = max(len(start), 1)  # the numbers of a step are those of all rows
        drawn = middle + sampler(start, generator=noise).unflatten(0, (self.draws, len(z)))
        logs = (-(drawn - 1).square() / self.tau).log_softmax(-1)
        return logs.logsumexp(0) - torch.tensor(float(self.draws)).log().to(logs)

    def loss(
        self,
        z: Float[Tensor, "batch dim"],
        latents: Latents,
        label: Int64[Tensor, " batch"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """L over the patients of whom anything is known, see `Head.loss`.

        Its gradient reaches the encoders through z: a label cannot collapse.
        """
        whole, parts = (prior.detach() for prior in self.guidance(z, latents))
        clean = nn.functional.one_hot(label, self.classes).to(whole.dtype)
        network = self.network if self.training else self._averaged
        known = latents.known
        both = _denoiser(network, torch.cat([z, whole, parts], 1))
        middle = (whole + parts) / 2
        total = denoising_loss(both, clean - middle, "eps", keep=known, generator=generator)
        for prior in (whole, parts) if self.mmd else ():
            alone = _denoiser(network, torch.cat([z, prior, prior], 1))
            t = draw_times(clean[:, 0], _SCHEDULE, "eps", generator)
            eps = torch.randn(clean.shape, generator=generator, dtype=clean.dtype, device=clean.device)
            alpha, sigma = _SCHEDULE(t[:, None])
            said = alone(alpha * (clean - prior) + sigma * eps, t).eps
            total = total + self.mmd / 2 * mmd(eps, said, known)
        return total


def mmd(
    a: Float[Tensor, "n classes"], b: Float[Tensor, "n classes"], counted: Bool[Tensor, " n"]
) -> Float[Tensor, ""]:
    """The squared maximum mean discrepancy of two samples: 0 where they are the same, or nothing is counted.

    Args:
        a: One sample.
        b: The other.
        counted: Which rows count.
    """
    share = counted / counted.sum().clamp(min=1)

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return share @ (-(x[:, None] - y[None]).square().sum(-1) / x.shape[1]).exp() @ share

    return kernel(a, a) + kernel(b, b) - 2 * kernel(a, b)


class _LabelNetwork(nn.Module):
    """F of a noisy residual of the label, given a patient: features times what label and noise level say."""

    def __init__(self, dim: int, classes: int, width: int) -> None:
        super().__init__()
        self.dim = dim
        self.level = LevelFeatures()
        self.feature = nn.Linear(dim, width)
        self.inward = nn.Linear(3 * classes, width)
        self.inner = nn.Linear(width, width)
        self.times = nn.ModuleList(nn.Linear(LevelFeatures.width, width) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.outward = nn.Linear(width, classes)

    def forward(
        self,
        x: Float[Tensor, "batch classes"],
        level: Float[Tensor, " batch"],
        told: Float[Tensor, "batch known"],
    ) -> Float[Tensor, "batch classes"]:
        z, guidance = told[:, : self.dim], told[:, self.dim :]
        waves = self.level(level[:, None])[:, 0]
        first, second = ((1 + time(waves)) for time in self.times)
        h = nn.functional.softplus(self.norms[0](self.inward(torch.cat([x, guidance], 1)) * first))
        h = nn.functional.softplus(self.norms[1](self.inner(h * self.feature(z)) * second))
        out: Tensor = self.outward(h)
        return out


class _Told(nn.Module):
    """The network, with what it is told of each row."""

    def __init__(self, network: nn.Module, told: Tensor) -> None:
        super().__init__()
        self.network, self.told = network, told

    def forward(self, x: Tensor, level: Tensor, condition: Condition | None = None) -> Tensor:
        out: Tensor = self.network(x, level, self.told)
        return out


def _denoiser(network: nn.Module, told: Tensor) -> VDenoiser:
    return VDenoiser(_Told(network, told), _SCHEDULE)
