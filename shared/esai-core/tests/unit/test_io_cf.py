from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_core.errors import InputError
from esai_core.io import find_variable, standardise
from esai_core.io.cf import wrap_longitude


def grid(lat, lon, *, names=("lat", "lon"), times=2, tname="time"):
    stamps = pd.date_range("2001-01-01", periods=times, freq="MS")
    values = np.arange(times * len(lat) * len(lon), dtype="float32").reshape(times, len(lat), len(lon))
    return xr.Dataset(
        {"tas": ((tname, *names), values, {"units": "Kelvin"})},
        coords={tname: stamps, names[0]: list(lat), names[1]: list(lon)},
    )


@pytest.mark.parametrize(
    "names", [("lat", "lon"), ("latitude", "longitude"), ("LAT", "LON"), ("nav_lat", "nav_lon")]
)
@pytest.mark.parametrize("tname", ["time", "valid_time", "date", "T"])
def test_usual_names(names, tname):
    out = standardise(grid([1.0, 2.0], [3.0, 4.0], names=names, tname=tname))
    assert dict(out.sizes) == {"time": 2, "latitude": 2, "longitude": 2}
    assert out.tas.attrs["units"] == "K"


def test_units_tell_axes_with_odd_names():
    ds = grid([1.0, 2.0], [3.0, 4.0], names=("Y", "X"))
    ds["Y"].attrs["units"], ds["X"].attrs["units"] = "degree_north", "degree_east"
    assert set(standardise(ds).dims) == {"time", "latitude", "longitude"}


def test_projected_axes_are_left_alone():
    ds = grid([1e5, 2e5], [3e5, 4e5], names=("y", "x"))
    ds["y"].attrs["units"] = ds["x"].attrs["units"] = "m"
    assert set(standardise(ds).dims) == {"time", "y", "x"}


def test_an_analysis_stamped_as_forecast_reference_time_is_a_time():
    ds = grid([1.0, 2.0], [3.0, 4.0])
    ds["time"].attrs["standard_name"] = "forecast_reference_time"
    assert "time" in standardise(ds).dims


def test_values_follow_their_coordinates_whatever_the_order():
    ds = grid([10.0, 5.0, 0.0], [348.0, 354.0, 0.0, 6.0])
    out = standardise(ds)
    assert out.latitude.values.tolist() == [0, 5, 10]
    assert out.longitude.values.tolist() == [-12, -6, 0, 6]
    for lat in ds.lat.values:
        for lon in ds.lon.values:
            lon_out = lon - 360 if lon > 180 else lon
            expected = ds.tas.sel(lat=lat, lon=lon)
            np.testing.assert_array_equal(out.tas.sel(latitude=lat, longitude=lon_out), expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0, 10, 20, 30, 40, 348, 354], [-12, -6, 0, 10, 20, 30, 40]),
        ([348, 359, 0, 10], [-12, -1, 0, 10]),
        ([170, 175, 180, 185], [170, 175, 180, 185]),
        ([-175, -170, 170, 175], [170, 175, 185, 190]),
        ([-10, 0, 10], [-10, 0, 10]),
        ([100, 110, 120], [100, 110, 120]),
        ([200, 210], [-160, -150]),
    ],
)
def test_longitudes_are_contiguous(given, expected):
    assert np.sort(wrap_longitude(np.array(given, float))).tolist() == expected


def test_a_whole_globe_starts_at_the_date_line():
    values = np.sort(wrap_longitude(np.arange(0, 360, 0.25)))
    assert values[0] == -180
    assert values[-1] == 179.75
    np.testing.assert_allclose(np.diff(values), 0.25)


def test_float32_coordinates_lose_their_noise():
    ds = grid(np.array([0.1, 0.2], "f4"), np.array([359.9, 0.1], "f4"))
    out = standardise(ds)
    assert out.latitude.values.tolist() == [0.1, 0.2]
    assert out.longitude.values.tolist() == [-0.1, 0.1]


def test_applying_it_twice_changes_nothing_and_the_input_stays():
    ds = grid([10.0, 0.0], [350.0, 0.0, 10.0])
    before = ds.copy(deep=True)
    once = standardise(ds)
    xr.testing.assert_identical(standardise(once), once)
    xr.testing.assert_identical(ds, before)


def test_shuffled_times_are_sorted_with_their_values():
    ds = grid([0.0, 1.0], [0.0, 1.0], times=5)
    out = standardise(ds.isel(time=[3, 0, 4, 1, 2]))
    xr.testing.assert_identical(out, standardise(ds))


@pytest.mark.parametrize("dim", ["time", "lat", "lon"])
def test_duplicates_are_refused_by_name(dim):
    ds = grid([0.0, 1.0], [0.0, 1.0])
    twice = xr.concat([ds, ds.isel({dim: [0]})], dim)
    full = {"lat": "latitude", "lon": "longitude"}.get(dim, dim)
    with pytest.raises(InputError, match=f"{full} .* occurs twice"):
        standardise(twice)


def test_360_and_0_are_the_same_meridian():
    with pytest.raises(InputError, match=r"longitude 0\.0 occurs twice"):
        standardise(grid([0.0, 1.0], [0.0, 180.0, 360.0]))


