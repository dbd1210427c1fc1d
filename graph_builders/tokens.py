"""The k concepts that stand for a sample's modality, as rectangular tensors.

Rows of one (sample, modality, concept, polarity) are one candidate, with the largest of their weights.
Candidates are ranked by: affirmed before all other polarities; weight; depth in the ontology (specific before
general); and SCTID, so that ties fall the same way each time. The ranking reads the evidence alone, never the
graph or the other patients: a null graph that moves concepts to other nodes gets the same SCTIDs as the real
one, and no test patient has a say in what a training patient shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from graph_builders.evidence import Evidence
from ontology.errors import InputError
from ontology.recognise import POLARITIES

PAD = -1


class TokenTable(NamedTuple):
    """Concept tokens of n samples, M modalities, at most k each; `concept` is -1 where there is none."""

    concept: Int64[Tensor, "samples modalities k"]
    weight: Float32[Tensor, "samples modalities k"]
    polarity: Int64[Tensor, "samples modalities k"]


def rank_tokens(evidence: Evidence, sctids: np.ndarray[Any, np.dtype[np.int64]]) -> pl.DataFrame:
    """Rank each observation's candidates and find the node that each sits on.

    Args:
        evidence: The evidence.
        sctids: The SCTID on each node [N]. Evidence whose concept is on no node is no candidate.

    Returns:
        sample_id, modality, node, weight, p (index into POLARITIES), rank from 0.
    """
    nodes = pl.DataFrame({"concept": sctids, "node": np.arange(len(sctids), dtype=np.int64)})
    order = pl.DataFrame({"polarity": list(POLARITIES), "p": np.arange(len(POLARITIES))})
    return pl.concat(_ranked(merged, nodes, order) for merged in evidence.merged_parts())


def _ranked(merged: pl.DataFrame, nodes: pl.DataFrame, order: pl.DataFrame) -> pl.DataFrame:
    return (
        merged.join(nodes, on="concept")
        .join(order, on="polarity")
        .with_columns(denied=pl.col("p") > 0)
        .sort(
            ["sample_id", "modality", "denied", "weight", "depth", "concept", "p"],
            descending=[False, False, False, True, True, False, False],
            nulls_last=True,
        )
        .with_columns(rank=pl.int_range(pl.len()).over("sample_id", "modality"))
        .select("sample_id", "modality", "node", "weight", "p", "rank")
    )


def token_table(
    ranked: pl.DataFrame, sample_ids: Sequence[int], modalities: Sequence[str], k: int
) -> TokenTable:
    """Lay the first k candidates out as tensors.

    Args:
        ranked: What `rank_tokens` gave.
        sample_ids: Samples in the order wanted; one may occur twice.
        modalities: Modalities in the order wanted.
        k: Number of tokens an observation.

    Raises:
        InputError: If k is not positive.
    """
    if k < 1:
        raise InputError(f"an observation cannot have {k} tokens", remedy="Give k >= 1")
    rows = pl.DataFrame({"sample_id": np.asarray(sample_ids, dtype=np.int64)}).with_row_index("i")
    columns = pl.DataFrame({"modality": list(modalities)}, {"modality": pl.String}).with_row_index("m")
    chosen = ranked.filter(pl.col("rank") < k).join(rows, on="sample_id").join(columns, on="modality")
    place = tuple(chosen[name].to_numpy().astype(np.int64) for name in ("i", "m", "rank"))
    shape = (rows.height, columns.height, k)
    concept, polarity = np.full(shape, PAD, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    weight = np.zeros(shape, dtype=np.float32)
    concept[place], weight[place], polarity[place] = (
        chosen[name].to_numpy() for name in ("node", "weight", "p")
    )
    return TokenTable(torch.from_numpy(concept), torch.from_numpy(weight), torch.from_numpy(polarity))
