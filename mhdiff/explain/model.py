"""Joint integrated gradients of a whole model: all differentiable inputs and the weights of all evidence.

The path moves the encoders' inputs and the evidence weights [batch, modalities, concepts] together: from a
patient about whom nothing is known, and whose concepts have no weight, to the patient. A modality's share
is what its own input and its own evidence contributed. An absent modality does not move and so has exactly
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mhdiff.encoders.base import Encoder
from mhdiff.explain.joint import joint_integrated_gradients

Output = Literal["log_odds", "logit", "probability"]


class EvidenceLike(Protocol):
    """The concepts of each patient and modality."""

    concept: Int[Tensor, "batch modalities concepts"]
    weight: Float[Tensor, "batch modalities concepts"]


class BatchLike(Protocol):
    """Patients: a dataclass of tensors, dicts and dataclasses, with the patients along the first axis."""

    present: Bool[Tensor, "batch modalities"]
    inputs: dict[str, dict[str, Tensor]]
    evidence: Any


class Explainable(Protocol):
    """A model whose score can be computed from the encoders' differentiable tensors."""

    @property
    def training(self) -> bool:
        """Whether it is in training mode."""

    @property
    def encoders(self) -> nn.ModuleDict:
        """One encoder a modality."""

    def train(self, mode: bool = True) -> Any:
        """Switch between training and evaluation."""

    def score(
        self,
        features: dict[str, Tensor],
        batch: Any,
        evidence_weight: Float[Tensor, "batch modalities concepts"],
    ) -> Float[Tensor, "batch classes"]:
        """Give the logits, or the log-probabilities, which are logits too.

        Args:
            features: What each encoder's `differentiable` gave.
            batch: The patients.
            evidence_weight: Stands for the weights in the batch's evidence.
        """


@dataclass(frozen=True)
class ModelAttribution:
    """What each part of the input contributed to the score of one class.

    Args:
        modalities: Names, in the order of the columns below.
        inputs: By modality, shaped like the encoder's differentiable tensor.
        evidence: Contribution of each concept, `[batch, modalities, concepts]`.
        by_input: Sum over each modality's input.
        by_evidence: Sum over each modality's concepts.
        target: The class.
        difference: Change of the score from the baseline to the patient.
        gap: Completeness gap, relative.
        steps: Points on the path.
    """

    modalities: tuple[str, ...]
    inputs: dict[str, Tensor]
    evidence: Float[Tensor, "batch modalities concepts"]
    by_input: Float[Tensor, "batch modalities"]
    by_evidence: Float[Tensor, "batch modalities"]
    target: Int[Tensor, " batch"]
    difference: Float[Tensor, " batch"]
    gap: Float[Tensor, " batch"]
    steps: int

    @property
    def by_modality(self) -> Float[Tensor, "batch modalities"]:
        """What each modality contributed, with its input and its evidence together."""
        return self.by_input + self.by_evidence


