"""Laws of the networks inside the denoiser."""

from functools import partial

import pytest
import torch

from mhdiff.diffusion import UNTOLD, BlockTransformer, Condition, ResidualMLP, VDenoiser, VPSchedule
from mhdiff.diffusion.gaussian_term import GaussianTerm
from mhdiff.diffusion.loss import denoising_loss
from ontology.errors import InputError

DIM, BLOCKS, CLASSES = 4, 3, 5
KINDS = [
    partial(ResidualMLP, width=16, depth=2),
    partial(ResidualMLP, width=16, depth=2, gaussian=False),
    partial(BlockTransformer, width=16, depth=2, heads=2),
]


@pytest.fixture(
    params=KINDS, ids=lambda kind: kind.func.__name__ + ("-alone" if "gaussian" in kind.keywords else "")
)
def kind(request):
    torch.manual_seed(0)
    return request.param


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def question(n=6):
    x = torch.randn(n, BLOCKS, DIM, generator=seeded())
    level = torch.randn(n, BLOCKS, generator=seeded(1))
    present = torch.rand(n, BLOCKS, generator=seeded(2)) < 0.6
    present[0], present[1], present[2] = True, False, torch.tensor([True, False, True])
    return x, level, present


def test_an_absent_block_has_no_influence_and_no_answer(kind):
    network = kind(DIM, BLOCKS, CLASSES)
    x, level, present = question()
    other, far = x.clone(), level.clone()
    other[~present], far[~present] = torch.nan, 99.0
    first, second = (network(a, b, Condition(present=present)) for a, b in ((x, level), (other, far)))
    assert torch.equal(first, second)
    assert (first[~present] == 0).all()
    assert first.isfinite().all()
    second.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_an_absent_block_is_no_key_of_the_attention():
    network = BlockTransformer(DIM, BLOCKS, width=16, depth=2, heads=2)
    x, level, _ = question()
    condition = Condition(present=torch.tensor([[True, False, True]]).expand(6, BLOCKS))
    before = network(x, level, condition)
    with torch.no_grad():
        network.which[1] += 5.0
    assert torch.equal(network(x, level, condition), before)
    assert not torch.equal(network(x, level)[:, 0], before[:, 0])


def test_what_is_there_has_influence_on_the_others(kind):
    network = kind(DIM, BLOCKS, CLASSES)
    x, level, _ = question()
    for change in (lambda a, b: a[:, 0].add_(1.0), lambda a, b: b[:, 0].add_(1.0)):
        moved, later = x.clone(), level.clone()
        change(moved, later)
        assert not torch.equal(network(moved, later)[:, 2], network(x, level)[:, 2])


def test_by_default_everything_is_there_nothing_is_given_and_no_label_told(kind):
    network = kind(DIM, BLOCKS, CLASSES)
    x, level, _ = question()
    everything = torch.ones(6, BLOCKS, dtype=torch.bool)
    untold = torch.full((6,), UNTOLD)
    full = Condition(untold, everything, ~everything)
    assert torch.equal(network(x, level), network(x, level, full))
    told = [network(x, level, Condition(torch.full((6,), c))) for c in range(CLASSES)]
    assert all(not torch.equal(network(x, level), answer) for answer in told)
    assert not torch.equal(network(x, level), network(x, level, Condition(observed=everything)))
    without = kind(DIM, BLOCKS, 0)
    assert torch.equal(without(x, level), without(x, level, Condition(torch.zeros(6, dtype=torch.int64))))


def test_one_latent_without_blocks(kind):
    network, x = kind(DIM), torch.randn(5, DIM)
    assert network(x, torch.randn(5)).shape == x.shape


def test_the_second_derivative_is_there_also_while_training(kind):
    network = kind(DIM, BLOCKS, CLASSES).train()
    x, level, present = question()
    x.requires_grad_()
    answer = network(x, level, Condition(torch.arange(6) % CLASSES, present))
    (first,) = torch.autograd.grad(answer.square().sum(), x, create_graph=True)
    first.square().sum().backward()
    assert (first[~present] == 0).all()
    weights = [p for n, p in network.named_parameters() if p.ndim > 1]
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in weights)


def test_rows_do_not_see_each_other(kind):
    network = kind(DIM, BLOCKS, CLASSES)
    x, level, present = question()
    whole = network(x, level, Condition(present=present))
    alone = network(x[2:3], level[2:3], Condition(present=present[2:3]))
    torch.testing.assert_close(alone, whole[2:3])


def test_bfloat16(kind):
    network = kind(DIM, BLOCKS, CLASSES)
    x, level, present = question()
    full = network(x, level, Condition(present=present))
    with torch.autocast("cpu", torch.bfloat16):
        low = network(x, level, Condition(present=present))
    torch.testing.assert_close(low.float(), full, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"depth": 0}])
