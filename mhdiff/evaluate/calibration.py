r"""Do the probabilities mean what they say: ECE, reliability table, temperature fitted on tuning data.

Top-label expected calibration error over B equal-width bins of the confidence max_c p_c:
``ECE = \sum_b |\sum_{i in b} (conf_i - correct_i)| / n``.
Bins are (0, 1/B], ..., ((B-1)/B, 1]: a confidence of exactly 1 belongs to the last bin. torchmetrics puts
it into an extra bin of its own (its issue 3510), which changes the figure whenever a model is certain, so
it is not used here.

Temperature: ``p_c(T) \propto p_c^{1/T}``, the same as softmax(logits / T); the negative log-likelihood is
convex in 1/T and has one minimum. It is fitted on the tuning split, never on the patients that are
reported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

BINS = 15
_TINY = 1e-12  # a probability of 0 stays improbable but finite under any temperature
_INVERSE_RANGE = (0.02, 50.0)
_SEPARATED = 1e-6  # nats; below it the likelihood is flat in 1/T and no finite temperature is best


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature.

    Args:
        value: T; above 1 the model was overconfident.
        nll_before: Mean negative log-likelihood in nats on the data it was fitted on, at T = 1.
        nll_after: The same at T.
        at_bound: Whether the minimum is at the end of the range that was searched (perfectly separated data).
    """

    value: float
    nll_before: float
    nll_after: float
    at_bound: bool


def bin_of(confidence: Float64[np.ndarray, " n"], bins: int = BINS) -> Int64[np.ndarray, " n"]:
    """Give each confidence its bin 0 .. bins-1; the bins are closed on the right.

    Args:
        confidence: Values in [0, 1].
        bins: How many bins of equal width.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1).astype(np.int64)


def ece_columns(
    probabilities: Float64[np.ndarray, "n classes"], labels: Int64[np.ndarray, " n"], bins: int = BINS
) -> Float64[np.ndarray, "n bins"]:
    """Spread conf_i - correct_i over the bins: a weighted ECE is |weights @ columns| summed over the bins.

    Args:
        probabilities: One row a sample.
        labels: True classes.
        bins: How many bins of equal width.
    """
    confidence = probabilities.max(axis=1)
    gap = confidence - (probabilities.argmax(axis=1) == labels)
    columns = np.zeros((len(labels), bins))
    columns[np.arange(len(labels)), bin_of(confidence, bins)] = gap
    return columns


def expected_calibration_error(
    probabilities: Float64[np.ndarray, "n classes"], labels: Int64[np.ndarray, " n"], bins: int = BINS
) -> float:
    """Compute the top-label ECE with equal-width bins.

    Args:
        probabilities: One row a sample.
        labels: True classes.
        bins: How many bins.
    """
    return float(np.abs(ece_columns(probabilities, labels, bins).sum(axis=0)).sum() / len(labels))


def reliability(
    probabilities: Float64[np.ndarray, "n classes"], labels: Int64[np.ndarray, " n"], bins: int = BINS
) -> list[dict[str, float | int | None]]:
    """Tabulate confidence against accuracy for a reliability diagram; an empty bin has None for both.

    Args:
        probabilities: One row a sample.
        labels: True classes.
        bins: How many bins.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    place = bin_of(confidence, bins)
    rows: list[dict[str, float | int | None]] = []
    for b in range(bins):
        chosen = place == b
        n = int(chosen.sum())
        rows.append(
            {
                "low": b / bins,
                "high": (b + 1) / bins,
                "n": n,
                "confidence": float(confidence[chosen].mean()) if n else None,
                "accuracy": float(correct[chosen].mean()) if n else None,
            }
        )
    return rows


def fit_temperature(scores: Float64[np.ndarray, "n classes"], labels: Int64[np.ndarray, " n"]) -> Temperature:
    """Fit the temperature by maximum likelihood.

    Args:
        scores: Logits or log-probabilities: they differ by a constant in each row, which cancels.
        labels: True classes.
    """
    rows = np.arange(len(labels))

    def nll(inverse: float) -> float:
        return float(-log_softmax(scores * inverse, axis=1)[rows, labels].mean())

    low, high = _INVERSE_RANGE
    found = minimize_scalar(
        lambda u: nll(float(np.exp(u))), bounds=(np.log(low), np.log(high)), method="bounded"
    )
    inverse = float(np.exp(found.x))
    after = nll(inverse)
    at_bound = bool(inverse < low * 1.01 or inverse > high / 1.01 or after < _SEPARATED)
    return Temperature(1.0 / inverse, nll(1.0), after, at_bound)


def log_probabilities(probabilities: Float64[np.ndarray, "n classes"]) -> Float64[np.ndarray, "n classes"]:
    """Take logarithms with a floor, so that a probability of exactly 0 does not become minus infinity.

    Args:
        probabilities: One row a sample.
    """
    return np.log(np.maximum(probabilities, _TINY))


def apply_temperature(
    probabilities: Float64[np.ndarray, "n classes"], temperature: float
) -> Float64[np.ndarray, "n classes"]:
    """Sharpen (T < 1) or soften (T > 1) probabilities.

    Args:
        probabilities: One row a sample.
        temperature: T > 0.
    """
    scaled: Float64[np.ndarray, "n classes"] = softmax(log_probabilities(probabilities) / temperature, axis=1)
    return scaled