def attribute(
    model: Explainable,
    batch: Any,
    target: int | Int[Tensor, " batch"] | None = None,
    *,
    output: Output = "log_odds",
    steps: int = 32,
    tolerance: float = 0.01,
    most_steps: int = 128,
    points_at_once: int | None = None,
    seed: int = 0,
) -> ModelAttribution:
    """Attribute the score of a class to everything the model was given.

    The number of steps is doubled until no patient's completeness gap exceeds the tolerance, or
    `most_steps` is reached; what gap remains is in the result.

    Args:
        model: The model; it is put into evaluation mode and back.
        batch: The patients, a `BatchLike`.
        target: The class, for all or for each; None is the predicted one.
        output: The log odds of the class against the rest (the default), its probability, or its logit: the score as
            the model gives it, so log p where it gives log-probabilities.
        steps: Points on the path to begin with.
        tolerance: Largest relative gap.
        most_steps: Most points on the path.
        points_at_once: Points evaluated in one call. None tries whether the model draws anything at random:
            one if it does, so that the noise is the same along the path, otherwise eight.
        seed: Seed of whatever the model draws.

    Returns:
        The attributions.
    """
    training = model.training
    model.train(False)
    try:
        names = tuple(model.encoders)
        with torch.no_grad():
            x, b = _path(model, batch, names)
            if target is None:
                target = model.score({n: x[n] for n in names}, batch, batch.evidence.weight).argmax(dim=1)
        evidence = _free_name(names)
        weight = batch.evidence.weight.detach().float()
        keep = batch.present[..., None] & (batch.evidence.concept >= 0)
        x[evidence], b[evidence] = weight, torch.where(keep, torch.zeros_like(weight), weight)

        if points_at_once is None:
            points_at_once = 1 if _draws(model, {n: x[n] for n in names}, batch) else 8

        def score(points: dict[str, Tensor], rows: Tensor) -> Tensor:
            part = batch if len(rows) == len(weight) else take_rows(batch, rows)
            return _score(model.score({n: points[n] for n in names}, part, points[evidence]), output)

        while True:
            result = joint_integrated_gradients(
                score, x, b, target, steps, points_at_once=points_at_once, seed=seed
            )
            if float(result.gap.max()) <= tolerance or 2 * steps > most_steps:
                break
            steps *= 2
    finally:
        model.train(training)
    inputs = dict(result.inputs)
    by_concept = inputs.pop(evidence)
    return ModelAttribution(
        modalities=names,
        inputs=inputs,
        evidence=by_concept,
        by_input=torch.stack([inputs[n].flatten(1).sum(dim=1) for n in names], dim=1),
        by_evidence=by_concept.sum(dim=2),
        target=torch.as_tensor(target, device=weight.device).expand(len(weight)),
        difference=result.difference,
        gap=result.gap,
        steps=result.steps,
    )


def take_rows(tree: Any, rows: Int[Tensor, " rows"]) -> Any:
    """Give the same structure for other rows, which may repeat.

    Args:
        tree: Tensors, lists or tuples with the samples along the first axis, inside dicts and dataclasses.
        rows: The rows.
    """
    if isinstance(tree, Tensor):
        return tree[rows.to(tree.device)]
    if isinstance(tree, Mapping):
        return {key: take_rows(value, rows) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)([tree[i] for i in rows.tolist()])
    if is_dataclass(tree) and not isinstance(tree, type):
        return replace(
            tree, **{f.name: take_rows(getattr(tree, f.name), rows) for f in fields(tree) if f.init}
        )
    return tree


def _path(
    model: Explainable, batch: Any, names: tuple[str, ...]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Both ends of the path; for an absent modality they are the same."""
    ends: dict[str, Tensor] = {}
    starts: dict[str, Tensor] = {}
    for column, name in enumerate(names):
        encoder = model.encoders[name]
        assert isinstance(encoder, Encoder)
        inputs = batch.inputs[name]
        x = encoder.differentiable(inputs)
        present = batch.present[:, column].view(-1, *[1] * (x.ndim - 1))
        ends[name], starts[name] = x, torch.where(present, encoder.baseline(inputs), x)
    return ends, starts


def _score(logits: Float[Tensor, "batch classes"], output: Output) -> Float[Tensor, "batch classes"]:
    """Turn logits into what is attributed."""
    if output == "logit":
        return logits
    if output == "probability":
        return logits.softmax(dim=1)
    own = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    rest = logits[:, None, :].masked_fill(own, -torch.inf).logsumexp(dim=2)
    return logits - rest


def _draws(model: Explainable, features: dict[str, Tensor], batch: Any) -> bool:
    """Whether two seeds give two scores."""
    scores = []
    for seed in (0, 1):
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            scores.append(model.score(features, batch, batch.evidence.weight))
    return not torch.equal(*scores)


def _free_name(names: tuple[str, ...]) -> str:
    name = "evidence"
    while name in names:
        name += "_"
    return name