def test_impossible_sizes_are_refused(kind, wrong):
    with pytest.raises(InputError, match="width"):
        kind(DIM, BLOCKS, CLASSES, **wrong)


def test_heads_must_divide_the_width():
    with pytest.raises(InputError, match="multiple of heads"):
        BlockTransformer(DIM, BLOCKS, width=10, heads=4)


def test_the_gaussian_term_is_the_best_answer_for_gaussian_blocks():
    """F = (E[z_0 | z_t] - alpha z_t) / sigma, by the covariance of each block."""
    torch.manual_seed(0)
    root = torch.randn(BLOCKS, DIM, DIM, dtype=torch.float64)
    variance, axes = torch.linalg.eigh(root @ root.mT)
    term = GaussianTerm(DIM, BLOCKS).double()
    with torch.no_grad():
        term.inward.copy_(axes)
        term.outward.copy_(axes.mT)
        term.log_variance.copy_(variance.log())
    x, level, _ = (part.double() for part in question())
    alpha = (1 + (2 * level).exp()).rsqrt()[..., None]
    sigma = alpha * level.exp()[..., None]
    noisy = alpha[..., None] ** 2 * (root @ root.mT) + sigma[..., None] ** 2 * torch.eye(
        DIM, dtype=torch.float64
    )
    mean = alpha * (root @ root.mT @ torch.linalg.solve(noisy, x[..., None]))[..., 0]
    torch.testing.assert_close(term(x, level), (mean - alpha * x) / sigma)


def test_the_gaussian_term_starts_as_next_to_nothing():
    torch.manual_seed(0)
    with_term = ResidualMLP(DIM, BLOCKS, CLASSES, width=16, depth=2)
    without = ResidualMLP(DIM, BLOCKS, CLASSES, width=16, depth=2, gaussian=False)
    without.load_state_dict({k: v for k, v in with_term.state_dict().items() if "gaussian" not in k})
    x, level, _ = question()
    more = with_term(x, level) - without(x, level)
    assert (more.abs() <= 0.06 * x.abs() + 1e-6).all()


def test_the_gaussian_term_begins_from_second_moments():
    """Rows that do not count do not, and a block that nobody has stays as it is."""
    draw = seeded()
    z = torch.randn(4000, 3, DIM, generator=draw, dtype=torch.float64) * torch.logspace(0.5, -1, DIM)
    counted = torch.rand(4000, 3, generator=draw) < torch.tensor([0.6, 1.0, 0.0])
    z[~counted] = 100.0
    term = GaussianTerm(DIM, 3).double()
    term.begin(z, counted)
    for block in range(2):
        rows = z[counted[:, block], block]
        found = term.inward[block] @ term.log_variance[block].exp().diag() @ term.outward[block]
        torch.testing.assert_close(found, rows.mT @ rows / len(rows), atol=0.01, rtol=0.01)
    assert torch.equal(term.log_variance[2], GaussianTerm(DIM, 3).double().log_variance[2])


def test_a_network_that_begins_is_its_gaussian_term():
    torch.manual_seed(0)
    network = ResidualMLP(DIM, BLOCKS, CLASSES, width=16, depth=2)
    x, level, _ = question()
    network.begin(torch.randn(50, BLOCKS, DIM) * 2, torch.ones(50, BLOCKS, dtype=torch.bool))
    torch.testing.assert_close(network(x, level), network.gaussian(x, level))
    assert network(x, level).abs().max() > 0


def test_noise_that_the_hidden_layer_cannot_hold_is_left_in_without_the_gaussian_term():
    """Latents that fill 2 of 12 directions, a hidden layer of 4: what is left over in the other ten."""
    left = {}
    for gaussian in (False, True):
        torch.manual_seed(0)
        network = VDenoiser(ResidualMLP(12, width=4, depth=1, gaussian=gaussian), VPSchedule())
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
        draw = seeded()
        for _ in range(400):
            z = torch.zeros(256, 12)
            z[:, :2] = torch.randn(256, 2, generator=draw) * 6**0.5  # variance 1 a direction, on the average
            optimiser.zero_grad()
            denoising_loss(network, z, "v", generator=draw).backward()
            optimiser.step()
        times = torch.full((2000,), 0.3)
        alpha, sigma = network.schedule(times[:, None])
        with torch.no_grad():
            noise = torch.randn(2000, 12, generator=draw)
            clean = torch.zeros(2000, 12)
            clean[:, :2] = torch.randn(2000, 2, generator=draw) * 6**0.5
            left[gaussian] = float(network(alpha * clean + sigma * noise, times).z_0[:, 2:].square().mean())
    assert left[True] < 0.02
    assert left[False] > 5 * left[True]
