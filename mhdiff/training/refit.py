"""After training: what the prior has counted by the weights of every step is counted anew by those that were chosen."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from mhdiff.diffusion.latents import Latents
from mhdiff.training.data import MultimodalData
from mhdiff.training.module import Diagnosis


@torch.no_grad()
def refit(module: Diagnosis, data: MultimodalData) -> None:
    """Let the prior count its statistics on the training split, see `Prior.refit`.

    Args:
        module: The module with the weights that were chosen; it stays where it is.
        data: Its data, set up.
    """
    prior = module.net.prior
    if not prior.refits:
        return
    device = prior.scale.mean.device
    module.eval()

    def latents() -> Iterator[Latents]:
        for _, made in data.dataset(["train"]).batches(4 * data.batch_size):
            batch = made.to(device)
            yield module.net.run(module.net.features(batch), batch, batch.evidence.weight).latents

    prior.refit(latents())
