"""The model over the built-in terminology: its ceilings, its long tail, its negative control."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mhdiff.cohort.synthetic.assemble import assemble, leaf_tables, site_prevalence
from mhdiff.cohort.synthetic.generative import Findings, GenerativeModel
from mhdiff.cohort.synthetic.posterior import posterior
from mhdiff.cohort.synthetic.settings import CLASSES, MODALITIES, RARE, Settings
from mhdiff.cohort.synthetic.vocabulary import vocabulary
from mhdiff.cohort.synthetic.write import assign_splits

ALONE = list(MODALITIES)
EVERYTHING = "+".join(MODALITIES)


def auroc(label, probability):
    return np.mean([roc_auc_score(label == k, probability[:, k]) for k in range(len(CLASSES))])


def ceilings(settings: Settings, patterns=(*ALONE, EVERYTHING)) -> dict[str, float]:
    model = assemble(settings)
    patients = [model.sample(i) for i in range(settings.patients)]
    label = np.array([p.label for p in patients])
    given = posterior(model, model.evidence(patients), only=patterns)
    return {pattern: float(auroc(label, rows)) for pattern, rows in given.items()}


def test_default_ceilings():
    given = ceilings(Settings(patients=2000))
    assert 0.93 <= given[EVERYTHING] <= 0.96
    for name in ALONE:
        assert 0.70 <= given[name] <= 0.85


def test_no_signal_keeps_what_each_modality_is_worth():
    # Labels drawn alike, findings renamed: the same information up to sampling.
    whole = Settings(patients=2000, missing_rate=0.0)
    with_signal, without = ceilings(whole), ceilings(Settings(patients=2000, missing_rate=0.0, signal=0.0))
    for pattern, value in with_signal.items():
        assert abs(value - without[pattern]) < 0.03
    for modality, renamed in zip(
        assemble(whole).modalities, assemble(Settings(signal=0.0)).modalities, strict=True
    ):
        np.testing.assert_allclose(
            np.sort(modality.on_topic.sum(0)), np.sort(renamed.on_topic.sum(0)), atol=1e-12
        )


def test_no_signal_parts_siblings():
    """With signal the leaves under one anchor favour the same label; without, no more often than any two."""
    words = vocabulary()

    def agreement(signal: float) -> float:
        same, pairs = 0.0, 0
        for seed in range(5):
            modality = assemble(Settings(signal=signal, seed=seed)).modalities[MODALITIES.index("codes")]
            best = dict(zip(modality.outcomes, modality.on_topic.argmax(0), strict=True))
            for anchor in {r.anchor for r in words.links if r.modality == "codes" and r.label != "*"}:
                below = [best[leaf] for leaf in words.leaves(anchor)]
                same += sum(a == b for i, a in enumerate(below) for b in below[:i])
                pairs += len(below) * (len(below) - 1) // 2
        return same / pairs

    assert agreement(1.0) > agreement(0.0) + 0.3


def test_long_tail_of_codes():
    unseen = []
    for seed in range(3):
        model = assemble(Settings(seed=seed))
        codes = MODALITIES.index("codes")
        patients = [model.sample(i) for i in range(600)]
        split = np.array(assign_splits(seed, 600))
        seen = {
            c for p, s in zip(patients, split, strict=True) if s == "train" for c in p.draws[codes].tolist()
        }
        tested = {
            c
            for p, s in zip(patients, split, strict=True)
            if s == "held_out"
            for c in p.draws[codes].tolist()
        }
        assert (split == "train").sum() == 420
        unseen.append(len(tested - seen) / len(tested))
    assert np.mean(unseen) >= 0.15


def test_tables_are_distributions_over_known_leaves():
    words = vocabulary()
    for name in MODALITIES:
        leaves, foreground, background = leaf_tables(name, words, 1.0)
        np.testing.assert_allclose(foreground.sum(1), 1.0)
        assert background.sum() == pytest.approx(1.0)
        assert len({words.sctid(leaf) for leaf in leaves}) == len(leaves)
    for modality in assemble(Settings()).modalities:
        assert (modality.on_topic >= 0).all()
        rows = modality.on_topic if isinstance(modality, Findings) else modality.on_topic.reshape(5, -1, 3)
        np.testing.assert_allclose(rows.sum(-1), 1.0)


@pytest.mark.parametrize("sites", [1, 3, 6])
@pytest.mark.parametrize("rare", [0.01, 0.05, 0.2])
def test_rare_labels_have_the_prevalence_asked_for(sites, rare):
    share, table = site_prevalence(sites, rare)
    np.testing.assert_allclose(table.sum(1), 1.0)
    assert (table > 0).all()
    for name in RARE:
        assert share @ table[:, CLASSES.index(name)] == pytest.approx(rare)
    if sites > 1:
        assert np.ptp(table, axis=0).min() > 0


@pytest.mark.parametrize("mechanism", ["MCAR", "MAR", "MNAR"])
def test_missing_rates_in_drawn_patients(mechanism):
    rates = {"image": 0.1, "note": 0.3, "labs": 0.5, "codes": 0.0}
    model = GenerativeModel.from_settings(Settings(missingness=mechanism, missing_rate=rates))
    patients = [model.sample(i) for i in range(3000)]
    missing = 1.0 - np.mean([p.present for p in patients], axis=0)
    np.testing.assert_allclose(missing, list(rates.values()), atol=0.04)
    # Within sites: prevalence differs between them, and so, at random, does absence.
    table = np.array([(p.site, p.label, not p.present[2]) for p in patients])
    contrast = []
    for site in range(3):
        label, gone = table[table[:, 0] == site, 1], table[table[:, 0] == site, 2]
        contrast.append(gone[label == 0].mean() - gone[label != 0].mean())
    assert abs(np.mean(contrast)) > 0.1 if mechanism == "MNAR" else abs(np.mean(contrast)) < 0.07
