from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_core.errors import InputError
from esai_core.grid import Grid
from esai_fire.covariates import classes_on, read_land_cover, series_columns
from esai_fire.demo import synthetic_burned_area, synthetic_indices
from esai_fire.folds import make_plan
from esai_fire.nested import run_nested
from esai_fire.predictors import lag_predictors
from esai_fire.windows import Series, window_series

GRID = Grid(np.array([30.5, 31.5, 32.5]), np.array([10.5, 11.5]))


def _write(path: Path, **variables: tuple) -> Path:
    coords = {"latitude": GRID.latitude, "longitude": GRID.longitude}
    if any("time" in dims for dims, _ in variables.values()):
        coords["time"] = pd.to_datetime(["1999-01-01", "2000-01-01", "2001-01-01", "2002-01-01"])
    xr.Dataset(variables, coords=coords).to_netcdf(path, engine="netcdf4")
    return path


def test_classes_a_quantity_and_fields_over_time(tmp_path: Path) -> None:
    cover = np.array([[10, 10], [20, 20], [0, 20]])
    biomass = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, np.nan]])
    grid = ("latitude", "longitude")
    trees = np.arange(24.0).reshape(4, 3, 2)
    found = read_land_cover(
        _write(tmp_path / "a.nc", cover=(grid, cover), trees=(("time", *grid), trees)), GRID
    )
    np.testing.assert_array_equal(found.classes > 0, cover > 0)
    assert len(np.unique(found.classes[cover > 0])) == 2
    np.testing.assert_array_equal(found.fields["trees"].values, trees)
    thirds = read_land_cover(_write(tmp_path / "b.nc", biomass=(grid, biomass)), GRID).classes
    assert thirds[2, 1] == 0
    assert thirds[0, 0] < thirds[1, 0] < thirds[2, 0]
    with pytest.raises(InputError, match=r"no variable on \(latitude, longitude\)"):
        read_land_cover(_write(tmp_path / "c.nc", other=(("latitude",), np.zeros(3))), GRID)


def test_classes_of_a_finer_map_and_an_empty_one() -> None:
    fine = xr.DataArray(
        np.kron([[1, 2], [3, 4], [5, 6]], np.ones((4, 4))),
        coords={"latitude": 30.125 + 0.25 * np.arange(12), "longitude": 10.125 + 0.25 * np.arange(8)},
        dims=("latitude", "longitude"),
        name="cover",
    )
    np.testing.assert_array_equal(classes_on(fine, GRID, where="x"), [[1, 2], [3, 4], [5, 6]])
    with pytest.raises(InputError, match=r"the mask removes every cell"):
        classes_on(fine * 0, GRID, where="x")


def _series(years: np.ndarray) -> Series:
    none = np.zeros(years.size, int)
    return Series(
        y=np.ones((2, years.size)), names=np.array(["total", "a"]), peak=np.array([7, 3]), year=years,
        season=none, month=none, row=np.array([-1, 1]), column=np.array([-1, 0]),
    )  # fmt: skip


def test_a_yearly_map_is_known_once_its_year_is_over() -> None:
    field = xr.DataArray(
        np.arange(24.0).reshape(4, 3, 2),
        coords={"time": pd.to_datetime([f"{y}-01-01" for y in range(1999, 2003)])},
        dims=("time", "latitude", "longitude"),
    )
    shares = {"total": np.ones((3, 2))}
    own, names = series_columns({"trees": field}, _series(np.array([2001, 2002])), shares, lead=4)
    assert names == ["trees"]
    # July less four months is March: the map of the year before; March less four is November before.
    np.testing.assert_array_equal(own[0, :, 0], field.values.mean(axis=(1, 2))[[1, 2]])
    np.testing.assert_array_equal(own[1, :, 0], field.values[[0, 1], 1, 0])
    with pytest.raises(InputError, match=r"first known in 1999-12, after the issue date for 1999"):
        series_columns({"trees": field}, _series(np.array([1999, 2000])), shares, lead=4)
    gaps = field.copy()
    gaps[1, 1, 0] = np.nan
    with pytest.raises(InputError, match=r"trees has gaps for a"):
        series_columns({"trees": gaps}, _series(np.array([2001, 2002, 2003])), shares, lead=4)


def test_biomass_that_drives_fire_is_found_and_forecasts() -> None:
    table = synthetic_indices(("nino34", "pdo"), first=1978, last=2008)
    burned = synthetic_burned_area(table, first=1981, last=2008, shape=(2, 3), drivers={}, dispersion=0.1)
    random = np.random.default_rng(2)
    years = np.arange(1981, 2009)
    fuel = random.normal(size=(years.size, 2, 3))
    burned = burned * np.exp(0.8 * fuel).repeat(12, axis=0)
    series = window_series(burned)
    field = xr.DataArray(
        fuel, coords={"time": pd.to_datetime([f"{y - 1}-01-01" for y in years])},
        dims=("time", "latitude", "longitude"),
    )  # fmt: skip
    own, names = series_columns({"fuel": field}, series, {}, lead=4)
    predictors = lag_predictors(
        table, names=["nino34", "pdo"], lags=(4, 6), lead=4, years=series.year, month=series.month,
        peaks=series.peak,
    ).add_own(own, names, lag=4)  # fmt: skip
    assert predictors.labels[-1] == "fuel-4"
    plan = make_plan(series.year, train=np.isfinite(series.y).any(axis=0))
    found = run_nested(series, predictors, plan, pool=np.zeros(6, int))
    assert found.selected["lasso"].shape == (6, 7)
    assert (np.abs(found.selected["single"]).argmax(axis=1) == 6).all()
    error = np.abs(np.log(found.outer["stack"] / series.y)).mean()
    assert error < 0.6 * np.abs(np.log(found.outer["climatology"] / series.y)).mean()
