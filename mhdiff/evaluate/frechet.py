r"""The Fréchet distance between two sets of latents, by their first two moments.

    F(x, y) = |m_x - m_y|^2 + tr S_x + tr S_y - 2 tr (S_x^{1/2} S_y S_x^{1/2})^{1/2}

- m, S: mean and covariance (over n - 1) of each set; for two Gaussians F is the squared Wasserstein distance;
- (.)^{1/2}: by the eigendecomposition of a symmetric matrix, whose eigenvalues below 0 are rounding and count as 0.
  The matrix in the last term is symmetric, so no root of a general matrix is needed.

The estimate is biased upwards: two samples of one law are not at 0. The bias falls as 1 / n and grows with the square
of the dimension (for a standard normal of 64 dimensions .45 at n = 5,000, 22 at n = 100), so that a figure means
nothing without the distance between two sets of real latents of the same size, and is never compared across sizes or
across encoders, each of which has a scale of its own. Fewer rows than dimensions are allowed, and are mostly bias.

Dowson and Landau, "The Fréchet distance between multivariate normal distributions" (1982), eq. 4; as a score of
generated data Heusel et al. (NeurIPS 2017); its bias Chong and Forsyth (CVPR 2020).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from ontology.errors import InputError


def frechet_distance(x: Float64[np.ndarray, "n dim"], y: Float64[np.ndarray, "m dim"]) -> float:
    """Give F.

    Args:
        x: A set of latents, at least two.
        y: Another.

    Raises:
        InputError: If a set has fewer than two, which have no covariance.
    """
    if min(len(x), len(y)) < 2:
        raise InputError(
            f"there is no Fréchet distance between {len(x)} and {len(y)} latents", remedy="Give two or more"
        )
    return frechet_of_moments(x.mean(axis=0), _covariance(x), y.mean(axis=0), _covariance(y))


def frechet_of_moments(
    m_x: Float64[np.ndarray, " dim"],
    s_x: Float64[np.ndarray, "dim dim"],
    m_y: Float64[np.ndarray, " dim"],
    s_y: Float64[np.ndarray, "dim dim"],
) -> float:
    """Give F of two Gaussians.

    Args:
        m_x: Mean of the first.
        s_x: Its covariance.
        m_y: Mean of the second.
        s_y: Its covariance.
    """
    values, vectors = np.linalg.eigh(s_x)
    root = (vectors * np.sqrt(values.clip(min=0.0))) @ vectors.T
    middle = root @ s_y @ root
    overlap = np.sqrt(np.linalg.eigvalsh((middle + middle.T) / 2).clip(min=0.0)).sum()
    return float(((m_x - m_y) ** 2).sum() + np.trace(s_x) + np.trace(s_y) - 2 * overlap)


def _covariance(x: Float64[np.ndarray, "n dim"]) -> Float64[np.ndarray, "dim dim"]:
    away = x - x.mean(axis=0)
    covariance: Float64[np.ndarray, "dim dim"] = away.T @ away / (len(x) - 1)
    return covariance
