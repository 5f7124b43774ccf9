"""Read a network of stations, pair it with what is modelled, and average both over periods."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from esai_airquality.mos.daily import d8max
from esai_airquality.mos.grids import to_stations
from esai_airquality.mos.panel import lay_out, numbers, read_stations, selected, stamps
from esai_airquality.reanalysis.config import NetworkSection
from esai_airquality.reanalysis.sample import Sample
from esai_airquality.units import factor
from esai_core.errors import InputError, UsageError, nearest
from esai_core.io import read_table

__all__ = ["read_network", "stations_inside"]

Array = NDArray[np.float64]


def read_network(config: NetworkSection, grid: xr.Dataset | None = None) -> Sample:
    """Read a network.

    Parameters
    ----------
    config : NetworkSection
        Files, columns, periods.
    grid : Dataset, optional
        As `eac4.read_grid` gives, for ``modelled = "grid"``.

    Returns
    -------
    Sample
        A case for each station and period that is covered, in the units of the network.

    Raises
    ------
    InputError
        For duplicated stamps, stations without coordinates or outside the grid, odd units, no case.
    UsageError
        For unknown columns.
    """
    described = _used(config, grid)
    tables = {"observed": _long(config, config.observed_column)}
    if config.modelled == "column":
        tables["modelled"] = _long(config, config.modelled_column)
    names = [name for name in described.index if name in set(tables["observed"]["station"].unique())]
    if not names:
        raise InputError(
            "observations and stations share no name",
            where=f"{config.observations} and {config.stations}",
            remedy="check the names of the stations, area and keep",
        )
    tables = {key: table[table["station"].isin(names)] for key, table in tables.items()}
    times = tables["observed"]["time"].to_numpy("datetime64[D]")
    days = np.arange(times.min(), times.max() + np.timedelta64(1, "D"))
    hourly = {
        key: lay_out(table, "value", days, names, config.observations, duplicates="refuse")
        for key, table in tables.items()
    }
    described = described.loc[names]
    if config.modelled == "grid" and grid is not None:
        hourly["modelled"] = _from_grid(config, grid, described, days)
    modelled = hourly.get("modelled")
    if modelled is not None:
        _plausible(hourly["observed"], modelled, config)
    return _averaged(config, described, days, hourly["observed"], modelled)


def stations_inside(table: pd.DataFrame, grid: xr.Dataset) -> NDArray[np.bool_]:
    """Mark the stations within the nodes of a grid."""
    lat, lon = grid["latitude"].values, grid["longitude"].values
    west = float(lon.min())
    there = west + np.mod(table["longitude"].to_numpy(np.float64) - west, 360.0)
    inside = (table["latitude"] >= lat.min()) & (table["latitude"] <= lat.max()) & (there <= lon.max())
    return inside.to_numpy(bool)


def _used(config: NetworkSection, grid: xr.Dataset | None) -> pd.DataFrame:
    """Read the stations and keep those that are to be used."""
    table = read_stations(config.stations)
    columns = [str(name) for name in table.columns]
    for column, values in config.keep.items():
        if column not in table:
            hint = nearest(column, columns)
            raise UsageError(f"no column {column!r} to keep stations by", where=config.stations, remedy=hint)
        table = table[table[column].astype(str).isin(values)]
    for name in config.predictors:
        if name.removeprefix("log:") not in table:
            plain = name.removeprefix("log:")
            raise UsageError(f"no predictor {plain!r}", where=config.stations, remedy=nearest(plain, columns))
    if config.area is not None:
        north, west, south, east = config.area
        lon = west + np.mod(table["longitude"] - west, 360.0)
        table = table[table["latitude"].between(south, north) & (lon <= east)]
    if config.modelled == "grid" and grid is not None:
        table = table[stations_inside(table, grid)]
    if table.empty:
        raise InputError("no station is left", where=config.stations, remedy="check area, keep and the grid")
    return table


def _long(config: NetworkSection, column: str | None) -> pd.DataFrame:
    """Read hourly values as a long table: time, station, value."""
    path = config.observations
    table = read_table(path)
    if config.layout == "wide":
        if isinstance(table.index, pd.DatetimeIndex):
            table = table.rename_axis("time").reset_index()
        if "time" not in table:
            raise InputError("no column of times", where=path, remedy="call it 'time'")
        table = table.melt("time", var_name="station", value_name="value")
        column = "value"
    table = selected(table, config.select, path)
    for name in ("time", "station", column):
        if name is not None and name not in table:
            raise InputError(f"no column {name!r}", where=path, remedy=nearest(name, map(str, table.columns)))
    if column is None:
        free = [str(n) for n in table.select_dtypes("number").columns if n not in ("time", "station")]
        if len(free) != 1:
            raise UsageError(
                f"{len(free)} columns could be the observations: {', '.join(free[:8])}",
                where=path,
                remedy="name it: observed_column",
            )
        column = free[0]
    result = pd.DataFrame({"time": stamps(table["time"], path), "value": numbers(table[column], path)})
    result["station"] = table["station"].astype(str).to_numpy()
    return result.dropna(subset=["value"])


def _from_grid(config: NetworkSection, grid: xr.Dataset, described: pd.DataFrame, days: NDArray) -> Array:
    """Interpolate the grid to stations, laid out over (day, hour, station); hours it lacks are NaN."""
    field = to_stations(grid[config.species], described, where="grid").transpose("time", "station")
    scale = factor("ug/m3", config.units, species=config.species)
    hour = (field["time"].values.astype("datetime64[h]") - days[0].astype("datetime64[h]")).astype(np.int64)
    out = np.full((len(days) * 24, len(described)), np.nan)
    inside = (hour >= 0) & (hour < len(out))
    if not inside.any():
        raise InputError(
            f"the reanalysis has no time from {days[0]} to {days[-1]}",
            where=config.observations,
            remedy="give observations of the same dates",
        )
    out[hour[inside]] = field.values[inside] * scale
    return out.reshape(len(days), 24, -1)


def _plausible(observed: Array, modelled: Array, config: NetworkSection) -> None:
    both = np.isfinite(observed) & np.isfinite(modelled)
    if not both.any():
        raise InputError("no hour is both observed and modelled", where=config.observations)
    o, m = float(np.abs(observed[both]).mean()), float(np.abs(modelled[both]).mean())
    if o == 0 or m == 0 or not 0.02 < o / m < 50:
        raise InputError(
            f"observations of {o:.3g} {config.units} beside {m:.3g} {config.units} modelled, on average",
            where=config.observations,
            remedy="set units to those of the observations (ppb or ug/m3; kg/m3 is 1e9 ug/m3)",
        )


def _averaged(
    config: NetworkSection, described: pd.DataFrame, days: NDArray, observed: Array, modelled: Array | None
) -> Sample:
    """Average over periods the hours (or daily maxima) that are both observed and modelled."""
    both = np.isfinite(observed) if modelled is None else np.isfinite(observed) & np.isfinite(modelled)
    possible = np.ones(observed.shape, bool) if modelled is None else np.isfinite(modelled)
    series = [np.where(both, part, np.nan) for part in (observed, modelled) if part is not None]
    if config.statistic == "mda8":
        series = [d8max(part)[:, None] for part in series]
        possible = np.ones(series[0].shape, bool)
    month = days.astype("datetime64[M]")
    wanted = np.isin(month.astype(np.int64) % 12 + 1, config.months)
    labels = (
        np.where(wanted, month.astype(str), "") if config.period == "month" else np.where(wanted, "all", "")
    )
    periods = tuple(sorted(set(labels) - {""}))
    if not periods:
        raise InputError(f"no day in the months {config.months}", where=config.observations)
    place, period, means, middle = [], [], [], []
    for number, name in enumerate(periods):
        rows = labels == name
        middle.append(float(np.mean(month[rows].astype(np.int64) % 12 + 1)))
        count = np.isfinite(series[0][rows]).sum(axis=(0, 1))
        enough = (count > 0) & (count >= config.min_coverage * possible[rows].sum(axis=(0, 1)))
        total = [np.nansum(part[rows], axis=(0, 1)) for part in series]
        place.append(np.flatnonzero(enough))
        period.append(np.full(int(enough.sum()), number))
        means.append([(part / np.maximum(count, 1))[enough] for part in total])
    cases = [np.concatenate(parts) for parts in zip(*means, strict=True)]
    if len(cases[0]) < 5:
        raise InputError(
            f"{len(cases[0])} stations and periods are covered",
            where=config.observations,
            remedy="give more stations, or lower min_coverage",
        )
    return Sample(
        stations=tuple(str(name) for name in described.index),
        latitude=described["latitude"].to_numpy(np.float64),
        longitude=described["longitude"].to_numpy(np.float64),
        periods=periods,
        months=np.array(middle),
        place=np.concatenate(place),
        period=np.concatenate(period),
        observed=cases[0],
        modelled=cases[1] if modelled is not None else np.zeros(len(cases[0])),
        has_model=modelled is not None,
        names=config.predictors,
        predictors=described[[n.removeprefix("log:") for n in config.predictors]].to_numpy(np.float64),
    )
