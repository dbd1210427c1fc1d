r"""The bias of one patient towards the anchors, told by the pieces of evidence that it is made of.

What shifts the attention's logit between the token of modality m and anchor k is

.. math:: b_{mk} = \frac{1}{H} \sum_h \lambda_h A^h_{mk}, \qquad
          c_{ak} = \frac{1}{H} \sum_h \lambda_h \frac{A^h_{ak}}{|m|}, \qquad
          \sum_{a \in m} c_{ak} = b_{mk}

with lambda the mean over the layers of the fusion. The sum is exact: the score is bilinear, and a modality's token in
it is the mean of its concepts' tokens. An anchor is a learned key and has no name; the concepts of the graph that are
drawn to it most say what it has come to stand for:

.. math:: g_{ck} = s_{ck} - \frac{1}{K} \sum_j s_{cj}, \qquad s_{ck} = \frac{1}{H} \sum_h \lambda_h A^h_{ck}

for a concept c as if it were present with weight 1, since what is the same towards all anchors prefers none.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mhdiff.batch import EvidenceBatch
from mhdiff.guidance import Guidance
from mhdiff.model import MHDiff


def anchor_scores(
    net: MHDiff,
    states: Float[Tensor, "concept dim"],
    evidence: EvidenceBatch,
    mask: Bool[Tensor, "1 evidence"],
) -> Float[Tensor, "token anchor"] | None:
    """Give lambda times A of all tokens towards the anchors, mean of heads; None where there are no anchors.

    Args:
        net: The model, in evaluation mode.
        states: h of every concept.
        evidence: One patient's evidence.
        mask: Which places hold evidence of a present modality.
    """
    _, toward = net.guidance.anchored(evidence, net.guidance.tell(states, evidence, mask), mask)
    if toward is None:
        return None
    strength = torch.stack(net.fusion.lambdas).mean(0).double()
    weighted: Tensor = (strength[:, None, None] * toward[0].double()).mean(0)
    return weighted


@dataclass(frozen=True)
class Toward:
    """One modality's bias towards one anchor.

    Args:
        m: The modality.
        anchor: The anchor's number, from 0.
        bias: What shifts the logit.
        pieces: (place among the evidence, contribution), the strongest first; the contributions sum to `bias`.
    """

    m: int
    anchor: int
    bias: float
    pieces: list[tuple[int, float]]


@torch.no_grad()
def toward_anchors(
    net: MHDiff, evidence: EvidenceBatch, present: Bool[Tensor, "1 modality"], top: int
) -> list[Toward] | None:
    """Give what each modality with evidence says towards the anchors that its bias is strongest for.

    Args:
        net: The model, in evaluation mode.
        evidence: One patient's evidence.
        present: Which modalities the patient has [1, modality].
        top: Most anchors for a modality.

    Returns:
        By modality and then the strongest first; None where the guidance has no anchors.
    """
    mask = (evidence.mask & present[:, :, None]).flatten(1)
    scores = anchor_scores(net, net.guidance.states(), evidence, mask)
    if scores is None:
        return None
    _, modalities, slots = evidence.concept.shape
    found = []
    for m in range(modalities):
        places = [m * slots + i for i in range(slots) if mask[0, m * slots + i]]
        if not places:
            continue
        parts = scores[modalities:][places] / len(places)
        for k in scores[m].abs().argsort(descending=True, stable=True)[:top].tolist():
            pieces = sorted(zip(places, parts[:, k].tolist(), strict=True), key=lambda piece: -abs(piece[1]))
            found.append(Toward(m, k, float(scores[m, k]), pieces))
    return found


@torch.no_grad()
def drawn_concepts(net: MHDiff, top: int) -> list[list[int]]:
    """Give for each anchor the nodes of the concepts that are drawn to it most, the strongest first.

    Args:
        net: The model, in evaluation mode, with anchors.
        top: How many concepts.
    """
    guidance: Guidance = net.guidance
    states = guidance.states()
    nodes = torch.arange(guidance.num_nodes, device=states.device)[None, None]
    every = EvidenceBatch(nodes, torch.ones_like(nodes, dtype=states.dtype), torch.zeros_like(nodes))
    scores = anchor_scores(net, states, every, torch.ones_like(nodes[0], dtype=torch.bool))
    if scores is None:
        return []
    concepts = scores[1:]
    preferred = concepts - concepts.mean(1, keepdim=True)
    best: list[list[int]] = preferred.topk(min(top, len(concepts)), dim=0).indices.T.tolist()
    return best
