"""Lagged correlation of predictors with a target on the training rows alone, and false-discovery control."""

from __future__ import annotations

import numpy as np
from scipy import stats

__all__ = ["compress", "correlations", "discoveries", "p_values"]


def compress(y: np.ndarray) -> np.ndarray:
    """Bring skewed burned area, in units of its mean, to a scale on which correlation means something."""
    return np.log(np.maximum(y, 0.0) + 0.1)


def correlations(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson correlation of every column with a target, once per training set.

    Parameters
    ----------
    x : (n, p) array
        Predictors.
    y : (n,) or (S, n) array
        Target, the same in all training sets or each its own; rows of weight 0 do not count.
    weights : (S, n) array
        Weight of each row, 0 where it does not train.

    Returns
    -------
    numpy.ndarray
        (S, p); 0 where a column or the target is constant.
    """
    count = np.maximum(weights.sum(axis=1), 1.0)
    x = x - x.mean(axis=0)
    y = np.broadcast_to(y, weights.shape)
    y = y - ((weights * y).sum(axis=1) / count)[:, None]
    mean_x = weights @ x / count[:, None]
    cross = (weights * y) @ x / count[:, None]
    var_x = weights @ (x * x) / count[:, None] - mean_x**2
    var_y = (weights * y * y).sum(axis=1) / count
    scale = np.sqrt(np.maximum(var_x, 0.0) * np.maximum(var_y, 0.0)[:, None])
    tiny = 1e-12 * max(float(np.abs(x).max(initial=0.0) * np.abs(y).max(initial=0.0)), 1e-300)
    return np.clip(np.where(scale > tiny, cross / np.where(scale > tiny, scale, 1.0), 0.0), -1.0, 1.0)


def p_values(r: np.ndarray, count: np.ndarray | float) -> np.ndarray:
    """Two-sided p-values of correlations of `count` independent pairs (Student's t)."""
    free = np.maximum(np.asarray(count, dtype=np.float64) - 2.0, 1.0)
    r2 = np.minimum(np.asarray(r) ** 2, 1.0 - 1e-15)
    return np.asarray(2.0 * stats.t.sf(np.sqrt(r2 * free / (1.0 - r2)), free))


def discoveries(p: np.ndarray, *, rate: float) -> np.ndarray:
    """Benjamini and Hochberg (1995) along the last axis: where the null hypothesis is rejected.

    Parameters
    ----------
    p : (..., p) array
        P-values of one family per leading position.
    rate : float
        False-discovery rate.

    Returns
    -------
    numpy.ndarray
        bool, shape of `p`.
    """
    count = p.shape[-1]
    if count == 0:
        return np.zeros(p.shape, bool)
    order = np.sort(p, axis=-1)
    passed = order <= rate * np.arange(1, count + 1) / count
    last = count - np.argmax(passed[..., ::-1], axis=-1)
    limit = np.where(
        passed.any(axis=-1), np.take_along_axis(order, last[..., None] - 1, axis=-1)[..., 0], -1.0
    )
    return np.asarray(p <= limit[..., None])
