r"""The bias between two modalities, told by the pairs of concepts that it is made of.

What shifts the attention's logits between the tokens of modalities m and n is

.. math:: b_{mn} = \frac{1}{H} \sum_h \lambda_h A^h_{mn}, \qquad
          c_{ab} = \frac{1}{H} \sum_h \lambda_h \frac{A^h_{ab}}{|m||n|}, \qquad
          \sum_{a \in m, b \in n} c_{ab} = b_{mn}

with lambda the mean over the layers of the fusion. Where a modality's bias is 1 if any pair is linked, the 1 is shared
equally by the pairs that are. Nothing is approximated: the sums are those of the definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mhdiff.batch import EvidenceBatch
from mhdiff.explain.joint import joint_integrated_gradients
from mhdiff.explain.modalities import patterns, shapley_values
from mhdiff.explain.toward import anchor_scores
from mhdiff.guidance import MessagePassing
from mhdiff.model import MHDiff

RELATIONS = 5  # told alone; the others count as one


def mean_lambda(net: MHDiff) -> Float[Tensor, " heads"]:
    """Give lambda by head, the mean over the layers; one 0 where the fusion reads no bias.

    Args:
        net: The model.
    """
    lambdas = net.fusion.lambdas
    return torch.stack(lambdas).mean(0) if lambdas else net.kind.new_zeros(1)


@torch.no_grad()
def contributions(
    net: MHDiff, evidence: EvidenceBatch, present: Bool[Tensor, "1 modality"]
) -> Float[Tensor, "evidence evidence"] | None:
    """Give c of every pair of one patient's evidence; None where the guidance gives no bias.

    Args:
        net: The model, in evaluation mode.
        evidence: One patient's evidence.
        present: Which modalities the patient has [1, modality].

    Returns:
        c in double precision; the sum over the block of two modalities is their bias.
    """
    guidance = net.guidance
    mask = (evidence.mask & present[:, :, None]).flatten(1)
    scores = guidance.pairs(evidence, guidance.tell(guidance.states(), evidence, mask), mask)
    if scores is None:
        return None
    _, modalities, slots = evidence.concept.shape
    strength = mean_lambda(net).double()
    pairs = mask[0][:, None] & mask[0][None, :]
    blocks = (
        torch.where(pairs, scores[0].double(), 0.0)
        .unflatten(1, (modalities, slots))
        .unflatten(3, (modalities, slots))
    )
    if guidance.summary == "any":
        top = blocks.amax((2, 4), keepdim=True)
        best = (blocks == top) & (top != 0)
        parts = torch.where(best, top, 0.0) / best.sum((2, 4), keepdim=True).clamp(min=1)
    else:
        count = mask.view(modalities, slots).sum(1).clamp(min=1).double()
        parts = blocks / (count[:, None, None, None] * count[None, None, :, None])
    weighted: Tensor = (strength[:, None, None, None, None] * parts).mean(0)
    return weighted.flatten(2, 3).flatten(0, 1)


@dataclass(frozen=True)
class Pair:
    """One pair of concepts and what it contributed.

    Args:
        a: Place of the one among the evidence.
        b: Place of the other.
        contribution: What it adds to the bias; negative where it pushes the two modalities apart.
        share: Its part of all that the pairs add and take away, from 0 to 1.
    """

    a: int
    b: int
    contribution: float
    share: float


@dataclass(frozen=True)
class Between:
    """The bias between two modalities.

    Args:
        m: The one.
        n: The other.
        there: Bias where m asks n.
        back: Bias where n asks m.
        pairs: Every pair of concepts, the strongest first; the contributions sum to `bias`.
    """

    m: int
    n: int
    there: float
    back: float
    pairs: list[Pair]

    @property
    def bias(self) -> float:
        """The mean of both directions."""
        return (self.there + self.back) / 2


def between(
    parts: Float[Tensor, "evidence evidence"],
    evidence: EvidenceBatch,
    present: Bool[Tensor, "1 modality"],
    m: int,
    n: int,
) -> Between:
    """Gather what two modalities have between them.

    Args:
        parts: What `contributions` gave.
        evidence: The patient's evidence.
        present: Which modalities the patient has [1, modality].
        m: A modality.
        n: Another, or the same: then each pair within it is told once.
    """
    slots = evidence.concept.shape[2]
    held = (evidence.mask & present[:, :, None])[0]
    first = [m * slots + i for i in range(slots) if held[m, i]]
    second = [n * slots + i for i in range(slots) if held[n, i]]
    there, back = (float(parts[x][:, y].sum()) for x, y in ((first, second), (second, first)))
    found: list[tuple[int, int, float]] = []
    for a in first:
        for b in second:
            if m == n and b < a:
                continue
            both = float(parts[a, b] + parts[b, a])
            found.append((a, b, both if m == n and a != b else both / 2))
    total = sum(abs(value) for *_, value in found)
    told = [Pair(a, b, value, abs(value) / total if total else 0.0) for a, b, value in found]
    return Between(
        m, n, there, back, sorted(told, key=lambda pair: (-abs(pair.contribution), pair.a, pair.b))
    )


@dataclass(frozen=True)
class ByEvidence:
    """Integrated gradients of a bias over the weights of the evidence, from no evidence to the patient's.

    Args:
        values: What each piece contributed [modality, slot].
        gap: |sum - bias| / |bias|.
        steps: Points on the path.
    """

    values: Float[Tensor, "modality slot"]
    gap: float
    steps: int


def by_evidence(
    net: MHDiff,
    evidence: EvidenceBatch,
    present: Bool[Tensor, "1 modality"],
    m: int,
    n: int,
    steps: int = 32,
    most: int = 256,
) -> ByEvidence:
    """Attribute the bias between two modalities to the evidence edges, for a guidance that scores tokens.

    Args:
        net: The model, in evaluation mode.
        evidence: One patient's evidence.
        present: Which modalities the patient has [1, modality].
        m: A modality.
        n: Another.
        steps: Points on the path to begin with; doubled until the gap is below 1% or `most` is reached.
        most: Most points.
    """
    guidance, strength = net.guidance, mean_lambda(net)
    with torch.no_grad():
        states = guidance.states()
    held = evidence.mask & present[:, :, None]

    def bias(inputs: dict[str, Tensor], rows: Tensor) -> Tensor:
        here = EvidenceBatch(evidence.concept[rows], inputs["evidence"], evidence.polarity[rows])
        mask = held[rows].flatten(1)
        between = guidance.bias(here, guidance.tell(states, here, mask), mask)
        assert between is not None
        both = (between[:, :, m, n] + between[:, :, n, m]) / 2
        return (strength * both).mean(1, keepdim=True)

    weight = evidence.weight.float()
    start = torch.where(held, torch.zeros_like(weight), weight)
    while True:
        found = joint_integrated_gradients(
            bias, {"evidence": weight}, {"evidence": start}, 0, steps, points_at_once=8
        )
        gap = float(found.gap[0])
        if gap <= 0.01 or 2 * steps > most:
            return ByEvidence(found.inputs["evidence"][0], gap, steps)
        steps *= 2


@dataclass(frozen=True)
class ByRelation:
    """Shapley values of relations: what messages along each added to the bias, averaged over the orders of adding.

    Args:
        without: The bias when no message is passed and nothing is inherited.
        parts: (relations, value), the strongest first; `without` and the values sum to the bias. A relation and its
            reverse are one.
    """

    without: float
    parts: list[tuple[tuple[str, ...], float]]


@torch.no_grad()
def by_relation(
    net: MHDiff,
    evidence: EvidenceBatch,
    present: Bool[Tensor, "1 modality"],
    wanted: Sequence[tuple[int, int]],
    anchors: Sequence[tuple[int, int]] = (),
    alone: int = RELATIONS,
) -> list[ByRelation] | None:
    """Tell which relations' messages carried the bias; None for a guidance that passes none.

    Relations whose messages alone change the biases most have a value of their own, the others one together.

    Args:
        net: The model, in evaluation mode.
        evidence: One patient's evidence.
        present: Which modalities the patient has [1, modality].
        wanted: Pairs of modalities.
        anchors: Pairs of a modality and an anchor.
        alone: How many relations have a value of their own.

    Returns:
        One for each of `wanted`, and then one for each of `anchors`.
    """
    guidance = net.guidance
    if not isinstance(guidance, MessagePassing) or not (len(guidance.rounds) or guidance.inheritance):
        return None
    strength = mean_lambda(net)
    names = list(dict.fromkeys(name.removeprefix("rev_") for name in guidance.relations))
    mask = (evidence.mask & present[:, :, None]).flatten(1)

    def biases(dropped: Sequence[str]) -> Tensor:
        muted = [name for name in guidance.relations if name.removeprefix("rev_") in dropped]
        states = guidance.states(muted)
        values = []
        if wanted:
            found = guidance.bias(evidence, guidance.tell(states, evidence, mask), mask)
            assert found is not None
            both = (strength[:, None, None] * (found[0] + found[0].transpose(1, 2)) / 2).mean(0).double()
            values += [both[m, n] for m, n in wanted]
        if anchors:
            toward = anchor_scores(net, states, evidence, mask)
            assert toward is not None
            values += [toward[m, k] for m, k in anchors]
        return torch.stack(values)

    whole = biases(())
    effect = {name: float((whole - biases([name])).abs().sum()) for name in names}
    ranked = sorted(names, key=lambda name: (-effect[name], name))
    groups = [(name,) for name in ranked[:alone]] + (
        [tuple(sorted(ranked[alone:]))] if ranked[alone:] else []
    )
    rows = patterns(len(groups)).tolist()
    values = torch.stack(
        [
            biases([name for group, kept in zip(groups, row, strict=True) if not kept for name in group])
            for row in rows
        ]
    )
    shares = shapley_values(values)
    return [
        ByRelation(
            float(values[0, k]),
            sorted(
                ((group, float(shares[i, k])) for i, group in enumerate(groups)),
                key=lambda part: -abs(part[1]),
            ),
        )
        for k in range(len(wanted) + len(anchors))
    ]
