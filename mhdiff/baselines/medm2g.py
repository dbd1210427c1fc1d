r"""MedM2G-style: flows of several modalities, one each, that guide each other by learned weights.

    F_k = flow_k(x_k, c_k),    c_k = MLP(features(l_k), given_k) + sum_{j != k} a_kj e_j
    e_j = (1 + a(m_j)) W_j x_j + b(m_j),    a_kj = softmax_{j != k, j there} w_kj,    m_j = MLP(features(l_j), given_j)

- x_k: the noisy latent of modality k; l_k: its noise level; given_k: whether it stands at t = 0 and is known;
- w_kj: learned, how much modality j guides the flow of k; e_j is told how noisy x_j is.

Made for `DiffusionPrior` with `hierarchy: no_shared`, in training beside `mhdiff.losses.Contrastive` with the text for
its centre. After Zhan et al., "MedM2G: Unifying medical multi-modal generation via cross-guided diffusion with visual
invariant" (CVPR 2024): text-centred alignment, and cross-guided diffusion by adaptive parameters. There is no public
code, and nothing is diagnosed there: the paper generates images and reports. Here latents are generated, and the
diagnosis is made of what is there completed by them; there is no visual-invariant loss over two views of an image,
since no arm has augmentation.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mhdiff.baselines.flow import Flow
from mhdiff.diffusion.backbone import LabelEmbedding, LevelFeatures, Modulation, check_size, flags
from mhdiff.diffusion.condition import Condition


class CrossGuided(nn.Module):
    """Flows that guide each other.

    Args:
        dim: Width of a block.
        blocks: Number of blocks of the latent.
        classes: Number of classes that it can be told; 0 for none.
        width: Width of the hidden layers.
        depth: Number of residual layers of a flow.
    """

    def __init__(self, dim: int, blocks: int = 1, classes: int = 0, width: int = 64, depth: int = 2) -> None:
        super().__init__()
        check_size("CrossGuided", dim, blocks, classes, width, depth)
        self.dim, self.blocks = dim, blocks
        self.features = LevelFeatures()
        self.noise = nn.Sequential(
            nn.Linear(LevelFeatures.width + 1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.label = LabelEmbedding(classes, width) if classes else None
        self.flows = nn.ModuleList(Flow(dim, width, depth) for _ in range(blocks))
        if blocks > 1:  # one alone is guided by nothing
            self.guides = nn.ModuleList(nn.Linear(dim, width) for _ in range(blocks))
            self.noisy = Modulation(width)
            self.affinity = nn.Parameter(torch.zeros(blocks, blocks))

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
        if self.blocks > 1:
            c = c + self._guided(z, c, there)
        if self.label is not None:
            c = c + self.label(condition, len(x))[:, None]
        out = torch.stack([flow(z[:, k], c[:, k]) for k, flow in enumerate(self.flows)], 1)
        return out.masked_fill(~there[..., None], 0.0).reshape(x.shape)

    def _guided(self, z: Tensor, c: Tensor, there: Tensor) -> Float[Tensor, "batch blocks width"]:
        """What each flow is told of the others."""
        said = torch.stack([guide(z[:, j]) for j, guide in enumerate(self.guides)], 1)
        said = self.noisy(said, c)
        other = there[:, None] & ~torch.eye(self.blocks, dtype=torch.bool, device=z.device)
        scores = self.affinity.expand(len(z), -1, -1).masked_fill(~other, torch.finfo(torch.float32).min)
        return (scores.softmax(-1) * other).to(said.dtype) @ said
