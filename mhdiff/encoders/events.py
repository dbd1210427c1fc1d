"""One value a sample out of a modality's events: the latest text, or all texts joined in the order of time."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def latest_text(events: pl.DataFrame, sample_ids: Sequence[int]) -> list[str | None]:
    """Give each sample's latest `text_value`, such as the file of its latest image.

    Args:
        events: A window's events of one modality.
        sample_ids: The samples, in the order wanted.
    """
    return _by_sample(events, pl.col("text_value").last(), sample_ids)


def joined_text(events: pl.DataFrame, sample_ids: Sequence[int]) -> list[str | None]:
    """Give each sample's texts as one, a line between them.

    Args:
        events: A window's events of one modality.
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
