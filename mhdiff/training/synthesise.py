"""Draw latents from a finished run's prior and write them as a synthetic latent data set.

synthetic_latents.json     the run and its weights, what was asked, what it cost, the privacy check, checksums
blocks.safetensors         blocks [n, 1 + M, dim] standardised; mean, std [1 + M, dim]: blocks * std + mean is the
                           scale of the latents; label [n], -1 where none was told
draws.parquet              a row a draw: draw, label, class, log_likelihood_shared, log_likelihood_modalities (nats;
                           null where not modelled or not asked)

Blocks are [shared | modalities]; one that the prior does not model is standard normal, and the manifest says so. The
log-likelihoods are those of the draws without their label. Draws of the same seed are the same draws. Every data set
comes with the check of `mhdiff.evaluate.privacy` on exactly what it holds.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Float64, Int64
from safetensors.torch import save_file
from torch import Tensor

from mhdiff import __version__, console
from mhdiff.diffusion import UNTOLD, Effort, Latents, Prior
from mhdiff.diffusion.effort import measured
from mhdiff.evaluate.privacy import membership, nearest, proximity
from mhdiff.training.data import MultimodalData
from mhdiff.training.latents import latents_of, modelled, side_by_side, spaces, strangers
from mhdiff.training.module import Diagnosis
from mhdiff.training.run import open_run
from ontology.errors import InputError
from ontology.files import atomic_directory, checked, sha256

MARKER = "synthetic_latents.json"
#: Held-out patients that the privacy check looks at, at most, and training patients whose membership is guessed.
PATIENTS = 5000


@dataclass(frozen=True)
class Drawing:
    """How latents are drawn.

    Attributes:
        n: How many; of each class where all are asked.
        label: Name of a class, `all`, or None for no label.
        guidance: See `Prior.sample_blocks`.
        steps: Effort, in steps of Heun's method (two evaluations each).
        seed: Of the draws.
        likelihood: Whether their log-likelihoods are computed, which takes longer than drawing them.
    """

    n: int = 1000
    label: str | None = None
    guidance: float = 1.0
    steps: int = 25
    seed: int = 0
    likelihood: bool = True

    def __post_init__(self) -> None:
        if self.n < 1 or self.steps < 1 or self.seed < 0 or not 0 <= self.guidance < math.inf:
            raise InputError(
                f"cannot draw with --n {self.n}, --steps {self.steps}, --seed {self.seed} and "
                f"--guidance-scale {self.guidance}",
                remedy="Give 1 or more draws and steps, and a seed and a finite guidance of 0 or more",
            )
        if self.label is None and self.guidance != 1.0:
            raise InputError(
                f"--guidance-scale {self.guidance} leads towards a class, and none is asked",
                remedy="Add --label CLASS or --label all",
            )

    def labels(self, classes: list[str]) -> Int64[Tensor, " n"] | None:
        """Give the class of each draw.

        Args:
            classes: Names of the classes.

        Raises:
            InputError: If there is no class of that name.
        """
        if self.label is None:
            return None
        if self.label == "all":
            return torch.arange(len(classes)).repeat_interleave(self.n)
        if self.label not in classes:
            raise InputError(
                f"--label {self.label}: there is no such class",
                remedy=f"Give one of {', '.join(classes)}, or all",
            )
        return torch.full((self.n,), classes.index(self.label))


def sample_run(run: str | Path, out: str | Path, drawing: Drawing | None = None) -> dict[str, Any]:
    """Draw, check, and write.

    Args:
        run: The run's folder.
        out: The folder to write; an older data set of this kind is replaced, and nothing else.
        drawing: How.

    Returns:
        The manifest.

    Raises:
        InputError: If the run cannot be opened, its prior models no latents or no classes where one is asked, or `out`
            holds something else.
    """
    run, drawing = Path(run), drawing or Drawing()
    module, data = open_run(run)
    prior, classes = module.net.prior, list(data.task.classes)
    spaces(prior)
    label = drawing.labels(classes)
    with atomic_directory(out, marker=MARKER) as folder:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        module.to(device).eval()
        blocks, effort = draw(prior, drawing, label)
        lost = int((~blocks.isfinite().flatten(1).all(dim=1)).sum())
        if lost:
            raise InputError(
                f"{lost} of {len(blocks)} draws are not finite numbers; nothing is written",
                remedy="Give a smaller --guidance-scale or more --steps",
            )
        console.say(f"{len(blocks):,} draws: {effort}")
        _write(folder, prior, blocks, label, classes, drawing)
        facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
        document: dict[str, Any] = {
            "format": 1,
            "what": "draws of a model of patients' latents; they are no patients, and nothing here is advice",
            "run": {key: facts[key] for key in ("task", "classes", "modalities", "fingerprints", "versions")}
            | {"weights": sha256(run / "model.safetensors")},
            "mhdiff": __version__,
            "prior": type(prior).__name__,
            "blocks": ["shared", *data.modalities],
            "not_modelled": _not_modelled(prior, data.modalities),
            "dim": prior.dim,
            "n": len(blocks),
            "label": drawing.label,
            "guidance_scale": drawing.guidance,
            "steps": drawing.steps,
            "seed": drawing.seed,
            "evaluations": effort.evaluations,
            "ms_per_case": effort.ms_per_case,
            "privacy": _privacy(module, data, blocks, label, drawing.seed),
        }
        document["files"] = checked(folder)
        (folder / MARKER).write_text(json.dumps(document, indent=1), encoding="utf-8")
    return document


def draw(
    prior: Prior, drawing: Drawing, label: Int64[Tensor, " n"] | None
) -> tuple[Float[Tensor, "n blocks dim"], Effort]:
    """Draw all blocks, and say what it cost.

    Args:
        prior: The prior.
        drawing: How.
        label: The class of each.
    """
    n = drawing.n if label is None else len(label)
    device = prior.scale.mean.device
    generator = torch.Generator(device).manual_seed(drawing.seed)
    told = None if label is None else label.to(device)

    def drawn() -> Tensor:
        return prior.sample_blocks(n, drawing.steps, told, drawing.guidance, generator)

    return measured(drawn, prior.evaluations(drawing.steps, drawing.guidance), n, device)


def _write(
    folder: Path,
    prior: Prior,
    blocks: Float[Tensor, "n blocks dim"],
    label: Int64[Tensor, " n"] | None,
    classes: list[str],
    drawing: Drawing,
) -> None:
    """Write both files."""
    n = len(blocks)
    shared, rest = _likelihoods(prior, blocks, drawing.seed) if drawing.likelihood else (None, None)
    told = torch.full((n,), UNTOLD) if label is None else label
    tensors = {
        "blocks": blocks.float().cpu().contiguous(),
        "label": told.contiguous(),
        "mean": torch.cat((prior.scale.mean[None], prior.modality_scale.mean)).cpu().contiguous(),
        "std": prior.std.cpu().contiguous(),
    }
    save_file(tensors, folder / "blocks.safetensors")
    numbers = told.tolist()
    pl.DataFrame(
        {
            "draw": range(n),
            "label": [None if i == UNTOLD else i for i in numbers],
            "class": [None if i == UNTOLD else classes[i] for i in numbers],
            "log_likelihood_shared": [None] * n if shared is None else shared.tolist(),
            "log_likelihood_modalities": [None] * n if rest is None else rest.tolist(),
        },
        schema={
            "draw": pl.Int64,
            "label": pl.Int64,
            "class": pl.String,
            "log_likelihood_shared": pl.Float64,
            "log_likelihood_modalities": pl.Float64,
        },
    ).write_parquet(folder / "draws.parquet")


def _likelihoods(
    prior: Prior, blocks: Float[Tensor, "n blocks dim"], seed: int
) -> tuple[Float[Tensor, " n"] | None, Float[Tensor, " n"] | None]:
    """Of the shared latents and of the modalities together, on their own scale; None of what is not modelled."""
    own = prior.destandardise(blocks)
    every = torch.ones(len(own), prior.modalities, dtype=torch.bool, device=own.device)
    latents = Latents(own[:, 0], own[:, 1:], every)
    generator = torch.Generator(own.device).manual_seed(seed)
    console.say(f"log-likelihoods of {len(own):,} draws")
    return (
        prior.log_likelihood(latents, generator) if prior.models_shared else None,
        prior.block_log_likelihood(latents, None, generator) if prior.models_modalities else None,
    )


def _not_modelled(prior: Prior, modalities: list[str]) -> list[str]:
    names = ["shared", *modalities]
    return [name for name in names if name not in names[modelled(prior)]]


def _privacy(
    module: Diagnosis, data: MultimodalData, blocks: Tensor, label: Tensor | None, seed: int
) -> dict[str, Any]:
    """Give the proximity of the draws to training patients, and membership by the draws, in every space.

    All training patients are looked at. The shared block of complete patients' draws is held against that of all
    patients. See `strangers` for whom they are compared with.
    """
    prior, compared = module.net.prior, strangers(data.split)
    train = latents_of(module, data, ["train"])
    others = latents_of(module, data, [compared], PATIENTS)
    drawn = np.arange(len(data.task.classes)) if label is None else np.unique(label.numpy())
    made = blocks.float().cpu().numpy()
    found: dict[str, Any] = {}
    for space in spaces(prior):
        draws = side_by_side(made, space, prior)
        x, y = train.in_space(space, prior), others.in_space(space, prior)
        rows, other_rows = train.has(space), others.has(space)
        classes = None if label is None else (label.numpy(), others.labels[other_rows])
        near = proximity(draws, x, y, others.subjects[other_rows], seed=seed, classes=classes)
        told, other_told = np.isin(train.labels[rows], drawn), np.isin(others.labels[other_rows], drawn)
        some = np.flatnonzero(told)
        if len(some) > PATIENTS:
            some = np.sort(np.random.default_rng(seed).choice(some, PATIENTS, replace=False))
        scored = {
            name: membership(
                score(x[some]),
                score(y[other_told]),
                train.subjects[rows][some],
                others.subjects[other_rows][other_told],
                seed=seed,
            )
            for name, score in (
                ("nearest_draw", partial(_nearness, draws)),
                ("typicality", lambda z: -(z**2).sum(axis=1) / 2),
            )
        }
        found[space] = near | {"compared_with": compared, "membership": scored}
    return found


def _nearness(
    draws: Float64[np.ndarray, "n width"], latents: Float64[np.ndarray, "m width"]
) -> Float64[np.ndarray, " m"]:
    return -nearest(latents, draws)
