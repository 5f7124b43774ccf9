"""From the files of a config to target, predictors and plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from esai_core import io
from esai_core.errors import InputError, UsageError
from esai_core.grid import Grid
from esai_fire.burned import is_gfed, open_burned, read_regions
from esai_fire.config import FireConfig
from esai_fire.covariates import LandCover, classes_on, read_land_cover, series_columns
from esai_fire.folds import Plan, make_plan
from esai_fire.gridding import cells_of, regrid_total
from esai_fire.indices import compute_indices
from esai_fire.predictors import Predictors, lag_predictors
from esai_fire.reading import read_indices
from esai_fire.windows import Series, monthly_series, region_months, window_series

__all__ = ["Problem", "open_index_table", "open_problem", "table_series"]

_DEFAULT_PEAK = 7
_TABLES = (".csv", ".parquet")


@dataclass(frozen=True)
class Problem:
    """Everything that a fit needs.

    Attributes
    ----------
    series, predictors, plan
    pool : (C,) cells that share slopes, -1 for none.
    latitude, longitude : of the grid, empty for tables.
    units : of the target.
    shares : region -> (latitude, longitude) share of each cell in it, for grids.
    biome : (C,) land-cover class of each cell; of a region its own number below 0.
    indices : monthly index series.
    months : monthly burned area of the regions, None for tables of years.
    """

    series: Series
    predictors: Predictors
    plan: Plan
    pool: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray
    units: str
    shares: dict[str, np.ndarray]
    biome: np.ndarray
    indices: pd.DataFrame
    months: pd.DataFrame | None

    @property
    def grid(self) -> Grid:
        """Cells of the burned area."""
        return Grid(self.latitude, self.longitude)


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


def _regions(config: FireConfig, grid: Grid) -> tuple[np.ndarray, dict[int, str]] | None:
    """Region number of each cell, 0 for none, and their names; None where no regions are given."""
    path = config.data.regions
    if path is None:
        burned = config.data.burned_area
        if burned is None or not is_gfed(burned, config.data.kind):
            return None
        path = burned
    field, names = read_regions(path)
    number = classes_on(field, grid, where=f"data.regions = {path}")
    return number, {int(k): names.get(int(k), f"region {k}") for k in np.unique(number[number > 0])}


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
    cells = _open_table(config, path) if path.suffix.lower() in _TABLES else _open_cells(config, path)
    series, (train, held) = cells.series, cells.years
    indices = open_index_table(config)
    predictors = lag_predictors(
        indices,
        names=config.predictors.indices,
        lags=config.predictors.lags,
        lead=config.target.lead_months,
        years=series.year,
        month=series.month,
        smooth=config.predictors.smooth,
        peaks=series.peak,
        where=config.data.indices or config.data.sst,
    )
    if cells.fields:
        own, names = series_columns(cells.fields, series, cells.shares, lead=config.target.lead_months)
        predictors = predictors.add_own(own, names, lag=config.target.lead_months)
    rows = np.isfinite(series.y).any(axis=0)
    inside = (series.year >= train[0]) & (series.year <= train[1]) & rows
    kept = None if held is None else (series.year >= held[0]) & (series.year <= held[1]) & rows
    if kept is not None and not kept.any():
        raise UsageError("no window of the holdout is whole", where=f"split.holdout = {list(held or ())}")
    inner = config.split.inner_folds or (5 if config.target.season == "monthly" else None)
    plan = make_plan(series.year, train=inside, holdout=kept, inner_folds=inner)
    return Problem(
        series, predictors, plan, cells.pool, cells.latitude, cells.longitude, cells.units, cells.shares,
        cells.biome, indices, cells.months,
    )  # fmt: skip


@dataclass(frozen=True)
class _Cells:
    """What a file of burned area gives; the fields as in `Problem`, and land cover that changes."""

    series: Series
    years: tuple[tuple[int, int], tuple[int, int] | None]
    pool: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray
    units: str
    shares: dict[str, np.ndarray]
    biome: np.ndarray
    fields: dict[str, xr.DataArray]
    months: pd.DataFrame | None = None


def _open_table(config: FireConfig, path: Path) -> _Cells:
    for key in ("regions", "land_cover", "gfas"):
        if getattr(config.data, key) is not None:
            raise UsageError(
                "a table of regions has no grid", where=f"data.{key}", remedy="give burned area on a grid"
            )
    if config.target.season == "monthly" or config.target.resolution is not None:
        key = "season" if config.target.season == "monthly" else "resolution"
        raise UsageError(
            "a table of years has neither months nor cells", where=f"target.{key}",
            remedy="give burned area on a grid",
        )  # fmt: skip
    series = _known_rows(table_series(path, peaks=config.target.peak_months))
    count = series.names.size
    return _Cells(
        series, _years(config, int(series.year[0]), int(series.year[-1])), np.full(count, -1), np.zeros(0),
        np.zeros(0), "unit of the table", {}, -1 - np.arange(count), {},
    )  # fmt: skip


def _known_rows(series: Series) -> Series:
    """Drop rows of which no series knows anything: years at the ends without a whole window."""
    rows = np.isfinite(series.y).any(axis=0)
    return replace(
        series,
        y=series.y[:, rows], year=series.year[rows], season=series.season[rows], month=series.month[rows],
    )  # fmt: skip


def _open_cells(config: FireConfig, path: Path) -> _Cells:
    burned = open_burned(
        path, kind=config.data.kind, variable=config.data.variable, observed=config.data.min_observed
    )
    if config.target.resolution is not None:
        burned = regrid_total(burned, cells_of(Grid.from_dataset(burned), config.target.resolution))
    grid = Grid.from_dataset(burned)
    calendar = pd.DatetimeIndex(burned["time"].values).year
    years = _years(config, int(calendar[0]), int(calendar[-1]))
    found = _regions(config, grid)
    cover = LandCover(None, {})
    if config.data.land_cover is not None:
        cover = read_land_cover(config.data.land_cover, grid)
    shares = {"total": np.ones(grid.shape)}
    if found is not None:
        number, names = found
        burned = burned.where(xr.DataArray(number > 0, dims=("latitude", "longitude")))
        shares = {"total": (number > 0).astype(float)}
        shares |= {name: (number == k).astype(float) for k, name in names.items()}
    # A cell of which nothing is ever known belongs to no total.
    seen = np.isfinite(burned.values).any(axis=0)
    shares = {name: share * seen for name, share in shares.items() if (share * seen).any()}
    if not shares:
        raise InputError(
            "the mask removes every cell with burned area",
            where=config.data.regions or path,
            remedy="check the mask, and data.min_observed",
        )
    make = window_series if config.target.season == "peak" else monthly_series
    series = _known_rows(make(burned, train=years[0], share=config.target.min_fire_share, regions=shares))
    biome = np.zeros(series.names.size, int) if cover.classes is None else _at_cells(cover.classes, series)
    biome = np.where(series.is_cell, biome, -1 - np.arange(biome.size))
    pool = np.full(biome.size, -1)
    if config.model.pool:
        region = np.zeros(biome.size, int) if found is None else _at_cells(found[0], series)
        _, number_of = np.unique(np.stack([region, biome], axis=1), axis=0, return_inverse=True)
        pool = np.where(series.is_cell, number_of.ravel(), -1)
    return _Cells(
        series, years, pool, burned["latitude"].values, burned["longitude"].values, "m2", shares, biome,
        cover.fields, region_months(burned, shares),
    )  # fmt: skip


def _at_cells(values: np.ndarray, series: Series) -> np.ndarray:
    """Values (latitude, longitude) at the cells of some series; what regions get means nothing."""
    return np.asarray(values[series.row.clip(0), series.column.clip(0)])
