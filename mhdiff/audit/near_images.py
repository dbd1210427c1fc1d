r"""Near-duplicate images across splits: the signs of a picture's cosine transform about their median.

With C the 32 x 32 lowest frequencies of the two-dimensional DCT of a picture of 96 x 96 pixels, without the mean,
h = [C > median(C)], 1,023 bits; two pictures are as far apart as their share of bits that differ: 0 for the same
picture, .5 for two that have nothing to do with each other, 1 for a picture and its negative, which counts as 0.

Copies differ in .12 or less where they were scaled, saved anew or made brighter, whatever they show. How far beyond
that a copy that was cut or turned may be depends on how alike strangers are: with q the distance below which one in a
hundred of their pairs lies, the limit is max(image_distance, min(image_relative q, .3)). What that finds was measured,
see docs/audit.md. Up to `ALL_PAIRS` images all pairs of different splits are compared, as matrix products: time grows
with the square of their number. Of more, those are compared that meet in a bucket of the hash, see `hash_buckets`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int64, Real
from scipy.fft import dctn

from mhdiff import console
from mhdiff.audit.finding import FAILURE, WARNING, Check, Finding, cases
from mhdiff.audit.hash_buckets import close_in_buckets, met
from mhdiff.audit.material import Material
from mhdiff.cohort.image_files import suffix
from mhdiff.cohort.volume_files import array_of
from ontology.errors import InputError

SIDE, LOWEST = 96, 32
BITS = LOWEST**2 - 1
ALL_PAIRS = 20_000  # images: the square of this takes seconds
_BLOCK = 1024
_MOST = 0.3  # farther apart are strangers, however different all others are
_SAMPLED, _LEAST_PAIRS = 4000, 1000


def check(material: Material) -> Check:
    """Look for near-duplicate images of patients in different splits.

    Args:
        material: What is audited.
    """
    from mhdiff.encoders.preprocess_image import ImageReader

    limits, reader = material.thresholds, ImageReader(size=SIDE)
    subjects, hashes, unread = [], [], 0
    places = list(material.files.iter_rows())
    for subject, relative in console.progress(places, f"comparing {len(places)} images") if places else ():
        try:
            place = material.cohort.image_path(relative)
            pixels = reader.read(place)[0].numpy() if _flat(place) else None
        except InputError:  # counted below, and named one by one by `mhdiff cohort validate`
            unread += 1
            continue
        if pixels is None or pixels.min() == pixels.max():
            unread += 1  # a volume, or one grey value everywhere, which looks like nothing
            continue
        hashes.append(perceptual_hash(pixels).astype(np.int8))
        subjects.append(subject)
    rows, limit, how = [], limits.image_distance, "all pairs"
    if hashes:
        table = np.stack(hashes)
        limit = max(limit, min(limits.image_relative * strangers(table, np.array(subjects)), _MOST))
        if len(table) <= ALL_PAIRS:
            pairs = close(table, limit)
        else:
            pairs = close_in_buckets(table, limit, _parts(material, subjects))
            how = f"in buckets, by which {met(limits.image_distance):.2%} of pairs at {limits.image_distance} are found"
            how += f" and {met(limit):.0%} at {limit:.2f}"
        for i, j, distance in pairs:
            if subjects[i] != subjects[j] and material.apart(subjects[i], subjects[j]):
                rows.append((subjects[i], subjects[j], f"{distance:.3f}"))
    found = []
    if rows:
        told = (
            f"{len(rows):,} pairs of {len({s for a, b, _ in rows for s in (a, b)}):,} patients, as near as "
            f"{min(r[2] for r in rows)}. One image scaled, cut or saved anew: put its patients into one group"
        )
        found.append(Finding("near_duplicate_image", FAILURE, told, cases(rows)))
    if unread:
        told = f"{unread:,} files that are no two-dimensional pictures, cannot be read or show nothing"
        found.append(Finding("not_checked", WARNING, told))
    return Check(
        "near_images",
        "Do patients in different splits have nearly the same image?",
        f"{len(hashes):,} images; at most {limit:.2f} of {BITS:,} bits of a perceptual hash differ; {how}",
        found,
    )


def _flat(place: Path) -> bool:
    """Whether a file may be a picture, by its name and an array's header: a volume would be read whole for nothing."""
    kind = suffix(place.name)
    if kind == ".npy":
        found = array_of(place)
        return found is not None and found.ndim == 2
    return kind not in (".nii", ".nii.gz")


def _parts(material: Material, subjects: list[int]) -> Int64[np.ndarray, " n"]:
    """Number the images by their subjects' splits; who is in two of them stands for himself."""
    places: dict[object, int] = {}
    found = []
    for subject in subjects:
        splits = material.split_of.get(subject, set())
        key = next(iter(splits)) if len(splits) == 1 else subject
        found.append(places.setdefault(key, len(places)))
    return np.array(found)


def perceptual_hash(pixels: Float[np.ndarray, "height width"]) -> Float32[np.ndarray, " bits"]:
    """Give a picture's hash as -1 and 1.

    Args:
        pixels: Grey values, SIDE x SIDE.
    """
    low = dctn(pixels.astype(np.float64), norm="ortho")[:LOWEST, :LOWEST].ravel()[1:]
    return np.where(low > np.median(low), 1, -1).astype(np.float32)


def strangers(hashes: Real[np.ndarray, "n bits"], subjects: Int64[np.ndarray, " n"]) -> float:
    """Give the distance below which one in a hundred pairs of different patients lies; 0 where there are too few.

    Args:
        hashes: The hashes, of -1 and 1.
        subjects: Whose they are.
    """
    one, other = np.random.default_rng(0).integers(0, len(hashes), (2, _SAMPLED))
    apart = subjects[one] != subjects[other]
    n = len(np.unique(subjects))
    if n * (n - 1) // 2 < _LEAST_PAIRS:
        return 0.0
    agree = np.einsum("nb,nb->n", hashes[one[apart]], hashes[other[apart]], dtype=np.float32)
    nearest = float(np.quantile((1 - np.abs(agree) / hashes.shape[1]) / 2, 0.01))
    return nearest


def close(hashes: Real[np.ndarray, "n bits"], limit: float) -> Iterator[tuple[int, int, float]]:
    """Find pairs of hashes that differ in few bits, or in nearly all.

    Args:
        hashes: The hashes, of -1 and 1.
        limit: Greatest share of bits that differ.

    Yields:
        Places i < j and the share, ascending.
    """
    n, bits = hashes.shape
    for start in range(0, n, _BLOCK):
        for other in range(start, n, _BLOCK):
            one, two = hashes[start : start + _BLOCK], hashes[other : other + _BLOCK]
            agree = one.astype(np.float32) @ two.astype(np.float32).T
            share = (1 - np.abs(agree) / bits) / 2
            for i, j in np.argwhere(share <= limit):
                if start + i < other + j:
                    yield start + int(i), other + int(j), float(share[i, j])
