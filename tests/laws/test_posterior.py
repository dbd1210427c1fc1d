"""The posterior is exact: it equals an enumeration of its own, and it is calibrated on simulated patients."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import pytest

from mhdiff.cohort.synthetic.generative import Findings, GenerativeModel, Panel, relabelled
from mhdiff.cohort.synthetic.missingness import AGE_SHARE, absence
from mhdiff.cohort.synthetic.posterior import Evidence, patterns, posterior


def tiny(mechanism: str = "MNAR", signal: float = 1.0, seed: int = 3) -> GenerativeModel:
    """Three labels, two sites, two modalities of findings and a panel of two tests."""
    rng = np.random.default_rng(0)
    share, prevalence = np.array([0.6, 0.4]), np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])

    def findings(name: str, outcomes: int, off_topic: float) -> Findings:
        table, background = rng.dirichlet(np.full(outcomes, 0.5), 3), rng.dirichlet(np.ones(outcomes))
        pi = rng.permutation(outcomes)
        return Findings(
            name,
            tuple(map(str, range(outcomes))),
            relabelled(table, pi, signal),
            relabelled(background, pi, signal),
            off_topic,
            np.array([0.4, 0.6]),
        )

    states = rng.dirichlet(np.ones(3), (4, 2)).reshape(4, 6)
    panel = Panel("labs", tuple(map(str, range(6))), states[:3], states[3], 0.2, measured=0.6)
    modalities = (findings("image", 3, 0.3), panel, findings("codes", 4, 0.1))
    return GenerativeModel(
        classes=("a", "b", "c"),
        sites=("x", "y"),
        site_share=share,
        prevalence=prevalence,
        modalities=modalities,
        absence=absence(mechanism, [0.2, 0.1, 0.3], share, prevalence),
        seed=seed,
    )


def enumerate_posterior(model: GenerativeModel, e: Evidence, i: int, offered: tuple[int, ...]) -> np.ndarray:
    """Sum the joint probability over the label and all assignments of the off-topic bits."""
    joint = np.zeros(len(model.classes))
    for y, bits in product(range(len(model.classes)), product((0, 1), repeat=len(model.modalities))):
        p = model.prevalence[e.site[i], y]
        for m, bit in enumerate(bits):
            modality = model.modalities[m]
            p *= modality.off_topic if bit else 1 - modality.off_topic
            if m not in offered:
                continue
            absent = model.absence[m, e.site[i], e.band[i], y]
            if not e.present[i, m]:
                p *= absent
                continue
            table = modality.background if bit else modality.on_topic[y]
            p *= (1 - absent) * prod(table[c] for c in e.draws[m][i] if c >= 0)
        joint[y] += p
    return joint / joint.sum()


def test_equals_independent_enumeration_for_every_subset():
    model = tiny()
    evidence = model.evidence([model.sample(i) for i in range(60)])
    given = posterior(model, evidence)
    names = [m.name for m in model.modalities]
    assert list(given) == patterns(names)
    assert len(given) == 8
    for pattern, rows in given.items():
        offered = tuple(m for m, name in enumerate(names) if name in pattern.split("+"))
        for i in range(60):
            np.testing.assert_allclose(rows[i], enumerate_posterior(model, evidence, i, offered), atol=1e-10)
        np.testing.assert_allclose(rows.sum(1), 1.0, atol=1e-12)


@pytest.mark.parametrize("mechanism", ["MCAR", "MAR", "MNAR"])
def test_calibrated_on_simulated_patients(mechanism):
    model = tiny(mechanism)
    patients = [model.sample(i) for i in range(4000)]
    label = np.array([p.label for p in patients])
    site = np.array([p.site for p in patients])
    given = posterior(model, model.evidence(patients))
    for rows in given.values():
        for y in range(3):
            hit, p = label == y, rows[:, y]
            # Overall, within sites and among the surest fifth: mean posterior = frequency within 4.5 errors.
            for group in (slice(None), site == 0, site == 1, p >= np.quantile(p, 0.8)):
                spread = np.sqrt((p[group] * (1 - p[group])).sum())
                assert abs(hit[group].sum() - p[group].sum()) < 4.5 * spread + 1e-9


def test_more_evidence_gives_better_expected_log_score():
    model = tiny()
    patients = [model.sample(i) for i in range(3000)]
    label = np.array([p.label for p in patients])
    given = posterior(model, model.evidence(patients))
    score = {k: np.log(v[np.arange(len(label)), label]).mean() for k, v in given.items()}
    assert score["none"] < score["image"] < score["image+labs"] < score["image+labs+codes"]
    assert score["none"] < score["codes"] < score["labs+codes"] < score["image+labs+codes"]


@pytest.mark.parametrize("mechanism", ["MCAR", "MAR"])
def test_absence_at_random_leaves_the_posterior_alone(mechanism):
    model = tiny(mechanism)
    patients = [model.sample(i) for i in range(300)]
    e = model.evidence(patients)
    gone = e.present.copy()
    gone[:, 1] = False
    without = posterior(model, Evidence(e.site, e.band, gone, e.draws))
    np.testing.assert_allclose(without["image+labs+codes"], without["image+codes"], atol=1e-12)
    # What was drawn for an absent modality is never looked at.
    other = (e.draws[0], np.zeros_like(e.draws[1]), e.draws[2])
    np.testing.assert_array_equal(
        posterior(model, Evidence(e.site, e.band, gone, other))["image+labs+codes"],
        without["image+labs+codes"],
    )


def test_absence_not_at_random_is_evidence():
    model = tiny("MNAR")
    e = model.evidence([model.sample(i) for i in range(50)])
    gone = Evidence(e.site, e.band, np.zeros_like(e.present), e.draws)
    given = posterior(model, gone)
    assert np.abs(given["image"] - given["none"]).max() > 0.02


def test_without_signal_the_draws_are_as_informative_under_other_names():
    on, off = tiny(signal=1.0), tiny(signal=0.0)
    for before, after in zip(on.modalities, off.modalities, strict=True):
        if isinstance(before, Findings):
            columns = sorted(map(tuple, before.on_topic.T.round(12)))
            assert columns == sorted(map(tuple, after.on_topic.T.round(12)))
            assert not np.allclose(before.on_topic, after.on_topic)


@pytest.mark.parametrize("mechanism", ["MCAR", "MAR", "MNAR"])
@pytest.mark.parametrize("rate", [0.0, 0.03, 0.4, 1.0])
def test_marginal_rate_of_absence_is_as_asked(mechanism, rate):
    share, prevalence = np.array([0.6, 0.4]), np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])
    table = absence(mechanism, [rate, rate], share, prevalence)
    weight = share[:, None, None] * AGE_SHARE[None, :, None] * prevalence[:, None, :]
    np.testing.assert_allclose((table * weight).sum((1, 2, 3)), rate, atol=1e-9)
    if mechanism == "MAR":
        assert np.ptp(table, axis=3).max() == 0.0
    if mechanism == "MNAR" and 0 < rate < 1:
        assert np.ptp(table, axis=3).min() > 0.01
        assert np.ptp(table, axis=(1, 2)).max() == 0.0


def test_patient_is_the_same_whatever_the_number_of_patients_and_differs_by_seed():
    one, two, other = tiny(seed=3), tiny(seed=3), tiny(seed=4)
    few, many = [one.sample(i) for i in range(5)], [two.sample(i) for i in range(20)]
    for a, b in zip(few, many, strict=False):
        assert (a.site, a.label, a.age, a.present) == (b.site, b.label, b.age, b.present)
        assert all(np.array_equal(x, y) for x, y in zip(a.draws, b.draws, strict=True))
    assert [p.age for p in few] != [other.sample(i).age for i in range(5)]
