"""Nobody with every modality, as at a hospital that never takes notes: a space without patients, not a traceback."""

from __future__ import annotations

import numpy as np
import pytest

from mhdiff.diffusion import DiffusionPrior
from mhdiff.training.judge import _Draws
from mhdiff.training.latents import PatientLatents, side_by_side
from tests.contract.test_prior_contract import C, D, M, batch


@pytest.mark.parametrize(("space", "width"), [("shared", D), ("blocks", (1 + M) * D)])
def test_a_space_without_patients_has_no_rows(space, width):
    prior = DiffusionPrior(D, M, C).eval()
    assert side_by_side(np.zeros((0, 1 + M, D), np.float32), space, prior).shape == (0, width)


def test_draws_for_nobody_are_none():
    prior, latents = DiffusionPrior(D, M, C).eval(), batch()
    latents.present[:, 0] = False
    found = PatientLatents(
        np.arange(len(latents.present)),
        np.zeros(len(latents.present), np.int64),
        latents,
        prior.blocks(latents).detach().numpy(),
        latents.complete.numpy(),
        latents.known.numpy(),
    )
    made, effort = _Draws(prior, "blocks", True, 0)(found, 2)
    assert made.real.shape == made.made.shape == (0, (1 + M) * D)
    assert effort.evaluations > 0
