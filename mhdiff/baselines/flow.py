r"""One modality's own flow: a residual perceptron on its latent alone, which is told the rest as a condition.

    h = W_in x;    h <- h + W_2 SiLU(W_1 ((1 + a(c)) LN(h) + b(c)))  `depth` times;    F = W_out ((1 + a(c)) h + b(c))

- x: the noisy latent of one modality; c: the noise level and whatever else is known, see who makes it.

It is `mhdiff.diffusion.ResidualMLP` for one block, but that c comes from outside.
"""

from jaxtyping import Float
from torch import Tensor, nn, no_grad

from mhdiff.diffusion.backbone import Modulation


class Flow(nn.Module):
    """The flow of one modality.

    Args:
        dim: Width of the latent.
        width: Width of the hidden layer and of the condition.
        depth: Number of residual layers.
    """

    def __init__(self, dim: int, width: int, depth: int) -> None:
        super().__init__()
        self.inward = nn.Linear(dim, width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.before = nn.ModuleList(Modulation(width) for _ in range(depth))
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
            for _ in range(depth)
        )
        self.modulation = Modulation(width)
        self.outward = nn.Linear(width, dim)
        with no_grad():  # near F = 0, the best answer for unit Gaussian latents
            self.outward.weight.mul_(0.1)
            self.outward.bias.zero_()

    def forward(
        self, x: Float[Tensor, "batch dim"], c: Float[Tensor, "batch width"]
    ) -> Float[Tensor, "batch dim"]:
        """Compute F.

        Args:
            x: The noisy latent.
            c: The condition.
        """
        h = self.inward(x)
        for before, layer in zip(self.before, self.layers, strict=True):
            h = h + layer(before(self.norm(h), c))
        out: Tensor = self.outward(self.modulation(h, c))
        return out
