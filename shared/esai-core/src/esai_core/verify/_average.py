"""What every score does last: the weighted mean over dimensions, without what is missing."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import xarray as xr

from esai_core.align import aligned, as_array, spelled_dims
from esai_core.errors import InputError, UsageError
from esai_core.verify._sums import ERROR, mean_error

#: A dimension, several, or None for all of them.
Dims = Hashable | Iterable[Hashable] | None


def over(array: xr.DataArray, dim: Dims) -> list[Hashable]:
    """Return the dimensions to average over: `dim` as a list, all of them for None, none for ()."""
    if dim is None:
        return list(array.dims)
    names: list[Hashable] = [dim] if isinstance(dim, str) or not isinstance(dim, Iterable) else list(dim)
    unknown = [str(d) for d in names if d not in array.dims]
    if unknown:
        raise UsageError(f"no dimension {', '.join(unknown)} to average over", where=spelled_dims(array))
    return names


def mean(score: xr.DataArray, dim: Dims, weights: xr.DataArray | None) -> xr.DataArray:
    """Return the weighted mean of `score` over `dim`, NaN left out; NaN where nothing is left."""
    if weights is None and not over(score, dim):
        return score
    return mean_power(score, xr.DataArray(0.0), ERROR, dim, weights)


def mean_power(
    forecast: xr.DataArray, observed: xr.DataArray, power: int, dim: Dims, weights: xr.DataArray | None
) -> xr.DataArray:
    """Return the weighted mean over `dim` of the error, its absolute value or its square (see `_sums`).

    `observed` is aligned with `forecast`. The result is NaN where no pair without NaN is left.
    """
    weights = xr.DataArray(1.0) if weights is None else checked_weights(forecast, weights)
    return mean_error(forecast, observed, dims=over(forecast, dim), weights=weights, power=power)


def checked_weights(score: xr.DataArray, weights: Any) -> xr.DataArray:
    """Return `weights` aligned with `score`; negative or missing weights are refused."""
    weights = aligned(score, as_array(weights, "weights"), names=("the scores", "weights"), units=False)
    if weights.chunks is None and not bool((weights >= 0).all()):
        raise InputError("weights must be zero or more, and none may be missing", where="weights")
    return weights.astype(np.float64)
