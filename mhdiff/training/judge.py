"""Judge a finished run's prior by its draws: how good they are, what more effort is worth, and what they give away.

In each space of `mhdiff.training.latents`, against the training patients, whose law the prior has learned, and against
held-out ones, whose latents the encoders have not been fitted to; `real` says how far apart those two groups are
themselves. Every patient has a counterpart, drawn with the patient's class where the prior is told classes.

`effort` holds draws of `steps` steps against draws of `MANY` from the same noise. `privacy` has the proximity of the
counterparts of the training patients to them, and membership by log-likelihood, by the distance to the nearest draw,
and by typicality, see `mhdiff.evaluate.privacy`; `compared_with` says with whom the training patients are compared
(`mhdiff.training.latents.strangers`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from mhdiff import console
from mhdiff.diffusion import Latents, Prior
from mhdiff.diffusion.effort import Effort, measured
from mhdiff.evaluate.latents import Counterparts, between, compare_draws, judge
from mhdiff.evaluate.privacy import membership, nearest, proximity
from mhdiff.training.latents import PatientLatents, Space, latents_of, side_by_side, spaces, strangers
from mhdiff.training.run import open_run
from ontology.files import atomic_write

FILE = "latents.json"
#: Steps of the draws that the ordinary ones are held against: 1,000 evaluations.
MANY = 500
#: Patients of each group, at most; and of those whose log-likelihood is computed.
PATIENTS, JUDGED = 2000, 500


def judge_run(
    run: str | Path, steps: int = 25, many: int = MANY, replicates: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Judge the prior of a run, and write latents.json there.

    Args:
        run: The run's folder.
        steps: Effort of the draws.
        many: Effort of those they are held against.
        replicates: Bootstrap resamples of patients.
        seed: Of patients that are left out beyond `PATIENTS`, of draws, halves and resamples.

    Returns:
        What was written.

    Raises:
        InputError: If the run cannot be opened, or its prior models no latents.
    """
    module, data = open_run(run)
    prior = module.net.prior
    judged = spaces(prior)
    told = bool(prior.models_label and prior.classes)
    classes = list(data.task.classes) if told else []
    train = latents_of(module, data, ["train"], PATIENTS, seed)
    held_out = latents_of(module, data, ["held_out"], PATIENTS, seed)
    compared = strangers(data.split)
    others = held_out if compared == "held_out" else latents_of(module, data, [compared], PATIENTS, seed)
    found: dict[str, Any] = {}
    for space in judged:
        console.say(f"judging draws: {space}")
        draw = _Draws(prior, space, told, seed)
        (few, effort), (many_pairs, _) = draw(train, steps), draw(train, many)
        found[space] = {
            "effort": {
                "evaluations": effort.evaluations,
                "ms_per_case": effort.ms_per_case,
                "against": prior.evaluations(many),
                **compare_draws(few, many_pairs, replicates=replicates, seed=seed),
            },
            "train": judge(few, classes, replicates=replicates, seed=seed),
            "held_out": judge(draw(held_out, steps)[0], classes, replicates=replicates, seed=seed),
            "real": between(
                train.in_space(space, prior),
                held_out.in_space(space, prior),
                train.subjects[train.has(space)],
                held_out.subjects[held_out.has(space)],
                replicates,
                seed,
            ),
            "privacy": {"compared_with": compared}
            | _privacy(prior, space, few.made, train, others, told, replicates, seed),
        }
    settings = {"steps": steps, "many": many, "replicates": replicates, "seed": seed}
    document = {"prior": type(prior).__name__, "told_classes": told, **settings, "spaces": found}
    atomic_write(Path(run) / FILE, json.dumps(document, indent=1))
    return document


class _Draws:
    """Draws a counterpart for each patient who has a place in a space; from the same noise whatever the effort."""

    def __init__(self, prior: Prior, space: Space, told: bool, seed: int) -> None:
        self.prior, self.space, self.told, self.seed = prior, space, told, seed

    def __call__(self, patients: PatientLatents, steps: int) -> tuple[Counterparts, Effort]:
        rows = patients.has(self.space)
        labels, device = patients.labels[rows], self.prior.scale.mean.device
        told = torch.from_numpy(labels).to(device) if self.told else None
        generator = torch.Generator(device).manual_seed(self.seed)

        def drawn() -> Tensor:
            if self.space == "shared":
                return self.prior.sample(len(labels), steps, told, 1.0, generator)[:, None]
            return self.prior.sample_blocks(len(labels), steps, told, 1.0, generator)

        blocks, effort = measured(drawn, self.prior.evaluations(steps), len(labels), device)
        made = side_by_side(blocks.float().cpu().numpy(), self.space, self.prior)
        real = patients.in_space(self.space, self.prior)
        return Counterparts(real, made, patients.subjects[rows], labels), effort


def _privacy(
    prior: Prior,
    space: Space,
    made: Float64[np.ndarray, "n width"],
    train: PatientLatents,
    held_out: PatientLatents,
    told_classes: bool,
    replicates: int,
    seed: int,
) -> dict[str, Any]:
    # The draws are counterparts of the training patients; where they know no class they have none.
    classes = (train.labels[train.has(space)], held_out.labels[held_out.has(space)]) if told_classes else None
    x, y = train.in_space(space, prior), held_out.in_space(space, prior)
    x_whose, y_whose = train.subjects[train.has(space)], held_out.subjects[held_out.has(space)]
    x_few, y_few = _some(train.has(space), seed), _some(held_out.has(space), seed)

    def told(score: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
        return membership(score(x), score(y), x_whose, y_whose, replicates, seed)

    return {
        "proximity": proximity(made, x, y, y_whose, replicates, seed, classes),
        "membership": {
            "log_likelihood": membership(
                _density(prior, space, train, x_few),
                _density(prior, space, held_out, y_few),
                train.subjects[x_few],
                held_out.subjects[y_few],
                replicates,
                seed,
            ),
            "nearest_draw": told(lambda z: -nearest(z, made)),
            "typicality": told(lambda z: -(z**2).sum(axis=1) / 2),
        },
    }


def _some(rows: Bool[np.ndarray, " n"], seed: int) -> np.ndarray:
    """Places of at most `JUDGED` of the rows that are True."""
    places = np.flatnonzero(rows)
    if len(places) > JUDGED:
        places = np.sort(np.random.default_rng(seed).choice(places, JUDGED, replace=False))
    return places


def _density(
    prior: Prior, space: Space, patients: PatientLatents, places: np.ndarray
) -> Float64[np.ndarray, " n"]:
    at = torch.from_numpy(places).to(patients.latents.shared.device)
    whole = patients.latents
    latents = Latents(whole.shared[at], whole.modality[at], whole.present[at])
    generator = torch.Generator(at.device).manual_seed(0)
    density = (
        prior.log_likelihood(latents, generator)
        if space == "shared"
        else prior.block_log_likelihood(latents, None, generator)
    )
    return density.double().cpu().numpy()
