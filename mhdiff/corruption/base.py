"""What a corruption is: a seeded change of one kind of modality at test time, of severity 0 (none) to 5.

    spoilt_i = c(record_i; severity, u_i),   u_i = u(seed, name, sample_i)

- record_i: what is known of sample i in one modality, its events and the evidence collected from them, or its pixels;
- u_i: random numbers that are a function of seed, corruption and sample alone, the same for every severity: what a
  lower severity spoils, a higher one spoils too, and a sample's record never depends on which others are asked for.

Events are spoilt before they are read, so that a wrong unit is wrong in the raw value and standardised afterwards. The
evidence follows the events: it is taken from the graph's own evidence of the same words, codes and findings, without
the ontology at hand. What is absent stays absent, what is present stays present, and other modalities are untouched.
Where another patient's record is needed, it is one of the same split.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from mhdiff.encoders.preprocess import Preprocessor
from ontology.errors import InputError

SEVERITIES = (0, 1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Record:
    """What is known of some samples in one modality.

    Attributes:
        events: In the columns of `mhdiff.cohort.window`.
        evidence: In the columns of `graph_builders.evidence.SCHEMA`.
    """

    events: pl.DataFrame
    evidence: pl.DataFrame

    def of(self, sample_ids: Sequence[int]) -> Record:
        """Keep some samples.

        Args:
            sample_ids: Which.
        """
        kept = pl.col("sample_id").is_in(pl.Series(sample_ids, dtype=pl.Int64).implode())
        return Record(self.events.filter(kept), self.evidence.filter(kept))


@dataclass(frozen=True)
class Source:
    """The same modality of every sample, from which another patient's record is taken.

    Attributes:
        events: All events.
        evidence: All evidence.
        samples: sample_id, subject_id and split.
    """

    events: pl.DataFrame
    evidence: pl.DataFrame
    samples: pl.DataFrame

    def by_split(self, having: pl.DataFrame) -> dict[str, list[tuple[int, int]]]:
        """Give (sample_id, subject_id) of each split's samples, ascending.

        Args:
            having: Only samples that occur in this frame's `sample_id`.
        """
        rows = self.samples.join(having.select("sample_id").unique(), on="sample_id").sort("sample_id")
        found: dict[str, list[tuple[int, int]]] = {}
        for sample, subject, split in rows.select("sample_id", "subject_id", "split").iter_rows():
            found.setdefault(split, []).append((sample, subject))
        return found


class Corruption(ABC):
    """A named, seeded change.

    Args:
        severity: 0 (nothing is changed) to 5.
        seed: Seed of what is drawn.

    Attributes:
        name: What the command line calls it.
        reads: The kind of reader whose modalities it acts on.
        levels: The amount at severity 1 to 5; what it means says the class.

    Raises:
        InputError: If there is no such severity.
    """

    name: ClassVar[str]
    reads: ClassVar[type[Preprocessor]]
    levels: ClassVar[tuple[float, float, float, float, float]]

    def __init__(self, severity: int = 3, seed: int = 0) -> None:
        if severity not in SEVERITIES:
            raise InputError(
                f"a severity of {severity} is not known", remedy="Give 1 (slight) to 5 (worst), or 0 for none"
            )
        self.severity, self.seed = severity, seed

    @property
    def amount(self) -> float:
        """The amount at this severity; 0 at severity 0."""
        return self.levels[self.severity - 1] if self.severity else 0.0

    def acts_on(self, reader: Preprocessor) -> bool:
        """Say whether a modality is of the kind that is spoilt.

        Args:
            reader: The modality's reader.
        """
        return isinstance(reader, self.reads)

    def _digest(self, *key: object) -> int:
        text = repr((self.seed, self.name, *key)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")

    def draw(self, *key: object) -> float:
        """Give a number in [0, 1) that seed, corruption and key decide.

        Args:
            key: What it is drawn for, such as a sample and a code.
        """
        return (self._digest(*key) >> 11) / 2.0**53

    def generator(self, *key: object) -> np.random.Generator:
        """Give a generator that seed, corruption and key decide.

        Args:
            key: What it draws for.
        """
        return np.random.default_rng(self._digest(*key))

    def __str__(self) -> str:
        return f"{self.name}:{self.severity}"


class EventCorruption(Corruption):
    """Changes events, and the evidence with them."""

    @abstractmethod
    def record(self, record: Record, source: Source) -> Record:
        """Spoil some samples' events and evidence.

        Args:
            record: Theirs.
            source: Everybody's.
        """


class PixelCorruption(Corruption):
    """Changes pixels; the evidence of an image is its kind, which stays."""

    @abstractmethod
    def pixels(
        self, image: Float[Tensor, channel * size], rng: np.random.Generator
    ) -> Float[Tensor, channel * size]:
        """Spoil one image.

        Args:
            image: In [0, 1].
            rng: Source of randomness.

        Returns:
            In [0, 1].
        """

    def tensors(
        self, inputs: dict[str, Tensor], sample_ids: Sequence[int], present: Mapping[int, bool]
    ) -> dict[str, Tensor]:
        """Spoil a batch's `pixels`; rows of samples without an image stay as they are.

        Args:
            inputs: What the reader gave.
            sample_ids: The rows' samples.
            present: Which samples have an image.
        """
        if not self.severity:
            return inputs
        spoilt = [
            self.pixels(image, self.generator(sample)) if present[sample] else image
            for sample, image in zip(sample_ids, inputs["pixels"], strict=True)
        ]
        return {**inputs, "pixels": torch.stack(spoilt) if spoilt else inputs["pixels"]}
