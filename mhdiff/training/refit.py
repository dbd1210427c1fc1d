r"""After training: the prior is fitted to the latents of the weights that were chosen, which stay as they are.

While encoders move, a prior runs after them: what it has counted is of all of them since the first step, and what it
has learned by descent is as old as its average. So in the end

- what is counted is counted anew on the training split (`Prior.refit`);
- with `model.prior_steps` latents are standardised anew as well, since they have moved on from where the
  standardisation was frozen, and the head's first layer takes that up (`MHDiff.restandardise`); of a patient of whom
  nothing is present the mean is said that latents have now. Then a prior that learns by descent goes on alone for so
  many steps, on that scale. Ten times on the way its loss on the tuning split is taken, always from the same random
  numbers, and the best of these states is kept, the first one too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

from mhdiff import console
from mhdiff.diffusion.latents import Latents
from mhdiff.diffusion.prior_base import Prior
from mhdiff.training.data import MultimodalData
from mhdiff.training.gradients import GradientGuard
from mhdiff.training.module import Diagnosis

#: Patients of a step, and how often the tuning loss is taken.
ROWS, LOOKS = 256, 10


class Labelled(NamedTuple):
    """Latents of patients and their classes."""

    latents: Latents
    label: Int64[Tensor, " n"]

    def rows(self, at: Tensor | slice) -> Labelled:
        """Give some of them."""
        whole = self.latents
        return Labelled(Latents(whole.shared[at], whole.modality[at], whole.present[at]), self.label[at])


def refit(module: Diagnosis, data: MultimodalData, seed: int = 0) -> None:
    """Fit the prior to the latents of the training split. What the model says without the prior stays as it is.

    Args:
        module: The module with the weights that were chosen; it stays where it is.
        data: Its data, set up.
        seed: Of the steps' random numbers.
    """
    prior = module.net.prior
    module.eval()
    if not module.prior_steps and not prior.refits:
        return
    train = _together(_walk(module, data, "train"))
    if module.prior_steps:
        module.net.restandardise(train.latents)
    if prior.refits:
        prior.refit([train.latents])
    if module.prior_steps and any(p.requires_grad for p in prior.parameters()):
        tuning = _together(_walk(module, data, "tuning"))
        before, after, at = go_on(prior, train, tuning, module.prior_steps, module.learning_rate, seed)
        console.say(f"the prior alone: tuning loss {before:.4f} before, {after:.4f} after {at} steps")


def go_on(
    prior: Prior, train: Labelled, tuning: Labelled, steps: int, rate: float, seed: int = 0
) -> tuple[float, float, int]:
    """Train a prior alone, and keep the state with the least loss on the tuning patients.

    Args:
        prior: The prior; ends in evaluation mode.
        train: Of the training split.
        tuning: Of the tuning split.
        steps: Number of steps.
        rate: Learning rate.
        seed: Of the random numbers.

    Returns:
        The tuning loss before and after, and the steps of the state that is kept.
    """
    device = prior.scale.mean.device
    generator = torch.Generator(device).manual_seed(seed)
    optimiser = torch.optim.AdamW([p for p in prior.parameters() if p.requires_grad], lr=rate, fused=True)
    guard = GradientGuard(prior.named_parameters(), {})
    before = least = _loss(prior, tuning)
    kept, at = copy.deepcopy(prior.state_dict()), 0
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for step in range(1, steps + 1):
            prior.train()
            chosen = torch.randint(len(train.label), (ROWS,), generator=generator, device=device)
            some = train.rows(chosen)
            optimiser.zero_grad()
            prior.loss(some.latents, label=some.label, generator=generator).backward()
            guard.clip(1.0)
            optimiser.step()
            prior.update()
            if step % max(steps // LOOKS, 1) == 0 or step == steps:
                guard.check()
                found = _loss(prior, tuning)
                if found < least:
                    least, kept, at = found, copy.deepcopy(prior.state_dict()), step
    prior.load_state_dict(kept)
    prior.eval()
    return before, least, at


@torch.no_grad()
def _loss(prior: Prior, tuning: Labelled) -> float:
    """The loss of the prior's average from the same random numbers each time; each patient counts several times."""
    prior.eval()
    generator = torch.Generator(prior.scale.mean.device).manual_seed(0)
    repeats = max(2000 // max(len(tuning.label), 1), 1)
    losses = [prior.loss(tuning.latents, label=tuning.label, generator=generator) for _ in range(repeats)]
    return float(torch.stack(losses).mean())


@torch.no_grad()
def _walk(module: Diagnosis, data: MultimodalData, split: str) -> Iterator[Labelled]:
    device = module.net.prior.scale.mean.device
    for _, made in data.dataset([split]).batches(4 * data.batch_size):
        batch = made.to(device)
        output = module.net.run(module.net.features(batch), batch, batch.evidence.weight)
        yield Labelled(output.latents, batch.label)


def _together(parts: Iterator[Labelled]) -> Labelled:
    found = list(parts)
    latents = (
        torch.cat([getattr(part.latents, name) for part in found])
        for name in ("shared", "modality", "present")
    )
    return Labelled(Latents(*latents), torch.cat([part.label for part in found]))
