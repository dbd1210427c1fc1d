"""Is anybody on both sides? A patient, patients who belong together, an identical image, a record under two ids.

Nothing of how splits are made is trusted here: bytes of images and stored groups are read anew, and each split is
asked for on its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import polars as pl

from mhdiff.audit.finding import FAILURE, Check, Finding, cases
from mhdiff.audit.material import Material
from mhdiff.cohort import meds
from ontology.files import sha256

LEAST_EVENTS = 5  # two records of fewer events may be equal by chance


def check(material: Material) -> Check:
    """Look for overlap between the splits.

    Args:
        material: What is audited.
    """
    found = [*_patients(material), *_groups(material), *_images(material), *_records(material)]
    n = len(material.split_of)
    return Check(
        "overlap",
        "Is anybody on both sides of the split?",
        f"{n:,} patients, split '{material.split}'; groups of the cohort; bytes of every image; records of at "
        f"least {LEAST_EVENTS} events",
        found,
    )


def _patients(material: Material) -> list[Finding]:
    torn = sorted(subject for subject, splits in material.split_of.items() if len(splits) > 1)
    if not torn:
        return []
    told = f"{len(torn)} of {len(material.split_of):,} patients. Give each one split in {meds.SPLITS_FILE}"
    rows = ((s, None, "+".join(sorted(material.split_of[s]))) for s in torn)
    return [Finding("patient_in_splits", FAILURE, told, cases(rows))]


def _groups(material: Material) -> list[Finding]:
    stored = material.table(meds.GROUPS_FILE, ["subject_id", "group"])
    if stored is None:
        return []
    torn, groups = _torn(material, ((s, group) for s, group in stored.iter_rows()))
    if not groups:
        return []
    told = f"{groups} groups of {meds.GROUPS_FILE}. Put each into one split; fold:, site: and after: do"
    return [Finding("group_in_splits", FAILURE, told, cases((a, b, "group") for a, b, _ in torn))]


def _images(material: Material) -> list[Finding]:
    """By bytes; only images whose size is not unique are read."""
    root = material.cohort.path.resolve()
    places = [
        (subject, relative, place)
        for subject, relative in material.cohort.images.unique().sort("subject_id", "path").iter_rows()
        if (place := (root / relative).resolve()).is_relative_to(root) and place.is_file()
    ]
    sizes: dict[int, int] = {}
    for _, _, place in places:
        size = place.stat().st_size
        sizes[size] = sizes.get(size, 0) + 1
    shared = ((s, sha256(place)) for s, _, place in places if sizes[place.stat().st_size] > 1)
    torn, images = _torn(material, shared)
    if not images:
        return []
    told = f"{images} images are in several splits. Put their patients into one; fold:, site: and after: do"
    return [Finding("identical_image", FAILURE, told, cases((a, b, "image") for a, b, _ in torn))]


def _records(material: Material) -> list[Finding]:
    """Subjects whose timed codes and numbers are the same, birth and death apart."""
    events = material.cohort.scan().filter(
        pl.col("time").is_not_null(), ~pl.col("code").is_in([meds.BIRTH, "MEDS_DEATH"])
    )
    # Sums of hashes do not depend on the order of events; two seeds make an accident unlikely.
    digests = (pl.struct("time", "code", "numeric_value").hash(seed=seed).cast(pl.Int64, wrap_numerical=True)
               for seed in (0, 1))  # fmt: skip
    told = events.group_by("subject_id").agg(
        pl.len().alias("n"), *(digest.sum().alias(f"key{i}") for i, digest in enumerate(digests))
    )
    rows = told.filter(pl.col("n") >= LEAST_EVENTS).select(
        "subject_id", pl.struct("n", "key0", "key1").alias("key")
    )
    again = rows.collect().filter(pl.col("key").is_duplicated()).sort("subject_id")
    torn, records = _torn(material, ((subject, tuple(key.values())) for subject, key in again.iter_rows()))
    if not records:
        return []
    said = f"{records} records stand under several ids. They are one person: join them in {meds.GROUPS_FILE}"
    return [Finding("identical_record", FAILURE, said, cases((a, b, "record") for a, b, _ in torn))]


def _torn(
    material: Material, members: Iterable[tuple[int, Hashable]]
) -> tuple[list[tuple[int, int, Hashable]], int]:
    """Give pairs of subjects that share a key and are in different splits, and how many keys have such a pair."""
    by_key: dict[Hashable, list[int]] = {}
    for subject, key in members:
        own = by_key.setdefault(key, [])
        if subject not in own:
            own.append(subject)
    torn, keys = [], 0
    for key, own in by_key.items():
        first: dict[frozenset[str], int] = {}  # of those in the same splits one stands for all
        pairs = []
        for subject in own:
            other = next((held for held in first.values() if material.apart(held, subject)), None)
            if other is not None:
                pairs.append((other, subject, key))
            first.setdefault(frozenset(material.split_of.get(subject, ())), subject)
        torn += pairs
        keys += bool(pairs)
    return torn, keys
