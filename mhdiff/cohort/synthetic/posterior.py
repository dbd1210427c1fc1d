r"""The exact posterior P(label | what is there), for every subset of the modalities.

For a patient of site h and age band a, with modalities R present, offered the subset S at test time:

.. math::

    P(y \mid S) \propto P(y \mid h) \prod_{m \in S \cap R} \big(1 - r_m(h,a,y)\big)
        \sum_{o_m \in \{0,1\}} P(o_m) \prod_j P(c_{mj} \mid y, o_m) \prod_{m \in S \setminus R} r_m(h,a,y)

The sum over the off-topic bits :math:`o_m` of all modalities factorises, because the bits are independent:
each modality brings one factor, a mixture of "on topic" and "off topic". A modality outside S brings no
factor: whoever reads the posterior of "labs" has not looked whether there was an image. One inside S but
absent brings the probability of its absence, which says something about the label only when data are missing
not at random. The posterior conditions on the SITE in every subset, also the empty one ("none"), since the
style of any image or note gives the site away and prevalence differs between sites. Age and sex say nothing
about the label given the site.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp

if TYPE_CHECKING:
    from mhdiff.cohort.synthetic.generative import GenerativeModel


@dataclass(frozen=True)
class Evidence:
    """What was drawn for a number of patients, ready for the posterior.

    Attributes:
        site: Index of the site [n].
        band: Index of the age band [n].
        present: Whether the modality is there [n, M].
        draws: Per modality, the outcomes drawn [n, longest], padded with -1; ignored where absent.
    """

    site: Int[np.ndarray, n]
    band: Int[np.ndarray, n]
    present: Bool[np.ndarray, "n modalities"]
    draws: tuple[Int[np.ndarray, "n _"], ...]


def patterns(modalities: Sequence[str]) -> list[str]:
    """Name all subsets of the modalities, "none" first, everything last.

    Args:
        modalities: The modalities in their order.
    """
    bits = product((False, True), repeat=len(modalities))
    return [
        "+".join(name for name, bit in zip(modalities, row, strict=True) if bit) or "none" for row in bits
    ]


def log_evidence(
    model: GenerativeModel, evidence: Evidence
) -> tuple[Float[np.ndarray, "n labels"], Float[np.ndarray, "n modalities labels"]]:
    """Give the prior and each modality's factor, as logarithms.

    Args:
        model: The generative model.
        evidence: What was drawn.

    Returns:
        log P(y | site), and per modality the log of its factor when it is offered.
    """
    n, labels = len(evidence.site), len(model.classes)
    factors = np.empty((n, len(model.modalities), labels))
    with np.errstate(divide="ignore"):
        prior = np.log(model.prevalence[evidence.site])
        for m, modality in enumerate(model.modalities):
            rate = model.absence[m][evidence.site, evidence.band]
            draws = evidence.draws[m]
            # One more column of zeros: the padding -1 picks it and adds nothing.
            on = np.pad(np.log(modality.on_topic), ((0, 0), (0, 1)))[:, draws].sum(-1).T
            off = np.pad(np.log(modality.background), (0, 1))[draws].sum(-1)
            likelihood = np.logaddexp(
                np.log1p(-modality.off_topic) + on, np.log(modality.off_topic) + off[:, None]
            )
            here = evidence.present[:, m, None]
            factors[:, m] = np.where(here, np.log1p(-rate) + np.where(here, likelihood, 0.0), np.log(rate))
    return prior, factors


def posterior(
    model: GenerativeModel, evidence: Evidence, only: Sequence[str] | None = None
) -> dict[str, Float[np.ndarray, "n labels"]]:
    """Give the exact posterior of every patient for every subset of the modalities.

    Args:
        model: The generative model.
        evidence: What was drawn.
        only: The patterns wanted, such as "image+note"; all of them when left out.

    Returns:
        From pattern to probabilities; each row sums to 1.
    """
    prior, factors = log_evidence(model, evidence)
    names = [modality.name for modality in model.modalities]
    result = {}
    for pattern in patterns(names) if only is None else only:
        offered = [m for m, name in enumerate(names) if name in pattern.split("+")]
        joint = prior + factors[:, offered].sum(1)
        result[pattern] = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    return result
