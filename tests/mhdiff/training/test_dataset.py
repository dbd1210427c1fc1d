"""Walking samples in batches: every one once, in order, the last stretch too."""

from __future__ import annotations

import pytest
import torch

from graph_builders import TokenTable
from mhdiff.training.dataset import SampleDataset


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_every_sample_comes_once_and_in_order(size):
    concept = torch.arange(14).reshape(7, 1, 2)
    tokens = TokenTable(concept.numpy(), torch.ones(7, 1, 2).numpy(), concept.numpy())
    values = torch.arange(7.0)[:, None]
    data = SampleDataset(
        range(10, 17),
        [0] * 7,
        ["labs"],
        torch.ones(7, 1, dtype=torch.bool),
        {"labs": {"value": values}},
        {},
        tokens,
    )
    walked = list(data.batches(size))
    assert max(len(batch) for _, batch in walked) == min(size, 7)
    assert [row for rows, _ in walked for row in rows] == list(range(7))
    for rows, batch in walked:
        assert batch.sample_id.tolist() == [10 + row for row in rows]
        assert torch.equal(batch.inputs["labs"]["value"], values[list(rows)])
    assert torch.equal(torch.cat([batch.evidence.concept for _, batch in walked]), concept)
