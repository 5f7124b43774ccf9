"""Predictors: columns of stations, fields read at stations, satellite means over time, calendar, position.

The same functions make the rows of stations and the rows of a map, so that a model is asked what it was
taught.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from esai_airquality.no2.config import No2Section
from esai_core.errors import InputError

__all__ = ["Design", "calendar", "centred_means", "design_of", "rows_of_map", "rows_of_stations", "sample"]

CALENDAR = ("year_sin", "year_cos", "weekday", "days")
POSITION = ("latitude", "longitude")


@dataclass(frozen=True)
class Design:
    """Which predictors a model takes, in order.

    Attributes
    ----------
    names : tuple of str
        Columns of the rows.
    satellite : tuple of str
        Those from a satellite or made of such: the ablation leaves them out.
    windows : tuple of int
        Days of the means around each day.
    windowed : tuple of str
        What these means are taken of.
    start : str
        Day from which ``days`` counts; empty for a table of means.
    """

    names: tuple[str, ...]
    satellite: tuple[str, ...]
    windows: tuple[int, ...]
    windowed: tuple[str, ...]
    start: str

    def columns(self, *, satellite: bool) -> NDArray[np.int64]:
        """Positions of the predictors, all or those without the satellite."""
        kept = [i for i, name in enumerate(self.names) if satellite or name not in self.satellite]
        return np.asarray(kept, np.int64)


def design_of(
    config: No2Section, *, satellite: Sequence[str], others: Sequence[str], start: pd.Timestamp | None
) -> Design:
    """Decide on the predictors.

    Parameters
    ----------
    config : No2Section
        What is made of others.
    satellite, others : sequence of str
        Columns that are there.
    start : Timestamp or None
        First day; None for a table of means, which has no calendar and no windows.

    Raises
    ------
    InputError
        If nothing is left to predict with.
    """
    windowed = tuple(config.windowed) if start is not None else ()
    made = [f"{name}_{suffix}" for name in windowed for suffix in _suffixes(config.windows)]
    names = [*satellite, *made, *others]
    if start is not None and config.calendar:
        names += CALENDAR
    if config.position:
        names += [name for name in POSITION if name not in names]
    if not names:
        raise InputError(
            "there are no predictors", remedy="name columns in data.predictors or data.satellite"
        )
    return Design(
        tuple(names),
        tuple([*satellite, *made]),
        tuple(config.windows) if windowed else (),
        windowed,
        "" if start is None else f"{start:%Y-%m-%d}",
    )


def _suffixes(windows: Sequence[int]) -> list[str]:
    return [*(f"{days}d" for days in windows), "mean"]


def centred_means(values: NDArray, *, days: int) -> NDArray[np.float64]:
    """Average over the days around each, leaving missing ones out.

    Parameters
    ----------
    values : array (day, ...)
        One row per day, none left out.
    days : int
        Length of the window; an even one reaches further into the past.

    Returns
    -------
    array (day, ...)
        NaN where the whole window is missing; windows are shorter at the ends.
    """
    there = np.isfinite(values)
    filled = np.where(there, values, 0.0).astype(np.float64)

    def sums(x: NDArray) -> NDArray:
        padded = np.concatenate([np.zeros((1, *x.shape[1:])), np.cumsum(x, axis=0)])
        low = np.clip(np.arange(len(x)) - days // 2, 0, len(x))
        high = np.clip(np.arange(len(x)) + (days + 1) // 2, 0, len(x))
        return padded[high] - padded[low]

    count = sums(there.astype(np.float64))
    return np.where(count > 0, sums(filled) / np.maximum(count, 1.0), np.nan)


def _over_time(values: NDArray, windows: Sequence[int]) -> dict[str, NDArray]:
    """Means of (day, place): around each day, and over all days."""
    made = {f"{days}d": centred_means(values, days=days) for days in windows}
    made["mean"] = np.broadcast_to(centred_means(values, days=2 * len(values))[:1], values.shape)
    return made


def calendar(days: NDArray[np.datetime64], start: str) -> dict[str, NDArray[np.float64]]:
    """Give the calendar of days: phase of the year, weekday (Monday 0) and days since the start."""
    index = pd.DatetimeIndex(days)
    phase = 2 * np.pi * (index.day_of_year.to_numpy() - 1) / 365.25
    since = (index - pd.Timestamp(start)) / pd.Timedelta(days=1)
    return {
        "year_sin": np.sin(phase),
        "year_cos": np.cos(phase),
        "weekday": index.day_of_week.to_numpy(np.float64),
        "days": since.to_numpy(np.float64),
    }


def rows_of_stations(table: pd.DataFrame, design: Design) -> NDArray[np.float32]:
    """Make the rows of stations.

    Parameters
    ----------
    table : DataFrame
        ``station``, ``time``, ``latitude``, ``longitude`` and the plain predictors, one row per station and
        day; rows without an observation count for the means over time.
    design : Design
        Which predictors.

    Returns
    -------
    float32 array (row, predictor)
    """
    made: dict[str, Any] = {name: table[name].to_numpy() for name in design.names if name in table.columns}
    if design.windowed:
        places, place = np.unique(table["station"].to_numpy(str), return_inverse=True)
        day = (table["time"] - table["time"].min()).dt.days.to_numpy()
        for name in design.windowed:
            cube = np.full((int(day.max()) + 1, len(places)), np.nan)
            cube[day, place] = table[name].to_numpy()
            for suffix, values in _over_time(cube, design.windows).items():
                made[f"{name}_{suffix}"] = values[day, place]
    if design.start:
        made |= calendar(table["time"].to_numpy(), design.start)
    return np.stack([np.asarray(made[name], np.float32) for name in design.names], axis=1)


def rows_of_map(fields: xr.Dataset, design: Design) -> Any:
    """Make the rows of a map, day by day.

    Parameters
    ----------
    fields : Dataset
        Plain predictors, ``(time, latitude, longitude)`` or ``(latitude, longitude)``.
    design : Design
        Which predictors.

    Yields
    ------
    tuple of (datetime64 or None, float32 array (cell, predictor))
        Cells in the order of latitude, then longitude.

    Raises
    ------
    InputError
        If a predictor is not among the fields.
    """
    plain = [name for name in design.names if name in fields.data_vars]
    means: dict[str, NDArray] = {}
    for name in design.windowed:
        cube = _daily(fields[name])
        for suffix, values in _over_time(cube, design.windows).items():
            means[f"{name}_{suffix}"] = values
    known = {*plain, *means, *POSITION, *(CALENDAR if design.start else ())}
    for name in design.names:
        if name not in known:
            raise InputError(
                f"no field of the predictor {name!r}", where="data.fields",
                remedy="a map needs every predictor on the grid",
            )  # fmt: skip
    shape = (fields.sizes["latitude"], fields.sizes["longitude"])
    grid = np.meshgrid(fields["latitude"].values, fields["longitude"].values, indexing="ij")
    fixed = {"latitude": grid[0], "longitude": grid[1]}
    fixed |= {name: fields[name].values for name in plain if "time" not in fields[name].dims}
    days = fields["time"].values if "time" in fields.dims else [None]
    offset = [0] if days[0] is None else ((days - days[0]) / np.timedelta64(1, "D")).astype(int)
    for number, day in enumerate(days):
        now: dict[str, Any] = fixed | {
            name: fields[name].isel(time=number).values for name in plain if name not in fixed
        }
        now = now | {name: values[offset[number]] for name, values in means.items()}
        if design.start and day is not None:
            now = now | {k: np.full(shape, v[0]) for k, v in calendar(np.array([day]), design.start).items()}
        yield day, np.stack([np.asarray(now[name], np.float32).ravel() for name in design.names], axis=1)


def _daily(field: xr.DataArray) -> NDArray[np.float64]:
    """Put a field (time, latitude, longitude) on all days from its first to its last."""
    days = ((field["time"].values - field["time"].values[0]) / np.timedelta64(1, "D")).astype(int)
    cube = np.full((int(days[-1]) + 1, *field.shape[1:]), np.nan)
    cube[days] = field.values
    return cube


def sample(fields: xr.Dataset, table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Read fields in the cells in which stations lie.

    Parameters
    ----------
    fields : Dataset
        ``(time, latitude, longitude)`` or ``(latitude, longitude)``.
    table : DataFrame
        ``latitude``, ``longitude`` and ``time``.
    names : sequence of str
        What to read.

    Returns
    -------
    DataFrame
        One column per name, on the index of `table`; NaN on days that the fields do not have.

    Raises
    ------
    InputError
        If a station lies outside the grid, or no day is shared.
    """
    from esai_core.grid import Grid

    grid = Grid.from_dataset(fields)
    row = _cell(grid.latitude_bounds, table["latitude"].to_numpy())
    column = _cell(grid.longitude_bounds, table["longitude"].to_numpy())
    outside = (row < 0) | (column < 0)
    if outside.any():
        bad = table[outside].iloc[0]
        raise InputError(
            f"station {bad['station']!r} at {bad['latitude']:g}, {bad['longitude']:g} lies outside the "
            f"fields",
            where=grid.describe(),
            remedy="leave it out, or give fields that hold it",
        )
    made = {}
    step = None
    if "time" in fields.dims:
        days = pd.DatetimeIndex(fields["time"].values).floor("D")
        step = days.get_indexer(pd.DatetimeIndex(table["time"]))
        if not (step >= 0).any():
            raise InputError(
                "the fields share no day with the observations",
                where=f"fields {days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}",
            )
    for name in names:
        if "time" in fields[name].dims:
            assert step is not None
            values = fields[name].transpose("time", "latitude", "longitude").values
            made[name] = np.where(step >= 0, values[step, row, column], np.nan)
        else:
            made[name] = fields[name].transpose("latitude", "longitude").values[row, column]
    return pd.DataFrame(made, index=table.index)


def _cell(bounds: NDArray, values: NDArray) -> NDArray[np.int64]:
    """Cell of each value, -1 where it is outside."""
    low, high = bounds.min(axis=1), bounds.max(axis=1)
    order = np.argsort(low)
    place = np.searchsorted(low[order], values, side="right") - 1
    inside = (place >= 0) & (values <= high[order][np.maximum(place, 0)])
    return np.where(inside, order[np.maximum(place, 0)], -1)
