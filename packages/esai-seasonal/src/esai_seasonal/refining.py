"""Beside the networks of super-resolution: temperature over relief, intervals, conservation."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from esai_core.errors import InputError
from esai_core.grid import area_weights, coarsen, coarsen_nodes
from esai_core.physics import conserve, fit_lapse_rate, to_relief
from esai_core.splits import season_blocks
from esai_core.uncertainty import Interval, SplitConformal, interval_scores
from esai_seasonal.calibration import COVERAGE
from esai_seasonal.network.superresolution import SuperResolution

__all__ = [
    "LAPSE",
    "ablation",
    "blocks_of",
    "calibrate",
    "held_by_time",
    "interval_of",
    "lapse_rate_of",
    "refine",
    "refine_all",
]

LAPSE = "lapse_rate"
_DAY = np.timedelta64(1, "D")


def lapse_rate_of(fields: xr.DataArray, fitted: SuperResolution) -> float | None:
    """Fit the lapse rate on training fields; None where no temperature or no relief is given.

    Parameters
    ----------
    fields : DataArray
        ``(time, latitude, longitude)`` of the fit.
    fitted : SuperResolution
        With the orography of the fine grid.

    Returns
    -------
    float or None
        K per m.
    """
    relief = fitted.static.orography
    if relief is None or str(fields.attrs.get("units", "")) not in ("K", "degC"):
        return None
    try:
        return fit_lapse_rate(
            fields, coarsen_nodes(fields, fitted.factor), relief, coarsen_nodes(relief, fitted.factor)
        )
    except InputError:
        return None  # flat


def refine(
    fitted: SuperResolution, coarse: xr.DataArray, times: NDArray, method: str, rate: float | None
) -> xr.DataArray:
    """Refine coarse fields with one method, `LAPSE` among them where there is a rate."""
    relief = fitted.static.orography
    if method == LAPSE and rate is not None and relief is not None:
        nodes = coarsen_nodes(relief, fitted.factor).drop_attrs()
        made = to_relief(coarse, nodes, relief.drop_attrs(), lapse_rate=rate)
        return made.astype("float32")
    return fitted.predict(coarse, times, method=method)


def refine_all(fitted: SuperResolution, fields: xr.DataArray, rate: float | None) -> dict[str, xr.DataArray]:
    """Refine the coarsened fields with every method."""
    coarse = coarsen_nodes(fields, fitted.factor)
    names = list(fitted.methods)
    if rate is not None:
        names.insert(2, LAPSE)
    return {name: refine(fitted, coarse, fields["time"].values, name, rate) for name in names}


def blocks_of(times: NDArray) -> NDArray[np.int64]:
    """Label times by the day, or by the year where they are months."""
    hourly = np.median(np.diff(times)) < _DAY
    return times.astype("datetime64[D]" if hourly else "datetime64[Y]").astype(int)


def _scale(fitted: SuperResolution) -> NDArray[np.float64]:
    """Size of the detail in each cell, of the training fields; never 0."""
    size = np.nan_to_num(fitted.climate.scale)
    return np.maximum(size, 0.1 * size.mean() + 1e-9)


def _between_nodes(values: NDArray, factor: int) -> NDArray:
    """Leave out the nodes, whose values are given."""
    found = np.array(values, np.float64)
    found[..., ::factor, ::factor] = np.nan
    return found


def calibrate(fitted: SuperResolution, made: xr.DataArray, truth: xr.DataArray) -> SplitConformal:
    """Calibrate intervals on fields that the fit had not seen: one width, in units of each cell's detail.

    Parameters
    ----------
    fitted : SuperResolution
        That made the fields.
    made, truth : DataArray
        ``(time, latitude, longitude)``.
    """
    dims = ("time", "latitude", "longitude")
    observed = _between_nodes(truth.transpose(*dims).values, fitted.factor)
    conformal = SplitConformal(coverage=COVERAGE, pooled=True)
    blocks = blocks_of(truth["time"].values)
    guess = made.transpose(*dims).values.astype(np.float64)
    return conformal.fit(observed, guess, scale=_scale(fitted), blocks=blocks)


def interval_of(fitted: SuperResolution, made: xr.DataArray, conformal: SplitConformal) -> Interval:
    """Give the interval of refined fields."""
    return conformal.interval(made, scale=_scale(fitted))


def held_by_time(
    truth: xr.DataArray, ends: Interval, *, factor: int, period: str
) -> dict[str, dict[str, float]]:
    """Score intervals between the nodes: of all times, and by part of the day or by season."""
    dims = ("time", "latitude", "longitude")
    y, low, high = (_between_nodes(one.transpose(*dims).values, factor) for one in (truth, *ends))
    times = truth["time"].values
    blocks = blocks_of(times)
    if period == "hour":
        hour = truth["time"].dt.hour.values // 6
        part = np.array(["00-05 h", "06-11 h", "12-17 h", "18-23 h"])[hour]
    else:
        part = np.array([str(label)[-3:] for label in season_blocks(times)])
    groups = {"all": np.ones(len(times), bool)} | {str(one): part == one for one in np.unique(part)}
    return {
        name: interval_scores(y[rows], low[rows], high[rows], coverage=COVERAGE, blocks=blocks[rows])
        for name, rows in groups.items()
    }


def ablation(
    predictions: dict[str, xr.DataArray], truth: xr.DataArray, *, factor: int
) -> dict[str, dict[str, float]]:
    """Score every method as it is and after the nearest correction that keeps the means of coarse cells.

    The means are those of the truth: what a coarse model that gives means, not values at nodes, would know.

    Returns
    -------
    dict
        Method to ``rmse``, ``rmse_conserving``, and the largest relative miss of a coarse mean, ``miss`` and
        ``miss_conserving``.
    """
    plain = truth.reset_coords(drop=True).drop_attrs()
    coarse = coarsen(plain, factor, kind="node")
    weights = area_weights(truth["latitude"])

    def rmse(fields: xr.DataArray) -> float:
        return float(((fields - plain) ** 2).weighted(weights).mean() ** 0.5)

    def miss(fields: xr.DataArray) -> float:
        return float(np.abs(coarsen(fields, factor, kind="node") / coarse - 1.0).max())

    found: dict[str, dict[str, float]] = {}
    for name, field in predictions.items():
        one = field.reset_coords(drop=True).drop_attrs().astype(np.float64)
        if not bool(one.notnull().all()):
            continue
        kept = conserve(one, coarse, factor=factor, kind="node")
        found[name] = {"rmse": rmse(one), "rmse_conserving": rmse(kept)}
        found[name] |= {"miss": miss(one), "miss_conserving": miss(kept)}
    return found
