r"""The generative model of the known-answer cohort: what is drawn, in which order, with which probability.

.. math::

    h &\sim \text{sites}, \quad a \sim \text{age bands}, \quad y \sim P(y \mid h) \\
    o_m &\sim \text{Bernoulli}(q_m) \qquad \text{modality } m \text{ is off-topic} \\
    n_m &\sim \text{a fixed distribution, the same for all labels} \\
    c_{mj} &\sim (1 - o_m)\,P_s(c \mid y) + o_m\,B_s(c), \qquad j = 1 \dots n_m \\
    \text{present}_m &\sim \text{Bernoulli}(1 - r_m(h, a, y)) \qquad \text{(missingness.py)}

For image, note and codes the outcomes c are leaves of the terminology. `pneumonia.tsv` gives, per label,
weighted anchors :math:`w(A \mid y)`; within an anchor's leaves the frequency is Zipf's with a fixed order of
ranks (a hash of the concept, so the tail is the same for every seed), and each draw is background noise with
probability :math:`\nu_m`:

.. math::

    P(c \mid y) = (1 - \nu_m) \sum_A w(A \mid y) \operatorname{Zipf}(c \mid A) + \nu_m B(c), \qquad
    B = \tfrac12 \sum_A w(A \mid *) \operatorname{Zipf}(c \mid A) + \tfrac12 \operatorname{mean}_y
    P_{\nu=0}(c \mid y)

For labs the outcomes are (test, state) with state low, normal or high; which tests are measured is
independent of the label, and :math:`P(\text{state} \mid y) = F(\text{state} \mid y) / \sum F` with F the
frequency of the finding that interprets the state (raised CRP) and, for normal, a constant of the test. The
value is uniform inside the state's interval, so the state is all that it tells.

The strength s of the ontology signal mixes with a relabelled copy of the same model,

.. math:: P_s(c \mid y) = s\,P(c \mid y) + (1 - s)\,P(\pi(c) \mid y), \qquad B_s \text{ likewise},

with :math:`\pi` a fixed permutation of the modality's outcomes (for labs: of the tests, and of low and high
within a test). At s = 0 every outcome is another one's namesake: the information in the draws is exactly as
before, but neighbours in the ontology share nothing. Everything that is written but not listed here (age,
sex, negations, family history, times, wording, appearance) is drawn independently of the label given what is
listed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from mhdiff.cohort.synthetic.missingness import AGE_BANDS, AGE_SHARE
from mhdiff.cohort.synthetic.posterior import Evidence

if TYPE_CHECKING:
    from mhdiff.cohort.synthetic.settings import Settings

STATES = ("low", "normal", "high")
"""States of a lab value against its reference range; outcome = 3 * test + state."""


@dataclass(frozen=True)
class Modality(ABC):
    """One modality: its outcomes with their probabilities, and how many are drawn.

    Attributes:
        name: Its name.
        outcomes: Name of each outcome: the key of a concept, or "observable:state".
        on_topic: P_s(outcome | label) [labels, outcomes]; in labs each test's three states sum to 1.
        background: B_s(outcome) [outcomes].
        off_topic: q, the probability that all draws come from the background.
    """

    name: str
    outcomes: tuple[str, ...]
    on_topic: Float[np.ndarray, "labels outcomes"]
    background: Float[np.ndarray, outcomes]
    off_topic: float

    @abstractmethod
    def draw(self, rng: np.random.Generator, label: int, off_topic: bool) -> Int[np.ndarray, n]:
        """Draw one patient's outcomes.

        Args:
            rng: Source of randomness.
            label: The patient's label.
            off_topic: Whether everything comes from the background.
        """


@dataclass(frozen=True)
class Findings(Modality):
    """A modality whose outcomes are independent draws of findings, with repetition.

    Attributes:
        counts: Probability of 1, 2, 3 ... draws.
    """

    counts: Float[np.ndarray, most]

    def draw(self, rng: np.random.Generator, label: int, off_topic: bool) -> Int[np.ndarray, n]:
        """Draw the number of findings, then the findings."""
        table = self.background if off_topic else self.on_topic[label]
        n = 1 + _choose(self.counts, rng.random(1))[0]
        return _choose(table, rng.random(n))


@dataclass(frozen=True)
class Panel(Modality):
    """A modality whose outcomes are the states of measured lab tests.

    Attributes:
        measured: Probability that a test is measured, the same for all tests and labels; at least one is.
    """

    measured: float

    def draw(self, rng: np.random.Generator, label: int, off_topic: bool) -> Int[np.ndarray, n]:
        """Draw which tests are measured, then the state of each."""
        table = (self.background if off_topic else self.on_topic[label]).reshape(-1, len(STATES))
        u, v = rng.random((2, len(table)))
        tests = np.flatnonzero(u < max(self.measured, u.min() + 1e-12))
        states = (v[tests, None] > table[tests].cumsum(1)[:, :-1]).sum(1)
        return len(STATES) * tests + states


@dataclass(frozen=True)
class Patient:
    """One patient, drawn but not yet written down.

    Attributes:
        index: Number of the patient, from 0.
        site: Index of the site.
        band: Index of the age band.
        age: Age in years.
        female: Sex.
        label: Index of the class.
        present: Whether each modality is there.
        off_topic: Whether each modality is off-topic.
        draws: The outcomes per modality, drawn whether or not the modality is there.
    """

    index: int
    site: int
    band: int
    age: float
    female: bool
    label: int
    present: tuple[bool, ...]
    off_topic: tuple[bool, ...]
    draws: tuple[Int[np.ndarray, _], ...]


@dataclass(frozen=True)
class GenerativeModel:
    """The whole model: every probability that the posterior needs.

    Attributes:
        classes: Names of the labels.
        sites: Names of the sites.
        site_share: P(site) [sites].
        prevalence: P(label | site) [sites, labels].
        modalities: The modalities in their order.
        absence: P(modality absent | site, age band, label) [modalities, sites, bands, labels].
        seed: Seed of the patients.
    """

    classes: tuple[str, ...]
    sites: tuple[str, ...]
    site_share: Float[np.ndarray, sites]
    prevalence: Float[np.ndarray, "sites labels"]
    modalities: tuple[Modality, ...]
    absence: Float[np.ndarray, "modalities sites bands labels"]
    seed: int

    @classmethod
    def from_settings(cls, settings: Settings) -> GenerativeModel:
        """Build the model of a cohort over the built-in terminology.

        Args:
            settings: The knobs.
        """
        from mhdiff.cohort.synthetic.assemble import assemble

        return assemble(settings)

    def rng(self, index: int, stream: int) -> np.random.Generator:
        """Give the generator of one patient's one stream, the same whatever the number of patients.

        Args:
            index: Number of the patient.
            stream: 0 for the draws of this module; writers use their own, so that wording moves no finding.
        """
        return np.random.Generator(
            np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=(index, stream)))
        )

    def sample(self, index: int) -> Patient:
        """Draw one patient.

        Args:
            index: Number of the patient, from 0.
        """
        rng = self.rng(index, 0)
        u = rng.random(5)
        site, band = int(_choose(self.site_share, u[:1])[0]), int(_choose(AGE_SHARE, u[1:2])[0])
        label = int(_choose(self.prevalence[site], u[2:3])[0])
        low, high = AGE_BANDS[band]
        off_topic = tuple(bool(rng.random() < m.off_topic) for m in self.modalities)
        missing = rng.random(len(self.modalities)) < self.absence[:, site, band, label]
        draws = tuple(m.draw(rng, label, off) for m, off in zip(self.modalities, off_topic, strict=True))
        return Patient(
            index=index,
            site=site,
            band=band,
            age=float(low + (high - low) * u[3]),
            female=bool(u[4] < 0.5),
            label=label,
            present=tuple(bool(not m) for m in missing),
            off_topic=off_topic,
            draws=draws,
        )

    def evidence(self, patients: Sequence[Patient]) -> Evidence:
        """Gather patients for `posterior`.

        Args:
            patients: Patients of this model.
        """
        return Evidence(
            site=np.array([p.site for p in patients], dtype=np.int64),
            band=np.array([p.band for p in patients], dtype=np.int64),
            present=np.array([p.present for p in patients], dtype=bool).reshape(-1, len(self.modalities)),
            draws=tuple(_padded([p.draws[m] for p in patients]) for m in range(len(self.modalities))),
        )


def zipf(ranks: Int[np.ndarray, n], exponent: float) -> Float[np.ndarray, n]:
    """Give Zipf's frequencies, rank^-exponent, summing to 1.

    Args:
        ranks: Rank of each leaf, from 1.
        exponent: 0 is uniform; the larger, the longer the tail of rare leaves.
    """
    weight = np.asarray(ranks, dtype=np.float64) ** -exponent
    return np.asarray(weight / weight.sum())


def relabelled(
    table: Float[np.ndarray, "*labels outcomes"], pi: Int[np.ndarray, outcomes], signal: float
) -> Float[np.ndarray, "*labels outcomes"]:
    """Mix a table with its relabelled copy: s P(c) + (1 - s) P(pi(c)).

    Args:
        table: Probabilities, outcomes last.
        pi: The permutation.
        signal: s.
    """
    return np.asarray(signal * table + (1.0 - signal) * table[..., pi])


def state_table(
    low: Float[np.ndarray, "labels tests"],
    high: Float[np.ndarray, "labels tests"],
    possible: Bool[np.ndarray, "tests 3"],
    normal: float,
) -> Float[np.ndarray, "labels outcomes"]:
    """Turn the frequencies of the interpreting findings into P(state | label) of each test.

    Args:
        low: F(low | label); 0 where no finding says that the test is low.
        high: F(high | label).
        possible: Whether the test can be low, normal, high at all.
        normal: Weight of normal, as a multiple of the test's mean abnormal frequency.

    Returns:
        Probabilities [labels, 3 * tests].
    """
    scale = (low + high).mean(0, keepdims=True)
    scale = np.where(scale > 0, scale, 1.0)
    # A twentieth of the scale on either side: any test is now and then low or high for reasons of its own.
    weight = np.stack(
        [low + 0.05 * scale, np.broadcast_to(normal * scale, low.shape), high + 0.05 * scale], -1
    )
    weight = weight * possible
    return np.asarray((weight / weight.sum(-1, keepdims=True)).reshape(len(low), -1))


def _choose(probability: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Invert the cumulative distribution; never lands on an outcome of probability 0."""
    cumulative = probability.cumsum()
    last = int(np.flatnonzero(probability)[-1])
    return np.minimum(np.searchsorted(cumulative, u * cumulative[-1], side="right"), last)


def _padded(rows: Iterable[np.ndarray]) -> np.ndarray:
    rows = list(rows)
    result = np.full((len(rows), max((len(r) for r in rows), default=0)), -1, dtype=np.int64)
    for i, row in enumerate(rows):
        result[i, : len(row)] = row
    return result
