"""Scores of single-valued forecasts.

Every function takes `forecast` and `observed` with the same coordinates and averages over `dim` (all
dimensions by default; `()` for none) with optional `weights` (on any subset of the dimensions, for example
cos(latitude)). A pair in which either value is NaN is left out. Of dask arrays the result is lazy.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from scipy.special import xlogy

from esai_core.align import aligned, as_array, each
from esai_core.errors import InputError, UsageError
from esai_core.verify._average import Dims, mean, mean_power
from esai_core.verify._sums import ABSOLUTE, ERROR, SQUARED


def error(forecast: xr.DataArray, observed: xr.DataArray) -> xr.DataArray:
    """Return forecast minus observed in double precision, NaN where either is."""
    forecast, observed = as_array(forecast, "forecast"), as_array(observed, "observed")
    observed = aligned(forecast, observed, names=("forecast", "observed"))
    return each(np.subtract, forecast, observed, dtype=np.float64)


def pairs(forecast: xr.DataArray, observed: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return both in double precision on the same dimensions, NaN in both where either is."""
    forecast, observed = as_array(forecast, "forecast"), as_array(observed, "observed")
    observed = aligned(forecast, observed, names=("forecast", "observed"))
    valid = forecast.notnull() & observed.notnull()
    return forecast.astype(np.float64).where(valid), observed.astype(np.float64).where(valid)


