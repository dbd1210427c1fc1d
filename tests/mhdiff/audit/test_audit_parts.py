"""The parts of the audit by themselves: hashes, shingles, shortcuts that say nothing, features by luck."""

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from mhdiff.audit import single_features
from mhdiff.audit.hash_buckets import close_in_buckets, met
from mhdiff.audit.label_words import plain
from mhdiff.audit.near_images import SIDE, close, perceptual_hash, strangers
from mhdiff.audit.near_notes import similar
from mhdiff.audit.shortcuts import eligible, lifts
from mhdiff.audit.single_features import one_a_patient
from mhdiff.evaluate.delong import placements
from mhdiff.evaluate.shortcut import class_shares


def auroc(score, positive):
    return float(placements(score, positive)[0].mean())


def test_similar_texts_are_those_of_a_count_of_triples():
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{n}" for n in rng.integers(0, 400, 60)) for _ in range(60)]
    texts += [
        " ".join([*texts[i].split()[:cut], "other", "words"])
        for i, cut in ((0, 50), (1, 40), (2, 30), (3, 10))
    ]

    def triples(text):
        words = text.split()
        return set(zip(words, words[1:], words[2:], strict=False))

    expected = {}
    for i, a in enumerate(texts):
        for j, b in enumerate(texts[i + 1 :], i + 1):
            one, other = triples(a), triples(b)
            index = len(one & other) / len(one | other)
            if index >= 0.4:
                expected[i, j] = index
    assert len(expected) == 3
    found = {(i, j): index for i, j, index in similar(texts, 0.4)}
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("texts", [[], ["one"], ["", "", "a b"], ["a b c"] * 3])
def test_few_and_short_texts(texts):
    assert [(i, j) for i, j, _ in similar(texts, 0.5)] == (
        [(0, 1), (0, 2), (1, 2)] if texts == ["a b c"] * 3 else []
    )


def test_a_text_that_hundreds_share_names_each_of_them():
    found = {place for i, j, _ in similar(["the same long note"] * 300, 0.9) for place in (i, j)}
    assert found == set(range(300))


def test_hashes_are_near_for_copies_and_half_apart_for_strangers():
    rng = np.random.default_rng(0)
    one, other = rng.random((2, SIDE, SIDE))
    hashes = np.stack([perceptual_hash(p) for p in (one, 0.5 * one + 0.1, 1 - one, other)])
    found = {(i, j): distance for i, j, distance in close(hashes, 0.1)}
    assert set(found) == {(0, 1), (0, 2), (1, 2)}
    assert max(found.values()) < 0.01
    (stranger,) = (d for i, j, d in close(hashes[[0, 3]], 0.5))
    assert stranger == pytest.approx(0.5, abs=0.06)


def test_how_far_apart_strangers_are_sets_how_far_a_copy_may_be():
    rng = np.random.default_rng(0)
    centre = np.where(rng.random(1023) > 0.5, 1, -1)
    alike = np.where(rng.random((60, 1023)) < 0.1, -centre, centre).astype(np.float32)
    assert strangers(alike, np.arange(60)) == pytest.approx(2 * 0.1 * 0.9, abs=0.04)
    assert strangers(alike[:20], np.arange(20)) == 0.0  # too few pairs to know
    one_copied = np.concatenate([alike, alike[:1]])
    assert strangers(one_copied, np.arange(61)) > 0.1


def test_buckets_find_the_share_of_pairs_that_they_promise():
    """And only true ones: copies, negatives, and nobody of the same part."""
    rng = np.random.default_rng(0)
    hashes = np.where(rng.random((1200, 1023)) > 0.5, 1, -1).astype(np.int8)
    copies = hashes[:150] * np.where(rng.random((150, 1023)) < 0.12, -1, 1).astype(np.int8)
    far = hashes[150:750] * np.where(rng.random((600, 1023)) < 0.24, -1, 1).astype(np.int8)
    copies[:50] *= -1
    every, parts = np.concatenate([hashes, copies, far]), np.repeat([0, 1], [1200, 750])
    pairs = list(close_in_buckets(every, 0.3, parts))
    found = {(i, j): distance for i, j, distance in pairs}
    assert len(found) == len(pairs)
    assert set(found) <= {(i, 1200 + i) for i in range(750)}
    assert sum(i < 150 for i, _ in found) == 150
    assert sum(i >= 150 for i, _ in found) / 600 == pytest.approx(met(0.24), abs=0.06)
    exact = {(i, j): d for i, j, d in close(every, 0.3)}
    assert all(exact[pair] == pytest.approx(d) for pair, d in found.items())
    assert not list(close_in_buckets(every, 0.3, np.zeros(1950, np.int64)))
    assert met(0.15) > 0.999
    assert met(0.5) == pytest.approx(150 / 2**16, rel=0.01)


