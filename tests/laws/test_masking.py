"""Laws of hiding modalities while training."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mhdiff.fusion import ModalityMasking, SubsetMasking
from ontology.errors import InputError
from tests.searches import examples


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(max_examples=examples(50), deadline=None)
@given(p=st.floats(0, 1), seed=st.integers(0, 2**31))
def test_never_shows_the_absent_nor_hides_the_last(p, seed):
    present = torch.rand(64, 4, generator=seeded(seed)) < 0.5
    shown = ModalityMasking(p)(present, generator=seeded(seed + 1))
    assert not (shown & ~present).any()
    assert torch.equal(shown.any(1), present.any(1))


def test_zero_is_the_identity_and_draws_nothing():
    present, state = torch.rand(8, 3) < 0.5, torch.get_rng_state()
    assert ModalityMasking(0.0)(present) is present
    assert torch.equal(torch.get_rng_state(), state)


def test_evaluation_hides_nothing():
    present = torch.ones(8, 3, dtype=torch.bool)
    assert ModalityMasking(1.0).eval()(present) is present


def test_rates_by_name():
    masking = ModalityMasking({"note": 0.5})
    shown = masking(torch.ones(20_000, 3, dtype=torch.bool), ["image", "note", "labs"], generator=seeded())
    rates = 1 - shown.double().mean(0)
    assert rates[0] == rates[2] == 0
    assert abs(rates[1] - 0.5) < 0.02


def test_who_is_rescued_is_a_fair_draw():
    masking = ModalityMasking({"a": 1.0, "b": 1.0, "c": 1.0})
    shown = masking(torch.ones(30_000, 3, dtype=torch.bool), ["a", "b", "c"], generator=seeded())
    assert (shown.sum(1) == 1).all()
    torch.testing.assert_close(shown.double().mean(0), torch.full((3,), 1 / 3).double(), atol=0.02, rtol=0)


def test_same_seed_same_mask():
    present = torch.ones(32, 3, dtype=torch.bool)
    assert torch.equal(
        ModalityMasking(0.5)(present, generator=seeded(3)), ModalityMasking(0.5)(present, generator=seeded(3))
    )


def test_wrong_rates_and_names_are_refused():
    with pytest.raises(InputError, match="from 0 to 1"):
        ModalityMasking(1.5)
    with pytest.raises(InputError, match="imgae"):
        ModalityMasking({"imgae": 0.5})(torch.ones(2, 2, dtype=torch.bool), ["image", "note"])


@pytest.mark.parametrize(
    ("shape", "rates"), [("linear", [0.1, 0.3, 0.5, 0.5]), ("cosine", [0.1, 0.3, 0.5, 0.5])]
)
def test_the_curriculum_starts_at_one_rate_and_stays_at_the_other(shape, rates):
    masking = ModalityMasking(0.5, start=0.1, epochs=3, shape=shape)
    for epoch, rate in enumerate(rates):
        masking.set_epoch(epoch)
        assert masking.probabilities(2, None) == pytest.approx([rate, rate])


def test_a_cosine_is_slower_at_both_ends_and_never_leaves_its_limits():
    straight, bent = (ModalityMasking(0.8, 0.2, 11, shape) for shape in ("linear", "cosine"))
    for epoch in range(11):
        straight.set_epoch(epoch)
        bent.set_epoch(epoch)
        (line,), (curve,) = straight.probabilities(1, None), bent.probabilities(1, None)
        assert 0.2 <= curve <= 0.8 + 1e-12
        assert (curve - line) * (epoch - 5) >= -1e-9  # below the line before the middle, above it after
    straight.set_epoch(2)
    bent.set_epoch(2)
    assert bent.probabilities(1, None)[0] < straight.probabilities(1, None)[0] - 0.03


def test_a_curriculum_by_name_hides_at_its_rate_in_each_epoch():
    masking = ModalityMasking({"note": 0.6}, start={"image": 0.4}, epochs=5)
    masking.set_epoch(2)
    shown = masking(torch.ones(20_000, 3, dtype=torch.bool), ["image", "note", "labs"], generator=seeded())
    rates = 1 - shown.double().mean(0)
    assert rates[2] == 0
    torch.testing.assert_close(rates[:2], torch.tensor([0.2, 0.3]).double(), atol=0.02, rtol=0)


def test_a_curriculum_that_starts_at_zero_draws_nothing_in_its_first_epoch():
    present, state = torch.rand(8, 3) < 0.5, torch.get_rng_state()
    assert ModalityMasking(0.5, start=0.0, epochs=4)(present) is present
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("have", [[True, True, True], [True, False, True], [False, True, False]])
def test_every_subset_of_what_is_there_is_as_likely(have):
    present = torch.tensor([have]).expand(30_000, -1)
    shown = SubsetMasking()(present, generator=seeded())
    patterns, counts = shown.unique(dim=0, return_counts=True)
    subsets = 2 ** sum(have) - 1
    assert len(patterns) == subsets
    assert not (patterns & ~torch.tensor(have)).any()
    assert patterns.any(1).all()
    torch.testing.assert_close(
        counts / 30_000, torch.full((subsets,), 1 / subsets), atol=0.01, rtol=0, check_dtype=False
    )


def test_subsets_of_nothing_are_nothing_and_zero_masks_nobody():
    nothing = torch.zeros(4, 3, dtype=torch.bool)
    assert not SubsetMasking()(nothing, generator=seeded()).any()
    present, state = torch.rand(8, 3) < 0.5, torch.get_rng_state()
    assert SubsetMasking(0.0)(present) is present
    assert torch.equal(torch.get_rng_state(), state)
    whole = SubsetMasking(0.25)(torch.ones(20_000, 4, dtype=torch.bool), generator=seeded()).all(1)
    assert abs(float(whole.double().mean()) - (0.75 + 0.25 / 15)) < 0.01


def test_training_with_rate_zero_equals_training_without_masking():
    from tests.small_model import batch, module

    class Nothing(ModalityMasking):
        def forward(self, present, modalities=None, generator=None):
            return present

    losses = []
    for masking in (
        ModalityMasking(0.0),
        ModalityMasking(0.0, start=0.0, epochs=7),
        SubsetMasking(0.0),
        Nothing(),
    ):
        built = module(masking=masking)
        built.log_dict = built.log = lambda *a, **k: None
        built.train()
        torch.manual_seed(5)
        loss = built.training_step(copy.deepcopy(batch()), 0)
        loss.backward()
        losses.append((loss.detach(), {n: p.grad for n, p in built.named_parameters() if p.grad is not None}))
    for loss, gradients in losses[1:]:
        assert torch.equal(loss, losses[0][0])
        assert all(torch.equal(gradients[name], value) for name, value in losses[0][1].items())


def test_the_epoch_and_its_seed_decide_the_mask(monkeypatch):
    from tests.small_model import module

    built = module(masking=ModalityMasking(0.6, start=0.2, epochs=10))
    present = torch.ones(64, 3, dtype=torch.bool)

    def mask(epoch, seed=0, rank=0):
        monkeypatch.setattr(type(built), "current_epoch", epoch)
        monkeypatch.setattr(type(built), "global_rank", rank)
        built.seed = seed
        built.on_train_epoch_start()
        return built.masking(present)

    first = mask(3)
    assert torch.equal(first, mask(3))
    for other in (mask(4), mask(3, seed=1), mask(3, rank=1)):
        assert not torch.equal(first, other)
    assert built.masking.probabilities(1, None) == pytest.approx([0.2 + 0.4 * 3 / 9])


def test_a_curriculum_of_no_epochs_is_refused():
    with pytest.raises(InputError, match=r"masking\.epochs"):
        ModalityMasking(0.5, start=0.1, epochs=0)
    with pytest.raises(InputError, match="from 0 to 1"):
        ModalityMasking(0.5, start=-0.1, epochs=2)
