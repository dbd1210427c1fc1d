"""What every encoder must keep, walked over all subclasses: a new encoder without an entry in CASES fails."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonargparse
import pytest
import torch
from torch import Tensor

import mhdiff.encoders
from mhdiff.encoders import (
    CodeEncoder,
    CodeSpec,
    Embedded,
    EmbeddingSpec,
    Encoder,
    ImageSpec,
    LabEncoder,
    LabSpec,
    PretrainedImage,
    PretrainedText,
    ResNet,
    SmallBert,
    TextSpec,
)
from ontology.errors import InputError

DIM, BATCH = 12, 3
TEXT = TextSpec(vocab_size=40, pad_id=0, mask_id=4, cls_id=2, sep_id=3, max_length=16)


def _pixels(*size: int) -> dict[str, Tensor]:
    return {"pixels": torch.rand(BATCH, 1, *size, generator=torch.Generator().manual_seed(1))}


def _note() -> dict[str, Tensor]:
    ids = torch.tensor([[2, 7, 8, 9, 3], [2, 10, 3, 0, 0], [0, 0, 0, 0, 0]])  # the last patient has no note
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


def _labs() -> dict[str, Tensor]:
    measured = torch.tensor([[1.0, 1, 0], [0, 1, 1], [0, 0, 0]])
    return {"value": measured * torch.tensor([0.5, -2.0, 1.0]), "measured": measured}


CASES: dict[type[Encoder], list[tuple[object, dict[str, object], Callable[[], dict[str, Tensor]]]]] = {
    ResNet: [
        (ImageSpec(1, (32, 40)), {"depth": 10, "width": 8}, lambda: _pixels(32, 40)),
        (ImageSpec(1, (32, 32)), {"depth": 50, "width": 4, "stem_pool": False}, lambda: _pixels(32, 32)),
        (ImageSpec(1, (16, 16, 16), 3), {"depth": 10, "width": 8}, lambda: _pixels(16, 16, 16)),
        (ImageSpec(1, (32, 40)), {"depth": 10, "width": 8, "positions": 3}, lambda: _pixels(32, 40)),
        (
            ImageSpec(1, (16, 16, 16), 3),
            {"depth": 10, "width": 8, "positions": 2},
            lambda: _pixels(16, 16, 16),
        ),
    ],
    PretrainedImage: [
        (ImageSpec(1, (32, 32)), {"name_or_path": "resnet", "freeze": False}, lambda: _pixels(32, 32)),
        (ImageSpec(1, (28, 28)), {"name_or_path": "dinov2", "freeze": False}, lambda: _pixels(28, 28)),
    ],
    SmallBert: [(TEXT, {"layers": 2, "heads": 2, "width": 16}, _note)],
    PretrainedText: [
        (TEXT, {"name_or_path": "bert", "freeze": False}, _note),
        (TEXT, {"name_or_path": "bert", "freeze": False, "pooling": "cls"}, _note),
    ],
    Embedded: [
        (EmbeddingSpec(7, False), {}, lambda: {"embedding": torch.randn(BATCH, 7)}),
        (EmbeddingSpec(DIM, True), {}, lambda: {"embedding": torch.randn(BATCH, DIM)}),
    ],
    LabEncoder: [(LabSpec(("a", "b", "c")), {"width": 8}, _labs)],
    CodeEncoder: [(CodeSpec(6), {"width": 8}, lambda: {"weight": torch.eye(6)[:BATCH]})],
}


def _encoders() -> list[type[Encoder]]:
    for module in pkgutil.iter_modules(mhdiff.encoders.__path__, "mhdiff.encoders."):
        importlib.import_module(module.name)
    found, queue = [], [Encoder]
    while queue:
        for cls in queue.pop().__subclasses__():
            queue.append(cls)
            if not inspect.isabstract(cls) and cls.__module__.startswith("mhdiff."):
                found.append(cls)
    return sorted(set(found), key=lambda cls: cls.__name__)


ALL = [(cls, i) for cls in CASES for i in range(len(CASES[cls]))]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertConfig, BertModel, Dinov2Config, Dinov2Model, ResNetConfig, ResNetModel

    root = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    ResNetModel(
        ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ).save_pretrained(root / "resnet")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    Dinov2Model(Dinov2Config(**small, image_size=28)).save_pretrained(root / "dinov2")
    bert = BertConfig(**small, vocab_size=40, intermediate_size=32, max_position_embeddings=16)
    BertModel(bert).save_pretrained(root / "bert")
    return root


@pytest.fixture
def build(checkpoints: Path) -> Callable[..., tuple[Encoder, dict[str, Tensor]]]:
    def make(cls: type[Encoder], i: int, seed: int = 0) -> tuple[Encoder, dict[str, Tensor]]:
        spec, options, inputs = CASES[cls][i]
        if "name_or_path" in options:
            options = {**options, "name_or_path": str(checkpoints / str(options["name_or_path"]))}
        torch.manual_seed(seed)
        return cls(spec, DIM, **options), inputs()

    return make


def test_every_encoder_is_in_the_table() -> None:
    missing = [cls.__name__ for cls in _encoders() if cls not in CASES]
    assert not missing, f"add these to CASES: {missing}"


@pytest.mark.parametrize(("cls", "i"), ALL)
def test_shapes_baseline_and_the_split_of_forward(build, cls, i) -> None:
    encoder, inputs = build(cls, i)
    encoder.eval()
    z = encoder(inputs)
    x, baseline = encoder.differentiable(inputs), encoder.baseline(inputs)
    assert z.shape == (BATCH, DIM)
    assert z.isfinite().all()
    assert torch.equal(encoder.encode(x, inputs), z)
    assert torch.equal(encoder(inputs), z), "eval is not deterministic"
    assert baseline.shape == x.shape
    assert baseline.dtype == x.dtype
    assert encoder.encode(baseline, inputs).isfinite().all()
    assert not torch.allclose(z, encoder.encode(baseline, inputs)), "the baseline says as much as the input"


@pytest.mark.parametrize(("cls", "i"), ALL)
def test_rows_do_not_meet(build, cls, i) -> None:
    encoder, inputs = build(cls, i)
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    whole = encoder.train()(inputs)
    alone = torch.cat([encoder({k: v[row : row + 1] for k, v in inputs.items()}) for row in range(BATCH)])
    torch.testing.assert_close(whole, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("cls", "i"), ALL)
def test_gradient_reaches_every_parameter_and_the_input(build, cls, i) -> None:
    encoder, inputs = build(cls, i)
    encoder.eval()
    x = encoder.differentiable(inputs)
    x = x if x.requires_grad else x.clone().requires_grad_()
    x.retain_grad()
    encoder.encode(x, inputs).square().sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    for name, parameter in encoder.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            # A bias of the keys adds a constant to a row of the softmax: its gradient is zero by mathematics.
            assert parameter.grad.abs().sum() > 0 or name.endswith("key.bias"), name


@pytest.mark.parametrize(("cls", "i"), ALL)
def test_second_derivative_exists(build, cls, i) -> None:
    encoder, inputs = build(cls, i)
    encoder.eval()
    x = encoder.differentiable(inputs).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(encoder.encode(x, inputs).square().sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


@pytest.mark.parametrize(("cls", "i"), ALL)
def test_state_dict_round_trip(build, cls, i) -> None:
    first, inputs = build(cls, i, seed=0)
    second, _ = build(cls, i, seed=1)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.eval()(inputs), second.eval()(inputs))


@pytest.mark.parametrize(("cls", "i"), ALL)
def test_bfloat16_autocast(build, cls, i) -> None:
    encoder, inputs = build(cls, i)
    encoder.eval()
    exact = encoder(inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = encoder(inputs)
    assert rough.isfinite().all()
    assert (rough - exact).abs().max() < 0.1 * exact.abs().max() + 0.05


@pytest.mark.parametrize("cls", list(CASES))
def test_command_line_builds_it(cls) -> None:
    def run(encoder: Callable[[Any, int], Encoder]) -> None: ...

    options = CASES[cls][0][1]
    arguments = [
        f"--encoder=mhdiff.encoders.{cls.__name__}",
        *(f"--encoder.{k}={v}" for k, v in options.items()),
    ]
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(run)
    parsed = parser.parse_args(arguments)
    factory = parser.instantiate(parsed).encoder
    if "name_or_path" in options:
        with pytest.raises(InputError, match="model"):
            cls(CASES[cls][0][0], DIM, name_or_path="./no/such/folder")
    else:
        assert isinstance(factory(CASES[cls][0][0], DIM), cls)
    with pytest.raises(jsonargparse.ArgumentError):
        parser.parse_args([*arguments, "--encoder.no_such_option=1"])
