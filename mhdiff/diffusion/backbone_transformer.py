r"""A transformer over blocks as the network inside the denoiser: one token a block.

    h_k = W_in x_k + e_k,     c_k = MLP(features(l_k), given_k) + E_label
    h  <- h + W_o softmax_j(q_k . k_j / sqrt(d_h)) v_j          q, k, v of (1 + a(c)) LN(h) + b(c)
    h  <- h + W_2 SiLU(W_1 ((1 + a(c)) LN(h) + b(c)))           both `depth` times
    F_k = W_out ((1 + a(c_k)) h_k + b(c_k))

- x_k, l_k: block k of the noisy latent and its own noise level: the layer norm of every token is modulated by
  its own (Peebles and Xie, "Scalable diffusion models with transformers", 2023, has one level for all);
- e_k: which block it is; given_k, E_label: see `mhdiff.diffusion.backbone`;
- j runs over the blocks that are there: what stands in an absent block is no key, and its F is 0.

Attention is written as plain products: fused kernels have no second derivative on every device, and a penalty
on gradients needs one.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mhdiff.diffusion.backbone import LabelEmbedding, LevelFeatures, Modulation, check_size, flags
from mhdiff.diffusion.condition import Condition
from ontology.errors import InputError


class _Attention(nn.Module):
    """Attention between the tokens that are there."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        # No shift: one that is the same for all keys cancels in the softmax and would never learn.
        self.inward = nn.Linear(width, 3 * width, bias=False)
        self.outward = nn.Linear(width, width)

    def forward(
        self, h: Float[Tensor, "batch blocks width"], there: Bool[Tensor, "batch blocks"]
    ) -> Float[Tensor, "batch blocks width"]:
        q, k, v = self.inward(h).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        # The smallest number instead of -inf: with nothing there the softmax is still defined, and masked below.
        scores = scores.masked_fill(~there[:, None, None, :], torch.finfo(scores.dtype).min)
        out: Tensor = self.outward((scores.softmax(dim=-1).to(v.dtype) @ v).transpose(1, 2).flatten(2))
        return out


class _Layer(nn.Module):
    """Attention and perceptron, each on modulated tokens and added to what was."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.before_attention, self.before_mlp = Modulation(width), Modulation(width)
        self.attention = _Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, h: Tensor, c: Tensor, there: Tensor) -> Tensor:
        h = h + self.attention(self.before_attention(self.norm(h), c), there)
        return h + self.mlp(self.before_mlp(self.norm(h), c))


class BlockTransformer(nn.Module):
    """A transformer with one token a block.

    Args:
        dim: Width of a block.
        blocks: Number of blocks of the latent.
        classes: Number of classes that it can be told; 0 for none.
        width: Width of a token.
        depth: Number of layers.
        heads: Number of attention heads.
    """

    def __init__(
        self, dim: int, blocks: int = 1, classes: int = 0, width: int = 128, depth: int = 3, heads: int = 4
    ) -> None:
        super().__init__()
        check_size("BlockTransformer", dim, blocks, classes, width, depth)
        if heads < 1 or width % heads:
            raise InputError(
                f"a BlockTransformer of width {width} cannot have {heads} heads",
                remedy="Make model.prior.init_args.backbone.init_args.width a multiple of heads.",
            )
        self.dim, self.blocks = dim, blocks
        self.features = LevelFeatures()
        self.noise = nn.Sequential(
            nn.Linear(LevelFeatures.width + 1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.label = LabelEmbedding(classes, width) if classes else None
        self.inward = nn.Linear(dim, width)
        self.which = nn.Parameter(0.2 * torch.randn(blocks, width))
        self.layers = nn.ModuleList(_Layer(width, heads) for _ in range(depth))
        self.modulation = Modulation(width)
        self.outward = nn.Parameter(torch.randn(blocks, width, dim) * (0.1 / math.sqrt(width)))
        self.shift = nn.Parameter(torch.zeros(blocks, dim))

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
        levels = self.features(level.reshape(len(x), self.blocks).masked_fill(~there, 0.0))
        c = self.noise(torch.cat((levels, given[..., None].to(levels.dtype)), dim=-1))
        if self.label is not None:
            c = c + self.label(condition, len(x))[:, None]
        h = self.inward(z) + self.which
        for layer in self.layers:
            h = layer(h, c, there)
        out = torch.einsum("nkw,kwd->nkd", self.modulation(h, c), self.outward) + self.shift
        return out.masked_fill(~there[..., None], 0.0).reshape(x.shape)
