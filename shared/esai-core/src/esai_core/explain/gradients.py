"""What a network looked at: integrated gradients and occlusion, over channels and over the map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esai_core.errors import UsageError

__all__ = ["integrated_gradients", "occlusion"]


def integrated_gradients(
    gradient: Callable[[NDArray], ArrayLike],
    x: ArrayLike,
    *,
    baseline: ArrayLike = 0.0,
    steps: int = 50,
) -> NDArray[np.float64]:
    r"""Split a network's output among its inputs along the way from a baseline (Sundararajan et al., 2017).

    .. math:: a_i(x) = (x_i - x'_i) \int_0^1 \frac{\partial F(x' + s (x - x'))}{\partial x_i}\, ds

    (their eq. 1), the integral by the Gauss-Legendre rule. Complete: the sum over `i` is
    :math:`F(x) - F(x')`, to the accuracy of the rule.

    Parameters
    ----------
    gradient : callable
        ``gradient(x) -> (n, ...)``: of the explained output (one number per case) with respect to `x`, as
        `esai_core.nn.input_gradient` gives it.
    x : array (n, ...)
        Cases.
    baseline : array, optional
        What stands for "nothing": the climatology; 0 for anomalies. Broadcast to `x`.
    steps : int
        Points of the rule.

    Returns
    -------
    array (n, ...)
        In units of the output.
    """
    if steps < 1:
        raise UsageError(f"steps = {steps}", remedy="give 1 or more")
    cases = np.asarray(x, np.float64)
    start = np.broadcast_to(np.asarray(baseline, np.float64), cases.shape)
    points, weights = np.polynomial.legendre.leggauss(steps)
    total = np.zeros(cases.shape)
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        total += weight * np.asarray(
            gradient((start + point * (cases - start)).astype(np.float32)), np.float64
        )
    return (cases - start) * total


def occlusion(
    predict: Callable[[NDArray], ArrayLike],
    x: ArrayLike,
    *,
    baseline: ArrayLike = 0.0,
    patch: int | None = None,
) -> NDArray[np.float64]:
    r"""Measure how the output changes when a channel, or a patch of it, is replaced by the baseline.

    .. math:: a_p(x) = F(x) - F(x \text{ with } p \leftarrow x')

    (Zeiler & Fergus, 2014, ECCV). Needs no gradient, and sees what saturated gradients do not.

    Parameters
    ----------
    predict : callable
        ``predict(x) -> (n,)``: the explained output.
    x : array (n, latitude, longitude, channel) or (n, channel)
        Cases.
    baseline : array, optional
        What stands for "nothing"; broadcast to `x`.
    patch : int, optional
        Rows and columns of a patch, for maps; whole channels by default.

    Returns
    -------
    array (n, channel), or (n, rows of patches, columns of patches, channel)

    Raises
    ------
    UsageError
        If patches are asked for without a map.
    """
    cases = np.asarray(x)
    nothing = np.broadcast_to(np.asarray(baseline, cases.dtype), cases.shape)
    whole = np.asarray(predict(cases), np.float64)
    if whole.shape != (len(cases),):
        raise UsageError(f"an output of shape {whole.shape}", remedy="explain one number per case")
    channels = cases.shape[-1]
    if patch is None:
        return np.stack([whole - _without(predict, cases, nothing, (..., c)) for c in range(channels)], -1)
    if cases.ndim != 4 or patch < 1:
        raise UsageError(f"patches of {patch} on inputs of shape {cases.shape}")
    rows, columns = (-(-n // patch) for n in cases.shape[1:3])
    found = np.empty((len(cases), rows, columns, channels))
    for i in range(rows):
        for j in range(columns):
            for c in range(channels):
                at = (slice(None), slice(i * patch, (i + 1) * patch), slice(j * patch, (j + 1) * patch), c)
                found[:, i, j, c] = whole - _without(predict, cases, nothing, at)
    return found


def _without(predict: Callable, cases: NDArray, nothing: NDArray, at: tuple) -> NDArray[np.float64]:
    changed = cases.copy()
    changed[at] = nothing[at]
    return np.asarray(predict(changed), np.float64)
