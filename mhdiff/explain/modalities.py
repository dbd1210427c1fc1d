"""Exact Shapley values of modalities: what each adds, averaged over the orders in which they become known.

    phi_m = sum_{S not containing m} |S|! (M - |S| - 1)! / M! * (v(S + m) - v(S)),     sum_m phi_m = v(all)
    - v(none)

v(S) is the predicted probability when only the modalities in S are offered; with M modalities it takes 2^M
predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import factorial

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def patterns(count: int) -> Bool[Tensor, "patterns modalities"]:
    """Give every subset; pattern p offers modality m when bit m of p is set.

    Args:
        count: Number of modalities.
    """
    return (torch.arange(2**count)[:, None] >> torch.arange(count)) & 1 == 1


def shapley_values(values: Float[Tensor, " patterns *batch"]) -> Float[Tensor, " modalities *batch"]:
    """Give the Shapley values from the values of all subsets.

    Args:
        values: In the order of `patterns`.

    Returns:
        One row a modality.
    """
    total = len(values)
    count = total.bit_length() - 1
    if 2**count != total:
        raise ValueError(f"{total} values are not those of all subsets")
    size = patterns(count).sum(dim=1)
    share = torch.tensor([factorial(s) * factorial(count - s - 1) / factorial(count) for s in range(count)])
    rows = []
    for player in range(count):
        without = torch.arange(total)[(torch.arange(total) >> player) & 1 == 0]
        weight = share[size[without]].to(values).view(-1, *[1] * (values.ndim - 1))
        rows.append((weight * (values[without + 2**player] - values[without])).sum(dim=0))
    return torch.stack(rows) if rows else values.new_zeros(0, *values.shape[1:])


def modality_shapley(
    names: Sequence[str], present: Sequence[bool], probability: Callable[[tuple[str, ...]], float]
) -> dict[str, float]:
    """Give the Shapley value of each modality of one patient.

    Args:
        names: The modalities.
        present: Which of them the patient has; the others are not offered and get exactly 0.
        probability: From the modalities that are offered to the predicted probability.

    Returns:
        The value of each modality, in probability.
    """
    have = [name for name, there in zip(names, present, strict=True) if there]
    rows = patterns(len(have)).tolist()
    offered = [tuple(name for name, there in zip(have, row, strict=True) if there) for row in rows]
    values = shapley_values(torch.tensor([probability(subset) for subset in offered], dtype=torch.float64))
    found = dict(zip(have, values.tolist(), strict=True))
    return {name: found.get(name, 0.0) for name in names}
