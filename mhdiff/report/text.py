"""How numbers are written: usable digits, a real minus, and never a blank for what is undefined."""

from __future__ import annotations

import math
from typing import Any

MINUS, NONE = "\N{MINUS SIGN}", "\N{EN DASH}"

METRICS = {
    "auroc": ("AUROC", "macro, one class against the rest; 0.5 is chance"),
    "auprc": ("AUPRC", "macro average precision; chance is the class's share"),
    "accuracy": ("Accuracy", "share of samples whose most probable class is right"),
    "f1": ("F1", "macro"),
    "sensitivity": ("Sensitivity", "macro, at thresholds from the tuning split"),
    "specificity": ("Specificity", "macro, at thresholds from the tuning split"),
    "sensitivity_at_90": ("Sensitivity at 90% specificity", "macro, read off the held-out ROC curve"),
    "ece": ("ECE", "top-label calibration error, bins of equal width; lower is better"),
    "ece_adaptive": ("ECE, adaptive", "top-label, bins of equally many samples"),
    "ece_classwise": ("ECE, class-wise", "mean over classes, bins of equal width"),
    "ece_classwise_adaptive": (
        "ECE, class-wise, adaptive",
        "mean over classes, bins of equally many samples",
    ),
    "brier": ("Brier", "sum over classes, 0 to 2; lower is better"),
}
LOWER_IS_BETTER = ("ece", "ece_adaptive", "ece_classwise", "ece_classwise_adaptive", "brier")


def number(value: float | None, digits: int = 3) -> str:
    """Write a number.

    Args:
        value: The number.
        digits: Decimal places.
    """
    if value is None or not math.isfinite(value):
        return NONE
    rounded = round(float(value), digits) + 0.0  # no minus before a zero
    return f"{rounded:.{digits}f}".replace("-", MINUS)


def signed(value: float | None, digits: int = 3) -> str:
    """Write a number with its sign.

    Args:
        value: The number.
        digits: Decimal places.
    """
    text = number(value, digits)
    plain = value is None or text == NONE or text.startswith(MINUS) or round(value, digits) == 0
    return text if plain else f"+{text}"


def small(value: float | None) -> str:
    """Write a signed number that may be far below one: three decimals, or two significant digits.

    Args:
        value: The number.
    """
    if value is None or not math.isfinite(value) or value == 0:
        return signed(value)
    return signed(value, min(8, max(3, 1 - math.floor(math.log10(abs(value))))))


def count(value: float | str | None) -> str:
    """Write a count with commas between thousands.

    Args:
        value: The count; text such as "<5" is kept.
    """
    if value is None:
        return NONE
    return value if isinstance(value, str) else f"{int(value):,}"


def probability(p: float) -> str:
    """Write a p-value: three decimals, and never 0.

    Args:
        p: The p-value.
    """
    return "<0.001" if p < 0.0005 else number(p)


def percent(value: float | None, digits: int = 0) -> str:
    """Write a share of 1 as a percentage.

    Args:
        value: The share.
        digits: Decimal places.
    """
    return NONE if value is None else f"{number(100 * value, digits)}%"


def span(estimate: dict[str, Any] | None, *, sign: bool = False, digits: int = 3) -> str:
    """Write an interval alone: "0.840 to 0.902", or why there is none.

    Args:
        estimate: {value, low, high, reason}.
        sign: Whether to write signs.
        digits: Decimal places.
    """
    if estimate is None or estimate.get("value") is None:
        return ""
    write = signed if sign else number
    if estimate.get("low") is None or estimate.get("high") is None:
        reason = str(estimate.get("reason") or "not resampled").removeprefix("no interval: ")
        return f"no interval: {reason}"
    return f"{write(estimate['low'], digits)} to {write(estimate['high'], digits)}"


def figure(estimate: dict[str, Any] | None, *, sign: bool = False, digits: int = 3) -> str:
    """Write a figure with its interval, or why it is undefined.

    Args:
        estimate: {value, low, high, reason}.
        sign: Whether to write signs.
        digits: Decimal places.
    """
    if estimate is None:
        return NONE
    if estimate.get("value") is None:
        return f"undefined: {estimate.get('reason') or 'no reason was given'}"
    write = signed if sign else number
    return f"{write(estimate['value'], digits)} ({span(estimate, sign=sign, digits=digits)})"


def signed_figure(estimate: dict[str, Any] | None) -> str:
    """Write a difference with its interval, or why it is undefined.

    Args:
        estimate: {value, low, high, reason}.
    """
    return figure(estimate, sign=True)


def duration(seconds: float | None) -> str:
    """Write a time.

    Args:
        seconds: The time.
    """
    if seconds is None:
        return NONE
    if seconds < 60:
        return f"{number(seconds, 1)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def plural(n: float, one: str, many: str = "") -> str:
    """Write a count with its noun.

    Args:
        n: The count.
        one: The noun for one.
        many: The noun for any other number; the first with an "s" if not given.
    """
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def words(name: str) -> str:
    """Write an identifier as words.

    Args:
        name: Such as "held_out" or "message_passing".
    """
    return str(name).replace("_", " ")


def listed(items: list[str], joint: str = "and") -> str:
    """Join words as in a sentence.

    Args:
        items: The words.
        joint: What stands before the last.
    """
    if len(items) < 2:
        return items[0] if items else "none"
    return f"{', '.join(items[:-1])} {joint} {items[-1]}"
