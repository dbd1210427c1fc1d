r"""Early fusion: the modalities' latents side by side, and a perceptron over them.

    fused = LN( MLP([z_1 .. z_M | p_1 .. p_M]) ),   z_m = 0 where p_m = 0

- z_m: the latent of modality m; p_m: 1 where it is there, else 0, so that an absent latent and a latent of 0 differ.

With masking in training it is the plain modality-dropout classifier; of one modality it is the unimodal one. Ngiam et
al., "Multimodal deep learning" (ICML 2011), trained a joint layer over concatenated modalities with some zeroed.
"""

from itertools import pairwise

from jaxtyping import Bool, Float
from torch import Tensor, cat, nn

from mhdiff.fusion.base import Fusion, FusionOutput
from ontology.errors import InputError


class Concatenation(Fusion):
    """Early fusion.

    Args:
        dim: Width of the tokens and of the latent.
        heads: Not read.
        width: Width of the hidden layers; None for twice `dim`.
        layers: Number of hidden layers.
        dropout: Dropout after each of them.
    """

    def __init__(
        self, dim: int, heads: int = 1, width: int | None = None, layers: int = 1, dropout: float = 0.1
    ) -> None:
        super().__init__(dim)
        self.width = 2 * dim if width is None else width
        if layers < 1 or self.width < 1:
            raise InputError(
                f"Concatenation cannot have {layers} layers of width {self.width}",
                remedy="Give model.fusion.init_args.layers and width of 1 or more",
            )
        self.layers, self.dropout = layers, dropout
        self.mlp = nn.Sequential()
        self.norm = nn.LayerNorm(dim)

    def build(self, modalities: int) -> None:
        """Make the perceptron, see `Fusion.build`."""
        self.modalities = modalities
        widths = [modalities * (self.dim + 1)] + [self.width] * self.layers
        for before, after in pairwise(widths):
            self.mlp.extend([nn.Linear(before, after), nn.GELU(), nn.Dropout(self.dropout)])
        self.mlp.append(nn.Linear(widths[-1], self.dim))

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
        known = cat([tokens.flatten(1), mask.to(tokens.dtype)], 1)
        return FusionOutput(self.norm(self.mlp(known)), tokens, [])
