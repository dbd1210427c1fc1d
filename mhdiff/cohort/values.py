"""Text to times and numbers, for tables that people write: one spelling a kind, nothing guessed.

A time is ISO 8601 without a zone, or the one form that the user declares. "03/04/2020" is not read without one, since
it is March here and April there. A day without a time of day is put at its last microsecond, since whoever predicts at
noon cannot know what was found at four o'clock; so a prediction on a day sees all of that day.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

import polars as pl

_MOMENTS: Final = tuple(f"%Y-%m-%d{t}%H:%M{seconds}" for t in (" ", "T") for seconds in ("", ":%S", ":%S%.f"))
LAST_OF_DAY: Final = pl.duration(days=1) - pl.duration(microseconds=1)
#: What people write where there is nothing; compared in lower case.
MISSING: Final = ("", "?", "-", "na", "n/a", "nan", "null", "none", "not stated", "unknown", "<na>")


class Times(NamedTuple):
    """Expressions of a column of times.

    Attributes:
        time: The time, null where there is none or it cannot be read.
        dated: Whether only the day was stated.
    """

    time: pl.Expr
    dated: pl.Expr


def times(column: str, form: str | None = None) -> Times:
    """Read a column of times.

    Args:
        column: Its name; text, null where nothing is stated.
        form: The declared form, such as "%d.%m.%Y %H:%M"; None for ISO 8601.
    """
    text = pl.col(column)
    if form is not None:
        clock = re.search(r"%[HITRXcsSM]", form) is not None
        if clock:
            return Times(text.str.to_datetime(form, time_unit="us", strict=False), pl.lit(False))
        day = text.str.to_date(form, strict=False)
        return Times(day.cast(pl.Datetime("us")) + LAST_OF_DAY, day.is_not_null())
    moment = pl.coalesce(text.str.to_datetime(f, time_unit="us", strict=False) for f in _MOMENTS)
    day = text.str.to_date("%Y-%m-%d", strict=False)
    return Times(pl.coalesce(moment, day.cast(pl.Datetime("us")) + LAST_OF_DAY), day.is_not_null())


def numbers(column: str) -> pl.Expr:
    """Read a column of finite numbers with a decimal point; null where it is no such number.

    Args:
        column: Its name; text.
    """
    read = pl.col(column).cast(pl.Float64, strict=False)
    return pl.when(read.is_finite()).then(read)


def stated(column: str) -> pl.Expr:
    """Give a column's text without blanks at its ends, null where it says nothing.

    Args:
        column: Its name; text.
    """
    text = pl.col(column).str.strip_chars()
    return pl.when(~text.str.to_lowercase().is_in(list(MISSING))).then(text)


def subject_number(identifier: str) -> int:
    """Give a subject's number: a whole number stands for itself, another text for its hash, from 10^15 up.

    Args:
        identifier: The source's id.
    """
    if re.fullmatch(r"0|[1-9]\d{0,14}", identifier):
        return int(identifier)
    return 10**15 + int(hashlib.sha256(identifier.encode()).hexdigest()[:13], 16)
