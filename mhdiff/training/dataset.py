"""Samples as tensors, and how rows become a batch.

Of several images the latest before prediction_time is taken; notes are joined in the order of time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import torch
from jaxtyping import Bool
from torch import Tensor
from torch.utils.data import Dataset

from graph_builders import TokenTable
from mhdiff.batch import Batch, EvidenceBatch
from mhdiff.encoders.preprocess_image import ImageReader


def latest_image(events: pl.DataFrame, sample_ids: Sequence[int]) -> list[str | None]:
    """Give each sample's latest image, relative to the cohort's folder.

    Args:
        events: A window's events of modality `image`.
        sample_ids: The samples, in the order wanted.
    """
    return _by_sample(events, pl.col("text_value").last(), sample_ids)


def joined_note(events: pl.DataFrame, sample_ids: Sequence[int]) -> list[str | None]:
    """Give each sample's notes as one text.

    Args:
        events: A window's events of modality `note`.
        sample_ids: The samples, in the order wanted.
    """
    return _by_sample(events, pl.col("text_value").str.join("\n"), sample_ids)


def _by_sample(events: pl.DataFrame, value: pl.Expr, sample_ids: Sequence[int]) -> list[str | None]:
    rows = (
        events.filter(pl.col("text_value").is_not_null())
        .sort("sample_id", "time", maintain_order=True)
        .group_by("sample_id", maintain_order=True)
        .agg(value)
    )
    found = dict(rows.iter_rows())
    return [found.get(sample) for sample in sample_ids]


class Outlines:
    """Where findings are in images, read when a batch is made, or held in memory.

    Args:
        modality: Name of the images' modality.
        files: A mask for each sample; None where there is none.
        reader: Reads them in the geometry of its images.
        cache: Hold all in memory.
    """

    def __init__(
        self, modality: str, files: Sequence[Path | None], reader: ImageReader, cache: bool = False
    ) -> None:
        self.modality, self.files, self.reader = modality, list(files), reader
        self.held = self._read(range(len(self.files))) if cache else None

    def __len__(self) -> int:
        return sum(file is not None for file in self.files)

    def of(self, rows: Sequence[int]) -> Bool[Tensor, "row ..."]:
        """Give the masks of some samples; nothing is True where there is none.

        Args:
            rows: Row numbers.
        """
        return self._read(rows) if self.held is None else self.held[torch.as_tensor(rows)]

    def _read(self, rows: Sequence[int]) -> Tensor:
        return torch.stack([self.reader.outline(self.files[row]) for row in rows])


class SampleDataset(Dataset[int]):
    """Rows of one split. An item is its row number; `collate` makes the batch of several.

    Args:
        sample_ids: The samples.
        labels: Their classes.
        modalities: Names, in the order of the batch's modality axis.
        present: Which of them each sample has, shape (samples, modalities).
        tensors: For each modality what its preprocessor gave, one row a sample.
        images: Paths to read when a batch is made, where images are not held in memory.
        read: Reads such a path.
        tokens: The evidence of the same rows.
        masks: Outlines of findings, one a sample.
    """

    def __init__(
        self,
        sample_ids: Sequence[int],
        labels: Sequence[int],
        modalities: Sequence[str],
        present: Tensor,
        tensors: dict[str, dict[str, Tensor]],
        images: dict[str, list[Path | None]],
        read: Callable[[Sequence[Path | None]], dict[str, Tensor]],
        tokens: TokenTable,
        masks: Outlines | None = None,
    ) -> None:
        self.sample_ids, self.labels = torch.tensor(list(sample_ids)), torch.tensor(list(labels))
        self.modalities, self.present = list(modalities), present
        self.tensors, self.images, self.read = tensors, images, read
        self.masks = masks
        self.evidence = EvidenceBatch(
            torch.as_tensor(tokens.concept).long(),
            torch.as_tensor(tokens.weight).float(),
            torch.as_tensor(tokens.polarity).long(),
        )

    def __len__(self) -> int:
        return len(self.sample_ids)

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return index

    def collate(self, rows: Sequence[int]) -> Batch:
        """Make a batch of rows.

        Args:
            rows: Row numbers.
        """
        index = torch.as_tensor(rows)
        inputs = {
            m: self.read([self.images[m][row] for row in rows])
            if m in self.images
            else {key: tensor[index] for key, tensor in self.tensors[m].items()}
            for m in self.modalities
        }
        evidence = EvidenceBatch(
            self.evidence.concept[index], self.evidence.weight[index], self.evidence.polarity[index]
        )
        masks = {} if self.masks is None else {self.masks.modality: self.masks.of(rows)}
        return Batch(self.sample_ids[index], self.present[index], inputs, evidence, self.labels[index], masks)
