r"""A masked multimodal variational autoencoder in the prior's place.

    p(h | y) = N(c_y, I),   p(z_b | h) = N(f_b(h), s_b^2),   q(h | z_A) = N(mu, diag(nu^2)),  mu, nu = e(z_A, A)
    L = - E_q [sum_{b shown} log p(z_b | h)] / d + KL(q(h | z_A) || p(h | y)) / d

- z_A: the blocks that the encoder is given, 0 elsewhere, and which they are; drawn for each row and step as for the
  diffusion prior (`mhdiff.diffusion.views`), and in half of the rows all that is shown. Whatever A is, L bounds
  -log p(z_shown | y) / d (Wu and Goodman, "Multimodal generative models for scalable weakly-supervised learning",
  2018, train on subsets with a product of experts instead of one masked encoder);
- f: perceptron; s_b: one width for each coordinate of each block; c_y: a centre for each class, and one untold;
- KL as it stands, without a weight: what is told of the density is a bound on it.

Imputing draws h from q(h | z_given) and the blocks from p(z_b | h). Denoising takes the shared latent for
z_t = alpha z_0 + sigma eps, as every prior does, and is exact given h = mu, the code of the shared block alone:

    E[z_0 | z_t, h] = f_0(h) + alpha^2 s_0^2 / (alpha^2 s_0^2 + sigma^2) (z_t / alpha - f_0(h))

which leaves z as it is at t = 0 and gives f_0(h) at t = 1. A code that says nothing (f_0 = 0, s_0 = 1) leaves the
posterior mean of a standard normal; with f_0(h) alone it would leave the head nothing to learn from. Densities are
the importance-weighted bound of Burda et al., "Importance weighted autoencoders" (2016), never above the density in
expectation. The network that answers is averaged (EMA).
"""

import math
from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from mhdiff.diffusion.condition import UNTOLD
from mhdiff.diffusion.ema import EMA
from mhdiff.diffusion.latents import Latents
from mhdiff.diffusion.noise import Noise
from mhdiff.diffusion.prior_base import Prior
from mhdiff.diffusion.schedule import VPSchedule
from mhdiff.diffusion.views import draw_views
from ontology.errors import InputError

_LOG_2PI = math.log(2 * math.pi)
_LOG_STD = (-4.0, 2.0)  # a width below that is a block learned by heart


class MaskedVAE(nn.Module):
    """Encoder, decoder and the centres of the classes.

    Args:
        dim: Width of a block.
        blocks: Number of blocks.
        classes: Number of classes.
        width: Width of the hidden layers.
        code: Width of h.
    """

    def __init__(self, dim: int, blocks: int, classes: int, width: int, code: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(blocks * (dim + 1), width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, 2 * code),
        )
        self.decoder = nn.Sequential(
            nn.Linear(code, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, blocks * dim),
        )
        self.log_std = nn.Parameter(torch.full((blocks, dim), -0.5))
        self.centers = nn.Embedding(classes + 1, code)
        with torch.no_grad():
            self.centers.weight.mul_(0.02)

    def encode(
        self, z: Float[Tensor, "batch blocks dim"], given: Bool[Tensor, "batch blocks"]
    ) -> tuple[Float[Tensor, "batch code"], Float[Tensor, "batch code"]]:
        """Mean and log standard deviation of q(h | z_given)."""
        known = torch.cat((z.masked_fill(~given[..., None], 0.0), given[..., None].to(z.dtype)), dim=2)
        mean, log_std = self.encoder(known.flatten(1)).to(z.dtype).chunk(2, dim=1)
        return mean, log_std.clamp(*_LOG_STD)

    def decode(self, h: Float[Tensor, "batch code"]) -> Float[Tensor, "batch blocks dim"]:
        """The means f(h)."""
        means: Tensor = self.decoder(h).to(h.dtype)
        return means.unflatten(1, self.log_std.shape)

    def block_std(self) -> Float[Tensor, "blocks dim"]:
        """S."""
        return self.log_std.clamp(*_LOG_STD).exp()

    def log_blocks(
        self, z: Float[Tensor, "batch blocks dim"], h: Float[Tensor, "batch code"]
    ) -> Float[Tensor, "batch blocks"]:
        """Log p(z_b | h) of each block."""
        std = self.block_std()
        return -(((z - self.decode(h)) / std).square() + 2 * std.log() + _LOG_2PI).sum(dim=2) / 2

    def center(self, label: Int64[Tensor, " batch"] | None, rows: int) -> Float[Tensor, "batch code"]:
        """The centres of the labels, that of untold ones where there is none."""
        untold = self.centers.num_embeddings - 1
        if label is None:
            label = torch.full((rows,), untold, device=self.centers.weight.device)
        centers: Tensor = self.centers(torch.where(label < 0, untold, label))
        return centers


