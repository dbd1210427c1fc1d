"""What every fusion must keep. The tests walk all subclasses of `Fusion`: a new one is held to it by existing."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
import torch

import mhdiff.baselines
import mhdiff.fusion
from mhdiff.explain.bias import mean_lambda
from mhdiff.fusion import Fusion
from mhdiff.guidance import NoGuidance
from ontology.errors import InputError
from tests import small_model as small

B, M, D, H = 6, 4, 8, 2
MASK = torch.tensor(
    [[1, 1, 1, 1], [1, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.bool
)


def members() -> list[type[Fusion]]:
    for package in (mhdiff.fusion, mhdiff.baselines):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    found, queue = set(), [Fusion]
    while queue:
        for child in queue.pop().__subclasses__():
            queue.append(child)
            if not inspect.isabstract(child) and child.__module__.startswith("mhdiff."):
                found.add(child)
    return sorted(found, key=lambda kind: kind.__name__)


@pytest.fixture(params=members(), ids=lambda kind: kind.__name__)
def fusion(request):
    torch.manual_seed(0)
    built = request.param(D, H)
    built.build(M)
    return built.double().eval()


def tokens(seed=0):
    return torch.randn(B, M, D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_members_are_found():
    assert {"CrossModalFusion", "Concatenation", "GatedFusion", "LateFusion"} <= {
        k.__name__ for k in members()
    }


def test_shapes(fusion):
    out = fusion(tokens(), None, MASK)
    assert out.latent.shape == (B, D)
    assert out.tokens.shape == (B, M, D)
    assert all(alpha.shape == (B, H, M, M) for alpha in out.attention)
    assert all(strength.shape == (H,) for strength in fusion.lambdas)
    assert bool(fusion.lambdas) == fusion.reads_bias


def test_what_stands_in_an_absent_token_has_no_influence_and_no_gradient(fusion):
    z = tokens()
    spoilt = z.masked_fill(~MASK[..., None], torch.nan).requires_grad_()
    out = fusion(spoilt, None, MASK).latent
    assert torch.equal(out, fusion(z, None, MASK).latent)
    out.square().sum().backward()
    assert torch.count_nonzero(spoilt.grad[~MASK]) == 0
    assert spoilt.grad[MASK].abs().sum(-1).gt(0).all()


def test_with_nothing_there_the_latent_is_defined_and_the_same_for_all(fusion):
    out = fusion(tokens(), None, MASK).latent
    assert out.isfinite().all()
    assert torch.equal(out[3], out[5])


def test_patients_do_not_see_each_other(fusion):
    z, whole = tokens(), fusion(tokens(), None, MASK).latent
    alone = torch.cat([fusion(z[i : i + 1], None, MASK[i : i + 1]).latent for i in range(B)])
    torch.testing.assert_close(whole, alone, rtol=1e-12, atol=1e-12)


def test_evaluation_is_deterministic_and_states_are_restored(fusion):
    other = type(fusion)(D, H)
    other.build(M)
    other.double().eval().load_state_dict(fusion.state_dict())
    first = fusion(tokens(), None, MASK).latent
    assert torch.equal(first, fusion(tokens(), None, MASK).latent)
    assert torch.equal(first, other(tokens(), None, MASK).latent)


def test_every_parameter_gets_a_gradient(fusion):
    fusion.train()
    bias = tokens(1) @ tokens(2).mT if fusion.reads_bias else None
    out = fusion(tokens(), None if bias is None else bias[:, None], MASK).latent
    (out * tokens(3)[:, 0]).sum().backward()
    assert not [name for name, p in fusion.named_parameters() if p.grad is None or not p.grad.any()]


def test_it_has_a_smooth_second_derivative(fusion):
    """A penalty on attributions trains through it."""
    z = tokens().requires_grad_()
    (slope,) = torch.autograd.grad(fusion(z, None, MASK).latent.square().sum(), z, create_graph=True)
    slope.square().sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in fusion.parameters())


def test_what_is_not_read_is_refused(fusion):
    settings = {"fusion": lambda d, h: type(fusion)(d, h)}
    if fusion.reads_concepts:
        return
    with pytest.raises(InputError, match=r"granularity: modality"):
        small.module(guidance=NoGuidance, granularity="concept", **settings)
    with pytest.raises(InputError, match="NoGuidance"):
        small.module(granularity="modality", **settings)


def test_lambda_is_told_of_a_model_with_it(fusion):
    net = small.module(
        fusion=lambda d, h: type(fusion)(d, h), guidance=NoGuidance, granularity="modality"
    ).net
    assert bool(mean_lambda(net).any()) == fusion.reads_bias