def test_many_hashes_are_compared_across_blocks():
    rng = np.random.default_rng(0)
    hashes = np.where(rng.random((1100, 255)) > 0.5, 1, -1).astype(np.float32)
    hashes[1090] = hashes[3]
    assert [(i, j) for i, j, _ in close(hashes, 0.05)] == [(3, 1090)]


@pytest.mark.parametrize(
    ("text", "read"),
    [("pneu\u00admonia", "pneumonia"), ("in\ufb02uenza", "influenza"), ("pneu-\n  monia", "pneumonia"),
     ("a-b", "a-b"), ("covid\u200b19", "covid19")],
)  # fmt: skip
def test_a_text_is_read_as_it_looks(text, read):
    assert plain(text) == read


def test_a_shortcut_that_says_nothing_is_not_claimed():
    """Its AUROC is a little below .5, and rarely surely above."""
    above, scores = 0, []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        labels = (rng.random(200) < 0.3).astype(np.int64)
        fold = rng.permutation(200) % 5
        values = pl.Series(rng.random(200)) if seed % 2 else pl.Series(rng.choice(list("abcdefgh"), 200))
        score = lifts(values, labels, fold, 2)[:, 1]
        draws = []
        for _ in range(100):
            rows = rng.integers(0, 200, 200)
            draws.append(auroc(score[rows], labels[rows] == 1))
        scores.append(auroc(score, labels == 1))
        above += np.quantile(draws, 0.025) > 0.5
    assert 0.44 < np.mean(scores) < 0.51
    assert above <= 3


def test_a_shortcut_that_says_all_is_seen_whatever_its_order():
    labels = np.arange(120) % 2
    fold = np.arange(120) // 2 % 5
    values = pl.Series(np.where(labels == 1, 5.0, np.where(np.arange(120) % 4 == 0, 1.0, 9.0)))
    assert auroc(lifts(values, labels, fold, 2)[:, 1], labels == 1) > 0.95
    assert (lifts(pl.Series(["x"] * 120), labels, fold, 2) == 1).all()


def test_class_shares_are_the_formula():
    p, shares = class_shares(["a", "a", "b"], np.array([0, 1, 1]), ["a", "b", "c"], 3)
    assert shares.tolist() == pytest.approx([1 / 3, 2 / 3, 0])
    assert p[0].tolist() == pytest.approx([(1 + 1 / 3) / 3, (1 + 2 / 3) / 3, 0])
    assert p[1].tolist() == pytest.approx([1 / 6, (1 + 2 / 3) / 2, 0])
    assert p[2].tolist() == shares.tolist()


def test_who_is_judged():
    rows = pl.DataFrame({"subject_id": range(30), "label": [0] * 12 + [1] * 12 + [2] * 6})
    assert eligible(rows, ["a", "b", "c"], 10) == ([0, 1], ["c"])
    two = rows.filter(pl.col("label") < 2)
    assert eligible(two, ["a", "b"], 10) == ([1], [])
    assert eligible(two, ["a", "b"], 13) == ([], ["a", "b"])


def test_a_patient_counts_once_with_the_rarest_class():
    rows = pl.DataFrame({"sample_id": [0, 1, 2, 3], "subject_id": [1, 1, 2, 3], "label": [0, 1, 0, 0]})
    assert one_a_patient(rows)["sample_id"].to_list() == [1, 2, 3]


def test_many_features_of_few_patients_are_not_believed():
    """Of 20,000 coin-tosses among 24 patients some separate them, and none is named after Bonferroni."""
    rng = np.random.default_rng(0)
    table = np.asarray(rng.random((24, 20_000)) < 0.5, dtype=float)
    labels = np.arange(24) % 2
    names = [str(i) for i in range(20_000)]
    tried, found = single_features._binary(sparse.csc_matrix(table), names, "code", labels, [1], 10, 0.85)
    assert found
    assert all(feature.p * tried > 0.05 for feature in found)
