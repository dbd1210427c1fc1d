"""The latents of a run's patients, as its prior sees them: standardised blocks, and what else its figures need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64

from mhdiff.diffusion import Latents, Prior
from mhdiff.training.data import MultimodalData
from mhdiff.training.module import Diagnosis
from ontology.errors import InputError

#: `shared`: the shared latent alone, of every patient; `blocks`: all that the prior models, of complete patients.
Space = Literal["shared", "blocks"]


def spaces(prior: Prior) -> list[Space]:
    """Name the spaces in which draws of a prior can be judged.

    Args:
        prior: The prior.

    Raises:
        InputError: If it draws no latents.
    """
    named: list[Space] = ["shared"] if prior.models_shared else []
    if prior.models_modalities:
        named.append("blocks")
    if not named or not prior.generates:
        raise InputError(
            f"the run's prior ({type(prior).__name__}) has no model of the latents to draw from",
            remedy="Train with model.prior.class_path: mhdiff.diffusion.prior.DiffusionPrior",
        )
    return named


def strangers(split: str) -> str:
    """Name the split of the patients whom training never saw and who are otherwise like those whom it did.

    Held-out patients of another site are not: what is nearer to training patients than they are need be no copy.

    Args:
        split: The run's `data.split`.
    """
    return "tuning" if split.startswith(("site:", "after:")) else "held_out"


def modelled(prior: Prior) -> slice:
    """Give which of the blocks [shared | modalities] the prior models.

    Args:
        prior: The prior.
    """
    return slice(0 if prior.models_shared else 1, 1 + prior.modalities if prior.models_modalities else 1)


@dataclass(frozen=True)
class PatientLatents:
    """Latents of some samples.

    Attributes:
        subjects: Whose they are.
        labels: Their classes.
        latents: What encoders and fusion give, with all that the patient has.
        blocks: The same on the prior's scale, 0 where absent.
        complete: Of whom every modality is there.
        known: Of whom anything is.
    """

    subjects: Int64[np.ndarray, " n"]
    labels: Int64[np.ndarray, " n"]
    latents: Latents
    blocks: Float32[np.ndarray, "n blocks dim"]
    complete: Bool[np.ndarray, " n"]
    known: Bool[np.ndarray, " n"]

    def in_space(self, space: Space, prior: Prior) -> Float64[np.ndarray, "m width"]:
        """Give the latents of those who have a place in a space, see `has`.

        Args:
            space: Which.
            prior: The prior.
        """
        return side_by_side(self.blocks, space, prior)[self.has(space)]

    def has(self, space: Space) -> Bool[np.ndarray, " n"]:
        """Say who has a place in a space.

        Args:
            space: Which.
        """
        return self.known if space == "shared" else self.complete


def side_by_side(
    blocks: Float32[np.ndarray, "n blocks dim"], space: Space, prior: Prior
) -> Float64[np.ndarray, "n width"]:
    """Give the blocks of a space as one row each.

    Args:
        blocks: All blocks, standardised.
        space: Which space.
        prior: The prior.
    """
    kept = blocks[:, :1] if space == "shared" else blocks[:, modelled(prior)]
    return kept.reshape(len(kept), kept.shape[1] * kept.shape[2]).astype(np.float64)


@torch.no_grad()
def latents_of(
    module: Diagnosis, data: MultimodalData, splits: Sequence[str], limit: int | None = None, seed: int = 0
) -> PatientLatents:
    """Encode and fuse the samples of some splits.

    Args:
        module: A built module.
        data: A data module that is set up.
        splits: Which.
        limit: At most so many samples, taken at random; None for all.
        seed: Of that choice.
    """
    rows = data.samples.filter(data.samples["split"].is_in(list(splits))).sort("sample_id")
    if limit is not None and rows.height > limit:
        chosen = np.random.default_rng(seed).choice(rows.height, limit, replace=False)
        rows = rows[np.sort(chosen)]
    if rows.is_empty():
        raise InputError(f"the run's split leaves no sample of {', '.join(splits)}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device).eval()
    dataset = data.dataset(list(splits), rows["sample_id"].to_list())
    found: list[Latents] = []
    for _, made in dataset.batches(4 * data.batch_size, f"encoding {'+'.join(splits)}"):
        batch = made.to(device)
        found.append(module.net.run(module.net.features(batch), batch, batch.evidence.weight).latents)
    joined = Latents(
        *(torch.cat([getattr(one, part) for one in found]) for part in ("shared", "modality", "present"))
    )
    whose = dict(rows.select("sample_id", "subject_id").iter_rows())
    return PatientLatents(
        np.array([whose[int(i)] for i in dataset.sample_ids], dtype=np.int64),
        dataset.labels.numpy().astype(np.int64),
        joined,
        module.net.prior.blocks(joined).float().cpu().numpy(),
        joined.complete.cpu().numpy(),
        joined.known.cpu().numpy(),
    )
