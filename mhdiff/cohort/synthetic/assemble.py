"""From settings and the built-in terminology to the numbers of the model that generative.py writes down."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from mhdiff.cohort.synthetic.generative import (
    STATES,
    Findings,
    GenerativeModel,
    Modality,
    Panel,
    relabelled,
    state_table,
    zipf,
)
from mhdiff.cohort.synthetic.labs import states_of
from mhdiff.cohort.synthetic.missingness import absence
from mhdiff.cohort.synthetic.settings import CLASSES, MODALITIES, RARE, Settings
from mhdiff.cohort.synthetic.vocabulary import Vocabulary, vocabulary

SITES = ("harbour", "northside", "university", "valley", "lakeview", "county")
"""Names of the sites, in order."""

_SHARE = (1.0, 0.8, 0.6, 0.5, 0.4, 0.4)
_COMMON = {"no_pneumonia": 0.44, "bacterial": 0.32, "viral": 0.24}
_TILT = {
    "no_pneumonia": (0.3, -0.2, -0.3, 0.4, 0.0, -0.1),
    "bacterial": (0.1, -0.3, 0.3, 0.0, 0.4, -0.4),
    "viral": (-0.3, 0.6, -0.1, -0.3, -0.2, 0.5),
    "aspiration": (0.3, -0.5, 0.1, 0.5, 0.0, -0.2),
    "fungal": (-0.7, -0.5, 0.8, -0.3, 0.2, -0.6),
}
"""Log-odds of the labels by site: a community hospital, a busy winter clinic, a referral centre ..."""

COUNTS = {
    "image": (0.5, 0.5),
    "note": (0.2, 0.45, 0.35),
    "codes": (0.5, 0.4, 0.1),
}
"""Probability of 1, 2, 3 ... draws by modality, the same for every label."""

ZIPF = {"image": 0.6, "note": 0.8, "labs": 0.0, "codes": 1.5}
"""Zipf's exponent within an anchor: codes have the long tail, so that many test codes are new."""

MEASURED = 0.4
"""Share of the tests that a patient has."""

NORMAL = 1.5
"""Weight of a normal value, as a multiple of the test's mean abnormal frequency."""


def assemble(settings: Settings, words: Vocabulary | None = None) -> GenerativeModel:
    """Build the generative model.

    Args:
        settings: The knobs.
        words: The terminology; the built-in one when left out.
    """
    words = words or vocabulary()
    share, prevalence = site_prevalence(settings.sites, settings.rare_prevalence)
    modalities: list[Modality] = []
    for number, name in enumerate(MODALITIES):
        rng = np.random.default_rng([settings.seed, 7_919 + number])
        make = _panel if name == "labs" else _findings
        modalities.append(make(name, settings, words, rng))
    rates = [settings.missing_rate[m] for m in MODALITIES]
    return GenerativeModel(
        classes=CLASSES,
        sites=SITES[: settings.sites],
        site_share=share,
        prevalence=prevalence,
        modalities=tuple(modalities),
        absence=absence(settings.missingness, rates, share, prevalence),
        seed=settings.seed,
    )


def site_prevalence(sites: int, rare: float) -> tuple[np.ndarray, np.ndarray]:
    """Give P(site) and P(label | site); each rare label has the prevalence asked for on average.

    Args:
        sites: Number of sites.
        rare: Prevalence of each rare label.
    """
    share = np.array(_SHARE[:sites]) / sum(_SHARE[:sites])
    table = np.zeros((sites, len(CLASSES)))
    for k, name in enumerate(CLASSES):
        odds = np.exp(np.array(_TILT[name][:sites]))
        if name in RARE:
            table[:, k] = rare * odds / (share @ odds)
        else:
            table[:, k] = _COMMON[name] * odds
    common = [k for k, name in enumerate(CLASSES) if name not in RARE]
    left = 1.0 - table.sum(1) + table[:, common].sum(1)
    table[:, common] *= (left / table[:, common].sum(1))[:, None]
    return share, table