class VAEPrior(Prior):
    """The masked variational autoencoder as a prior.

    Args:
        dim: Width of every latent.
        modalities: Number of modalities.
        classes: Number of classes that it is told; 0 for none.
        width: Width of the hidden layers.
        code: Width of h.
        importance: Number of draws of the bound on a density.
        label_dropout: Share of the rows whose label is not told in training.
        denoise_time: t*, in [0, 1): how much of the shared latent is taken for noise.
        ema_decay: Decay of the average that answers; warmed up.
        warmup: Number of training steps after which the standardisation is frozen.
        stop_gradient: See `Prior`.
    """

    models_label = True

    def __init__(
        self,
        dim: int,
        modalities: int,
        classes: int = 0,
        width: int = 256,
        code: int = 64,
        importance: int = 64,
        label_dropout: float = 0.5,
        denoise_time: float = 0.1,
        ema_decay: float = 0.999,
        warmup: int = 500,
        stop_gradient: bool = True,
    ) -> None:
        super().__init__(dim, modalities, classes, warmup, stop_gradient)
        fits = 0.0 < label_dropout <= 1.0 and 0.0 <= denoise_time < 1.0
        if width < 1 or code < 1 or importance < 1 or not fits:
            raise InputError(
                f"width {width}, code {code}, importance {importance}, label_dropout {label_dropout} and denoise_time "
                f"{denoise_time} do not make a VAEPrior",
                remedy="Give whole numbers >= 1, a label_dropout in (0, 1] and a denoise_time in [0, 1).",
            )
        self.importance, self.label_dropout, self.denoise_time = importance, label_dropout, denoise_time
        self.network = MaskedVAE(dim, 1 + modalities, classes, width, code)
        self.ema = EMA(self.network, ema_decay)

    @property
    def averaged(self) -> MaskedVAE:
        """The averaged network, which takes no gradient."""
        network = self.ema.averaged
        assert isinstance(network, MaskedVAE)
        return network

    @property
    def networks(self) -> Iterable[nn.Module]:
        """Encoder and decoder, and those of the average."""
        return [part for net in (self.network, self.averaged) for part in (net.encoder, net.decoder)]

    def update(self) -> None:
        """Take the parameters into the average."""
        self.ema.update(self.network)

    def loss(
        self,
        latents: Latents,
        label: Int64[Tensor, " batch"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """The bound in nats a coordinate of a block, mean over the patients of whom anything is shown."""
        network = self.network if self.training else self.averaged
        z = self._targets(latents)
        view = draw_views(latents.present, generator=generator)
        whole, dropped = torch.rand((2, len(z), 1), generator=generator, device=z.device)
        given = torch.where(whole < 0.5, view.shown, view.given)
        told = label if self.classes else None
        if told is not None:
            told = told.masked_fill(dropped[:, 0] < self.label_dropout, UNTOLD)
        mean, log_std = network.encode(z, given)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        fit = network.log_blocks(z, mean + log_std.exp() * noise).masked_fill(~view.shown, 0.0).sum(dim=1)
        away = mean - network.center(told, len(z))
        divergence = ((2 * log_std).exp() + away.square() - 1 - 2 * log_std).sum(dim=1) / 2
        shown = view.shown.any(dim=1)
        return (divergence - fit).masked_fill(~shown, 0.0).sum() / (shown.sum().clamp(min=1) * self.dim)

    def denoise(self, latents: Latents, t: float | None = None) -> Float[Tensor, "batch dim"]:
        """E[z_0 | z_t = alpha z~, h], see the top of this file and `Prior.denoise`."""
        z, only = self._shared_alone(latents)
        alpha, sigma = VPSchedule()(torch.full_like(z[:, 0, :1], self._time(t)))
        kept = (alpha * self.averaged.block_std()[0]).square()
        decoded = self.averaged.decode(self.averaged.encode(z, only)[0])[:, 0]
        return decoded + kept / (kept + sigma.square()) * (z[:, 0] - decoded)

    def _shared_alone(self, latents: Latents) -> tuple[Tensor, Tensor]:
        z = self.blocks(latents)
        only = torch.zeros_like(z[..., 0], dtype=torch.bool)
        only[:, 0] = True
        return z, only

    def _mean(self, z: Tensor, given: Tensor) -> Float[Tensor, "rows blocks dim"]:
        """Of the mean code, not the mean over codes."""
        return self.averaged.decode(self.averaged.encode(z, given)[0])

    def _draw(self, z: Tensor, given: Tensor, steps: int, noise: Noise) -> Float[Tensor, "rows blocks dim"]:
        mean, log_std = self.averaged.encode(z, given)
        luck = noise(mean)
        # Of whom nothing is known the code is drawn from its prior, which the encoder only comes near.
        unknown = ~given.any(dim=1, keepdim=True)
        center = self.averaged.center(None, len(z))
        return self._decoded(torch.where(unknown, center + luck, mean + log_std.exp() * luck), noise)

    def _decoded(self, h: Float[Tensor, "rows code"], noise: Noise) -> Float[Tensor, "rows blocks dim"]:
        """A draw from p(z | h)."""
        means = self.averaged.decode(h)
        return means + self.averaged.block_std() * noise(means)

    @torch.no_grad()
    def sample_blocks(
        self,
        n: int,
        steps: int = 25,
        label: int | Int64[Tensor, " n"] | None = None,
        guidance: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "n blocks dim"]:
        """Codes around c_untold + guidance (c_label - c_untold), and blocks from them, see `Prior.sample_blocks`."""
        untold = self.averaged.center(None, n)
        center = untold + guidance * (self.averaged.center(self._labels(n, label), n) - untold)
        noise = Noise(1, n, False, generator)
        return self._decoded(center + noise(center), noise)

    @torch.no_grad()
    def log_likelihood(
        self, latents: Latents, generator: torch.Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """The importance-weighted bound, see `Prior.log_likelihood`."""
        z, only = self._shared_alone(latents)
        return self._bound(z, only, generator) - self._shared_volume()

    @torch.no_grad()
    def block_log_likelihood(
        self,
        latents: Latents,
        block: int | None = None,
        generator: torch.Generator | None = None,
        probes: int | None = None,
    ) -> Float[Tensor, " batch"]:
        """The importance-weighted bound; of one block given others the difference of two, hence no bound."""
        counted, given = self._asked(latents, block)
        given = given & counted.any(dim=1, keepdim=True)
        z = self.blocks(latents)
        density = self._bound(z, counted | given, generator)
        if block is not None:
            density = density - self._bound(z, given, generator)
        return density - self._log_volume(counted)

    @torch.no_grad()
    def plausibility(
        self,
        z: Float[Tensor, "n dim"],
        label: Int64[Tensor, " n"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, " n"]:
        """The importance-weighted bound with the class's own centre, see `Prior.plausibility`."""
        blocks = torch.cat((z[:, None], z.new_zeros(len(z), self.modalities, self.dim)), dim=1)
        only = torch.zeros_like(blocks[..., 0], dtype=torch.bool)
        only[:, 0] = True
        return self._bound(blocks, only, generator, self._labels(len(z), label))

    def _bound(
        self,
        z: Float[Tensor, "batch blocks dim"],
        here: Bool[Tensor, "batch blocks"],
        generator: torch.Generator | None,
        label: Int64[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """Log 1/K sum_k p(z_here | h_k) p(h_k) / q(h_k | z_here); 0 for nothing. All rows have the same luck."""
        mean, log_std = self.averaged.encode(z, here)
        luck = Noise(1, len(z), True, generator)
        center = self.averaged.center(label, len(z))
        weights = []
        for _ in range(self.importance):
            noise = luck(mean)
            h = mean + log_std.exp() * noise
            fit = self.averaged.log_blocks(z, h).masked_fill(~here, 0.0).sum(dim=1)
            gain = (noise.square() + 2 * log_std - (h - center).square()).sum(dim=1) / 2
            weights.append(fit + gain)
        density = torch.stack(weights).logsumexp(dim=0) - math.log(self.importance)
        return density.masked_fill(~here.any(dim=1), 0.0)
