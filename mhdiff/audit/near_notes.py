r"""Near-duplicate notes across splits: MinHash of word triples, then the Jaccard index of those that collide.

With S(a) the set of a note's word triples, J(a, b) = |S(a) & S(b)| / |S(a) | S(b)|. For a random hash h,
P(min h(S(a)) = min h(S(b))) = J (Broder 1997). Two notes are compared if all R hashes of one of B bands agree:
P = 1 - (1 - J^R)^B, which is .9998 at J = .5 and .06 at J = .1 for R = 3, B = 64; J is then computed exactly, so
nothing is reported for looking alike to a hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int64, UInt64

from mhdiff.audit.finding import FAILURE, Check, Finding, cases
from mhdiff.audit.material import Material

ROWS, BANDS = 3, 64
_FEATURES = 2**22
_PRIME = np.uint64((1 << 31) - 1)
_MOST = 200  # notes of one band's bucket that are all compared; of more, each with those after it


def check(material: Material) -> Check:
    """Look for near-duplicate notes of patients in different splits.

    Args:
        material: What is audited.
    """
    limits = material.thresholds
    notes = material.notes.unique(["subject_id", "text_value"], maintain_order=True).filter(
        pl.col("text_value").str.count_matches(r"\w+") >= limits.note_words
    )
    subjects = notes["subject_id"].to_list()
    rows = [
        (subjects[i], subjects[j], f"{similarity:.2f}")
        for i, j, similarity in similar(notes["text_value"].to_list(), limits.note_similarity)
        if subjects[i] != subjects[j] and material.apart(subjects[i], subjects[j])
    ]
    found = []
    if rows:
        told = (
            f"{len(rows):,} pairs of {len({s for a, b, _ in rows for s in (a, b)}):,} patients, up to "
            f"{max(r[2] for r in rows)}. One patient under two ids, or a text that is copied from patient to patient"
        )
        found.append(Finding("near_duplicate_note", FAILURE, told, cases(rows)))
    return Check(
        "near_notes",
        "Do patients in different splits have nearly the same note?",
        f"{notes.height:,} notes of at least {limits.note_words} words; "
        f"Jaccard index of word triples {limits.note_similarity:g} or more",
        found,
    )


def similar(texts: Sequence[str], least: float) -> Iterator[tuple[int, int, float]]:
    """Find pairs of texts whose Jaccard index is at least a threshold.

    Args:
        texts: The texts.
        least: The threshold.

    Yields:
        Places i < j and the index, ascending.
    """
    if len(texts) < 2:
        return
    from sklearn.feature_extraction.text import HashingVectorizer

    shingles = HashingVectorizer(
        ngram_range=(3, 3),
        token_pattern=r"(?u)\w+",
        binary=True,
        norm=None,
        alternate_sign=False,
        n_features=_FEATURES,
    ).transform(texts)
    for i, j in sorted(_candidates(signatures(shingles))):
        one, other = (shingles.indices[shingles.indptr[k] : shingles.indptr[k + 1]] for k in (i, j))
        common = np.intersect1d(one, other, assume_unique=True).size
        union = one.size + other.size - common
        if union and common / union >= least:
            yield i, j, common / union


def signatures(shingles: Any) -> UInt64[np.ndarray, "texts hashes"]:
    """Give each text's smallest hash of its shingles, for ROWS * BANDS hashes.

    Args:
        shingles: A sparse matrix in rows, one a text; a text without a shingle gets numbers of its own.
    """
    rng = np.random.default_rng(0)
    a = rng.integers(1, int(_PRIME), ROWS * BANDS, dtype=np.uint64)
    b = rng.integers(0, int(_PRIME), ROWS * BANDS, dtype=np.uint64)
    out = np.empty((shingles.shape[0], ROWS * BANDS), np.uint64)
    for row in range(shingles.shape[0]):
        held = shingles.indices[shingles.indptr[row] : shingles.indptr[row + 1]].astype(np.uint64)
        out[row] = ((held[:, None] * a + b) % _PRIME).min(axis=0) if held.size else _PRIME + np.uint64(row)
    return out


def _candidates(hashes: UInt64[np.ndarray, "texts hashes"]) -> set[tuple[int, int]]:
    pairs: set[tuple[int, int]] = set()
    for band in range(BANDS):
        own = np.ascontiguousarray(hashes[:, band * ROWS : (band + 1) * ROWS])
        _, bucket, sizes = np.unique(own, axis=0, return_inverse=True, return_counts=True)
        order = np.argsort(bucket.ravel(), kind="stable")
        for members in np.split(order, np.cumsum(sizes)[:-1]):
            pairs |= _within(members)
    return pairs


def _within(members: Int64[np.ndarray, " k"]) -> set[tuple[int, int]]:
    """Pairs of a bucket; of a text that hundreds share, a chain through all of them, which names each of them."""
    if len(members) < 2:
        return set()
    places = members.tolist()
    if len(places) > _MOST:
        return {(a, b) for k in range(1, 9) for a, b in zip(places, places[k:], strict=False)}
    return {(a, b) for i, a in enumerate(places) for b in places[i + 1 :]}
