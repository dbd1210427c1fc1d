"""What tests of losses share: every loss, a prior over blocks to train by them, and the context of a step."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil

import torch
from torch import nn

import mhdiff.losses
from mhdiff.diffusion.denoiser import VDenoiser
from mhdiff.diffusion.loss import denoising_loss
from mhdiff.diffusion.prior import NoPrior
from mhdiff.head import Perceptron
from mhdiff.losses import (
    Adversarial,
    ClassBalanced,
    Contrastive,
    CrossEntropy,
    ExpectedGradients,
    Focal,
    HeadLoss,
    LogitAdjusted,
    Loss,
    LossContext,
    PriorLoss,
    SyntheticLatents,
    Unimodal,
)
from tests import small_model as small

#: How each loss of the package is made; a new one without an entry fails the contract.
MADE = {
    CrossEntropy: [lambda **o: CrossEntropy(label_smoothing=0.1, **o)],
    ClassBalanced: [ClassBalanced],
    Focal: [Focal],
    LogitAdjusted: [LogitAdjusted],
    PriorLoss: [PriorLoss],
    HeadLoss: [HeadLoss],
    Adversarial: [Adversarial, lambda **o: Adversarial(spectral=True, r1_every=1, **o)],
    Contrastive: [Contrastive],
    Unimodal: [Unimodal, lambda **o: Unimodal(modalities=["image", "labs"], **o)],
    ExpectedGradients: [
        lambda target=target, **o: ExpectedGradients(target=target, **o)
        for target in ("sparsity", "smoothness", "agreement")
    ],
    SyntheticLatents: [  # the stand-in for a prior draws what is unlike the latents: many, and easily pleased
        lambda **o: SyntheticLatents(start=0, rare=0.25, ratio=1.0, keep_above=0.0, oversample=20.0, **o)
    ],
}
CASES = [(kind, number) for kind in MADE for number in range(len(MADE[kind]))]


def all_losses():
    """All concrete losses of the package."""
    for module in pkgutil.iter_modules(mhdiff.losses.__path__):
        importlib.import_module(f"mhdiff.losses.{module.name}")
    found, queue = [], [Loss]
    while queue:
        for child in queue.pop().__subclasses__():
            queue.append(child)
            concrete = (
                not inspect.isabstract(child) and "name" in child.__dict__
            ) or child is ExpectedGradients
            if concrete and child.__module__.startswith("mhdiff."):
                found.append(child)
    return set(found)


class OverBlocks(nn.Module):
    """All blocks of a patient side by side, told which of them are there and given."""

    def __init__(self, dim, blocks):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(blocks * (dim + 3), 32), nn.SiLU(), nn.Linear(32, blocks * dim))

    def forward(self, x, level, condition=None):
        here = torch.ones_like(level) if condition is None else condition.present.to(x)
        given = torch.zeros_like(level) if condition is None else condition.observed.to(x)
        told = torch.stack([level, here, given], -1)
        return self.net((torch.cat([x, told], -1) * here[..., None]).flatten(1)).view_as(x)


class BlockPrior(NoPrior):
    """A denoiser over the blocks [shared | modalities], and nothing of it in the diagnosis."""

    models_modalities, models_shared, models_label, span = True, True, True, slice(0, None)

    def __init__(self, dim, *sizes):
        super().__init__(dim, *sizes)
        self.denoiser = VDenoiser(OverBlocks(dim, 1 + len(small.MODALITIES)))

    def blocks(self, latents):
        there = torch.cat([latents.known[:, None], latents.present], 1)[..., None]
        both = torch.cat([latents.shared[:, None], latents.modality], 1).masked_fill(~there, 0.0)
        return both / 2

    def loss(self, latents, label=None, generator=None):
        there = torch.cat([latents.known[:, None], latents.present], 1)
        return denoising_loss(
            self.denoiser, self.blocks(latents).detach().float(), keep=there, generator=generator
        )


class NoisyHead(Perceptron):
    """A head with a loss of its own: the diagnosis of patients whose latent is a little off."""

    def loss(self, z, latents, label, generator=None):
        noise = torch.randn(z.shape, generator=generator, dtype=torch.float32)
        scores = self[3](self[1](self[0](z + 0.1 * noise))).float()
        each = nn.functional.cross_entropy(scores, label, reduction="none")
        return each.masked_fill(~latents.known, 0.0).mean()


def module(losses=None, **options):
    """A whole small module with a prior over blocks and a head that has a loss."""
    return small.module(**{"prior": BlockPrior, "head": NoisyHead, "losses": losses} | options)


def made(kind, number=0, **options):
    torch.manual_seed(3)
    return MADE[kind][number](**options)


def masks(size):
    found = torch.zeros(size, 16, 16, dtype=torch.bool)
    found[: max(size - 1, 1), 4:9, 3:8] = True
    return {"image": found}


def context(built, batch=None, seed=0, **changes):
    """A step of the module, without hidden modalities."""
    batch = batch if batch is not None else small.batch()
    batch.masks = masks(len(batch))
    torch.manual_seed(seed)
    features = built.net.features(batch)
    output = built.net.run(features, batch, batch.evidence.weight)
    generator = torch.Generator().manual_seed(seed)
    made_of = LossContext(built.net, batch, output, features, batch.present, generator)
    return dataclasses.replace(made_of, **changes)
