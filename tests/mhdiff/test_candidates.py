"""The ways that a run tries: by prior, by choice, and refused where there is none."""

from collections import Counter

import pytest

from mhdiff.candidates import Candidates
from mhdiff.cli import main
from mhdiff.diffusion import (
    DiffusionPrior,
    GaussianImputer,
    MeanImputer,
    NoPrior,
    RegressionImputer,
    VAEPrior,
)
from mhdiff.training.cli import parse
from ontology.errors import InputError
from tests import small_model as small


def kinds(prior, incomplete=True, **chosen):
    """How many times each way is tried: (via, mean, draws), or `denoise`."""
    ways = Candidates(**chosen).of(prior(8, 3, 2), incomplete)
    assert len(set(ways)) == len(ways)
    return dict(Counter((w.via, w.mean, w.draws) if w.imputes else "denoise" for w in ways))


def test_every_way_that_a_prior_has_is_tried_at_a_few_times():
    drawn = {(via, mean, 0 if mean else 8): 3 for via in ("shared", "fusion") for mean in (True, False)}
    assert kinds(DiffusionPrior) == kinds(GaussianImputer) == kinds(VAEPrior) == {"denoise": 6} | drawn
    assert kinds(RegressionImputer) == {"denoise": 1, ("shared", True, 0): 1, ("fusion", True, 0): 1}
    assert kinds(MeanImputer) == {"denoise": 1, ("fusion", True, 0): 1}
    assert kinds(NoPrior) == {"denoise": 1}


@pytest.mark.parametrize("prior", [DiffusionPrior, GaussianImputer])
def test_complete_patients_are_denoised_whatever_is_chosen(prior):
    assert kinds(prior, incomplete=False, ways=["shared"], draws=32) == {"denoise": 6}


@pytest.mark.parametrize("draws", [1, 8, 32])
def test_arms_of_an_ablation(draws):
    assert kinds(DiffusionPrior, ways=["denoise"], times=[0.1], draws=draws) == {"denoise": 1}
    chosen = {"ways": ["shared", "fusion"], "draws": draws, "imputed_times": [0.1]}
    assert kinds(DiffusionPrior, **chosen) == {("shared", False, draws): 1, ("fusion", False, draws): 1}
    assert kinds(DiffusionPrior, ways=["mean"]) == {("shared", True, 0): 3, ("fusion", True, 0): 3}
    assert kinds(MeanImputer, **chosen) == {("fusion", True, 0): 1}


@pytest.mark.parametrize(
    "wrong",
    [{"draws": 0}, {"steps": 0}, {"times": []}, {"imputed_times": [1.5]}, {"ways": []}, {"ways": ["x"]}],
)
def test_wrong_values_are_refused_by_their_name(wrong):
    (name,) = wrong
    with pytest.raises(InputError, match=rf"model\.inference\.{name}") as error:
        Candidates(**wrong)
    assert error.value.remedy


@pytest.mark.parametrize("prior", [NoPrior, MeanImputer])
def test_a_prior_without_any_of_the_chosen_ways_is_refused_before_training(prior):
    with pytest.raises(InputError, match=rf"{prior.__name__} imputes in none") as error:
        small.module(prior=prior, inference=Candidates(ways=("shared",)))
    assert "denoise" in error.value.remedy


def test_repaint_is_a_prior_s_way_of_imputing_in_yaml(small_config):
    made = parse(["-c", str(small_config), "--model.prior.init_args.imputing=repaint"]).model.prior_factory(
        8, 3, 2
    )
    assert (made.imputing, made.repaint_rounds) == ("repaint", 10)
    for wrong in ({"imputing": "guess"}, {"imputing": "repaint", "repaint_rounds": 0}):
        with pytest.raises(InputError, match="no imputing") as error:
            DiffusionPrior(8, 3, 2, **wrong)
        assert "repaint_rounds" in error.value.remedy


def test_the_sampler_is_a_prior_s_in_yaml(small_config, capsys):
    for option in ("--model.prior.sampler=heun", "--model.prior.init_args.sampler=heun"):
        made = parse(["-c", str(small_config), option]).model.prior_factory(8, 3, 2)
        assert (made.sampler, made.evaluations(4)) == ("heun", 8)
    with pytest.raises(InputError, match="no sampler 'best'") as error:
        DiffusionPrior(8, 3, 2, sampler="best")
    assert "dpm_solver, heun, ddim, ancestral, euler_maruyama" in error.value.remedy
    with pytest.raises(SystemExit):
        parse(["-c", str(small_config), "--model.prior.sampler=best"])
    assert "best" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("draws=0", "model.inference.draws is 0"),
        ("ways=[guess]", "model.inference.ways"),
        ("times=[2]", "model.inference.times is [2.0]"),
        ("tims=[0.2]", "unrecognized arguments: --model.inference.tims"),
    ],
)
def test_the_command_line_refuses_as_well(option, said, small_config, tmp_path, capsys):
    given = ["fit", "-c", str(small_config), f"--model.inference.{option}", "--out", str(tmp_path / "run")]
    assert main(given) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
