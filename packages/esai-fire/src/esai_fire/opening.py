"""From the files of a config to target, predictors and plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from esai_core import io
from esai_core.errors import InputError, UsageError
from esai_fire.burned import open_burned
from esai_fire.config import FireConfig
from esai_fire.folds import Plan, make_plan
from esai_fire.indices import compute_indices
from esai_fire.predictors import Predictors, lag_predictors
from esai_fire.reading import read_indices
from esai_fire.windows import Series, monthly_series, window_series

__all__ = ["Problem", "open_index_table", "open_problem", "table_series"]

_DEFAULT_PEAK = 7


@dataclass(frozen=True)
class Problem:
    """Everything that a fit needs.

    Attributes
    ----------
    series, predictors, plan
    pool : (C,) cells that share slopes, -1 for none.
    latitude, longitude : of the grid, empty for tables.
    units : of the target.
    """

    series: Series
    predictors: Predictors
    plan: Plan
    pool: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray
    units: str


def open_index_table(config: FireConfig) -> pd.DataFrame:
    """Read the index series of a config, or make them from its sea-surface temperature."""
    if config.data.indices is not None:
        return read_indices(config.data.indices, missing=config.data.missing_values)
    assert config.data.sst is not None
    sst = io.open_reference(config.data.sst, variable="sst")
    return compute_indices(io.load(sst), names=config.predictors.indices)


def table_series(path: Path, *, peaks: dict[str, int]) -> Series:
    """Read yearly totals: a column ``year`` and one column per region.

    Parameters
    ----------
    path : Path
        CSV or Parquet.
    peaks : dict of str to int
        Peak month of each column; July where it is not named.

    Returns
    -------
    Series
        One series per column.

    Raises
    ------
    InputError
        If years repeat or are out of order, or a value is negative or no number.
    UsageError
        If `peaks` names a column that is not there.
    """
    table = io.read_table(path)
    if "year" not in table:
        raise InputError("no column 'year'", where=path)
    years = table["year"].to_numpy()
    if np.any(np.diff(years) != 1):
        raise InputError("the years do not follow one another", where=f"{path}: year")
    names = [str(name) for name in table.columns if name != "year"]
    for name in peaks:
        if name not in names:
            raise UsageError(
                f"no region {name!r}", where="target.peak_months", remedy=f"choose from {', '.join(names)}"
            )
    try:
        y = table[names].to_numpy(np.float64).T
    except (TypeError, ValueError):
        raise InputError("holds something that is no number", where=path) from None
    if (y < 0.0).any():
        c, t = (int(i[0]) for i in np.nonzero(y < 0.0))
        raise InputError(f"burned area of {y[c, t]:g}", where=f"{path}: {names[c]}, {years[t]}")
    none = np.full(len(names), -1)
    zero = np.zeros(years.size, int)
    peak = np.array([peaks.get(name, _DEFAULT_PEAK) for name in names])
    return Series(y, np.array(names), peak, years.astype(int), zero, zero, none, none)


def _classes(path: Path | None, burned: xr.DataArray, key: str) -> np.ndarray | None:
    """Whole numbers on the grid of the burned area, 0 where there is none."""
    if path is None:
        return None
    ds = io.load(io.open_dataset(path))
    maps = [v for v in ds.data_vars.values() if set(v.dims) == {"latitude", "longitude"}]
    if len(maps) != 1:
        raise InputError(
            f"{len(maps)} maps on (latitude, longitude)", where=f"{key} = {path}", remedy="give one"
        )
    field = maps[0].transpose("latitude", "longitude")
    for name in ("latitude", "longitude"):
        same = field.sizes[name] == burned.sizes[name]
        if not same or not np.allclose(field[name].values, burned[name].values, atol=1e-4):
            raise InputError(
                f"its {name} is not that of the burned area",
                where=f"{key} = {path}",
                remedy="regrid it first",
            )
    values = np.nan_to_num(field.values)
    if not np.any(values):
        raise InputError("the mask removes every cell", where=f"{key} = {path}")
    return values.astype(int)


def _years(config: FireConfig, first: int, last: int) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """Training years and the holdout, of data that span `first` to `last`."""
    held = config.split.holdout
    if held is None:
        return (first, last), None
    if held[0] <= first:
        raise UsageError(
            f"no year before {held[0]} to train on",
            where=f"split.holdout = [{held[0]}, {held[1]}]",
            remedy=f"the burned area begins in {first}; keep back later years",
        )
    if held[0] > last:
        raise UsageError(
            f"the burned area ends in {last}", where=f"split.holdout = [{held[0]}, {held[1]}]",
            remedy="keep back years that can be scored",
        )  # fmt: skip
    return (first, held[0] - 1), (held[0], min(held[1], last))


def open_problem(config: FireConfig) -> Problem:
    """Open, check and line up all inputs of a config.

    Returns
    -------
    Problem

    Raises
    ------
    InputError, UsageError
        As the readers do; also when no row is left to train on or to score.
    """
    path = config.data.burned_area
    assert path is not None
    latitude = longitude = np.zeros(0)
    if path.suffix.lower() in (".csv", ".parquet"):
        series = table_series(path, peaks=config.target.peak_months)
        train, held = _years(config, int(series.year[0]), int(series.year[-1]))
        pool, units = np.full(series.names.size, -1), "unit of the table"
    else:
        series, train, held, pool, latitude, longitude = _open_grid(config, path)
        units = "m2"
    series = _known_rows(series)
    predictors = lag_predictors(
        open_index_table(config),
        names=config.predictors.indices,
        lags=config.predictors.lags,
        lead=config.target.lead_months,
        years=series.year,
        month=series.month,
        smooth=config.predictors.smooth,
        peaks=series.peak,
        where=config.data.indices or config.data.sst,
    )
    rows = np.isfinite(series.y).any(axis=0)
    inside = (series.year >= train[0]) & (series.year <= train[1]) & rows
    kept = None if held is None else (series.year >= held[0]) & (series.year <= held[1]) & rows
    if kept is not None and not kept.any():
        raise UsageError("no window of the holdout is whole", where=f"split.holdout = {list(held or ())}")
    inner = config.split.inner_folds or (5 if config.target.season == "monthly" else None)
    plan = make_plan(series.year, train=inside, holdout=kept, inner_folds=inner)
    return Problem(series, predictors, plan, pool, latitude, longitude, units)


def _known_rows(series: Series) -> Series:
    """Drop rows of which no series knows anything: years at the ends without a whole window."""
    from dataclasses import replace

    rows = np.isfinite(series.y).any(axis=0)
    return replace(
        series,
        y=series.y[:, rows], year=series.year[rows], season=series.season[rows], month=series.month[rows],
    )  # fmt: skip


def _open_grid(config: FireConfig, path: Path) -> tuple:
    burned = open_burned(
        path, kind=config.data.kind, variable=config.data.variable, observed=config.data.min_observed
    )
    years = pd.DatetimeIndex(burned["time"].values).year
    train, held = _years(config, int(years[0]), int(years[-1]))
    number = _classes(config.data.regions, burned, "data.regions")
    cover = _classes(config.data.land_cover, burned, "data.land_cover")
    whole = np.ones(burned.shape[1:])
    if number is None:
        regions = {"total": whole}
    else:
        burned = burned.where(xr.DataArray(number > 0, dims=("latitude", "longitude")))
        regions = {"total": (number > 0).astype(float)}
        regions |= {f"region {k}": (number == k).astype(float) for k in np.unique(number[number > 0])}
    # A cell of which nothing is ever known belongs to no total.
    seen = np.isfinite(burned.values).any(axis=0)
    regions = {name: share * seen for name, share in regions.items() if (share * seen).any()}
    if not regions:
        raise InputError("the mask removes every cell with burned area", where="data.regions")
    make = window_series if config.target.season == "peak" else monthly_series
    series = make(burned, train=train, share=config.target.min_fire_share, regions=regions)
    pool = np.where(series.is_cell, 0, -1)
    if config.model.pool:
        for classes in (number, cover):
            if classes is not None:
                own = classes[series.row.clip(0), series.column.clip(0)]
                pool = np.where(series.is_cell, pool * 1000 + own, -1)
    else:
        pool = np.full(pool.size, -1)
    return series, train, held, pool, burned["latitude"].values, burned["longitude"].values
