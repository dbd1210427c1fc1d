"""The model's core beside full-size encoders: what `bench_core` measures and its test holds against eager execution."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mhdiff.batch import EvidenceBatch
from mhdiff.diffusion import DiffusionPrior, ResidualMLP
from mhdiff.fusion.fusion import CrossModalFusion
from mhdiff.guidance.base import GuidanceOutput
from mhdiff.model import MHDiff

MODALITIES, SLOTS, ANCHORS, CLASSES = 2, 12, 16, 4


class Handed(nn.Module):
    """In the place of guidance: hands on what it is handed."""

    gives_bias = True

    def forward(
        self, evidence: EvidenceBatch, present: Tensor, found: GuidanceOutput, concepts: bool = True
    ) -> GuidanceOutput:
        return found


class Given(NamedTuple):
    """What encoders and guidance hand to the core, of patients of whom masking hides some."""

    encoded: Tensor
    tokens: Tensor
    bias: Tensor
    anchors: Tensor
    toward: Tensor
    evidence: Tensor
    present: Tensor
    shown: Tensor
    label: Tensor


@dataclass
class Settings:
    width: int = 256
    heads: int = 4
    batch: int = 32
    depth: int = 4  # of the prior's backbone


class Core(nn.Module):
    """Fusion, prior and head as a training step runs them: masked to logits, unmasked to the prior's loss."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        encoders = {name: nn.Identity() for name in ("image", "note")}
        self.net = MHDiff(
            encoders,  # type: ignore[arg-type]
            Handed(),  # type: ignore[arg-type]
            CrossModalFusion(settings.width, settings.heads),
            DiffusionPrior(
                settings.width, MODALITIES, CLASSES, backbone=partial(ResidualMLP, depth=settings.depth)
            ),
            settings.width,
            CLASSES,
        )

    def forward(self, given: Given) -> tuple[Tensor, Tensor]:
        concept = given.evidence
        evidence = EvidenceBatch(concept, torch.ones_like(concept, dtype=given.encoded.dtype), concept)

        def fused(present: Tensor):
            mask = (evidence.mask & present[:, :, None]).flatten(1)
            found = GuidanceOutput(given.tokens, mask, given.bias, given.anchors, given.toward)
            return self.net.fuse(given.encoded, evidence, found, present, False)  # type: ignore[arg-type]

        logits = self.net.head(self.net.prior.denoise(fused(given.shown).latents))
        with torch.no_grad():
            complete = fused(given.present).latents
        return logits, self.net.prior.loss(complete, label=given.label)


def given(settings: Settings) -> Given:
    """Noise in the shapes of a batch; gradients flow into it, as into encoders and guidance."""
    batch, width, heads, evidence = settings.batch, settings.width, settings.heads, MODALITIES * SLOTS
    tokens = MODALITIES + evidence
    present = torch.ones(batch, MODALITIES, dtype=torch.bool)
    shown = present.clone()
    shown[::3, 0] = False
    return Given(
        torch.randn(batch, MODALITIES, width, requires_grad=True),
        torch.randn(batch, evidence, width, requires_grad=True),
        torch.randn(batch, heads, tokens, tokens, requires_grad=True),
        torch.randn(ANCHORS, width, requires_grad=True),
        torch.randn(batch, heads, tokens, ANCHORS, requires_grad=True),
        torch.randint(-1, 100, (batch, MODALITIES, SLOTS)),
        present,
        shown,
        torch.randint(0, CLASSES, (batch,)),
    )


class FullSizeEncoders(nn.Module):
    """ResNet-50 on 224 x 224 and BERT-base on 128 tokens, random weights."""

    def __init__(self) -> None:
        super().__init__()
        from monai.networks.nets import resnet50
        from transformers import BertConfig, BertModel

        self.image = resnet50(spatial_dims=2, n_input_channels=3, num_classes=64)
        self.text = BertModel(BertConfig())

    def forward(self, pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        return self.image(pixels), self.text(ids).pooler_output

    @staticmethod
    def inputs(batch: int) -> tuple[Tensor, Tensor]:
        return torch.rand(batch, 3, 224, 224), torch.randint(0, 30_000, (batch, 128))
