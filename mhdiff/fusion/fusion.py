r"""Cross-modal fusion: from a patient's tokens to one latent.

    h     = z + Attention(LN(z), A)
    z'    = h + W_2 GELU(W_1 LN(h))                             once a layer
    fused = LN( 1/|P| sum_{i in P} z'_i )                       pooling: mean
    fused = sum_{i in P} z'_i                                   pooling: sum

- z, A: tokens and ontology bias, see `mhdiff.fusion.attention`;
- P: the queries that are pooled, by default the present tokens. If P is empty the sum is 0 and the latent is
  LN(0), the learnable offset of the last normalisation: a defined value, the same for every such patient.

The plain sum is the founding proposal's; its scale grows with the number of present modalities, which the
mean avoids. A token that is neither key nor pooled query is set to 0 on entry, so that what stands there, NaN
included, cannot reach the output, nor a gradient reach it.
"""

from typing import Literal, cast

from jaxtyping import Bool, Float
from torch import Tensor, nn

from mhdiff.fusion.attention import OntologyBiasedAttention
from mhdiff.fusion.base import Fusion, FusionOutput
from ontology.errors import InputError


class FusionLayer(nn.Module):
    """One layer: attention, then a two-layer perceptron, each on normalised input and with a residual.

    Args:
        dim: Width of the tokens.
        heads: Number of attention heads.
        lambda_init: Value of lambda at the start.
        learn_lambda: Whether lambda is a parameter.
        lambda_per_head: Whether each head has its own.
        dropout: Probability of dropping a coordinate of what is added to the residual.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        lambda_init: float,
        learn_lambda: bool,
        lambda_per_head: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = OntologyBiasedAttention(dim, heads, lambda_init, learn_lambda, lambda_per_head)
        self.dropout = nn.Dropout(dropout)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, 2 * dim),
            nn.GELU(),
            nn.Linear(2 * dim, dim),
            nn.Dropout(dropout),
        )

    def forward(
        self, tokens: Tensor, bias: Tensor | None, mask: Tensor, anchors: Tensor | None, toward: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Apply the layer; shapes as in `OntologyBiasedAttention`."""
        known = None if anchors is None else self.norm(anchors)
        mixed, attention = self.attention(self.norm(tokens), bias, mask, known, toward)
        tokens = tokens + self.dropout(mixed)
        return tokens + self.perceptron(tokens), attention


class CrossModalFusion(Fusion):
    """Ontology-biased attention between the tokens of a patient, then pooling.

    Args:
        dim: Width of the tokens and of the latent.
        heads: Number of attention heads.
        layers: Number of layers; all of them see the same bias.
        pooling: `mean` over the pooled queries and a normalisation, or the plain `sum`.
        lambda_init: Value of lambda at the start; 0 with `learn_lambda: false` is plain attention.
        learn_lambda: Whether lambda is a parameter.
        lambda_per_head: Whether each head has a lambda of its own, or all heads of a layer share one.
        dropout: Dropout on what the layers add.
    """

    reads_bias = reads_concepts = True

    def __init__(
        self,
        dim: int,
        heads: int = 4,
        layers: int = 1,
        pooling: Literal["mean", "sum"] = "mean",
        lambda_init: float = 1.0,
        learn_lambda: bool = True,
        lambda_per_head: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dim)
        if pooling not in ("mean", "sum"):
            raise InputError(f"there is no pooling '{pooling}'", remedy="Choose mean or sum.")
        if layers < 1:
            raise InputError(f"fusion cannot have {layers} layers", remedy="Give 1 or more.")
        self.pooling = pooling
        self.layers = nn.ModuleList(
            FusionLayer(dim, heads, lambda_init, learn_lambda, lambda_per_head, dropout)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim) if pooling == "mean" else nn.Identity()

    @property
    def lambdas(self) -> list[Float[Tensor, " heads"]]:
        """Lambda of each layer and head, detached, for logging."""
        return [cast(FusionLayer, layer).attention.strength.detach() for layer in self.layers]

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        bias: Float[Tensor, "batch #heads tokens tokens"] | None,
        mask: Bool[Tensor, "batch tokens"],
        query_mask: Bool[Tensor, "batch tokens"] | None = None,
        anchors: Float[Tensor, "anchors dim"] | None = None,
        toward: Float[Tensor, "batch heads tokens anchors"] | None = None,
    ) -> FusionOutput:
        """Fuse the tokens of a batch of patients.

        Args:
            tokens: z; an absent modality's may hold anything.
            bias: A, or None.
            mask: True where a token may be attended to.
            query_mask: True where a token is pooled; by default the same as `mask`. Where only this is True,
                a learnable token of an absent modality asks without being asked.
            anchors: Tokens that every layer attends to, and that neither change nor are pooled.
            toward: A between tokens and anchors.
        """
        pooled = mask if query_mask is None else query_mask
        tokens = tokens.masked_fill(~(mask | pooled)[..., None], 0.0)
        maps = []
        for layer in self.layers:
            tokens, attention = layer(tokens, bias, mask, anchors, toward)
            maps.append(attention)
        latent = tokens.masked_fill(~pooled[..., None], 0.0).sum(dim=1)
        if self.pooling == "mean":
            latent = latent / pooled.sum(dim=1, keepdim=True).clamp(min=1)
        return FusionOutput(self.norm(latent), tokens, maps)
