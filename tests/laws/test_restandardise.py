"""Latents that have moved on since the standardisation was frozen are made standard again, and the head follows."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from sklearn.covariance import ledoit_wolf

from mhdiff.diffusion import (
    DiffusionPrior,
    GaussianImputer,
    Latents,
    NoPrior,
    ResidualMLP,
    Standardiser,
    VAEPrior,
)
from tests import small_model as small

PRIORS = {
    "diffusion": partial(DiffusionPrior, backbone=partial(ResidualMLP, width=16, depth=1)),
    "vae": VAEPrior,
    "gaussian": GaussianImputer,
    "none": NoPrior,
}


def drawn(seed, shift=0.0, spread=1.0):
    g = torch.Generator().manual_seed(seed)
    present = torch.rand(40, len(small.MODALITIES), generator=g) > 0.3
    z = shift + spread * torch.randn(
        40, 1 + len(small.MODALITIES), small.DIM, generator=g, dtype=torch.float64
    )
    return Latents(z[:, 0], z[:, 1:].masked_fill(~present[..., None], torch.nan), present)


def moved(module):
    """Latents far from those that the module was standardised by, with gaps whose content must not count."""
    module.train().net.prior.observe(drawn(0))
    module.eval()
    return drawn(1, shift=4.0, spread=0.5)


@pytest.mark.parametrize("name", PRIORS)
def test_what_counts_has_mean_0_and_variance_1_and_absent_blocks_are_not_read(name):
    module = small.module(prior=PRIORS[name]).double()
    latents = moved(module)
    before = module.net.prior.blocks(latents)
    module.net.restandardise(latents)
    blocks = module.net.prior.blocks(latents).detach()
    has = torch.cat((latents.known[:, None], latents.present), 1)
    for b in range(blocks.shape[1]):
        rows = blocks[:, b][has[:, b]]
        assert (before[:, b][has[:, b]].mean(0).abs() > 0.5).any()
        torch.testing.assert_close(rows.mean(0), torch.zeros_like(rows[0]), atol=1e-9, rtol=0)
        torch.testing.assert_close(rows.var(0, unbiased=False), torch.ones_like(rows[0]), atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", PRIORS)
def test_what_the_head_says_of_the_latent_itself_stays(name):
    module = small.module(prior=PRIORS[name]).double()
    latents = moved(module)
    net = module.net
    weight = net.head[0].weight.clone()
    before = net.head(net.prior.standardise(latents))
    net.restandardise(latents)
    torch.testing.assert_close(net.head(net.prior.standardise(latents)), before, atol=1e-9, rtol=1e-9)
    assert not torch.allclose(net.head[0].weight, weight)


@pytest.mark.parametrize("hierarchy", ["full", "flat", "no_shared"])
def test_the_network_and_its_average_begin_from_the_gaussian_law_of_these_latents(hierarchy):
    prior = DiffusionPrior(small.DIM, len(small.MODALITIES), hierarchy=hierarchy).double()
    latents = drawn(1)
    prior.restandardise(latents)
    blocks, known = prior.blocks(latents), prior.known_blocks(latents)
    if hierarchy == "flat":
        known[:, 0] = latents.known
    for denoiser in (prior.denoiser, prior.averaged):
        term = denoiser.backbone.gaussian
        for place, b in enumerate(range(prior.span.start, prior.span.stop)):
            rows = blocks[known[:, b], b]
            found = term.inward[place] @ term.log_variance[place].exp().diag() @ term.outward[place]
            moments = ledoit_wolf(rows.numpy(), assume_centered=True)[0]
            torch.testing.assert_close(found, torch.from_numpy(moments))


def test_a_block_of_fewer_than_two_rows_keeps_its_own():
    scale = Standardiser(2, blocks=3)
    z = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(0))
    counted = torch.tensor([[True] * 5, [True] + [False] * 4, [False] * 5]).T
    scale.recount(z, counted)
    torch.testing.assert_close(scale.mean[0], z[:, 0].mean(0))
    assert torch.equal(scale.mean[1:], torch.zeros(2, 2))
    assert torch.equal(scale.variance[1:], torch.ones(2, 2))
