"""Laws of the ontology-biased attention and of the fusion around it."""

import math

import pytest
import torch

from mhdiff.fusion import CrossModalFusion, OntologyBiasedAttention
from ontology.errors import InputError

B, T, D, H = 5, 4, 16, 4


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def mask():
    return torch.tensor(
        [[1, 1, 1, 1], [1, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]], dtype=torch.bool
    )


def attention(**kwargs):
    torch.manual_seed(0)
    return OntologyBiasedAttention(D, H, **kwargs).double()


def fusion(**kwargs):
    torch.manual_seed(0)
    return CrossModalFusion(D, H, **kwargs).double()


def test_is_the_written_formula():
    layer, z, a = attention(lambda_init=0.7), draw(1, T, D), draw(1, H, T, T, seed=1)
    out, alpha = layer(z, a, torch.ones(1, T, dtype=torch.bool))
    width, heads = D // H, []
    for h in range(H):
        rows = slice(h * width, (h + 1) * width)
        q, k, v = (z[0] @ linear.weight[rows].T for linear in (layer.query, layer.key, layer.value))
        weights = (q @ k.T / math.sqrt(width) + 0.7 * a[0, h]).softmax(-1)
        torch.testing.assert_close(alpha[0, h], weights)
        heads.append(weights @ v)
    torch.testing.assert_close(out[0], torch.cat(heads, -1) @ layer.out.weight.T)


@pytest.mark.parametrize("learn", [True, False])
def test_lambda_zero_is_plain_attention_bit_for_bit(mask, learn):
    layer, z = attention(lambda_init=0.0, learn_lambda=learn), draw(B, T, D)
    plain, biased = layer(z, None, mask), layer(z, 100 * draw(B, H, T, T, seed=1), mask)
    assert all(torch.equal(a, b) for a, b in zip(plain, biased, strict=True))


def test_bias_constant_along_a_row_changes_nothing(mask):
    layer, z, a = attention(), draw(B, T, D), draw(B, H, T, T, seed=1)
    shifted = a + draw(B, H, T, 1, seed=2)
    torch.testing.assert_close(layer(z, shifted, mask)[0], layer(z, a, mask)[0], rtol=0, atol=1e-12)
    assert (layer(z, a + draw(B, H, 1, T, seed=2), mask)[0] - layer(z, a, mask)[0]).abs().max() > 1e-3


def test_rows_sum_to_one_over_present_keys_and_to_zero_without_any(mask):
    _, alpha = attention()(draw(B, T, D), draw(B, H, T, T, seed=1), mask)
    assert (alpha.transpose(-1, -2)[~mask[:, None].expand(B, H, T)] == 0).all()
    torch.testing.assert_close(alpha.sum(-1), mask.any(-1)[:, None, None].double().expand(B, H, T))


def test_nothing_present_gives_exact_zeros_and_finite_gradients():
    layer, z = attention(), draw(2, T, D).requires_grad_()
    out, _ = layer(z, draw(2, H, T, T, seed=1), torch.tensor([[0, 0, 0, 0], [1, 1, 0, 1]], dtype=torch.bool))
    assert (out[0] == 0).all()
    out.square().sum().backward()
    assert (z.grad[0] == 0).all()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("junk", [1e6, math.nan, math.inf])
@pytest.mark.parametrize("layers", [1, 2])
def test_absent_tokens_have_no_influence_and_no_gradient(mask, junk, layers):
    model, z, a = fusion(layers=layers), draw(B, T, D), draw(B, H, T, T, seed=1)
    other = z.masked_fill(~mask[..., None], junk).requires_grad_()
    latent = model(other, a, mask).latent
    assert torch.equal(latent, model(z, a, mask).latent)
    latent.square().sum().backward()
    assert (other.grad[~mask] == 0).all()
    assert (other.grad[mask] != 0).any()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_an_absent_token_may_as_well_not_be_there():
    model, z, a, mask = (
        fusion(layers=2),
        draw(1, T, D),
        draw(1, H, T, T, seed=1),
        torch.ones(1, T, dtype=torch.bool),
    )
    mask[0, 1], keep = False, [0, 2, 3]
    short = model(z[:, keep], a[:, :, keep][..., keep], mask[:, keep]).latent
    torch.testing.assert_close(model(z, a, mask).latent, short)


def test_all_absent_gives_one_defined_latent():
    model, nobody = fusion(), torch.zeros(B, T, dtype=torch.bool)
    latent = model(draw(B, T, D), None, nobody).latent
    assert torch.equal(latent, model.norm.bias.expand(B, D))
    assert (fusion(pooling="sum")(draw(B, T, D), None, nobody).latent == 0).all()


def test_order_of_the_tokens_does_not_matter(mask):
    model, z, a, order = fusion(layers=2), draw(B, T, D), draw(B, H, T, T, seed=1), torch.tensor([2, 0, 3, 1])
    shuffled = model(z[:, order], a[:, :, order][..., order], mask[:, order]).latent
    torch.testing.assert_close(shuffled, model(z, a, mask).latent)


def test_scale_of_the_latent_does_not_depend_on_how_many_are_present(mask):
    present = mask.sum(1) > 0
    rms = fusion()(draw(B, T, D), None, mask).latent[present].square().mean(1).sqrt()
    torch.testing.assert_close(rms, torch.ones_like(rms), atol=1e-3, rtol=0)


