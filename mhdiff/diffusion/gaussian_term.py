r"""The best answer of a denoising network for blocks that are Gaussian by themselves, beside whatever else it computes.

    F_k = U_k (g(l_k) * V_k x_k),     g = alpha sigma (lambda - 1) / (alpha^2 lambda + sigma^2)

- x_k: a block of the noisy latent, alpha z_0 + sigma eps; l = log(sigma / alpha); F = (E[z_0 | x] - alpha x) / sigma;
- V_k, U_k, lambda: maps of the block's own coordinates there and back, and a variance for each direction between them,
  all learned. For a Gaussian with covariance Q diag(lambda) Q^T this is the best F with V = Q^T, U = Q.

A hidden layer is a bottleneck. Noise has as many directions as latents have coordinates, and what does not pass through
stays in the draws; trained latents fill a few directions, and in all the others F has to take the whole noise away.
This term does so whatever the width of the rest, which then learns what is not Gaussian and how blocks hang together.

Where latents stand still the term need not be learned: `begin` takes V, U and lambda from their second moments, shrunk
as Ledoit and Wolf (2004) do, so that a direction in which few patients happened not to differ keeps some variance.
"""

import torch
from jaxtyping import Bool, Float
from sklearn.covariance import ledoit_wolf
from torch import Tensor, nn

_SMALLEST = 1e-6  # of a variance, where all latents are the same


class GaussianTerm(nn.Module):
    """U_k (g(l_k) * V_k x_k): the best F if each block were Gaussian by itself; near 0 where it starts.

    Args:
        dim: Width of a block.
        blocks: Number of blocks.
    """

    def __init__(self, dim: int, blocks: int) -> None:
        super().__init__()
        self.inward = nn.Parameter(torch.eye(dim).repeat(blocks, 1, 1))
        self.outward = nn.Parameter(torch.eye(dim).repeat(blocks, 1, 1))
        # Near 0, where it is the best answer for unit variance; at 0 itself no gradient would reach the maps.
        self.log_variance = nn.Parameter(torch.linspace(-0.1, 0.1, dim).repeat(blocks, 1))

    @torch.no_grad()
    def begin(self, z: Float[Tensor, "rows blocks dim"], counted: Bool[Tensor, "rows blocks"]) -> None:
        """Become the best answer for Gaussian blocks with the second moments of these latents.

        A block that fewer than two rows have stays as it is.

        Args:
            z: Clean latents, standardised.
            counted: True for the blocks of a row that count.
        """
        for block, rows in enumerate(counted.unbind(dim=1)):
            known = z[rows, block]
            if len(known) < 2:
                continue
            moments, _ = ledoit_wolf(known.double().cpu().numpy(), assume_centered=True)
            variance, axes = torch.linalg.eigh(torch.from_numpy(moments))
            self.inward[block] = axes.to(self.inward)
            self.outward[block] = axes.mT.to(self.outward)
            self.log_variance[block] = variance.clamp(min=_SMALLEST).log().to(self.log_variance)

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
