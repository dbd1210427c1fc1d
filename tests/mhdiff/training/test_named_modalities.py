"""A part that names modalities names some that there are: a misspelt name would do nothing, and nobody would know."""

import dataclasses

import pytest

from mhdiff.augmentation import ImageAugmentation
from mhdiff.losses import CrossEntropy, PriorLoss, Unimodal
from ontology.errors import InputError
from tests import loss_parts as parts
from tests import small_model as small


@pytest.mark.parametrize(
    ("losses", "options", "place"),
    [
        ([Unimodal(modalities=["image", "lab"])], {}, r"losses\.unimodal\.modalities"),
        ([], {"augmentation": ImageAugmentation(modalities=["lab"])}, r"augmentation\.modalities"),
        ([], {"hide_latents": {"lab": 0.5}}, "hide_latents"),
    ],
)
def test_a_misspelt_modality_is_refused_by_its_place(losses, options, place):
    with pytest.raises(InputError, match=rf"model\.{place} names lab\.") as refused:
        parts.module([CrossEntropy(), PriorLoss(), *losses], **options)
    assert "labs" in refused.value.remedy


def test_a_modality_that_has_an_encoder_and_is_not_in_the_data_is_passed_over():
    built = parts.module([CrossEntropy(), PriorLoss(), Unimodal(modalities=["image", "labs"])])
    spec = small.spec()
    held = [name for name in spec.modalities if name != "image"]
    built.build(dataclasses.replace(spec, modalities=held, inputs={m: spec.inputs[m] for m in held}))
    assert "image" not in built.net.encoders
