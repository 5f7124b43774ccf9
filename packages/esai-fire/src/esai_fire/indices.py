"""Ocean climate indices from sea-surface temperature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from esai_core import io
from esai_core.errors import InputError, UsageError
from esai_fire.catalogue import BOXES, Box, boxes_of, canonical

__all__ = ["FROM_SST", "box_mean", "compute_indices", "pacific_decadal", "sst_anomalies"]

#: Indices that `compute_indices` makes.
FROM_SST = (*BOXES, "oni", "pdo")

_BASE_YEARS = 5  # a monthly climatology of fewer years is mostly noise


def sst_anomalies(sst: xr.DataArray, *, base: tuple[int, int] | None = None) -> xr.DataArray:
    """Departures from the mean of each calendar month.

    Parameters
    ----------
    sst : DataArray
        ``(time, latitude, longitude)``, monthly, degC or K; NaN over land.
    base : (first year, last year), optional
        Years of the climatology; all by default.

    Returns
    -------
    DataArray
        Same dims, K.

    Raises
    ------
    InputError
        If the base holds fewer than five years.
    """
    chosen = sst if base is None else sst.sel(time=slice(str(base[0]), str(base[1])))
    years = np.unique(chosen["time"].dt.year)
    if years.size < _BASE_YEARS:
        raise InputError(
            f"{years.size} years of sea-surface temperature for a climatology",
            where=str(sst.name or "sst"),
            remedy=f"give {_BASE_YEARS} or more",
        )
    months = chosen.groupby("time.month").mean("time")
    return (sst.groupby("time.month") - months).drop_vars("month")


def _inside(sst: xr.DataArray, box: Box) -> xr.DataArray:
    """Cells whose centres lie in a box; the longitudes of both may start at 0 or at -180."""
    latitude, longitude = sst["latitude"], sst["longitude"]
    east = (longitude - box.west) % 360.0
    width = box.east - box.west
    return sst.where((latitude >= box.south) & (latitude <= box.north) & (east <= width), drop=True)


def box_mean(sst: xr.DataArray, box: Box) -> xr.DataArray:
    """Area-weighted mean over the sea cells with centres in a box (edges included).

    Parameters
    ----------
    sst : DataArray
        ``(time, latitude, longitude)``.
    box : Box
        The rectangle.

    Returns
    -------
    DataArray
        ``(time)``.

    Raises
    ------
    InputError
        If no cell of the file lies there, or all are land.
    """
    part = _inside(sst, box)
    if 0 in part.shape or not bool(part.notnull().any()):
        raise InputError(
            f"no sea cell in {box.south:g}..{box.north:g} N, {box.west:g}..{box.east:g} E",
            where=str(sst.name or "sst"),
            remedy="give a global sea-surface temperature",
        )
    weights = xr.DataArray(np.cos(np.deg2rad(part["latitude"])))
    return part.weighted(weights).mean(["latitude", "longitude"])


def _detrended(series: xr.DataArray) -> xr.DataArray:
    slope = series.polyfit("time", 1, skipna=True)["polyfit_coefficients"]
    return series - xr.polyval(series["time"], slope)


def pacific_decadal(anomalies: xr.DataArray) -> xr.DataArray:
    """Pacific Decadal Oscillation: first principal component north of 20 N without the global mean.

    After Mantua et al. (1997, Bull. Am. Meteorol. Soc. 78): the anomaly of each month less its global mean,
    weighted by the root of the cell's area; the sign is that of warm water along America.

    Parameters
    ----------
    anomalies : DataArray
        ``(time, latitude, longitude)`` from `sst_anomalies`.

    Returns
    -------
    DataArray
        ``(time)``, unit variance.
    """
    cosine = xr.DataArray(np.cos(np.deg2rad(anomalies["latitude"])))
    free = anomalies - anomalies.weighted(cosine).mean(["latitude", "longitude"])
    north = _inside(free, Box(20, 70, 110, 260))
    weighted = north * np.sqrt(np.cos(np.deg2rad(north["latitude"])))
    flat = weighted.stack(cell=("latitude", "longitude")).dropna("cell", how="any")
    if flat.sizes["cell"] < 10:
        raise InputError(
            "no North Pacific in the sea-surface temperature", where="pdo", remedy="give a global field"
        )
    matrix = flat.transpose("time", "cell").values
    matrix = matrix - matrix.mean(axis=0)
    left, sizes, right = np.linalg.svd(matrix, full_matrices=False)
    series = left[:, 0] * sizes[0]
    east = (np.asarray(flat["longitude"]) % 360.0 > 220.0) & (np.asarray(flat["latitude"]) < 60.0)
    if right[0][east].mean() < 0.0:
        series = -series
    return xr.DataArray(series / series.std(), coords={"time": anomalies["time"]}, dims="time")


def compute_indices(
    sst: xr.DataArray, *, names: Sequence[str] = FROM_SST, base: tuple[int, int] | None = None
) -> pd.DataFrame:
    """Make ocean climate indices from monthly sea-surface temperature.

    Niño boxes, TNA, TSA and the dipole's poles are area means of anomalies, DMI the western minus the
    south-eastern pole (Saji et al. 1999), ONI the centred three-month mean of Niño3.4, AMO the detrended
    North Atlantic mean (Enfield et al. 2001) and PDO a principal component (`pacific_decadal`).

    Parameters
    ----------
    sst : DataArray
        ``(time, latitude, longitude)``, monthly.
    names : sequence of str
        From `FROM_SST`, in any published spelling.
    base : (first year, last year), optional
        Years of the climatology.

    Returns
    -------
    DataFrame
        One column per index (its name here), indexed by the month's first day.

    Raises
    ------
    UsageError
        For a name that is not in `FROM_SST`.
    InputError
        If a box has no sea cell, or the file too few years.
    """
    wanted = list(dict.fromkeys(canonical(name) for name in names))
    if not wanted:
        raise UsageError("no index asked for", where="indices", remedy=f"choose from {', '.join(FROM_SST)}")
    sst = sst.transpose("time", "latitude", "longitude").sortby("time")
    anomalies = io.load(sst_anomalies(sst, base=base).astype("float64"))
    found: dict[str, xr.DataArray] = {}
    for name in wanted:
        if name == "oni":
            one = box_mean(anomalies, BOXES["nino34"][0])
            found[name] = one.rolling(time=3, center=True).mean()
        elif name == "pdo":
            found[name] = pacific_decadal(anomalies)
        else:
            means = [box_mean(anomalies, box) for box in boxes_of(name)]
            series = means[0] if len(means) == 1 else means[0] - means[1]
            found[name] = _detrended(series) if name == "amo" else series
    months = pd.DatetimeIndex(sst["time"].values).to_period("M").to_timestamp()
    table = pd.DataFrame({name: np.asarray(series) for name, series in found.items()}, index=months)
    table.index.name = "time"
    return table
