"""Samples as tensors, and how rows become a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.utils.data import Dataset

from graph_builders import TokenTable
from mhdiff import console
from mhdiff.batch import Batch, EvidenceBatch
from mhdiff.encoders.preprocess_image import ImageReader
from ontology.errors import InputError


@dataclass(frozen=True)
class Files:
    """A modality whose files are read when a batch is made.

    Attributes:
        paths: One a sample; None where it has none.
        read: Reads some of them.
        spoil: Changes what was read, given the sample_ids of the rows; None leaves it as it is.
    """

    paths: list[Path | None]
    read: Callable[[Sequence[Path | None]], dict[str, Tensor]]
    spoil: Callable[[dict[str, Tensor], Sequence[int]], dict[str, Tensor]] | None = None

    def of(self, rows: Sequence[int], sample_ids: Sequence[int]) -> dict[str, Tensor]:
        """Read the files of some rows.

        Args:
            rows: Row numbers.
            sample_ids: Their samples.

        Raises:
            InputError: If one cannot be read; it names the sample and not the file, whose name may hold an id.
        """
        try:
            tensors = self.read([self.paths[row] for row in rows])
        except InputError as error:
            raise _nameless(error, [self.paths[row] for row in rows], sample_ids) from None
        return tensors if self.spoil is None else self.spoil(tensors, sample_ids)


def _nameless(error: InputError, paths: Sequence[Path | None], sample_ids: Sequence[int]) -> InputError:
    """Say of which sample a file cannot be read, instead of which file."""
    found = [sample for path, sample in zip(paths, sample_ids, strict=True) if path == error.path]
    if not found:
        return error
    return InputError(f"sample {found[0]}: {error.problem}", remedy=error.remedy)


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

    @classmethod
    def among(
        cls,
        folder: Path,
        modality: str,
        images: Sequence[str | None],
        reader: ImageReader,
        cache: bool = False,
    ) -> Outlines:
        """Find the masks of images in a folder, each named like its image, as .png.

        Args:
            folder: The folder.
            modality: Name of the images' modality.
            images: Names of the images; None where a sample has none.
            reader: Reads the masks.
            cache: Hold all in memory.
        """
        files = [None if i is None else folder / f"{PurePosixPath(i).stem}.png" for i in images]
        found = [file if file is not None and file.is_file() else None for file in files]
        return cls(modality, found, reader, cache)

    def __len__(self) -> int:
        return sum(file is not None for file in self.files)

    def of(self, rows: Sequence[int]) -> Bool[Tensor, "row ..."]:
        """Give the masks of some samples; nothing is True where there is none.

        Args:
            rows: Row numbers.
        """
        return self._read(rows) if self.held is None else self.held[torch.as_tensor(rows)]

    def _read(self, rows: Sequence[int]) -> Tensor:
        try:
            return torch.stack([self.reader.outline(self.files[row]) for row in rows])
        except InputError as error:  # masks are named as images are, which may hold an id
            raise InputError(f"a mask: {error.problem}", remedy=error.remedy) from None


class SampleDataset(Dataset[int]):
    """Rows of one split. An item is its row number; `collate` makes the batch of several.

    Args:
        sample_ids: The samples.
        labels: Their classes.
        modalities: Names, in the order of the batch's modality axis.
        present: Which of them each sample has, shape (samples, modalities).
        tensors: For each modality what its preprocessor gave, one row a sample.
        files: What is read when a batch is made, by modality.
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
        files: dict[str, Files],
        tokens: TokenTable,
        masks: Outlines | None = None,
    ) -> None:
        self.sample_ids, self.labels = torch.tensor(list(sample_ids)), torch.tensor(list(labels))
        self.modalities, self.present = list(modalities), present
        self.tensors, self.files = tensors, files
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
            m: self.files[m].of(rows, self.sample_ids[index].tolist())
            if m in self.files
            else {key: tensor[index] for key, tensor in self.tensors[m].items()}
            for m in self.modalities
        }
        concept = self.evidence.concept[index]
        most = int((concept >= 0).flatten(1).sum(1).max()) if len(concept) else 0
        evidence = EvidenceBatch(concept, self.evidence.weight[index], self.evidence.polarity[index], most)
        masks = {} if self.masks is None else {self.masks.modality: self.masks.of(rows)}
        return Batch(self.sample_ids[index], self.present[index], inputs, evidence, self.labels[index], masks)

    def batches(self, size: int, told: str = "") -> Iterator[tuple[range, Batch]]:
        """Walk all samples in their order, and give row numbers and batch of each stretch of them.

        Args:
            size: Samples a batch, at most.
            told: What is said to be going on while it lasts; nothing is said if empty.
        """
        starts = range(0, len(self), size)
        for start in console.progress(starts, told, total=len(starts)) if told else starts:
            rows = range(start, min(start + size, len(self)))
            yield rows, self.collate(rows)
