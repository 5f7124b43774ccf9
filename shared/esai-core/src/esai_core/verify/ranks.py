"""Calibration of ensembles by the rank of the observation among the members."""

from __future__ import annotations

import numpy as np
import xarray as xr

from esai_core.errors import UsageError
from esai_core.verify._average import Dims, over
from esai_core.verify.ensemble import ensemble_pair


def pit(
    forecast: xr.DataArray,
    observed: xr.DataArray,
    *,
    member: str = "number",
    seed: int = 0,
) -> xr.DataArray:
    """Return the randomised probability integral transform of each case, uniform on (0, 1) if calibrated.

    (rank + u) / (m + 1), with rank the number of members below the observation plus a random share of the
    ties, and u uniform (Hamill 2001; Czado et al. 2009). The random numbers depend on `seed` and the
    position of the case alone, so that a dask array gives what a numpy array gives.

    Parameters
    ----------
    forecast, observed, member
        As in `crps`; NaN members are left out.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    DataArray
        float64 in (0, 1), NaN for a case without members or observation.
    """
    forecast, observed = ensemble_pair(forecast, observed, member)
    case = forecast.isel({member: 0}, drop=True)
    position = np.arange(case.size, dtype=np.uint64).reshape(case.shape)
    where = xr.DataArray(position, dims=case.dims)
    if case.chunks is not None:
        where = where.chunk(dict(zip(case.dims, case.chunks, strict=True)))
    return xr.apply_ufunc(
        _pit_block,
        forecast,
        observed,
        where,
        input_core_dims=[[member], [], []],
        kwargs={"seed": seed},
        dask="parallelized",
        output_dtypes=[np.float64],
    )


def _pit_block(members: np.ndarray, observed: np.ndarray, position: np.ndarray, *, seed: int) -> np.ndarray:
    truth = observed[..., np.newaxis]
    below = (members < truth).sum(axis=-1)
    ties = (members == truth).sum(axis=-1)
    number = (~np.isnan(members)).sum(axis=-1)
    rank = below + np.floor(_uniform(position, 2 * seed) * (ties + 1))
    value = (rank + _uniform(position, 2 * seed + 1)) / (number + 1)
    return np.where(np.isnan(observed) | (number == 0), np.nan, value)


def _uniform(position: np.ndarray, stream: int) -> np.ndarray:
    """Return numbers in (0, 1) that depend on position and stream alone (splitmix64, Steele et al. 2014)."""
    start = np.uint64((stream + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
    x = _mix(position.astype(np.uint64) + _mix(np.full(1, start)))
    return ((x >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53


def _mix(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def rank_histogram(
    forecast: xr.DataArray,
    observed: xr.DataArray,
    *,
    member: str = "number",
    bins: int | None = None,
    dim: Dims = None,
    seed: int = 0,
) -> xr.DataArray:
    """Return how often the observation took each rank among the members: flat if calibrated.

    Ties are broken at random. Cases with fewer members than others, and other numbers of bins, use the
    randomised PIT of the case, which keeps a calibrated ensemble flat.

    Parameters
    ----------
    forecast, observed, member, seed
        As in `pit`.
    bins : int, optional
        Number of bins; the largest number of members plus one by default.
    dim : str, iterable of str, optional
        Dimensions to count over: all by default.

    Returns
    -------
    DataArray
        Counts along `rank` (0 below all members) and the dimensions that are left.
    """
    size = forecast.sizes[member] + 1 if bins is None else bins
    if size < 1:
        raise UsageError(f"a rank histogram of {size} bins", remedy="give bins >= 1")
    values = pit(forecast, observed, member=member, seed=seed)
    dims = over(values, dim)
    rank = np.floor(values * size)
    counts = [(rank == k).sum(dims) for k in range(size)]
    return xr.concat(counts, xr.DataArray(np.arange(size), dims="rank", name="rank"))
