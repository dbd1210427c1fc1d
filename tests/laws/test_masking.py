"""Laws of hiding modalities while training."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mhdiff.fusion import ModalityMasking
from ontology.errors import InputError


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(max_examples=50, deadline=None)
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
