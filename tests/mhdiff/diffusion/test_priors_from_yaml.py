"""A prior, and the network inside it, are swapped by `class_path`."""

import pytest
import torch
from jsonargparse import ArgumentParser

from mhdiff.diffusion import BlockTransformer, Latents, ResidualMLP
from mhdiff.training.module import Diagnosis
from ontology.errors import InputError

ENCODERS = {"labs": "mhdiff.encoders.structured.LabEncoder"}


def factory(prior):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Diagnosis, "model")
    parsed = parser.parse_object({"model": {"encoders": ENCODERS, "prior": prior}})
    return parser.instantiate_classes(parsed).model.prior_factory


@pytest.mark.parametrize(
    "name",
    [
        "prior.DiffusionPrior",
        "prior.NoPrior",
        "vae.VAEPrior",
        "imputers.MeanImputer",
        "imputers.RegressionImputer",
        "imputer_gaussian.GaussianImputer",
    ],
)
def test_every_prior_has_its_place_in_a_configuration(name):
    prior = factory({"class_path": f"mhdiff.diffusion.{name}", "init_args": {"warmup": 7}})(8, 3, 2)
    assert type(prior).__name__ == name.split(".")[1]
    assert (prior.dim, prior.modalities, prior.classes, prior.scale.warmup) == (8, 3, 2, 7)
    latents = Latents(torch.randn(4, 8), torch.randn(4, 3, 8), torch.ones(4, 3, dtype=torch.bool))
    assert prior.denoise(latents).shape == (4, 8)


@pytest.mark.parametrize(
    ("network", "settings"),
    [(ResidualMLP, {"width": 24, "depth": 1}), (BlockTransformer, {"width": 24, "depth": 1, "heads": 3})],
)
def test_the_network_is_swapped_too(network, settings):
    path = f"{network.__module__}.{network.__name__}"
    backbone = {"class_path": path, "init_args": settings}
    prior = factory(
        {
            "class_path": "mhdiff.diffusion.prior.DiffusionPrior",
            "init_args": {"backbone": backbone, "hierarchy": "no_shared"},
        }
    )(8, 3, 2)
    inside = prior.denoiser.backbone
    assert type(inside) is network
    assert (inside.dim, inside.blocks, inside.label.classes) == (8, 3, 2)
    assert inside.noise[0].out_features == 24


def test_a_network_that_cannot_be_names_its_option():
    backbone = {"class_path": "mhdiff.diffusion.BlockTransformer", "init_args": {"width": 10}}
    build = factory(
        {"class_path": "mhdiff.diffusion.prior.DiffusionPrior", "init_args": {"backbone": backbone}}
    )
    with pytest.raises(InputError, match=r"init_args\.width a multiple of heads"):
        build(8, 3, 2)
