"""Weights from disk into a model: those that another version of the program wrote are refused by name.

A configuration says which parts a model has, not which parameters a version gives them. What is on disk is therefore
held against the model that this version builds before any of it is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mhdiff.training.module import Diagnosis
from ontology.errors import InputError

_REMEDY = "Open it with the version that wrote it, or train again with --out another folder"


def load_weights(module: Diagnosis, path: Path) -> None:
    """Load the weights of a finished run.

    Args:
        module: The module, built.
        path: model.safetensors.

    Raises:
        InputError: If they cannot be read, or are not this model's.
    """
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"the weights cannot be read ({error})", path=path, remedy="Train again, or copy them anew"
        ) from error
    refuse_other(weights, module, path)
    module.load_state_dict(weights)


def check_resumable(module: Diagnosis, path: Path) -> None:
    """Refuse to go on from a checkpoint that is not this model's.

    Args:
        module: The module, built.
        path: The checkpoint.

    Raises:
        InputError: If its weights, or what its optimiser knows of them, do not fit.
    """
    saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    refuse_other(saved["state_dict"], module, path)
    groups = [len(group["params"]) for state in saved["optimizer_states"] for group in state["param_groups"]]
    ours = sum(1 for _ in module.net.parameters()) + sum(1 for _ in module.objective.parameters())
    if sum(groups) != ours:
        raise InputError(
            f"another version of the program wrote this: its optimiser knows {sum(groups)} parameters, and the model "
            f"has {ours}",
            path=path,
            remedy=_REMEDY,
        )


def refuse_other(weights: Mapping[str, Tensor], module: Diagnosis, path: Path) -> None:
    """Refuse weights that differ from a model's in name or shape.

    Args:
        weights: By name.
        module: The module, built.
        path: Where they are from, for the message.

    Raises:
        InputError: If one is missing, one is not the model's, or one has another shape.
    """
    ours = module.state_dict()
    lacking, strange = sorted(ours.keys() - weights.keys()), sorted(weights.keys() - ours.keys())
    other = [name for name in ours.keys() & weights.keys() if ours[name].shape != weights[name].shape]
    told = [
        *([f"{len(lacking)} parameters of the model are not in it, such as {lacking[0]}"] if lacking else []),
        *([f"{len(strange)} in it are none of the model's, such as {strange[0]}"] if strange else []),
        *([f"{len(other)} have another shape, such as {min(other)}"] if other else []),
    ]
    if told:
        raise InputError(
            f"another version of the program wrote this: {'; '.join(told)}", path=path, remedy=_REMEDY
        )
