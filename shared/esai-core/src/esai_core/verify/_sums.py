"""Weighted means of errors in one pass over the data, by chunks for dask, without an array of errors."""

from __future__ import annotations

import importlib
from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numba import njit

#: What is averaged: the error, its absolute value, its square.
ERROR, ABSOLUTE, SQUARED = 1, 0, 2


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def _pairs(forecast: np.ndarray, observed: np.ndarray, power: int) -> tuple[float, float]:
    """Return number and sum over one row: no branch in the loops, so that they become SIMD."""
    number, added = 0.0, 0.0
    if power == 2:
        for i in range(forecast.size):
            d = np.float64(forecast[i]) - np.float64(observed[i])
            number += 1.0 if d == d else 0.0
            added += d * d if d == d else 0.0
    elif power == 1:
        for i in range(forecast.size):
            d = np.float64(forecast[i]) - np.float64(observed[i])
            number += 1.0 if d == d else 0.0
            added += d if d == d else 0.0
    else:
        for i in range(forecast.size):
            d = np.float64(forecast[i]) - np.float64(observed[i])
            number += 1.0 if d == d else 0.0
            added += abs(d) if d == d else 0.0
    return number, added


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def _row_sums(
    forecast: np.ndarray,
    observed: np.ndarray,
    weight: np.ndarray,
    starts: np.ndarray,
    steps: np.ndarray,
    power: int,
    size: np.ndarray,
    total: np.ndarray,
) -> None:
    """Add rows of `forecast` to flat `size` and `total`; `starts` and `steps` find rows of the others."""
    rows, columns = forecast.shape
    o_step, w_step, t_step = steps
    constant = np.empty(columns, dtype=observed.dtype)
    for r in range(rows):
        o, w, t = starts[0, r], starts[1, r], starts[2, r]
        if o_step == 0:
            constant[:] = observed[o]
        truth = observed[o : o + columns] if o_step == 1 else constant
        if w_step == 0 and t_step == 0:
            number, added = _pairs(forecast[r], truth, power)
            size[t] += weight[w] * number
            total[t] += weight[w] * added
        else:
            for i in range(columns):
                d = np.float64(forecast[r, i]) - np.float64(truth[i])
                value = d * d if power == 2 else (abs(d) if power == 0 else d)
                factor = weight[w + i * w_step]
                size[t + i * t_step] += factor if d == d else 0.0
                total[t + i * t_step] += factor * value if d == d else 0.0


def _rows(shape: Sequence[int], used: Sequence[int]) -> tuple[np.ndarray, int]:
    """Return where the rows (last axis) of an array with sizes `used` (1: broadcast) start, and its step."""
    index = np.arange(int(np.prod(used))).reshape(used)
    step = 0 if used[-1] == 1 else 1
    return np.broadcast_to(index[..., 0], shape[:-1]).ravel(), step


def _block(
    forecast: np.ndarray, observed: np.ndarray, weight: np.ndarray, *, axes: Sequence[int], power: int
) -> np.ndarray:
    """Return sums of weights and of weighted values, (2, ...) with size 1 along the reduced `axes`."""
    order = sorted(range(forecast.ndim), key=lambda axis: -abs(forecast.strides[axis]))
    forecast, observed, weight = (_native(a).transpose(order) for a in (forecast, observed, weight))
    shape = forecast.shape
    kept = [1 if axis in axes else n for axis, n in zip(order, shape, strict=True)]
    starts, steps = zip(*(_rows(shape, s) for s in (observed.shape, weight.shape, kept)), strict=True)
    out = np.zeros((2, int(np.prod(kept))))
    _row_sums(
        np.ascontiguousarray(forecast).reshape(-1, shape[-1]),
        np.ascontiguousarray(observed).ravel(),
        np.ascontiguousarray(weight, dtype=np.float64).ravel(),
        np.stack(starts),
        np.array(steps),
        power,
        out[0],
        out[1],
    )
    return out.reshape(2, *kept).transpose(0, *(1 + np.argsort(order)))


def _native(values: np.ndarray) -> np.ndarray:
    if values.dtype not in (np.float32, np.float64):
        return np.asarray(values, dtype=np.float64)
    return np.asarray(values, dtype=values.dtype.newbyteorder("="))


def _like(array: xr.DataArray, dims: Sequence[Hashable]) -> Any:
    """Return the data of `array` with size 1 along the `dims` that it lacks, in their order."""
    data = array.transpose(*(d for d in dims if d in array.dims)).data
    return data[tuple(slice(None) if d in array.dims else np.newaxis for d in dims)]


def mean_error(
    forecast: xr.DataArray,
    observed: xr.DataArray,
    *,
    dims: Sequence[Hashable],
    weights: xr.DataArray,
    power: int,
) -> xr.DataArray:
    """Return the weighted mean over `dims` of a power of forecast minus observed, NaN left out.

    `observed` and `weights` are aligned with `forecast` and may lack any of its dimensions.
    """
    if forecast.ndim == 0:
        forecast = forecast.expand_dims("_")
        return mean_error(forecast, observed, dims=["_"], weights=weights, power=power)
    axes = [forecast.get_axis_num(d) for d in dims]
    arrays = [_like(a, forecast.dims) for a in (forecast, observed, weights)]
    block = partial(_block, axes=axes, power=power)
    if any(hasattr(a, "dask") for a in arrays):
        sums = _by_chunks(block, arrays, axes)
    elif forecast.size:
        sums = block(*arrays)
    else:
        sums = np.zeros((2, *(1 if i in axes else n for i, n in enumerate(forecast.shape))))
    size, total = sums.sum(axis=tuple(1 + axis for axis in axes))
    left = [d for d in forecast.dims if d not in dims]
    coords = {name: c for name, c in forecast.coords.items() if set(c.dims) <= set(left)}
    counted = xr.DataArray(size, coords, left)
    return xr.DataArray(total, coords, left) / counted.where(counted > 0)


def _by_chunks(block: partial, arrays: list[Any], axes: Sequence[int]) -> Any:
    da: Any = importlib.import_module("dask.array")
    chunks = [
        next((a.chunks[axis] for a in arrays if hasattr(a, "dask") and a.shape[axis] == n), (n,))
        for axis, n in enumerate(arrays[0].shape)
    ]
    lazy = [
        da.asarray(a).rechunk(tuple((1,) if n == 1 else c for n, c in zip(a.shape, chunks, strict=True)))
        for a in arrays
    ]
    summed = [(1,) * len(c) if axis in axes else c for axis, c in enumerate(chunks)]
    meta = np.empty((0,) * (len(chunks) + 1))
    return da.map_blocks(block, *lazy, dtype=np.float64, new_axis=0, chunks=((2,), *summed), meta=meta)
