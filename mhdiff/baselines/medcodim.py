r"""MedCoDi-M-style: any modality from any others through one prompt, in a space where the modalities are aligned.

    F_k = flow_k(x_k, c_k),    c_k = MLP(features(l_k)) + W s,    s = mean_{j given} p_j / |p_j|,    p_j = P_j x_j

- x_k: the noisy latent of modality k; l_k: its noise level; j: the modalities that are known, which stand at t = 0;
- s: the prompt, the mean of what is known in the shared space; a learned one where nothing is known. A flow sees of the
  other modalities the prompt alone, so that two that are missing are drawn independently given it.

Made for `DiffusionPrior` with `hierarchy: no_shared`, in training beside `mhdiff.losses.Contrastive`. Which modalities
are known is drawn anew for every row and step (`mhdiff.diffusion.views`), which is the paper's training on several
prompts, no prompt among them. After Molino et al., "MedCoDi-M: A multi-prompt foundation model for multimodal medical
data generation" (arXiv 2501.04614). There images and reports are generated, by large pretrained networks with
cross-attention between the flows; here latents are, and the diagnosis is made of what is there completed by them.
Corrected: in the published contrastive loss the second direction is the first one again, and NaNs are replaced; ours
goes both ways, with a learned temperature, and refuses NaNs.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mhdiff.baselines.flow import Flow
from mhdiff.diffusion.backbone import LabelEmbedding, LevelFeatures, check_size, flags
from mhdiff.diffusion.condition import Condition


class Prompted(nn.Module):
    """Flows that are told one prompt.

    Args:
        dim: Width of a block.
        blocks: Number of blocks of the latent.
        classes: Number of classes that it can be told; 0 for none.
        width: Width of the hidden layers and of the prompt.
        depth: Number of residual layers of a flow.
    """

    def __init__(self, dim: int, blocks: int = 1, classes: int = 0, width: int = 64, depth: int = 2) -> None:
        super().__init__()
        check_size("Prompted", dim, blocks, classes, width, depth)
        self.dim, self.blocks = dim, blocks
        self.features = LevelFeatures()
        self.noise = nn.Sequential(
            nn.Linear(LevelFeatures.width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.label = LabelEmbedding(classes, width) if classes else None
        self.flows = nn.ModuleList(Flow(dim, width, depth) for _ in range(blocks))
        self.prompts = nn.ModuleList(nn.Linear(dim, width) for _ in range(blocks))
        self.empty = nn.Parameter(torch.randn(width) / width**0.5)
        self.told = nn.Linear(width, width, bias=False)

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
        c = self.noise(self.features(level.reshape(len(x), self.blocks).masked_fill(~there, 0.0)))
        c = c + self.told(self._prompt(z, given))[:, None]
        if self.label is not None:
            c = c + self.label(condition, len(x))[:, None]
        out = torch.stack([flow(z[:, k], c[:, k]) for k, flow in enumerate(self.flows)], 1)
        return out.masked_fill(~there[..., None], 0.0).reshape(x.shape)

    def _prompt(self, z: Tensor, given: Tensor) -> Float[Tensor, "batch width"]:
        """The mean of what is known, or the empty prompt."""
        said = torch.stack([prompt(z[:, j]) for j, prompt in enumerate(self.prompts)], 1)
        said = nn.functional.normalize(said, dim=-1).masked_fill(~given[..., None], 0.0)
        mean = said.sum(1) / given.sum(1, keepdim=True).clamp(min=1)
        return torch.where(given.any(1, keepdim=True), mean, self.empty.to(mean.dtype))