def bias(
    forecast: xr.DataArray, observed: xr.DataArray, *, dim: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Return the mean error, forecast minus observed; perfect is 0.

    Parameters
    ----------
    forecast, observed : DataArray
        Same coordinates and units; `observed` may lack dimensions of `forecast`.
    dim : str, iterable of str, optional
        Dimensions to average over: all by default, `()` for none.
    weights : DataArray, optional
        Weights >= 0 on any of the dimensions.

    Returns
    -------
    DataArray
        float64, in the units of the input, NaN where no pair is left.

    Raises
    ------
    InputError
        If coordinates or units differ, or weights are negative or missing.
    """
    return _mean(forecast, observed, ERROR, dim, weights)


def _mean(
    forecast: xr.DataArray, observed: xr.DataArray, power: int, dim: Dims, weights: xr.DataArray | None
) -> xr.DataArray:
    forecast, observed = as_array(forecast, "forecast"), as_array(observed, "observed")
    observed = aligned(forecast, observed, names=("forecast", "observed"))
    return mean_power(forecast, observed, power, dim, weights)


def mae(
    forecast: xr.DataArray, observed: xr.DataArray, *, dim: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Return the mean absolute error; perfect is 0. Parameters, returns and errors as in `bias`."""
    return _mean(forecast, observed, ABSOLUTE, dim, weights)


def rmse(
    forecast: xr.DataArray, observed: xr.DataArray, *, dim: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Return the root of the mean squared error over `dim` (one root, after the mean); perfect is 0.

    Parameters, returns and errors as in `bias`.
    """
    return _mean(forecast, observed, SQUARED, dim, weights) ** 0.5


def pearson_r(
    forecast: xr.DataArray, observed: xr.DataArray, *, dim: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Return Pearson's correlation over `dim`; perfect is 1. NaN where either side is constant.

    A climatology that leaves the verified year out correlates at -1: use `d2` or `crpss` for that.
    Parameters and errors as in `bias`.
    """
    forecast, observed = pairs(forecast, observed)
    return _correlation(
        forecast - mean(forecast, dim, weights), observed - mean(observed, dim, weights), dim, weights
    )


def _correlation(
    forecast: xr.DataArray, observed: xr.DataArray, dim: Dims, weights: xr.DataArray | None
) -> xr.DataArray:
    product = mean(forecast * observed, dim, weights)
    scale = (mean(forecast**2, dim, weights) * mean(observed**2, dim, weights)) ** 0.5
    return (product / scale.where(scale > 0)).clip(-1, 1)


def acc(
    forecast: xr.DataArray,
    observed: xr.DataArray,
    *,
    climatology: xr.DataArray,
    forecast_climatology: xr.DataArray | None = None,
    centred: bool = False,
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return the anomaly correlation coefficient over `dim`; perfect is 1.

    Uncentred (Wilks 2019, section 9.5): sum(f' o') / sqrt(sum(f'^2) sum(o'^2)) with f' and o' the departures
    from the climatology. Centred: the mean of f' and of o' over `dim` is removed first.

    Parameters
    ----------
    forecast, observed, dim, weights
        As in `bias`.
    climatology : DataArray
        What anomalies are taken from, on any of the dimensions of `observed`: fitted on training years.
    forecast_climatology : DataArray, optional
        The forecast's own (drifting) climatology; `climatology` by default, so that a bias counts.
    centred : bool
        Remove the mean anomaly over `dim`.

    Returns
    -------
    DataArray
        float64 in [-1, 1], NaN where either side has no anomaly.

    Raises
    ------
    InputError
        If coordinates or units differ.
    """
    forecast, observed = pairs(forecast, observed)
    own = climatology if forecast_climatology is None else forecast_climatology
    own = aligned(forecast, as_array(own, "climatology"), names=("forecast", "forecast_climatology"))
    climatology = aligned(forecast, as_array(climatology, "climatology"), names=("observed", "climatology"))
    forecast, observed = pairs(forecast - own, observed - climatology)
    if centred:
        forecast = forecast - mean(forecast, dim, weights)
        observed = observed - mean(observed, dim, weights)
    return _correlation(forecast, observed, dim, weights)


def d2(
    forecast: xr.DataArray,
    observed: xr.DataArray,
    *,
    reference: xr.DataArray | None = None,
    family: Literal["gaussian", "poisson"] = "gaussian",
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return the deviance explained, 1 - D(forecast) / D(reference); perfect is 1, the reference 0.

    D is the mean unit deviance over `dim`: (y - m)^2 for gaussian, 2 (y log(y/m) - y + m) for poisson
    (McCullagh and Nelder 1989, section 2.3).

    Parameters
    ----------
    forecast, observed, dim, weights
        As in `bias`; for poisson both are zero or more.
    reference : DataArray, optional
        Expected values to compare with, such as a leave-one-year-out climatology. By default the mean of the
        observed sample over `dim`, which no forecast could have known.
    family : {"gaussian", "poisson"}
        Distribution of the observed values.

    Raises
    ------
    InputError
        If coordinates or units differ, or a poisson mean or count is negative.
    UsageError
        If the family is unknown.
    """
    if family not in ("gaussian", "poisson"):
        raise UsageError(f"unknown family {family!r} of d2", remedy="one of gaussian, poisson")
    forecast, observed = pairs(forecast, observed)
    if reference is None:
        expected = mean(observed, dim, weights).broadcast_like(forecast)
    else:
        expected = aligned(forecast, as_array(reference, "reference"), names=("forecast", "reference"))
        expected = expected.astype(np.float64).broadcast_like(forecast)
    valid = forecast.notnull() & expected.notnull()
    unit = _unit_poisson if family == "poisson" else _unit_gaussian
    deviance = [
        mean(each(unit, observed.where(valid), model.where(valid)), dim, weights)
        for model in (forecast, expected)
    ]
    return 1 - deviance[0] / deviance[1].where(deviance[1] > 0)


def _unit_gaussian(observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return np.square(observed - expected)


def _unit_poisson(observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
    if np.any(observed < 0) or np.any(expected < 0):
        raise InputError(
            "poisson deviance of a negative value", where="d2", remedy="counts and means of 0 or more"
        )
    return 2 * (xlogy(observed, observed) - xlogy(observed, expected) - observed + expected)


def nmb(
    forecast: xr.DataArray, observed: xr.DataArray, *, dim: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Return the normalised mean bias in percent, 100 mean(f - o) / mean(o); perfect is 0.

    Parameters and errors as in `bias`; NaN where the mean observation is not positive.
    """
    forecast, observed = pairs(forecast, observed)
    base = mean(observed, dim, weights)
    return _percent(mean(forecast - observed, dim, weights) / base.where(base > 0))


def nrmse(
    forecast: xr.DataArray, observed: xr.DataArray, *, dim: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Return the RMSE in percent of the mean observation; perfect is 0.

    Parameters and errors as in `bias`; NaN where the mean observation is not positive.
    """
    forecast, observed = pairs(forecast, observed)
    base = mean(observed, dim, weights)
    return _percent(rmse(forecast, observed, dim=dim, weights=weights) / base.where(base > 0))


def nmsdb(
    forecast: xr.DataArray, observed: xr.DataArray, *, dim: Dims = None, weights: xr.DataArray | None = None
) -> xr.DataArray:
    """Return the normalised mean standard deviation bias in percent, 100 (s_f - s_o) / s_o; perfect is 0.

    Standard deviations over `dim`, as Petetin et al. (2022). Parameters and errors as in `bias`.
    """
    forecast, observed = pairs(forecast, observed)
    ours, theirs = (
        mean((values - mean(values, dim, weights)) ** 2, dim, weights) ** 0.5
        for values in (forecast, observed)
    )
    return _percent((ours - theirs) / theirs.where(theirs > 0))


def _percent(fraction: xr.DataArray) -> xr.DataArray:
    return (100 * fraction).assign_attrs(units="%")
