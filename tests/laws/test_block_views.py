"""Laws of what a prior is shown in training, and of the loss over it."""

import torch

from mhdiff.diffusion import Condition, GaussianDenoiser, denoising_loss, draw_views

F64 = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def presence(n, seed=0):
    present = torch.rand(n, 3, generator=seeded(seed)) < 0.5
    present[: n // 2] = True
    return present


def test_only_what_is_there_is_shown_and_something_is_asked_of_everything_shown():
    present = presence(4000)
    for hierarchy in ("full", "flat", "no_shared"):
        view = draw_views(present, hierarchy, seeded(1))
        assert not (view.shown[:, 1:] & ~present).any()
        assert not (view.given & ~view.shown).any()
        shown = view.shown.any(1)
        assert (view.shown & ~view.given).any(1)[shown].all()
        assert not shown[~present.any(1)].any()
        together = view.shown[:, 0] & view.shown[:, 1:].any(1)
        assert present[together].all()
        assert together.any() == (hierarchy == "full")
        assert view.shown[:, 0].any() == (hierarchy != "no_shared")
        assert view.shown[:, 1:].any() == (hierarchy != "flat")


def test_every_question_that_is_asked_later_is_practised():
    """Of complete patients: every set of given blocks with all shown; the shared block alone; a modality alone."""
    view = draw_views(torch.ones(20_000, 3, dtype=torch.bool), generator=seeded())
    everything = view.shown.all(1)
    patterns = torch.unique(view.given[everything], dim=0)
    assert len(patterns) == 2**4 - 1
    alone = view.shown.sum(1) == 1
    assert 0.22 < (alone & view.shown[:, 0]).float().mean() < 0.3
    assert all((alone & view.shown[:, b]).any() for b in (1, 2, 3))
    assert not view.given[alone].any()
    assert 0.45 < everything.float().mean() < 0.55


def test_each_row_is_drawn_on_its_own():
    present = torch.ones(500, 3, dtype=torch.bool)
    view = draw_views(present, generator=seeded())
    assert len(torch.unique(torch.cat((view.shown, view.given), 1), dim=0)) > 30
    other = present.clone()
    other[7:] = False
    again = draw_views(other, generator=seeded())
    assert torch.equal(view.shown[:7], again.shown[:7])
    assert torch.equal(view.given[:7], again.given[:7])


def gaussian(dim=6):
    root = torch.randn(dim, dim, dtype=F64, generator=seeded(2)) / 2
    mean = torch.randn(dim, dtype=F64, generator=seeded(3))
    return GaussianDenoiser(mean, root @ root.T + 0.3 * torch.eye(dim, dtype=F64))


class Conditional(GaussianDenoiser):
    """The law of block 2 given the clean blocks 0 and 1, which it looks up."""

    def __init__(self, joint, others):
        c, known, asked = joint.covariance, slice(0, 4), slice(4, 6)
        gain = torch.linalg.solve(c[known, known], c[known, asked])
        super().__init__(joint.mean[asked], c[asked, asked] - c[asked, known] @ gain)
        self.shift = ((others.flatten(1) - joint.mean[known]) @ gain)[:, None]

    def forward(self, z_t, t, condition=None):
        """z = shift + residual: what is known of the residual, moved."""
        alpha, sigma = self.schedule(t[..., None])
        shift = self.shift.reshape(z_t.shape)
        of_residual = super().forward(z_t - alpha * shift, t)
        return type(of_residual)(z_t, of_residual.v - sigma * shift, alpha, sigma)


def test_all_observed_but_one_is_plain_conditional_training():
    """The loss over the one block that is generated is, draw by draw, that of the conditional law's own denoiser."""
    joint = gaussian()
    z = torch.randn(50, 3, 2, dtype=F64, generator=seeded(4))
    observed = torch.tensor([True, True, False]).expand(50, 3)
    for weighting in ("v", "eps", "likelihood", "soft-min-snr"):
        masked = denoising_loss(joint, z, weighting, observed=observed, generator=seeded(5))

        class Same(Conditional):
            """Sees the same noise: the third block of the three."""

            def forward(self, z_t, t, condition=None):
                third = super().forward(z_t[:, 2], t[:, 2])
                v = torch.cat((torch.zeros_like(z_t[:, :2]), third.v[:, None]), 1)
                alpha, sigma = (x[:, None].expand(-1, 3, -1) for x in (third.alpha, third.sigma))
                return type(third)(z_t, v, alpha, sigma)

        plain = denoising_loss(Same(joint, z[:, :2]), z, weighting, keep=~observed, generator=seeded(5))
        torch.testing.assert_close(masked, plain, rtol=1e-6, atol=0)


def test_blocks_that_are_not_there_do_not_count_and_say_nothing():
    joint, z = gaussian(), torch.randn(40, 3, 2, dtype=F64, generator=seeded(4))
    shown = torch.tensor([True, False, True]).expand(40, 3)
    condition = Condition(present=shown)
    moved = z.clone()
    moved[:, 1] += 9
    first, second = (
        denoising_loss(joint, x, keep=shown, generator=seeded(5), condition=condition) for x in (z, moved)
    )
    assert torch.equal(first, second)
    rest = [0, 1, 4, 5]
    marginal = GaussianDenoiser(joint.mean[rest], joint.covariance[rest][:, rest])
    t = torch.rand(40, 3, dtype=F64, generator=seeded(6))
    both = joint(z, t, condition)
    torch.testing.assert_close(both.v[:, [0, 2]], marginal(z[:, [0, 2]], t[:, [0, 2]]).v)
    assert (both.v[:, 1] == 0).all()
