r"""Ontology-biased attention.

    alpha_ij = softmax_j( (z_i W_Q)(z_j W_K)^T / sqrt(d) + lambda * A_ij ), out_i = sum_j alpha_ij z_j W_V W_O

- z_i: token i of one patient (a modality, or a concept of a modality);
- W_Q, W_K, W_V, W_O: linear maps without additive terms, so a patient without any token maps to exactly 0;
- d: width of one head; without 1/sqrt(d) the softmax saturates;
- A_ij: the ontology's word on the pair (i, j), per patient and head; finite. A term that is constant along
  the row i cancels in the softmax, and one that is the same for all patients carries no knowledge of the
  patient;
- lambda: one number per head or for all, learned or fixed. With lambda = 0 this is plain attention, bit for bit;
- an absent token is no key: its logit is -inf. If no key is left the row of alpha is 0, never NaN;
- anchors: learned tokens that are keys for every patient and queries for none, with a bias of their own. A bias between
  a patient's own tokens can only shift weight between values that are pooled anyway; towards anchors it can say what a
  concept is, one never seen in training included. A patient without a present token has none.

Written out in matrix products on purpose: fused attention kernels have no second derivative on the CPU, and a
penalty on attributions needs one.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ontology.errors import InputError


class OntologyBiasedAttention(nn.Module):
    """Multi-head attention whose logits are shifted by lambda * A.

    Does not normalise its input and adds no residual: see `CrossModalFusion` for the layer around it.

    Args:
        dim: Width of the tokens; a multiple of `heads`.
        heads: Number of heads.
        lambda_init: Value of lambda at the start, in every head.
        learn_lambda: Whether lambda is a parameter. If it is and `bias` is None, it receives no gradient.
        lambda_per_head: Whether each head has a lambda of its own, or all share one.
    """

    lambda_: Tensor

    def __init__(
        self,
        dim: int,
        heads: int = 4,
        lambda_init: float = 1.0,
        learn_lambda: bool = True,
        lambda_per_head: bool = True,
    ) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise InputError(
                f"a width of {dim} cannot be split into {heads} heads",
                remedy="Choose `heads` as a divisor of `dim`.",
            )
        self.dim, self.heads = dim, heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        start = torch.full((heads if lambda_per_head else 1,), float(lambda_init))
        if learn_lambda:
            self.lambda_ = nn.Parameter(start)
        else:
            self.register_buffer("lambda_", start)

    @property
    def strength(self) -> Float[Tensor, " heads"]:
        """Lambda of every head."""
        return self.lambda_.expand(self.heads)

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        bias: Float[Tensor, "batch #heads tokens tokens"] | None,
        mask: Bool[Tensor, "batch tokens"],
        anchors: Float[Tensor, "anchors dim"] | None = None,
        toward: Float[Tensor, "batch heads tokens anchors"] | None = None,
    ) -> tuple[Float[Tensor, "batch tokens dim"], Float[Tensor, "batch heads tokens keys"]]:
        """Attend from every token to the present ones.

        Args:
            tokens: z.
            bias: A, or None for plain attention.
            mask: True where a token is present and may be attended to.
            anchors: Tokens that are only attended to, the same for all patients.
            toward: A between tokens and anchors.

        Returns:
            The new tokens, and alpha over the tokens and then the anchors; both are 0 for a patient without a present
            token.
        """
        # One product, and one tensor laid out anew: for small batches the number of operations is what costs.
        whole = nn.functional.linear(
            tokens, torch.cat([m.weight for m in (self.query, self.key, self.value)])
        )
        q, k, v = whole.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).contiguous().unbind()
        q = q / math.sqrt(self.dim // self.heads)
        if anchors is not None:
            to, said = (
                linear(anchors).unflatten(-1, (self.heads, -1)).transpose(0, 1)
                for linear in (self.key, self.value)
            )
            k = torch.cat([k, to.expand(len(k), -1, -1, -1)], 2)
            bias = _over_anchors(bias, toward, len(anchors))
            v = torch.cat([v, said.expand(len(v), -1, -1, -1)], 2)
            mask = torch.cat([mask, mask.any(-1, keepdim=True).expand(-1, len(anchors))], 1)
        # A row of nothing but -inf would be NaN both ways: it keeps its logits, and its alpha is set to 0.
        empty = ~mask.any(dim=-1)
        open_ = (mask | empty[:, None])[:, None, None, :]
        logits = torch.where(open_, 0.0, -math.inf).to(q.dtype) + q @ k.transpose(-1, -2)
        if bias is not None:
            logits = torch.addcmul(logits, self.lambda_[:, None, None], bias)
        attention = logits.softmax(dim=-1)
        if _may_be(empty):
            mixed = attention.to(v.dtype) @ v.masked_fill(empty[:, None, None, None], 0.0)
            attention = attention.masked_fill(empty[:, None, None, None], 0.0)
        else:
            mixed = attention.to(v.dtype) @ v
        return self.out(mixed.transpose(1, 2).flatten(-2)), attention


def _may_be(flags: Bool[Tensor, " batch"]) -> bool:
    """Whether any is set, where looking is cheap; where it would wait for the device, True."""
    return flags.device.type != "cpu" or torch.compiler.is_compiling() or bool(flags.any())


def _over_anchors(bias: Tensor | None, toward: Tensor | None, anchors: int) -> Tensor | None:
    """Join A between tokens and A towards anchors, 0 where one of them is not given."""
    if bias is None and toward is None:
        return None
    if toward is None:
        return nn.functional.pad(bias, (0, anchors))  # type: ignore[arg-type]
    if bias is None:
        return nn.functional.pad(toward, (toward.shape[2], 0))
    return torch.cat([bias.expand(-1, toward.shape[1], -1, -1), toward], -1)
