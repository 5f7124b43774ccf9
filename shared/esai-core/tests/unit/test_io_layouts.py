"""One hindcast, written in the layout of each producer, must come back as the same array."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_core.errors import InputError
from esai_core.io import open_hindcast, open_reference
from esai_core.io.layouts import HINDCAST_DIMS, join_starts, valid_time

SIZES = {"start": 3, "lead": 4, "number": 5, "latitude": 2, "longitude": 3}


@pytest.fixture
def monthly():
    rng = np.random.default_rng(1)
    start = xr.DataArray(pd.to_datetime(["2001-11-01", "2001-12-01", "2002-01-01"]), dims="start")
    lead = xr.DataArray([1, 2, 3, 4], dims="lead", attrs={"units": "months"})
    return xr.DataArray(
        rng.normal(285, 3, tuple(SIZES.values())),
        dims=tuple(SIZES),
        coords={
            "start": start,
            "lead": lead,
            "number": np.arange(5),
            "latitude": [10.0, 11.0],
            "longitude": [-3.0, -2.0, -1.0],
            "valid_time": valid_time(start, lead),
        },
        name="t2m",
        attrs={"units": "K"},
    )


def same(out, expected):
    assert out.dims == HINDCAST_DIMS
    xr.testing.assert_allclose(out, expected, rtol=1e-12)
    assert out.lead.attrs["units"] == expected.lead.attrs["units"]
    assert out.attrs["units"] == "K"


def test_valid_months_cross_the_year(monthly):
    months = monthly.valid_time.values.astype("datetime64[M]").astype(str)
    assert months[1].tolist() == ["2001-12", "2002-01", "2002-02", "2002-03"]


def test_valid_days():
    start = xr.DataArray(pd.to_datetime(["2012-02-27"]), dims="start")
    lead = xr.DataArray([1, 2, 3], dims="lead", attrs={"units": "days"})
    days = valid_time(start, lead).values.astype("datetime64[D]").astype(str)
    assert days[0].tolist() == ["2012-02-28", "2012-02-29", "2012-03-01"]


def test_new_climate_data_store(monthly):
    ds = (
        monthly.drop_vars("valid_time")
        .rename(start="forecast_reference_time", lead="forecastMonth")
        .to_dataset()
    )
    ds["forecastMonth"].attrs = {"long_name": "months since forecast_reference_time", "units": "1"}
    ds = ds.transpose("number", "forecast_reference_time", "forecastMonth", "latitude", "longitude")
    same(open_hindcast(ds.isel(latitude=slice(None, None, -1)), variable="tas"), monthly)


def test_c3s_grib_as_cfgrib_gives_it(monthly):
    ds = monthly.drop_vars("valid_time").rename(start="indexing_time", lead="forecastMonth").to_dataset()
    ds["forecastMonth"].attrs = {"long_name": "months since forecast_reference_time", "units": "1"}
    ds = ds.assign_coords(surface=0.0)
    same(open_hindcast(ds), monthly)
    one = open_hindcast(ds.isel(indexing_time=1))
    same(one, monthly.isel(start=[1]))


def test_nmme(monthly):
    ds = (
        monthly.drop_vars("valid_time")
        .to_dataset()
        .rename(start="S", lead="L", number="M", latitude="Y", longitude="X")
    )
    ds = ds.assign_coords(L=("L", [0.5, 1.5, 2.5, 3.5], {"units": "months"}), M=("M", np.arange(5)))
    ds["Y"].attrs["units"], ds["X"].attrs["units"] = "degree_north", "degree_east"
    same(open_hindcast(ds), monthly)


def test_shuffled_coordinates_give_the_same(monthly):
    rng = np.random.default_rng(0)
    ds = monthly.to_dataset()
    shuffled = ds.isel({d: rng.permutation(n) for d, n in ds.sizes.items()})
    same(open_hindcast(shuffled), monthly)
    same(open_hindcast(shuffled.chunk({"start": 1})), monthly)


def daily(start, members, days=6):
    rng = np.random.default_rng(members)
    times = pd.date_range(start, periods=days + 1)[1:]
    return xr.Dataset(
        {
            "t2m": (
                ("time", "number", "latitude", "longitude"),
                rng.normal(280, 3, (days, members, 2, 3)),
                {"units": "K"},
            )
        },
        coords={
            "time": times,
            "number": np.arange(members),
            "latitude": [11.0, 10.0],
            "longitude": [357.0, 358.0, 359.0],
        },
    )


def test_old_climate_data_store_starts_one_step_before_the_first_day():
    ds = daily("2011-01-01", 5)
    out = open_hindcast(ds, variable="t2m")
    assert dict(out.sizes) == {"start": 1, "lead": 6, "number": 5, "latitude": 2, "longitude": 3}
    assert out.start.values.astype("datetime64[D]").astype(str).tolist() == ["2011-01-01"]
    assert out.lead.values.tolist() == [1, 2, 3, 4, 5, 6]
    assert out.lead.attrs["units"] == "days"
    np.testing.assert_array_equal(out.valid_time.values[0], ds.time.values.astype("datetime64[ns]"))
    np.testing.assert_array_equal(out[0, :, :, ::-1].values, ds.t2m.values)


def test_starts_with_fewer_members_are_padded_at_the_end(tmp_path):
    for start, members in (("2017-01-01", 7), ("2011-01-01", 3)):
        daily(start, members).to_netcdf(tmp_path / f"{start}.nc", engine="netcdf4")
    out = open_hindcast(tmp_path, variable="t2m")
    assert out.start.dt.year.values.tolist() == [2011, 2017]
    assert out.chunks is not None
    missing = out.isnull().all(("lead", "latitude", "longitude")).values
    np.testing.assert_array_equal(missing, [[False] * 3 + [True] * 4, [False] * 7])
    assert int(out.isnull().sum()) == 4 * 6 * 2 * 3


def test_joining_refuses_what_does_not_fit():
    a = open_hindcast(daily("2011-01-01", 3))
    with pytest.raises(InputError, match="start 2011-01-01 00:00:00 occurs in two files"):
        join_starts([a, a])
    b = open_hindcast(daily("2012-01-01", 3))
    with pytest.raises(InputError, match="latitude differs between the files"):
        join_starts([a, b.assign_coords(latitude=[0.0, 1.0])])
    with pytest.raises(InputError, match="units differ between the files: 'K' and 'degC'"):
        join_starts([a, b.assign_attrs(units="degC")])
    with pytest.raises(InputError, match="lead differs"):
        join_starts([a, b.isel(lead=slice(0, 4))])


def test_lagged_members_are_placed_under_the_nominal_start():
    ds = daily("2011-01-03", 3)
    lagged = ds.assign_coords(start=("number", pd.to_datetime(["2011-01-01", "2011-01-03", "2011-01-02"])))
    out = open_hindcast(lagged)
    assert out.start.values.astype("datetime64[D]").astype(str).tolist() == ["2011-01-03"]
    assert out.lead.values.tolist() == [1, 2, 3, 4, 5, 6]


def test_gaps_need_the_start_to_be_named():
    ds = daily("2011-01-01", 3).isel(time=[0, 1, 4])
    with pytest.raises(InputError, match=r"the start cannot be known.*name the start"):
        open_hindcast(ds)
    out = open_hindcast(ds, start="2011-01-01")
    assert out.lead.values.tolist() == [1, 2, 5]
    with pytest.raises(InputError, match="not whole days after the start"):
        open_hindcast(ds, start="2011-02-01")


def test_leads_as_timedeltas_or_hours():
    out = open_hindcast(daily("2011-01-01", 3))
    for lead in (
        xr.DataArray(pd.to_timedelta(out.lead.values, unit="D"), dims="lead"),
        xr.DataArray(out.lead.values * 24, dims="lead", attrs={"units": "hours"}),
        xr.DataArray(out.lead.values.astype(float), dims="lead", attrs={"units": "days"}),
    ):
        given = out.drop_vars("valid_time").assign_coords(lead=lead).to_dataset()
        given = given.rename(start="forecast_reference_time", lead="forecast_period")
        same(open_hindcast(given), out)


@pytest.mark.parametrize("starts", [1, 2])
def test_daily_grib_as_cfgrib_gives_it(starts):
    out = join_starts([open_hindcast(daily(f"201{i}-01-01", 3)) for i in range(starts)])
    ds = out.drop_vars("valid_time").to_dataset().rename(start="time", lead="step")
    ds = ds.assign_coords(step=pd.to_timedelta(out.lead.values, unit="D"))
    ds["time"].attrs["standard_name"] = "forecast_reference_time"
    ds = ds.assign_coords(valid_time=(("time", "step"), out.valid_time.values, {"standard_name": "time"}))
    same(open_hindcast(ds.isel(time=0) if starts == 1 else ds), out)


def test_leads_of_six_hours_or_of_no_unit_are_refused():
    out = open_hindcast(daily("2011-01-01", 3)).drop_vars("valid_time").to_dataset()
    hours = out.assign_coords(lead=("lead", np.arange(6) * 6.0, {"units": "hours"}))
    with pytest.raises(InputError, match="make daily values first"):
        open_hindcast(hours)
    with pytest.raises(InputError, match="the unit of lead is not known"):
        open_hindcast(out.assign_coords(lead=("lead", np.arange(6))))


def reference(times=24):
    return xr.Dataset(
        {"t2m": (("valid_time", "latitude", "longitude"), np.zeros((times, 2, 3)), {"units": "K"})},
        coords={
            "valid_time": pd.date_range("2001", periods=times, freq="MS"),
            "latitude": [11.0, 10.0],
            "longitude": [0.0, 1.0, 2.0],
        },
    )


def test_reference():
    out = open_reference(reference(), variable="tas")
    assert out.dims == ("time", "latitude", "longitude")
    assert out.latitude.values.tolist() == [10, 11]


def test_swapped_files_are_told(monthly):
    with pytest.raises(InputError, match=r"looks like a reference .*swap data\.hindcast and data\.reference"):
        open_hindcast(reference(), variable="t2m")
    with pytest.raises(InputError, match=r"looks like a hindcast \(it has number, start, lead\).*swap"):
        open_reference(monthly.to_dataset(), variable="t2m")
    with pytest.raises(InputError, match="has 3 members, where a reference is expected"):
        open_reference(daily("2011-01-01", 3))


def test_levels_are_selected_not_guessed(monthly):
    ds = xr.concat([reference(), reference() + 1], pd.Index([500, 850], name="isobaricInhPa"))
    ds["t2m"].attrs["units"] = "K"
    with pytest.raises(InputError, match=r"also the dimension isobaricInhPa \(500, 850\); select one"):
        open_reference(ds)
    assert float(open_reference(ds, select={"isobaricInhPa": 850}).max()) == 1
    with pytest.raises(InputError, match="no isobaricInhPa 700; the file has 500, 850"):
        open_reference(ds, select={"isobaricInhPa": 700})
    with pytest.raises(InputError, match="cannot select level=1"):
        open_reference(ds, select={"level": 1})
    one = ds.isel(isobaricInhPa=[0])
    assert open_reference(one).dims == ("time", "latitude", "longitude")


def test_an_ensemble_of_analyses_is_no_hindcast():
    ds = daily("2011-01-01", 3)
    ds["t2m"].attrs["GRIB_dataType"] = "an"
    with pytest.raises(InputError, match="ensemble of analyses"):
        open_hindcast(ds)


def test_a_file_of_ensemble_means_has_one_member(monthly):
    out = open_hindcast(monthly.mean("number").assign_attrs(units="K").to_dataset(name="t2m"))
    assert out.sizes["number"] == 1
    assert out.dims == HINDCAST_DIMS
