r"""The network inside the denoiser: a residual perceptron that is told the noise level.

    h   = W_in [x, there],   c = MLP(features(l_1 .. l_K), given) + E_label
    h  <- h + W_2 SiLU(W_1 ((1 + a(c)) LN(h) + b(c)))          `depth` times
    F   = W_out ((1 + a(c)) h + b(c)) + U_k (g(l_k) * V_k x_k)           the last term if `gaussian`

- x: the noisy latent, K blocks of `dim` coordinates side by side (K = 1: one latent);
- l_k = log(sigma / alpha) of block k: the noise level, one per block: observed blocks may stand at t = 0;
- features: l and sines and cosines of it;
- there, given: the flags of `mhdiff.diffusion.condition`, one per block. A block that is not there enters as 0,
  whatever stands in it, and its F is 0;
- E_label: an embedding of the class, with a row of its own for "not told";
- the last term of F: `mhdiff.diffusion.gaussian_term`.

Knows of noise only what c says: scaling and the meaning of F are the denoiser's. The last map has no
normalisation, since the best v of a Gaussian is linear in x and its length must survive. SiLU: second
derivatives exist and are not 0.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mhdiff.diffusion.condition import Condition
from mhdiff.diffusion.gaussian_term import GaussianTerm
from ontology.errors import InputError

_FREQUENCIES = 8


class Modulation(nn.Module):
    """(1 + a(c)) h + b(c).

    Args:
        width: Width of h and c.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * width)

    def forward(
        self, h: Float[Tensor, "*batch width"], c: Float[Tensor, "*batch width"]
    ) -> Float[Tensor, "*batch width"]:
        """Scale and shift h as c says."""
        scale, shift = self.linear(c).chunk(2, dim=-1)
        return (1 + scale) * h + shift


class LevelFeatures(nn.Module):
    """A noise level as itself and as waves of several lengths; constants only."""

    width = 2 * _FREQUENCIES + 1
    frequencies: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(-3, 2, _FREQUENCIES, base=2.0), persistent=False)

    def forward(self, level: Float[Tensor, "batch blocks"]) -> Float[Tensor, "batch blocks features"]:
        """Spread each level out."""
        wave = level[..., None] * self.frequencies
        return torch.cat((level[..., None] / 4, wave.sin(), wave.cos()), dim=-1)


class LabelEmbedding(nn.Module):
    """E_label; its last row stands for a label that is not told.

    Args:
        classes: Number of classes.
        width: Width of the embedding.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.classes = classes
        self.table = nn.Embedding(classes + 1, width)
        with torch.no_grad():
            self.table.weight.mul_(0.02)

    def forward(self, condition: Condition | None, rows: int) -> Float[Tensor, "batch width"]:
        """Look the labels up.

        Args:
            condition: What is told; None for nothing.
            rows: Number of rows.
        """
        told = None if condition is None else condition.label
        if told is None:
            told = torch.full((rows,), self.classes, device=self.table.weight.device)
        embedded: Tensor = self.table(torch.where(told < 0, self.classes, told))
        return embedded


def flags(
    condition: Condition | None, like: Float[Tensor, "batch blocks dim"]
) -> tuple[Bool[Tensor, "batch blocks"], Bool[Tensor, "batch blocks"]]:
    """Which blocks are there, and which of them are given; by default all and none.

    Args:
        condition: What is told; None for nothing.
        like: The latent.
    """
    present = None if condition is None else condition.present
    observed = None if condition is None else condition.observed
    there = torch.ones_like(like[..., 0], dtype=torch.bool) if present is None else present
    given = torch.zeros_like(there) if observed is None else observed & there
    return there, given


def check_size(kind: str, dim: int, blocks: int, classes: int, width: int, depth: int) -> None:
    """Refuse a network that cannot be.

    Raises:
        InputError: If a size is too small.
    """
    if dim < 1 or blocks < 1 or classes < 0 or width < 1 or depth < 1:
        raise InputError(
            f"a {kind} cannot have dim {dim}, blocks {blocks}, classes {classes}, width {width}, depth {depth}",
            remedy="Give width >= 1 and depth >= 1 in model.prior.init_args.backbone.init_args.",
        )


class _Block(nn.Module):
    """h + W_2 SiLU(W_1 modulated(LN(h)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = Modulation(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        return h + self.mlp(self.modulation(self.norm(h), c))


class ResidualMLP(nn.Module):
    """A residual perceptron over all blocks at once.

    Args:
        dim: Width of a block.
        blocks: Number of blocks of the latent.
        classes: Number of classes that it can be told; 0 for none.
        width: Width of the hidden layer.
        depth: Number of residual blocks.
        gaussian: Add the Gaussian term, which is wanted where `width` is not well above `blocks * dim`. False leaves
            noise in the draws, and is for showing that.
    """

    def __init__(
        self,
        dim: int,
        blocks: int = 1,
        classes: int = 0,
        width: int = 128,
        depth: int = 3,
        gaussian: bool = True,
    ) -> None:
        super().__init__()
        check_size("ResidualMLP", dim, blocks, classes, width, depth)
        self.dim, self.blocks = dim, blocks
        self.features = LevelFeatures()
        # With one block there is nothing that could be absent or given.
        self.flags = 1 if blocks > 1 else 0
        self.noise = nn.Sequential(
            nn.Linear(blocks * (LevelFeatures.width + self.flags), width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
        )
        self.label = LabelEmbedding(classes, width) if classes else None
        self.inward = nn.Linear(blocks * (dim + self.flags), width)
        self.residuals = nn.ModuleList(_Block(width) for _ in range(depth))
        self.modulation = Modulation(width)
        self.outward = nn.Linear(width, blocks * dim)
        self.gaussian = GaussianTerm(dim, blocks) if gaussian else None
        # Starts near F = 0, the best answer for unit Gaussian latents, yet every gradient flows.
        with torch.no_grad():
            self.outward.weight.mul_(0.1)
            self.outward.bias.zero_()

    @torch.no_grad()
    def begin(self, z: Float[Tensor, "rows blocks dim"], counted: Bool[Tensor, "rows blocks"]) -> None:
        """Start anew from the Gaussian term of these latents; without the term nothing is done.

        The hidden layers stay, and what is read off them starts at 0.

        Args:
            z: Clean latents, standardised.
            counted: True for the blocks of a row that count.
        """
        if self.gaussian is not None:
            self.gaussian.begin(z, counted)
            self.outward.weight.zero_()
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
        z = x.reshape(len(x), self.blocks, self.dim)
        there, given = flags(condition, z)
        z = z.masked_fill(~there[..., None], 0.0)
        level = level.reshape(len(x), self.blocks).masked_fill(~there, 0.0)
        straight = 0.0 if self.gaussian is None else self.gaussian(z, level)
        levels = self.features(level)
        if self.flags:
            z = torch.cat((z, there[..., None].to(z.dtype)), dim=-1)
            levels = torch.cat((levels, given[..., None].to(levels.dtype)), dim=-1)
        c = self.noise(levels.flatten(1))
        if self.label is not None:
            c = c + self.label(condition, len(x))
        h = self.inward(z.flatten(1))
        for block in self.residuals:
            h = block(h, c)
        out: Tensor = self.outward(self.modulation(h, c)).reshape(len(x), self.blocks, self.dim) + straight
        return out.masked_fill(~there[..., None], 0.0).reshape(x.shape)
