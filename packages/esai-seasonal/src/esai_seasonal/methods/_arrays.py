"""Array helpers of the classical methods: NaN-aware moments, least squares, quantiles, ranks.

Every function works on the LAST axes and is vectorised over whatever stands before them (leads, cells), so
that the same code serves a point, a block of a file and a dask chunk. Missing values are NaN everywhere: a
year without a reference and a member that a start does not have (25 members in the hindcast, 51 in the
forecast) are simply left out of the sums.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

GOLDEN = 0.6180339887498949


def mean(x: np.ndarray, axis: int | tuple[int, ...] = -1) -> np.ndarray:
    """Mean over `axis` of the finite values; NaN where there is none."""
    ok = np.isfinite(x)
    n = ok.sum(axis)
    total = np.where(ok, x, 0.0).sum(axis)
    return np.divide(total, n, out=np.full(total.shape, np.nan), where=n > 0)


def variance(x: np.ndarray, axis: int | tuple[int, ...] = -1) -> np.ndarray:
    """Unbiased variance (``ddof=1``) over `axis` of the finite values; 0 for a single value, NaN for none."""
    ok = np.isfinite(x)
    n = ok.sum(axis)
    centre = np.expand_dims(mean(x, axis), axis)
    total = np.where(ok, x - np.where(np.isfinite(centre), centre, 0.0), 0.0)
    squares = (total**2).sum(axis)
    out = np.divide(squares, n - 1, out=np.zeros(squares.shape), where=n > 1)
    return np.where(n > 0, out, np.nan)


def least_squares(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ordinary least squares per cell, over the samples at which everything is finite.

    Parameters
    ----------
    x : ndarray
        Regressors ``(..., sample, p)``; give the constant as a column of ones.
    y : ndarray
        Target ``(..., sample)``.

    Returns
    -------
    coefficients : ndarray
        ``(..., p)``; a regressor that does not vary (a constant cell) gets 0; NaN where fewer than ``p``
        samples are finite.
    residuals : ndarray
        ``(..., sample)``, NaN where a sample was left out.
    count : ndarray
        Samples used, ``(...)``.
    """
    p = x.shape[-1]
    ok = np.isfinite(y) & np.isfinite(x).all(-1)
    xs = np.where(ok[..., None], x, 0.0)
    ys = np.where(ok, y, 0.0)
    scale = np.sqrt((xs**2).sum(-2))
    scale = np.where(scale > 0, scale, 1.0)
    xs = xs / scale[..., None, :]
    gram = np.einsum("...ni,...nj->...ij", xs, xs)
    moment = np.einsum("...ni,...n->...i", xs, ys)
    regular = np.linalg.det(gram) > 1e-9
    solved = np.linalg.solve(np.where(regular[..., None, None], gram, np.eye(p)), moment[..., None])[..., 0]
    if not regular.all():
        rest = ~regular
        inverse = np.linalg.pinv(gram[rest], rcond=1e-9, hermitian=True)
        solved[rest] = np.einsum("...ij,...j->...i", inverse, moment[rest])
    count = ok.sum(-1)
    coefficients = np.where((count >= p)[..., None], solved / scale, np.nan)
    fitted = np.einsum("...ni,...i->...n", x, coefficients)
    return coefficients, np.where(ok, y - fitted, np.nan), count


def plotting_positions(n: int) -> np.ndarray:
    """Return the middles of `n` equal bins of (0, 1): ``(i + 1/2) / n``."""
    return (np.arange(n) + 0.5) / n


