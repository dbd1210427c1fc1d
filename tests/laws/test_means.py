"""An epoch's figures are means over its samples, whatever the batches were, each over the batches that had it."""

import torch

from mhdiff.training.means import Means


def test_they_are_means_over_samples_and_begin_anew():
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(10, generator=g), torch.randn(10, generator=g)
    means = Means()
    for rows in (slice(0, 4), slice(4, 9), slice(9, 10)):
        here = {"a": a[rows].mean().requires_grad_(), "b": b[rows].mean()}
        means.add(here if rows.start != 4 else {"a": here["a"]}, len(a[rows]))
    means.add({}, 5)
    found = means.take()
    torch.testing.assert_close(found["a"], a.mean())
    torch.testing.assert_close(found["b"], torch.cat((b[:4], b[9:])).mean())
    assert not found["a"].requires_grad
    assert means.take() == {}
