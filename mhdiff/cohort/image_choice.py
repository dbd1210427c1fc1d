"""Which image of a modality is taken, where a task says so; without, all of a window stay and readers take the last.

    modalities:
      image: {prefixes: [IMAGE//CXR], view: [PA, AP], choose: nearest, within_days: 30}

    view         only these, the first one before the others: a part of the code, as PA of IMAGE//CXR//PA, in any case
    choose       nearest (last, the same, as nothing after the prediction passes) or first of the window
    within_days  none so long before prediction_time, or longer; an image without a time is none then

Any of the keys means that one image a sample is taken, or none: `nearest` where `choose` does not say otherwise. The
view counts before the time. An image without a time comes after all others, and of two at one time the later row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import polars as pl

KEYS: Final = ("view", "choose", "within_days")
_CHOICES: Final = ("nearest", "last", "first")
OTHER_VIEW, TOO_FAR, NOT_CHOSEN = (
    "an image of a view that is not asked for",
    "an image too long before prediction_time",
    "another image is taken",
)


@dataclass(frozen=True)
class Choice:
    """Which image of a modality is taken.

    Attributes:
        view: Views in the order of preference; empty for any.
        first: The first of the window instead of the one nearest to prediction_time.
        within_days: None so many days before prediction_time or longer; None for no limit.
    """

    view: tuple[str, ...] = ()
    first: bool = False
    within_days: float | None = None

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any], name: str, prefixes: tuple[str, ...]) -> Choice | None:
        """Make it of a modality's entry; None where that has none of the keys.

        Args:
            entry: The mapping as in the YAML file.
            name: The modality.
            prefixes: Its prefixes of codes.

        Raises:
            ValueError: If a key is of the wrong kind, or the modality is none of images; the message says which.
        """
        if not set(entry) & set(KEYS):
            return None
        from graph_builders.collect import FILE_CODES

        place = f"modalities.{name}"
        if not all(prefix.startswith(FILE_CODES) for prefix in prefixes):
            raise ValueError(
                f"'{place}' has '{next(key for key in KEYS if key in entry)}', which is only for images and signals: "
                f"prefixes from {' or '.join(FILE_CODES)} on"
            )
        view, choose, days = (entry.get(key) for key in KEYS)
        if view is not None and (
            not isinstance(view, list) or not view or not all(isinstance(v, str) and v for v in view)
        ):
            raise ValueError(f"'{place}.view' must list views as texts, such as [PA, AP]")
        if choose is not None and choose not in _CHOICES:
            raise ValueError(f"'{place}.choose' must be one of {', '.join(_CHOICES)}")
        if days is not None and (isinstance(days, bool) or not isinstance(days, (int, float)) or days <= 0):
            raise ValueError(f"'{place}.within_days' must be a number above 0")
        return cls(tuple(view or ()), choose == "first", days)


def choose(rows: pl.DataFrame, choices: Mapping[str, Choice]) -> tuple[pl.DataFrame, dict[str, int]]:
    """Leave one image of a modality to each sample, or none.

    Args:
        rows: Events with sample_id, prediction_time, modality, time, code, and reason, null for those that stay.
        choices: Modality -> which one is taken.

    Returns:
        The rows in their order, those that are not taken with a reason; and modality -> number of samples that have
        images of it in the window, none of which fits.
    """
    none: dict[str, int] = {}
    for modality, choice in choices.items():
        place, rank, why = "_place", "_rank", "_why"
        here = rows.with_row_index(place).filter(pl.col("reason").is_null(), pl.col("modality") == modality)
        judged = here.with_columns(_rank(choice).alias(rank), _far(choice).alias("_far")).with_columns(
            pl.when(pl.col(rank).is_null())
            .then(pl.lit(OTHER_VIEW))
            .when(pl.col("_far"))
            .then(pl.lit(TOO_FAR))
            .otherwise(None)
            .alias(why)
        )
        fits = judged.filter(pl.col(why).is_null())
        taken = fits.sort(
            ["sample_id", rank, "time", place],
            descending=[False, False, not choice.first, not choice.first],
            nulls_last=True,
        ).unique("sample_id", keep="first", maintain_order=True)
        none[modality] = judged["sample_id"].n_unique() - taken.height
        left = judged.join(taken.select(place), on=place, how="anti").select(
            place, pl.col(why).fill_null(NOT_CHOSEN)
        )
        rows = (
            rows.with_row_index(place)
            .join(left, on=place, how="left", maintain_order="left")
            .with_columns(reason=pl.coalesce("reason", why))
            .drop(place, why)
        )
    return rows, none


def _rank(choice: Choice) -> pl.Expr:
    """Place of the view in the order of preference; null for one that is not asked for."""
    if not choice.view:
        return pl.lit(0, pl.Int64)
    code = pl.col("code").str.to_uppercase() + "//"
    found: Any = pl.when(False).then(pl.lit(None, pl.Int64))
    for rank, view in enumerate(choice.view):
        found = found.when(code.str.contains(f"//{view.upper()}//", literal=True)).then(
            pl.lit(rank, pl.Int64)
        )
    made: pl.Expr = found.otherwise(None)
    return made


def _far(choice: Choice) -> pl.Expr:
    if choice.within_days is None:
        return pl.lit(False)
    near = pl.col("time") > pl.col("prediction_time") - timedelta(days=choice.within_days)
    return ~near.fill_null(False)