def test_a_learnable_token_can_ask_without_being_asked():
    model, mask = fusion(), torch.tensor([[True, True, True, False]])
    z = draw(1, T, D).requires_grad_()
    everyone = torch.ones_like(mask)
    output = model(z, None, mask, query_mask=everyone)
    assert (output.attention[0][..., 3] == 0).all()
    output.latent[0, 0].backward()
    assert (z.grad[0, 3] != 0).any()


def test_every_parameter_gets_a_gradient(mask):
    model = fusion(layers=2)
    model(draw(B, T, D), draw(B, H, T, T, seed=1), mask).latent.pow(3).sum().backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().max() > 1e-12, name


def test_second_derivatives_reach_the_parameters(mask):
    model, z = fusion(), draw(B, T, D).requires_grad_()
    (first,) = torch.autograd.grad(model(z, None, mask).latent.pow(3).sum(), z, create_graph=True)
    first.square().sum().backward()
    for name in ("query", "key", "value", "out"):
        assert getattr(model.layers[0].attention, name).weight.grad.abs().max() > 1e-9, name


def test_bfloat16_autocast(mask):
    model, z = fusion().float(), draw(B, T, D).float()
    a = draw(B, H, T, T, seed=1).float()
    with torch.autocast("cpu", torch.bfloat16):
        low = model(z, a, mask).latent
    torch.testing.assert_close(low.float(), model(z, a, mask).latent, atol=0.1, rtol=0.1)


def test_refusals_name_the_remedy():
    with pytest.raises(InputError, match="divisor"):
        OntologyBiasedAttention(10, 4)
    with pytest.raises(InputError, match="mean or sum"):
        CrossModalFusion(8, pooling="max")


def test_one_lambda_for_all_heads_is_the_same_number_in_each(mask):
    shared, own = attention(lambda_init=0.7, lambda_per_head=False), attention(lambda_init=0.7)
    assert shared.lambda_.shape == (1,)
    assert shared.strength.tolist() == own.strength.tolist()
    z, a = draw(B, T, D), draw(B, H, T, T, seed=1)
    assert torch.equal(shared(z, a, mask)[0], own(z, a, mask)[0])


def test_anchors_are_further_keys_and_never_queries(mask):
    layer, z, a = attention(lambda_init=0.7), draw(B, T, D), draw(B, H, T, T, seed=1)
    anchors, toward = draw(3, D, seed=3), draw(B, H, T, 3, seed=4)
    out, alpha = layer(z, a, mask, anchors, toward)
    # The same as three more tokens of every patient that has any, of which nothing is asked.
    keys = torch.cat([mask, mask.any(-1, keepdim=True).expand(-1, 3)], 1)
    wide = torch.zeros(B, H, T + 3, T + 3, dtype=torch.float64)
    wide[:, :, :T] = torch.cat([a, toward], -1)
    wanted, weights = layer(torch.cat([z, anchors.expand(B, -1, -1)], 1), wide, keys)
    torch.testing.assert_close(out, wanted[:, :T])
    torch.testing.assert_close(alpha, weights[:, :, :T])
    torch.testing.assert_close(alpha.sum(-1), mask.any(-1)[:, None, None].double().expand(B, H, T))


def test_what_the_bias_moved_is_told_without_running_again(mask):
    from mhdiff.fusion.influence import influence

    layer, z, a = attention(lambda_init=0.7), draw(B, T, D), draw(B, H, T, T, seed=1)
    _, alpha = layer(z, a, mask)
    _, plain = layer(z, None, mask)
    told = influence(alpha, a, layer.strength, mask)
    distance = (alpha - plain).abs().sum(-1) / 2
    wanted = (distance * mask[:, None]).sum((0, 2)) / mask.sum()
    torch.testing.assert_close(told.moved.double(), wanted, atol=1e-5, rtol=1e-4)
    pairs = mask[:, :, None] & mask[:, None, :]
    for head in range(H):
        values = 0.7 * a[:, head][pairs]
        torch.testing.assert_close(
            told.magnitude[head].double(), values.square().mean().sqrt(), atol=1e-5, rtol=1e-4
        )
    assert told.moved.min() > 0.01
    anchors, toward = draw(3, D, seed=3), draw(B, H, T, 3, seed=4)
    both = torch.cat([a, toward], -1)
    moved = influence(layer(z, a, mask, anchors, toward)[1], both, layer.strength, mask).moved
    distance = (layer(z, a, mask, anchors, toward)[1] - layer(z, None, mask, anchors)[1]).abs().sum(-1) / 2
    torch.testing.assert_close(
        moved.double(), (distance * mask[:, None]).sum((0, 2)) / mask.sum(), atol=1e-5, rtol=1e-4
    )
    # What is constant along a row has a magnitude, and nothing that a softmax could see.
    rows = draw(B, H, T, 1, seed=2).expand(B, H, T, T)
    same = influence(layer(z, rows, mask)[1], rows, layer.strength, mask)
    assert same.moved.max() < 1e-5
    assert same.spread.max() < 1e-5
    assert same.magnitude.min() > 0.1
