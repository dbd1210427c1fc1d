"""Every shipped ablation: its base is found, and the command line takes every arm."""

from __future__ import annotations

from pathlib import Path

import pytest

from mhdiff.ablate import Ablation
from mhdiff.training.cli import parse

SHIPPED = sorted((Path(__file__).parents[3] / "configs" / "ablations").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_arm_is_taken(path):
    ablation = Ablation.load(str(path))
    assert ablation.reference in ablation.arms
    for name, arm in ablation.arms.items():
        filled = [option.replace("{seed}", "1").replace("{draw}", "1") for option in (*ablation.common, *arm)]
        assert parse(["-c", str(ablation.base), *filled]).model is not None, name
