"""Scores of ensembles.

`forecast` has the dimension `member` ("number" by default) anywhere among its dimensions. Members that are
NaN are left out of their case, so that hindcasts of 25 and forecasts of 51 members mix; a case
without members or without observation is left out. `dim` and `weights` as in `deterministic`.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from esai_core.align import aligned, as_array
from esai_core.errors import UsageError
from esai_core.verify._average import Dims, mean
from esai_core.verify._kernels import crps_cells, moments_cells, sorting_network


def ensemble_pair(
    forecast: xr.DataArray, observed: xr.DataArray, member: str
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the ensemble (members in one chunk) and the observed values in its order, checked."""
    forecast = one_chunk(as_array(forecast, "forecast"), member)
    case = forecast.isel({member: 0}, drop=True)
    return forecast, aligned(case, as_array(observed, "observed"), names=("forecast", "observed"))


def one_chunk(forecast: xr.DataArray, member: str) -> xr.DataArray:
    """Return `forecast` with all members in one chunk; refuse a forecast without them."""
    if member not in forecast.dims:
        raise UsageError(
            f"the forecast has no member dimension {member!r}",
            where=", ".join(map(str, forecast.dims)),
            remedy="name it: member='...'",
        )
    return forecast if forecast.chunks is None else forecast.chunk({member: -1})


def _cells(members: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """See members (..., member) as (outer, member, inner) in the order of memory; also return that order."""
    if members.dtype not in (np.float32, np.float64):
        members = members.astype(np.float64)
    members = np.asarray(members, dtype=members.dtype.newbyteorder("="))
    axes = sorted(range(members.ndim), key=lambda axis: -abs(members.strides[axis]))
    at = axes.index(members.ndim - 1)
    shape = [members.shape[axis] for axis in axes]
    size = (int(np.prod(shape[:at])), shape[at], int(np.prod(shape[at + 1 :])))
    axes.pop(at)
    return np.ascontiguousarray(
        members.transpose(*axes[:at], members.ndim - 1, *axes[at:]).reshape(size)
    ), axes


def _back(cells: np.ndarray, axes: list[int], shape: tuple[int, ...]) -> np.ndarray:
    return cells.reshape([shape[axis] for axis in axes]).transpose(np.argsort(axes))


def _crps_block(members: np.ndarray, observed: np.ndarray, *, fair: bool) -> np.ndarray:
    shape = members.shape[:-1]
    cells, axes = _cells(members)
    truth = np.broadcast_to(observed, shape).transpose(axes).reshape(cells.shape[0], cells.shape[2])
    out = np.empty(truth.shape, dtype=np.float64)
    crps_cells(
        cells, np.ascontiguousarray(truth, dtype=np.float64), sorting_network(cells.shape[1]), fair, out
    )
    return _back(out, axes, shape)


def _moments_block(members: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = members.shape[:-1]
    cells, axes = _cells(members)
    out = [np.empty((cells.shape[0], cells.shape[2])) for _ in range(3)]
    moments_cells(cells, *out)
    mean_, variance, number = (_back(values, axes, shape) for values in out)
    return mean_, variance, number


def _crps(
    forecast: xr.DataArray,
    observed: xr.DataArray,
    *,
    fair: bool,
    member: str,
    dim: Dims,
    weights: xr.DataArray | None,
) -> xr.DataArray:
    forecast, observed = ensemble_pair(forecast, observed, member)
    cases = xr.apply_ufunc(
        _crps_block,
        forecast,
        observed,
        input_core_dims=[[member], []],
        kwargs={"fair": fair},
        dask="parallelized",
        output_dtypes=[np.float64],
        join="exact",
    )
    return mean(cases, dim, weights)


def crps(
    forecast: xr.DataArray,
    observed: xr.DataArray,
    *,
    member: str = "number",
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return the continuous ranked probability score of the ensemble's step function; perfect is 0.

    mean|x_i - y| - sum_ij |x_i - x_j| / (2 m^2) for the m members of a case (Gneiting and Raftery 2007,
    eq. 21), with the double sum from the sorted members: sum_ij |x_i - x_j| = 2 sum_i (2i - m - 1) x_(i).

    Parameters
    ----------
    forecast : DataArray
        Ensemble with the dimension `member`; NaN members are left out of their case.
    observed : DataArray
        Same coordinates and units, without `member`.
    member : str
        The dimension of the members.
    dim : str, iterable of str, optional
        Dimensions to average over: all by default, `()` for none.
    weights : DataArray, optional
        Weights >= 0 on any of the dimensions.

    Returns
    -------
    DataArray
        float64, in the units of the input, NaN where no case is left.

    Raises
    ------
    InputError
        If coordinates or units differ.
    UsageError
        If `forecast` has no dimension `member`.
    """
    return _crps(forecast, observed, fair=False, member=member, dim=dim, weights=weights)


def crps_fair(
    forecast: xr.DataArray,
    observed: xr.DataArray,
    *,
    member: str = "number",
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return the fair CRPS: what an ensemble of the same distribution and infinite size would score.

    As `crps` with m (m - 1) in place of m^2 (Ferro 2014, eq. 9): ensembles of different sizes compare. It is
    undefined, NaN, for a single member, and can be negative for one case. Parameters as in `crps`.
    """
    return _crps(forecast, observed, fair=True, member=member, dim=dim, weights=weights)


def ensemble_moments(forecast: xr.DataArray, *, member: str = "number") -> xr.Dataset:
    """Return mean, unbiased variance and number of the members that are not NaN, in one pass, float64.

    Returns
    -------
    Dataset
        `mean`, `variance` (NaN below two members) and `members` on the other dimensions of `forecast`.
    """
    forecast = one_chunk(as_array(forecast, "forecast"), member)
    mean_, variance, members = xr.apply_ufunc(
        _moments_block,
        forecast,
        input_core_dims=[[member]],
        output_core_dims=[[], [], []],
        dask="parallelized",
        output_dtypes=[np.float64] * 3,
    )
    units = {"units": forecast.attrs["units"]} if "units" in forecast.attrs else {}
    return xr.Dataset({"mean": mean_.assign_attrs(units), "variance": variance, "members": members})


def spread(
    forecast: xr.DataArray,
    *,
    member: str = "number",
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return the root of the mean (over `dim`) unbiased ensemble variance, in the units of the input."""
    return mean(ensemble_moments(forecast, member=member)["variance"], dim, weights) ** 0.5


def spread_skill(
    forecast: xr.DataArray,
    observed: xr.DataArray,
    *,
    member: str = "number",
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return the spread-skill ratio sqrt(mean((m+1)/m s^2)) / rmse of the ensemble mean; perfect is 1.

    With s^2 the unbiased variance of the m members of a case, it is 1 for a perfectly reliable ensemble
    of any size (Fortin et al. 2014); below 1 the ensemble is over-confident. Cases without an observation or
    with fewer than two members count in neither part. Parameters and errors as in `crps`.
    """
    forecast, observed = ensemble_pair(forecast, observed, member)
    return spread_skill_of(ensemble_moments(forecast, member=member), observed, dim=dim, weights=weights)


def spread_skill_of(
    moments: xr.Dataset, observed: xr.DataArray, *, dim: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Return `spread_skill` from `ensemble_moments` that are already there."""
    valid = observed.notnull() & moments["variance"].notnull()
    inflated = ((moments["members"] + 1) / moments["members"].where(valid) * moments["variance"]).where(valid)
    squared = ((moments["mean"] - observed) ** 2).where(valid)
    error = mean(squared, dim, weights)
    return (mean(inflated, dim, weights) / error.where(error > 0)) ** 0.5