def test_curvilinear_grids_are_refused():
    ds = xr.Dataset(
        {"tas": (("y", "x"), np.zeros((2, 3)))},
        coords={"lat": (("y", "x"), np.zeros((2, 3))), "lon": (("y", "x"), np.zeros((2, 3)))},
    )
    with pytest.raises(InputError, match=r"curvilinear: latitude has the dims \(y, x\)"):
        standardise(ds)


def test_latitude_beyond_the_pole():
    with pytest.raises(InputError, match="latitude 95 lies beyond the pole"):
        standardise(grid([85.0, 95.0], [0.0, 1.0]))


def test_expver_as_a_dimension_prefers_the_final_version():
    final = grid([0.0, 1.0], [0.0, 1.0], times=3)
    final["tas"] = final.tas.where(final.time < np.datetime64("2001-03-01"))
    early = grid([0.0, 1.0], [0.0, 1.0], times=3) + 100
    early["tas"] = early.tas.where(early.time > np.datetime64("2001-01-15"))
    ds = xr.concat([early, final], pd.Index([5, 1], name="expver"))
    ds["tas"].attrs["units"] = "K"
    out = standardise(ds)
    assert "expver" not in out.dims
    assert out.tas.attrs["units"] == "K"
    plain = grid([0.0, 1.0], [0.0, 1.0], times=3).tas.values
    np.testing.assert_array_equal(out.tas.values, np.concatenate([plain[:2], plain[2:] + 100]))


def test_expver_as_a_coordinate_is_merged_where_both_versions_are_there():
    ds = grid([0.0, 1.0], [0.0, 1.0], times=3, tname="valid_time")
    early = ds.isel(valid_time=[2]) + 100
    both = xr.concat([early, ds], "valid_time")
    both = both.assign_coords(expver=("valid_time", ["0005", "0001", "0001", "0001"]))
    out = standardise(both)
    np.testing.assert_array_equal(out.tas, ds.tas)
    assert "expver" not in out.coords
    only = ds.assign_coords(expver=("valid_time", ["0001", "0001", "0005"]))
    np.testing.assert_array_equal(standardise(only).tas, ds.tas)


def with_calendar(calendar, dates):
    import cftime

    stamps = [cftime.datetime(*d, calendar=calendar) for d in dates]
    return xr.Dataset({"tas": (("time",), np.arange(len(stamps), dtype=float))}, coords={"time": stamps})


def test_noleap_dates_become_datetimes():
    out = standardise(with_calendar("noleap", [(2004, 2, 28), (2004, 3, 1)]))
    assert out.time.dtype == "datetime64[ns]"
    assert out.time.values.astype("datetime64[D]").astype(str).tolist() == ["2004-02-28", "2004-03-01"]


def test_months_of_360_days_are_stamped_on_the_first():
    out = standardise(with_calendar("360_day", [(2001, 1, 30), (2001, 2, 30), (2001, 3, 30)]))
    assert out.time.values.astype("datetime64[D]").astype(str).tolist() == [
        "2001-01-01",
        "2001-02-01",
        "2001-03-01",
    ]


def test_thirtieth_of_february_is_refused():
    with pytest.raises(InputError, match="calendar '360_day', with dates that do not exist"):
        standardise(with_calendar("360_day", [(2001, 2, 29), (2001, 2, 30)]))


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ("t2m", "tas"),
        ("tas", "2t"),
        ("2m_temperature", "VAR_2T"),
        ("T2M", "t2m"),
        ("pr", "tp"),
        ("mslp", "psl"),
    ],
)
def test_other_names_of_a_variable(asked, there):
    ds = xr.Dataset({there: ("x", [1.0]), "other": ("x", [2.0])})
    assert find_variable(ds, asked) == there


def test_standard_names_find_a_variable():
    ds = xr.Dataset({"field7": ("x", [1.0], {"standard_name": "sea_surface_temperature"}), "b": ("x", [1.0])})
    assert find_variable(ds, "sst") == "field7"


def test_an_unknown_variable_lists_what_there_is():
    ds = xr.Dataset({"tempp": ("x", [1.0]), "tp": ("x", [2.0])})
    with pytest.raises(
        InputError, match=r"no variable 'temp'; the file has tempp, tp .*did you mean 'tempp'"
    ):
        find_variable(ds, "temp", where="a.nc")
    with pytest.raises(InputError, match="several variables in the file: tempp, tp"):
        find_variable(ds)


def test_bounds_and_grid_mappings_are_no_candidates():
    ds = grid([0.0, 1.0], [0.0, 1.0])
    ds["crs"] = xr.DataArray(0, attrs={"grid_mapping_name": "latitude_longitude"})
    ds["time_bnds"] = (("time", "nv"), np.zeros((2, 2)))
    assert find_variable(ds) == "tas"


def test_stations_keep_their_dimension():
    ds = xr.Dataset(
        {"no2": (("station", "time"), np.zeros((3, 2)))},
        coords={
            "lat": ("station", [3.0, 1.0, 2.0]),
            "lon": ("station", [350.0, 1.0, 2.0]),
            "time": pd.date_range("2001", periods=2),
        },
    )
    out = standardise(ds)
    assert out.latitude.dims == ("station",)
    assert out.latitude.values.tolist() == [3, 1, 2]
