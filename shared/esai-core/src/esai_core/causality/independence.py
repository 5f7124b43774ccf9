"""Tests of conditional independence: linear, and by kernels for any smooth dependence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from esai_core.errors import UsageError

__all__ = ["TESTS", "kernel_independence", "partial_correlation"]

Test = Callable[[NDArray, NDArray, NDArray], tuple[float, float]]


def partial_correlation(x: NDArray, y: NDArray, z: NDArray) -> tuple[float, float]:
    r"""Test linear dependence of `x` and `y` given `z`.

    The residuals of both after least squares on `z` are correlated; under independence and normal errors
    :math:`r \sqrt{\nu / (1 - r^2)}` has a t distribution with :math:`\nu = n - 2 - d` degrees of freedom
    (Fisher, 1924).

    Parameters
    ----------
    x, y : array (n,)
    z : array (n, d)
        What is held fixed; d may be 0.

    Returns
    -------
    statistic, p : float
        Partial correlation, and its two-sided p-value.
    """
    n, d = len(x), z.shape[1]
    free = n - 2 - d
    if free < 1:
        raise UsageError(f"{n} times for a test given {d} series", remedy="give longer series, fewer lags")
    design = np.column_stack([np.ones(n), z])
    both = np.stack([x, y], axis=1)
    rest = both - design @ np.linalg.lstsq(design, both, rcond=None)[0]
    norm = np.sqrt((rest**2).sum(0))
    if (norm <= 1e-12 * np.sqrt((both**2).sum(0)) + 1e-300).any():
        return 0.0, 1.0  # one of them is told by z entirely
    r = float(np.clip((rest[:, 0] * rest[:, 1]).sum() / norm.prod(), -1, 1))
    t = abs(r) * np.sqrt(free / max(1 - r * r, 1e-15))
    return r, float(2 * stats.t.sf(t, free))


def kernel_independence(x: NDArray, y: NDArray, z: NDArray) -> tuple[float, float]:
    r"""Test any smooth dependence of `x` and `y` given `z`.

    Both are freed of `z` by kernel ridge regression (Gaussian kernel of median width, the penalty by the
    exact leave-one-out error), and the independence of the residuals, which are leave-one-out too so that a
    flexible fit does not make them look independent, is tested by the Hilbert-Schmidt criterion

    .. math:: \mathrm{HSIC} = n^{-2}\, \mathrm{tr}(K H L H)

    with its gamma approximation under independence (Gretton et al., 2007, NeurIPS, eq. 4 and section 3). The
    scheme is that of GPDC (Runge et al., 2019), with another measure and no permutations.

    Parameters
    ----------
    x, y : array (n,)
    z : array (n, d)
        What is held fixed; d may be 0.

    Returns
    -------
    statistic, p : float
        Normalised criterion in [0, 1] (centred kernel alignment), and its p-value.
    """
    n = len(x)
    if n < 20:
        raise UsageError(f"{n} times for a kernel test", remedy="give at least 20")
    first, second = (_standard(_residual(values, z)) for values in (x, y))
    k, kernel_mean = _centred(first)
    other, other_mean = _centred(second)
    criterion = (k * other).sum() / n
    norm = np.sqrt((k * k).sum() * (other * other).sum())
    # moments of n HSIC under independence
    squared = (k * other / 6) ** 2
    variance = (squared.sum() - np.trace(squared)) / n / (n - 1)
    variance *= 72 * (n - 4) * (n - 5) / n / (n - 1) / (n - 2) / (n - 3)
    mean = (1 + kernel_mean * other_mean - kernel_mean - other_mean) / n
    shape, scale = mean**2 / variance, n * variance / mean
    p = float(stats.gamma.sf(criterion, shape, scale=scale))
    return float((k * other).sum() / norm) if norm > 0 else 0.0, p


def _standard(values: NDArray) -> NDArray[np.float64]:
    spread = values.std()
    return (values - values.mean()) / (spread if spread > 0 else 1.0)


def _squares(values: NDArray) -> NDArray[np.float64]:
    """Squared distances of all pairs: ``(n, n)`` from ``(n, d)``."""
    norm = (values**2).sum(1)
    return np.maximum(norm[:, None] + norm[None] - 2 * values @ values.T, 0)


def _gaussian(values: NDArray) -> NDArray[np.float64]:
    distance = _squares(values)
    median = np.median(distance[np.triu_indices(len(distance), 1)])
    return np.exp(-distance / (median if median > 0 else 1.0))


def _centred(values: NDArray) -> tuple[NDArray[np.float64], float]:
    """Centre the Gaussian kernel, and give the mean of its off-diagonal."""
    kernel, n = _gaussian(values[:, None]), len(values)
    mean = (kernel.sum() - n) / n / (n - 1)
    row = kernel.mean(0)
    return kernel - row[:, None] - row[None] + row.mean(), float(mean)


def _residual(values: NDArray, z: NDArray) -> NDArray[np.float64]:
    """Leave-one-out residuals of kernel ridge regression on `z`."""
    target = _standard(np.asarray(values, np.float64))
    if z.shape[1] == 0:
        return target
    given = np.stack([_standard(column) for column in z.T], axis=1)
    # a linear part beside the Gaussian one, so that strong linear memory needs no flexibility
    kernel = _gaussian(given) + given @ given.T / z.shape[1]
    level, vectors = np.linalg.eigh(kernel + 1.0)
    level, projected = np.maximum(level, 0), vectors.T @ target
    best, found = np.inf, target
    for penalty in len(target) * 10.0 ** np.arange(-4.5, 1.0, 0.75):
        shrink = level / (level + penalty)
        leverage = (vectors**2) @ shrink
        rest = (target - vectors @ (shrink * projected)) / np.maximum(1 - leverage, 1e-6)
        error = float(np.mean(rest**2))
        if error < best:
            best, found = error, rest
    return found


TESTS: dict[str, Test] = {"linear": partial_correlation, "kernel": kernel_independence}
"""Tests by name."""
