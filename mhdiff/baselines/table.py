r"""Patients as rows of a table, for models that read one: TF-IDF of notes, values of labs, weights of codes, images.

    notes     TF-IDF of words and pairs of words, log-scaled counts, rows of length 1; of the whole text
    labs      the z-scores that the encoder reads; NaN where not measured
    codes     the weights that the encoder reads
    images    pixels averaged over a grid, which no network has seen; with `data.embeddings` what is stored of them

Everything that is fitted (vocabulary, frequencies, means) is fitted on the training split. Any other modality is the
tensors that its reader makes, side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy import sparse
from torch import Tensor

from mhdiff.encoders.events import joined_text
from mhdiff.encoders.preprocess_text import TextPreprocessor
from mhdiff.training.data import MultimodalData

Matrix = np.ndarray[Any, np.dtype[np.float32]]
_POOL = {1: torch.nn.functional.adaptive_avg_pool1d, 2: torch.nn.functional.adaptive_avg_pool2d,
         3: torch.nn.functional.adaptive_avg_pool3d}  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """Samples of one split.

    Attributes:
        sample_id: Which.
        label: Their classes.
        present: Which modalities they have, in the data's order.
        blocks: For each modality its columns: sparse for notes, else dense with NaN for what is not known.
    """

    sample_id: Int64[np.ndarray, " n"]
    label: Int64[np.ndarray, " n"]
    present: Bool[Tensor, "n modality"]
    blocks: dict[str, Any]


class Table:
    """Reads splits as tables.

    Args:
        data: A data module that is set up.
        words: Most words and pairs of words, the most frequent ones of the training notes.
        grid: Cells of an image along each axis.
    """

    def __init__(self, data: MultimodalData, words: int, grid: int) -> None:
        self.data, self.words, self.grid = data, words, grid
        self.vectorizers: dict[str, Any] = {}
        self.mean: dict[str, Matrix] = {}
        self.std: dict[str, Matrix] = {}
        self.train = self.read("train")

    def read(self, split: str) -> Rows:
        """Read a split; the first one read is the training split, which everything is fitted on.

        Args:
            split: Its name.
        """
        dataset = self.data.dataset([split])
        ids = dataset.sample_ids.tolist()
        parts: dict[str, list[Tensor]] = {m: [] for m in self.data.modalities if not self._is_text(m)}
        for _, batch in dataset.batches(256):
            for modality, found in parts.items():
                found.append(_columns(batch.inputs[modality], self.grid))
        blocks: dict[str, Any] = {}
        for column, modality in enumerate(self.data.modalities):
            here = dataset.present[:, column].numpy()
            if modality in parts:
                blocks[modality] = torch.cat(parts[modality]).numpy()
                self._measure(modality, blocks[modality][here])
            else:
                blocks[modality] = self._tf_idf(modality, ids, here)
        return Rows(np.array(ids), dataset.labels.numpy(), dataset.present, blocks)

    def _is_text(self, modality: str) -> bool:
        stored = self.data.are_stored([modality])
        return not stored and isinstance(self.data.readers[modality], TextPreprocessor)

    def _tf_idf(self, modality: str, ids: Sequence[int], here: Bool[np.ndarray, " n"]) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        texts = [text or "" for text in joined_text(self.data.events(modality), ids)]
        if modality not in self.vectorizers:
            fitted = TfidfVectorizer(
                ngram_range=(1, 2), min_df=2, max_features=self.words, sublinear_tf=True, dtype=np.float32
            )
            known = [text for text, there in zip(texts, here, strict=True) if there]
            try:
                self.vectorizers[modality] = fitted.fit(known)
            except ValueError:  # no word stands in two training notes: the modality has no columns
                self.vectorizers[modality] = None
        if self.vectorizers[modality] is None:
            return sparse.csr_matrix((len(texts), 0), dtype=np.float32)
        return self.vectorizers[modality].transform(texts)

    def _measure(self, modality: str, known: Matrix) -> None:
        if modality in self.mean:
            return
        count = (~np.isnan(known)).sum(0)
        mean = np.nansum(known, 0) / np.maximum(count, 1)
        variance = np.nansum((known - mean) ** 2, 0) / np.maximum(count, 1)
        self.mean[modality], self.std[modality] = mean, np.where(variance > 1e-12, np.sqrt(variance), 1.0)

    def with_gaps(self, rows: Rows, present: Bool[Tensor, "n modality"]) -> Float[np.ndarray, "n column"]:
        """Give a dense table, NaN for what is not known and for modalities that are not shown.

        Args:
            rows: The samples.
            present: What is shown of them.
        """
        parts: list[Any] = [present.numpy().astype(np.float32)]
        for column, modality in enumerate(self.data.modalities):
            block = rows.blocks[modality]
            whole = np.array(block.todense() if sparse.issparse(block) else block, dtype=np.float32)
            whole[~present[:, column].numpy()] = np.nan
            parts.append(whole)
        return np.concatenate(parts, 1)

    def without_gaps(self, rows: Rows, present: Bool[Tensor, "n modality"]) -> Any:
        """Give a sparse table on one scale, 0 (the training mean) for what is not known, and what is shown beside it.

        Args:
            rows: The samples.
            present: What is shown of them.
        """
        parts: list[Any] = [sparse.csr_matrix(present.numpy().astype(np.float32))]
        for column, modality in enumerate(self.data.modalities):
            block = rows.blocks[modality]
            if not sparse.issparse(block):
                scaled = (block - self.mean[modality]) / self.std[modality]
                block = sparse.csr_matrix(np.nan_to_num(scaled).astype(np.float32))
            parts.append(sparse.diags(present[:, column].numpy().astype(np.float32)) @ block)
        return sparse.hstack(parts, format="csr")


def _columns(inputs: dict[str, Tensor], grid: int) -> Float[Tensor, "n column"]:
    """One modality's tensors side by side; images by the means of a grid, values that are not measured NaN."""
    if "pixels" in inputs:
        pixels = inputs["pixels"]
        return _POOL[pixels.ndim - 2](pixels.float(), grid).flatten(1)
    if "measured" in inputs and "value" in inputs:
        return inputs["value"].float().masked_fill(inputs["measured"] == 0, torch.nan)
    return torch.cat([inputs[name].float().flatten(1) for name in sorted(inputs)], 1)
