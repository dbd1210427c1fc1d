r"""Gated multimodal units: how much each modality counts is decided by all of them.

    h_m = tanh(W_m z_m),    g_m = sigmoid(V_m [z_1 .. z_M | p_1 .. p_M]),    fused = LN( sum_{m in P} g_m h_m )

- z_m: the latent of modality m, 0 where it is absent; p_m: whether it is there; P: those that are; g_m: one gate for
  each coordinate.

Arevalo et al., "Gated multimodal units for information fusion" (ICLR workshop 2017), section 3.1, in the form for more
than two modalities: gates of different modalities are not tied to sum to 1. Ours are that an absent modality has no
part in the sum, that the gates are told what is there, and the normalisation, without which the sum's scale would
depend on how much is there.
"""

from jaxtyping import Bool, Float
from torch import Tensor, cat, nn, stack

from mhdiff.fusion.base import Fusion, FusionOutput


class GatedFusion(Fusion):
    """A gated multimodal unit over all modalities.

    Args:
        dim: Width of the tokens and of the latent.
        heads: Not read.
    """

    def __init__(self, dim: int, heads: int = 1) -> None:
        super().__init__(dim)
        self.inward, self.gates = nn.ModuleList(), nn.ModuleList()
        self.norm = nn.LayerNorm(dim)

    def build(self, modalities: int) -> None:
        """Make W and V, see `Fusion.build`."""
        for _ in range(modalities):
            self.inward.append(nn.Linear(self.dim, self.dim, bias=False))
            self.gates.append(nn.Linear(modalities * (self.dim + 1), self.dim, bias=False))

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
        every = cat([tokens.flatten(1), mask.to(tokens.dtype)], 1)
        said = stack(
            [gate(every).sigmoid() * inward(tokens[:, m]).tanh()
             for m, (gate, inward) in enumerate(zip(self.gates, self.inward, strict=True))], 1
        )  # fmt: skip
        return FusionOutput(self.norm(said.sum(1)), said, [])