def quantiles(x: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Linear quantiles (Hyndman and Fan's type 7, NumPy's default) of the finite values of the last axis.

    Parameters
    ----------
    x : ndarray
        ``(..., sample)``.
    p : ndarray
        Probabilities ``(q,)`` in [0, 1].

    Returns
    -------
    ndarray
        ``(..., q)``, of the dtype of `x`; NaN where no value is finite.
    """
    ordered = np.sort(x, axis=-1)  # NaN last
    top = np.maximum(np.isfinite(x).sum(-1), 1)[..., None] - 1
    position = p * top
    below = np.floor(position).astype(np.intp)
    above = np.minimum(below + 1, top)
    fraction = (position - below).astype(x.dtype)
    lower = np.take_along_axis(ordered, below, -1)
    upper = np.take_along_axis(ordered, above, -1)
    return lower + (upper - lower) * fraction


def ranks(x: np.ndarray) -> np.ndarray:
    """Ranks 0, 1, … of the last axis (ties in order of appearance), NaN values ranked last."""
    order = np.argsort(x, axis=-1, kind="stable")
    out = np.empty_like(order)
    np.put_along_axis(out, order, np.broadcast_to(np.arange(x.shape[-1]), x.shape), -1)
    return out


@njit(cache=True, nogil=True)
def _interpolate_rows(x: np.ndarray, xp: np.ndarray, fp: np.ndarray, out: np.ndarray) -> None:
    rows, n = x.shape
    q = xp.shape[1]
    bins = 8 * q
    table = np.empty(bins + 1, np.int32)  # the last node at or below the left edge of each bin of the range
    slope = np.empty(q, fp.dtype)
    for r in range(rows):
        first, last = xp[r, 0], xp[r, q - 1]
        if math.isnan(first) or last <= first:
            for i in range(n):
                v = x[r, i]
                out[r, i] = (
                    math.nan if math.isnan(v) or math.isnan(first) else fp[r, 0 if v <= first else q - 1]
                )
            continue
        per_bin = bins / (last - first)
        node = 0
        for b in range(bins + 1):
            while node < q - 2 and int((xp[r, node + 1] - first) * per_bin) < b:
                node += 1
            table[b] = node
        for k in range(q - 1):
            width = xp[r, k + 1] - xp[r, k]
            slope[k] = (fp[r, k + 1] - fp[r, k]) / width if width > 0 else 0.0
        for i in range(n):
            v = x[r, i]
            if math.isnan(v):
                out[r, i] = math.nan
            elif v <= first:
                out[r, i] = fp[r, 0]
            elif v >= last:
                out[r, i] = fp[r, q - 1]
            else:
                k = table[int((v - first) * per_bin)]
                while k < q - 2 and v >= xp[r, k + 1]:
                    k += 1
                out[r, i] = fp[r, k] + slope[k] * (v - xp[r, k])


@njit(cache=True, nogil=True)
def _at_rank_rows(x: np.ndarray, order: np.ndarray, fp: np.ndarray, out: np.ndarray) -> None:
    rows, n = x.shape
    q = fp.shape[1]
    for r in range(rows):
        count = n
        while count > 0 and math.isnan(x[r, order[r, count - 1]]):
            out[r, order[r, count - 1]] = math.nan
            count -= 1
        start = 0
        while start < count:
            stop = start
            while stop + 1 < count and x[r, order[r, stop + 1]] == x[r, order[r, start]]:
                stop += 1
            tau = 0.5 * (start + stop) / (count - 1) if count > 1 else 0.5
            position = min(max(tau * q - 0.5, 0.0), q - 1.0)
            k = min(int(position), q - 2)
            value = fp[r, k] + (position - k) * (fp[r, k + 1] - fp[r, k])
            for i in range(start, stop + 1):
                out[r, order[r, i]] = value
            start = stop + 1


def interpolate(x: np.ndarray, xp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    """Linear interpolation, constant outside the nodes: `numpy.interp` with a node set per cell.

    Parameters
    ----------
    x : ndarray
        Where to interpolate, ``(..., n)``.
    xp, fp : ndarray
        Nodes (not decreasing) and their values, ``(..., q)``; the leading axes are those of `x`.
    """
    shape, n, q = x.shape, x.shape[-1], xp.shape[-1]
    kind = np.result_type(x, fp)
    rows = np.ascontiguousarray(x, dtype=kind).reshape(-1, n)
    out = np.empty(rows.shape, dtype=kind)
    nodes = np.ascontiguousarray(np.broadcast_to(xp, (*shape[:-1], q)), dtype=kind).reshape(-1, q)
    values = np.ascontiguousarray(np.broadcast_to(fp, (*shape[:-1], q)), dtype=kind).reshape(-1, q)
    _interpolate_rows(rows, nodes, values, out)
    return out.reshape(shape)


def at_rank(x: np.ndarray, fp: np.ndarray) -> np.ndarray:
    """Evaluate at the rank of every value among the values of its cell.

    Parameters
    ----------
    x : ndarray
        ``(..., n)``; its ranks are ``tau = (r - 1) / (n - 1)``, ties share their mean, NaN stays NaN.
    fp : ndarray
        ``(..., q)``: values at ``tau = (i + 1/2) / q``, interpolated linearly and held constant outside.
    """
    rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    values = np.ascontiguousarray(fp, dtype=np.result_type(x, fp)).reshape(-1, fp.shape[-1])
    out = np.empty(rows.shape, dtype=values.dtype)
    _at_rank_rows(rows, np.argsort(rows, axis=-1), values, out)
    return out.reshape(x.shape)


def average_ties(nodes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Give equal nodes the mean of their values: a constant cell is not sent to an extreme quantile."""
    if not (np.diff(nodes, axis=-1) == 0).any():
        return values
    flat_nodes = nodes.reshape(-1, nodes.shape[-1])
    flat = values.reshape(flat_nodes.shape).copy()
    for r in np.flatnonzero((np.diff(flat_nodes, axis=-1) == 0).any(-1)):
        _, group = np.unique(flat_nodes[r], return_inverse=True)
        flat[r] = (np.bincount(group, flat[r]) / np.bincount(group))[group]
    return flat.reshape(values.shape)


def golden(index: np.ndarray) -> np.ndarray:
    """Return a repeatable, evenly spread number in [0, 1) for each whole number (Kronecker sequence)."""
    return np.mod(index * GOLDEN, 1.0)