@cache
def rank(key: str) -> str:
    """Give what orders the leaves of an anchor by frequency: a hash, so that no seed changes it.

    Args:
        key: Key of the concept.
    """
    return hashlib.sha256(f"rank:{key}".encode()).hexdigest()


def _findings(name: str, settings: Settings, words: Vocabulary, rng: np.random.Generator) -> Findings:
    leaves, foreground, background = leaf_tables(name, words, ZIPF[name])
    noise = settings.noise[name]
    table = (1.0 - noise) * foreground + noise * background
    pi = rng.permutation(len(leaves))
    return Findings(
        name=name,
        outcomes=leaves,
        on_topic=relabelled(table, pi, settings.signal),
        background=relabelled(background, pi, settings.signal),
        off_topic=settings.off_topic[name],
        counts=np.array(COUNTS[name]),
    )


def _panel(name: str, settings: Settings, words: Vocabulary, rng: np.random.Generator) -> Panel:
    leaves, foreground, background = leaf_tables(name, words, ZIPF[name])
    place = {leaf: i for i, leaf in enumerate(leaves)}
    frequency = np.vstack([foreground, background])

    def of(finding: str) -> np.ndarray:
        return frequency[:, place[finding]] if finding in place else np.zeros(len(frequency))

    low = np.stack([of(lab.lowered) for lab in words.labs], 1)
    high = np.stack([of(lab.raised) for lab in words.labs], 1)
    possible = np.array([states_of(lab) for lab in words.labs])
    states = state_table(low, high, possible, NORMAL)
    noise = settings.noise[name]
    table = (1.0 - noise) * states[:-1] + noise * states[-1]
    pi = _test_permutation(possible, rng)
    return Panel(
        name=name,
        outcomes=tuple(f"{lab.observable}:{state}" for lab in words.labs for state in STATES),
        on_topic=relabelled(table, pi, settings.signal),
        background=relabelled(states[-1], pi, settings.signal),
        off_topic=settings.off_topic[name],
        measured=MEASURED,
    )


def _test_permutation(possible: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Permute tests that have the same possible states; swap low and high of half the two-sided ones."""
    pi = np.arange(possible.size).reshape(possible.shape)
    for pattern in np.unique(possible, axis=0):
        members = np.flatnonzero((possible == pattern).all(1))
        pi[members] = pi[rng.permutation(members)]
        if pattern.all():
            swapped = members[rng.random(len(members)) < 0.5]
            pi[swapped] = pi[swapped][:, ::-1]
    return pi.ravel()


def leaf_tables(
    name: str, words: Vocabulary, exponent: float
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Give a modality's leaves with their frequencies before noise.

    Args:
        name: The modality.
        words: The terminology.
        exponent: Zipf's exponent within an anchor.

    Returns:
        Keys of the leaves; P(leaf | label) [labels, leaves]; B(leaf) [leaves].
    """
    weights: dict[str, dict[str, float]] = {label: {} for label in (*CLASSES, "*")}
    for row in words.links:
        if row.modality == name:
            weights[row.label][row.anchor] = weights[row.label].get(row.anchor, 0.0) + row.weight
    anchors = {anchor: words.leaves(anchor) for per_label in weights.values() for anchor in per_label}
    leaves = tuple(sorted({leaf for below in anchors.values() for leaf in below}))
    place = {leaf: i for i, leaf in enumerate(leaves)}
    table = np.stack([_mixture(weights[label], anchors, place, exponent) for label in weights])
    foreground, starred = table[:-1], table[-1]
    return leaves, foreground, 0.5 * starred + 0.5 * foreground.mean(0)


def _mixture(
    weights: Mapping[str, float],
    anchors: Mapping[str, Sequence[str]],
    place: Mapping[str, int],
    exponent: float,
) -> np.ndarray:
    result = np.zeros(len(place))
    for anchor, weight in weights.items():
        below = sorted(anchors[anchor], key=rank)
        result[[place[leaf] for leaf in below]] += weight * zipf(np.arange(1, len(below) + 1), exponent)
    return np.asarray(result / result.sum())
