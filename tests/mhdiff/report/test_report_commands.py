"""The commands that a report names do again what was done."""

from pathlib import Path

import pytest
from made_up_run import ablation

from mhdiff.ablate import Ablation
from mhdiff.report.provenance import ablation_command

SHIPPED = "ablations/ontology_guidance.yaml"


def command(plan: Ablation) -> list[str]:
    known = {"config": str(plan.source), "base": str(plan.base)}
    return ablation_command(ablation() | {"name": plan.name}, Path("runs/mine"), known)


@pytest.mark.parametrize("base", ["covid_chestxray.yaml", "configs/covid_hannover.yaml"])
def test_a_base_that_was_given_on_the_command_line_is_named(base):
    plan = Ablation.load(SHIPPED).on_base(base)
    told = command(plan)
    given = told[told.index("--base") + 1]
    assert Ablation.load(SHIPPED).on_base(given).base.resolve() == plan.base.resolve()
    assert told[:4] == ["mhdiff", "ablate", "-c", "configs/ablations/ontology_guidance.yaml"]
    assert given == f"configs/{Path(base).name}", "the same on every machine"


def test_a_base_of_ones_own_is_named_as_it_was_given(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("model: {}\n")
    told = command(Ablation.load(SHIPPED).on_base(str(own)))
    assert told[told.index("--base") + 1] == str(own)


def test_the_files_own_base_needs_no_naming():
    assert "--base" not in command(Ablation.load(SHIPPED))


def test_a_file_that_is_gone_says_nothing_of_its_base():
    known = {"config": "gone.yaml", "base": "demo.yaml"}
    assert "--base" not in ablation_command(ablation() | {"name": "gone"}, Path("runs/mine"), known)
