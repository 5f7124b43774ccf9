"""Layouts and windows: two date axes, names, days, accumulations, series by date."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from esai_core.config import validate_config
from esai_core.errors import InputError
from esai_s2s import S2sConfig, open_samples
from esai_s2s.layouts import flatten_dates, open_layout
from esai_s2s.windows import daily_windows, series_windows, valid_days

WINDOWS = {"14d": (14, 27), "28d": (28, 41)}


def two_axes() -> xr.Dataset:
    versions = np.array(["2020-01-02", "2020-02-29"], dtype="datetime64[ns]")
    values = np.arange(6, dtype=float).reshape(2, 3)
    return xr.Dataset(
        {"t2m": (("model_version_date", "hindcast_year"), values)},
        {"model_version_date": versions, "hindcast_year": [2000, 2001, 2004]},
    )


def test_two_date_axes_become_one_without_the_29_february_that_is_not() -> None:
    flat = flatten_dates(two_axes()).sortby("start")
    days = flat["start"].values.astype("datetime64[D]").astype(str).tolist()
    assert days == ["2000-01-02", "2000-02-29", "2001-01-02", "2004-01-02", "2004-02-29"]
    assert flat["t2m"].values.tolist() == [0, 3, 1, 2, 5]


def test_hindcast_years_may_be_counted_back_from_the_version() -> None:
    counted = two_axes().isel(model_version_date=[0]).assign_coords(hindcast_year=[-20, -19, -16])
    days = flatten_dates(counted)["start"].values.astype("datetime64[Y]").astype(str).tolist()
    assert days == ["2000", "2001", "2004"]


@pytest.mark.parametrize(
    "lead",
    [
        np.array([14, 15, 16], dtype="timedelta64[D]").astype("timedelta64[ns]"),
        np.array([14.5, 15.5, 16.5]),
        np.array([14, 15, 16]),
    ],
)
@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_leads_in_any_spelling_are_days(tmp_path: Path, lead: np.ndarray, suffix: str) -> None:
    starts = np.array(["2001-01-04", "2000-01-06"], dtype="datetime64[ns]")
    ds = xr.Dataset(
        {"t2m": (("forecast_time", "realization", "lead_time"), np.zeros((2, 2, 3)))},
        {"forecast_time": starts, "lead_time": lead},
    )
    path = tmp_path / f"a.{suffix}"
    if suffix == "nc":
        ds.to_netcdf(path, engine="netcdf4")
    else:
        ds.to_zarr(path, consolidated=False)
    got = open_layout(path)
    assert got["lead"].values.tolist() == [14, 15, 16]
    assert set(got.dims) == {"start", "number", "lead"}
    assert (np.diff(got["start"].values) > np.timedelta64(0, "ns")).all()


def test_repeated_starts_are_refused(tmp_path: Path) -> None:
    starts = np.array(["2001-01-04", "2001-01-04"], dtype="datetime64[ns]")
    ds = xr.Dataset({"t2m": (("forecast_time", "lead_time"), np.zeros((2, 3)))}, {"forecast_time": starts})
    ds.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    with pytest.raises(InputError, match="start dates are repeated"):
        open_layout(tmp_path / "a.nc")


def test_an_accumulation_is_the_difference_of_day_28_and_day_14() -> None:
    daily = np.random.default_rng(0).gamma(1, 3, (2, 45))
    reached = np.concatenate([np.zeros((2, 1)), daily.cumsum(axis=1)], axis=1)
    rain = xr.DataArray(daily, dims=("start", "lead"), coords={"lead": np.arange(45)})
    total = xr.DataArray(reached, dims=("start", "lead"), coords={"lead": np.arange(46)})
    one = daily_windows(rain, WINDOWS, total=True)
    other = daily_windows(total, WINDOWS, total=True, accumulated=True)
    np.testing.assert_allclose(one, other)


def test_a_model_to_day_32_has_no_weeks_5_and_6() -> None:
    short = xr.DataArray(np.ones((2, 32)), dims=("start", "lead"), coords={"lead": np.arange(32)})
    made = daily_windows(short, WINDOWS)
    assert made.sel(window="28d").isnull().all()
    assert (made.sel(window="14d") == 1).all()


def test_a_series_by_date_gives_the_days_after_each_start_in_any_order() -> None:
    days = np.datetime64("2000-01-01", "ns") + np.arange(120) * np.timedelta64(1, "D")
    series = xr.DataArray(np.arange(120.0), dims="time", coords={"time": days})
    starts = days[[0, 10]]
    shuffled = series.isel(time=np.random.default_rng(0).permutation(120))
    made = series_windows(shuffled, starts, WINDOWS)
    np.testing.assert_allclose(made.sel(window="14d"), [20.5, 30.5])
    holed = series_windows(series.drop_isel(time=[25]), starts, WINDOWS)
    assert holed.sel(window="14d").isnull().all()
    assert holed.sel(window="28d").notnull().all()
    assert valid_days(starts, 14, 27)[0, 0] == np.datetime64("2000-01-15")


def test_grids_that_differ_are_refused_and_equal_ones_become_cells(tmp_path: Path) -> None:
    starts = (np.datetime64("2000-01-06") + 7 * np.arange(5)).astype("datetime64[ns]")
    coords = {
        "forecast_time": starts,
        "window": ["a"],
        "latitude": [40.0, 41.0],
        "longitude": [0.0, 1.0, 2.0],
    }
    dims = ("forecast_time", "window", "latitude", "longitude")
    rng = np.random.default_rng(0)
    truth = xr.Dataset({"t2m_obs": (dims, rng.normal(size=(5, 1, 2, 3)))}, coords)
    members = xr.Dataset({"t2m": (("realization", *dims), rng.normal(size=(4, 5, 1, 2, 3)))}, coords)
    truth.to_netcdf(tmp_path / "obs.nc", engine="netcdf4")
    members.to_netcdf(tmp_path / "fc.nc", engine="netcdf4")
    data = {"forecast": "fc.nc", "observations": "obs.nc", "variables": ["t2m"]}
    config = validate_config({"data": data}, S2sConfig, folder=tmp_path)
    (sample,) = open_samples(config)
    assert (sample.size, sample.cells) == (5, 6)
    assert sample.forecast is not None
    np.testing.assert_allclose(sample.forecast[3, 2], members["t2m"].values[2, 3, 0].ravel())
    (tmp_path / "obs.nc").unlink()
    moved = truth.assign_coords(latitude=[50.0, 51.0])
    moved.to_netcdf(tmp_path / "obs.nc", engine="netcdf4")
    with pytest.raises(InputError, match="differ in latitude"):
        open_samples(config)


def test_a_folder_of_years_is_one_series_and_the_same_days_twice_are_refused(tmp_path: Path) -> None:
    for year in (2001, 2000):
        days = np.arange(f"{year}-01-01", f"{year}-12-31", dtype="datetime64[D]").astype("datetime64[ns]")
        ds = xr.Dataset({"t2m": ("time", np.full(len(days), float(year)))}, {"time": days})
        ds.to_netcdf(tmp_path / f"tmax.{2002 - year}.nc", engine="netcdf4")
    joined = open_layout(tmp_path)
    assert (np.diff(joined["time"].values) > np.timedelta64(0, "ns")).all()
    assert float(joined["t2m"].sel(time="2001-05-05").values) == 2001
    (tmp_path / "again.nc").write_bytes((tmp_path / "tmax.1.nc").read_bytes())
    with pytest.raises(InputError, match="hold the same dates"):
        open_layout(tmp_path)
