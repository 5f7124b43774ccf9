"""What every score does last: the weighted mean over dimensions, without what is missing."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import xarray as xr

from esai_core.align import aligned, as_array, spelled_dims
from esai_core.errors import InputError, UsageError

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
    dims = over(score, dim)
    if not dims and weights is None:
        return score
    there = score.notnull()
    if weights is None:
        total, size = score.sum(dims, skipna=True, dtype=np.float64), there.sum(dims, dtype=np.float64)
    else:
        weights = checked_weights(score, weights)
        total = (score * weights).sum(dims, skipna=True, dtype=np.float64)
        size = (there * weights).sum(dims, dtype=np.float64)
    return total / size.where(size > 0)


def checked_weights(score: xr.DataArray, weights: Any) -> xr.DataArray:
    """Return `weights` aligned with `score`; negative or missing weights are refused."""
    weights = aligned(score, as_array(weights, "weights"), names=("the scores", "weights"), units=False)
    if weights.chunks is None and not bool((weights >= 0).all()):
        raise InputError("weights must be zero or more, and none may be missing", where="weights")
    return weights.astype(np.float64)
