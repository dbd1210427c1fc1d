r"""The network inside the denoiser: a residual perceptron that is told the noise level.

    h   = W_in x,   c = MLP(features(l_1 .. l_K))
    h  <- h + W_2 SiLU(W_1 ((1 + a(c)) LN(h) + b(c)))          `depth` times
    F   = W_out ((1 + a(c)) h + b(c))

- x: the noisy latent, K blocks of `dim` coordinates side by side (K = 1: one latent);
- l_k = log(sigma / alpha) of block k: the noise level, one per block: observed blocks may stand at t = 0;
- features: l and sines and cosines of it.

Knows of noise only what c says: scaling and the meaning of F are the denoiser's. The last map has no
normalisation, since the best v of a Gaussian is linear in x and its length must survive. SiLU: second
derivatives exist and are not 0.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mhdiff.diffusion.condition import Condition

_FREQUENCIES = 8


class _Modulation(nn.Module):
    """(1 + a(c)) h + b(c)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * width)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        scale, shift = self.linear(c).chunk(2, dim=-1)
        return (1 + scale) * h + shift


class _Block(nn.Module):
    """h + W_2 SiLU(W_1 modulated(LN(h)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = _Modulation(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        return h + self.mlp(self.modulation(self.norm(h), c))


class ResidualMLP(nn.Module):
    """A residual perceptron over all blocks at once.

    Args:
        dim: Width of a block.
        width: Width of the hidden layer.
        depth: Number of residual blocks.
        blocks: Number of blocks of the latent.
    """

    frequencies: Tensor

    def __init__(self, dim: int, width: int = 128, depth: int = 3, blocks: int = 1) -> None:
        super().__init__()
        self.dim, self.blocks = dim, blocks
        self.register_buffer("frequencies", torch.logspace(-3, 2, _FREQUENCIES, base=2.0), persistent=False)
        self.noise = nn.Sequential(
            nn.Linear(blocks * (2 * _FREQUENCIES + 1), width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.inward = nn.Linear(blocks * dim, width)
        self.residuals = nn.ModuleList(_Block(width) for _ in range(depth))
        self.modulation = _Modulation(width)
        self.outward = nn.Linear(width, blocks * dim)
        # Starts near F = 0, the best answer for unit Gaussian latents, yet every gradient flows.
        with torch.no_grad():
            self.outward.weight.mul_(0.1)
            self.outward.bias.zero_()

    def forward(
        self,
        x: Float[Tensor, "batch *blocks dim"],
        level: Float[Tensor, "batch *blocks"],
        condition: Condition | None = None,
    ) -> Float[Tensor, "batch *blocks dim"]:
        """Compute F.

        Args:
            x: The noisy latent.
            level: log(sigma / alpha) of each block.
            condition: What else is known.
        """
        wave = level.reshape(len(x), self.blocks, 1) * self.frequencies
        features = torch.cat((level.reshape(len(x), self.blocks, 1) / 4, wave.sin(), wave.cos()), dim=-1)
        c = self.noise(features.flatten(1))
        h = self.inward(x.reshape(len(x), self.blocks * self.dim))
        for block in self.residuals:
            h = block(h, c)
        out: Tensor = self.outward(self.modulation(h, c))
        return out.reshape(x.shape)
