"""Laboratory values and codes as embeddings.

Labs:  z = MLP([v * m, m]) with v the z-scores and m the indicator of having been measured.
Codes: z = MLP(sum_c w_c E_c / sqrt(1 + sum_c w_c)) with w the weights and E the code embeddings.
There is no normalisation layer at the input on purpose: at the baseline (all zero) it would divide by
almost nothing and integrated gradients would not add up.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mhdiff.encoders.base import Encoder, Inputs
from mhdiff.encoders.specs import CodeSpec, LabSpec


def _head(width: int, dim: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.SiLU(), nn.Dropout(dropout), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, dim)
    )


class LabEncoder(Encoder):
    """A small network over z-scored laboratory values and their missing indicators.

    The differentiable tensor is `value`; the baseline is 0, the mean of the training fold, so that a lab
    that was not measured has an attribution of exactly 0.

    Args:
        spec: The labs.
        dim: Width of the embedding.
        width: Width of the hidden layers.
        dropout: Dropout after the first layer.
    """

    def __init__(self, spec: LabSpec, dim: int, width: int = 64, dropout: float = 0.1) -> None:
        super().__init__(dim)
        self.stem = nn.Linear(2 * len(spec.names), width)
        self.head = _head(width, dim, dropout)

    def differentiable(self, inputs: Inputs) -> Float[Tensor, "batch labs"]:
        """Give the z-scores.

        Args:
            inputs: `value` and `measured`, both `[batch, labs]`.
        """
        return inputs["value"]

    def encode(self, x: Float[Tensor, "batch labs"], inputs: Inputs) -> Float[Tensor, "batch dim"]:
        """Give the embedding.

        Args:
            x: The z-scores.
            inputs: `measured` says which of them are known.
        """
        measured = inputs["measured"].to(x.dtype)
        return self.head(self.stem(torch.cat((x * measured, measured), dim=-1)))

    def baseline(self, inputs: Inputs) -> Float[Tensor, "batch labs"]:
        """Give the mean of the training fold, which is 0.

        Args:
            inputs: `value` and `measured`, both `[batch, labs]`.
        """
        return torch.zeros_like(inputs["value"])


class CodeEncoder(Encoder):
    """A bag of code embeddings.

    The differentiable tensor is `weight`; the baseline is 0, no code at all.

    Args:
        spec: The vocabulary.
        dim: Width of the embedding.
        width: Width of a code's embedding and of the hidden layer.
        dropout: Dropout after the sum.
    """

    def __init__(self, spec: CodeSpec, dim: int, width: int = 64, dropout: float = 0.1) -> None:
        super().__init__(dim)
        self.embedding = nn.Parameter(torch.randn(spec.size, width) / math.sqrt(width))
        self.stem = nn.Linear(width, width)
        self.head = _head(width, dim, dropout)

    def differentiable(self, inputs: Inputs) -> Float[Tensor, "batch codes"]:
        """Give the weights.

        Args:
            inputs: `weight`, `[batch, codes]`.
        """
        return inputs["weight"]

    def encode(self, x: Float[Tensor, "batch codes"], inputs: Inputs) -> Float[Tensor, "batch dim"]:
        """Give the embedding.

        Args:
            x: The weights, not negative.
            inputs: Not read.
        """
        total = x.sum(dim=-1, keepdim=True).clamp_min(0)
        return self.head(self.stem(x @ self.embedding / (1 + total).sqrt()))

    def baseline(self, inputs: Inputs) -> Float[Tensor, "batch codes"]:
        """Give no code at all.

        Args:
            inputs: `weight`, `[batch, codes]`.
        """
        return torch.zeros_like(inputs["weight"])
