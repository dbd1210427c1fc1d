"""A prior that draws what is fused learns it from complete patients alone: few of them are a warning."""

from types import SimpleNamespace

import pytest
import torch

from mhdiff.diffusion import DiffusionPrior, NoPrior
from mhdiff.training.progress import FEW_COMPLETE, EpochLines


def said(prior, complete, capsys, first=True):
    present = torch.ones(500, 3, dtype=torch.bool)
    present[complete:, 1] = False
    dataset = SimpleNamespace(present=present)
    trainer = SimpleNamespace(train_dataloader=SimpleNamespace(dataset=dataset), is_global_zero=first)
    EpochLines().on_train_start(trainer, SimpleNamespace(net=SimpleNamespace(prior=prior)))
    return capsys.readouterr().err


def test_few_complete_patients_are_counted(capsys):
    told = said(DiffusionPrior(4, 3), FEW_COMPLETE - 1, capsys)
    assert f"{FEW_COMPLETE - 1} of 500 training samples have every modality" in told


@pytest.mark.parametrize(
    ("prior", "complete", "first"),
    [
        (DiffusionPrior(4, 3), FEW_COMPLETE, True),
        (DiffusionPrior(4, 3), 0, False),
        (DiffusionPrior(4, 3, hierarchy="no_shared"), 0, True),
        (NoPrior(4, 3), 0, True),
    ],
)
def test_nothing_is_said_where_it_does_not_matter_or_another_process_speaks(prior, complete, first, capsys):
    assert said(prior, complete, capsys, first) == ""
