r"""Late fusion: each modality has a classifier of its own, and their logits are averaged over those that are there.

    fused = 1/|P| sum_{m in P} f_m(z_m),     logits = W fused + b = 1/|P| sum_{m in P} (W f_m(z_m) + b)

- f_m: a perceptron of modality m alone; P: the modalities that are there. With nothing there the logits are b.

The equation on the right needs a linear head (`mhdiff.head.Linear`) and a prior that is affine (`NoPrior`): with them
the mean of what the perceptrons say is the mean of the modalities' own logits, not of their probabilities. Under a
perceptron for a head it would be another fusion of latents. What the model learns to say where a modality is absent
(its token) is added, as in every arm.
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn, stack

from mhdiff.fusion.base import Fusion, FusionOutput


class LateFusion(Fusion):
    """A perceptron for each modality, and the mean over those that are there.

    Args:
        dim: Width of the tokens and of the latent.
        heads: Not read.
        width: Width of each perceptron's hidden layer; None for `dim`.
        dropout: Dropout after it.
    """

    def __init__(self, dim: int, heads: int = 1, width: int | None = None, dropout: float = 0.1) -> None:
        super().__init__(dim)
        self.width, self.dropout = dim if width is None else width, dropout
        self.own = nn.ModuleList()

    def build(self, modalities: int) -> None:
        """Make the perceptrons, see `Fusion.build`."""
        for _ in range(modalities):
            self.own.append(
                nn.Sequential(
                    nn.Linear(self.dim, self.width),
                    nn.SiLU(),
                    nn.Dropout(self.dropout),
                    nn.Linear(self.width, self.dim),
                )
            )

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        bias: Float[Tensor, "batch #heads tokens tokens"] | None,
        mask: Bool[Tensor, "batch tokens"],
        query_mask: Bool[Tensor, "batch tokens"] | None = None,
        anchors: Float[Tensor, "anchors dim"] | None = None,
        toward: Float[Tensor, "batch heads tokens anchors"] | None = None,
    ) -> FusionOutput:
        """Fuse, see `Fusion.forward`."""
        tokens = tokens.masked_fill(~mask[..., None], 0.0)
        said = stack([own(tokens[:, m]) for m, own in enumerate(self.own)], 1)
        said = said.masked_fill(~mask[..., None], 0.0)
        return FusionOutput(said.sum(1) / mask.sum(1, keepdim=True).clamp(min=1), said, [])
