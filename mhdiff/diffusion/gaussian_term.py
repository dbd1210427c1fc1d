r"""The best answer of a denoising network for blocks that are Gaussian by themselves, beside whatever else it computes.

    F_k = U_k (g(l_k) * V_k x_k),     g = alpha sigma (lambda - 1) / (alpha^2 lambda + sigma^2)

- x_k: a block of the noisy latent, alpha z_0 + sigma eps; l = log(sigma / alpha); F = (E[z_0 | x] - alpha x) / sigma;
- V_k, U_k, lambda: maps of the block's own coordinates there and back, and a variance for each direction between them,
  all learned. For a Gaussian with covariance Q diag(lambda) Q^T this is the best F with V = Q^T, U = Q.

A hidden layer is a bottleneck. Noise has as many directions as latents have coordinates, and what does not pass through
stays in the draws; trained latents fill a few directions, and in all the others F has to take the whole noise away.
This term does so whatever the width of the rest, which then learns what is not Gaussian and how blocks hang together.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class GaussianTerm(nn.Module):
    """U_k (g(l_k) * V_k x_k): the best F if each block were Gaussian by itself; 0 where it starts.

    Args:
        dim: Width of a block.
        blocks: Number of blocks.
    """

    def __init__(self, dim: int, blocks: int) -> None:
        super().__init__()
        self.inward = nn.Parameter(torch.eye(dim).repeat(blocks, 1, 1))
        self.outward = nn.Parameter(torch.eye(dim).repeat(blocks, 1, 1))
        self.log_variance = nn.Parameter(torch.zeros(blocks, dim))

    def forward(
        self, x: Float[Tensor, "batch blocks dim"], level: Float[Tensor, "batch blocks"]
    ) -> Float[Tensor, "batch blocks dim"]:
        """Compute the term.

        Args:
            x: The noisy latent.
            level: log(sigma / alpha) of each block.
        """
        squared = torch.sigmoid(-2 * level)[..., None]  # alpha^2
        noise = torch.sigmoid(2 * level)[..., None]  # sigma^2
        variance = self.log_variance.exp()
        gain = (squared * noise).sqrt() * (variance - 1) / (squared * variance + noise)
        there = torch.einsum("nkd,kde->nke", x, self.inward)
        return torch.einsum("nkd,kde->nke", gain * there, self.outward)
