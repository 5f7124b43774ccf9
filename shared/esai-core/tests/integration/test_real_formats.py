"""Every real seasonal file opens into the one data model, or gives the clear error that a user needs."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from esai_core.errors import InputError
from esai_core.grid import Alignment, Grid, alignment, area_weights, regrid
from esai_core.hindcast import deaccumulate, match_reference
from esai_core.io import check_plausible, load, open_dataset, open_hindcast, open_reference
from esai_core.testing import data_path

GRIB = pytest.mark.filterwarnings("ignore:.*eccodes:UserWarning")
HINDCASTS = {
    "seasonal/seas5_t2m_monthly_colombia_1981-2008.nc": (
        (336, 6, 25, 4, 5),
        "months",
        "1981-01-01",
        "2008-12-01",
    ),
    "seasonal/formats/seaform_A_2011_01_ecmwf.nc": ((1, 215, 25, 8, 4), "days", "2011-01-01", "2011-01-01"),
    "seasonal/formats/seaform_A_2017_01_ecmwf.nc": ((1, 215, 51, 8, 4), "days", "2017-01-01", "2017-01-01"),
    "seasonal/formats/cfgrib_forecast_monthly_ukmo.grib": (
        (2, 3, 28, 6, 11),
        "months",
        "2016-01-01",
        "2016-02-01",
    ),
    "seasonal/formats/cfgrib_ncep-seasonal-monthly.grib": (
        (1, 3, 124, 7, 12),
        "months",
        "2021-09-01",
        "2021-09-01",
    ),
}
REFERENCES = {
    "seasonal/era5_t2m_monthly_colombia_1981-2009.nc": (342, 13, 17),
    "seasonal/era5_t2m_hourly_uk_20190301-24.nc": (576, 33, 49),
    "seasonal/eobs_tas_daily_iberia_djf_1982-1998.nc": (1444, 19, 29),
    "seasonal/ncep_tas_daily_iberia_djf_1982-1998.nc": (1444, 6, 8),
    "seasonal/formats/xarray_era5-2mt-2019-03-uk.grib": (744, 33, 49),
}


def path_of(name):
    if name.endswith(".grib"):
        pytest.importorskip("cfgrib")
    return data_path(name)


def ascending(da):
    return all((np.diff(da[c]) > 0).all() for c in ("latitude", "longitude"))


@pytest.mark.parametrize("name", HINDCASTS)
def test_hindcasts(name):
    shape, units, first, last = HINDCASTS[name]
    path = path_of(name)
    before = sorted(path.parent.iterdir())
    da = load(open_hindcast(path, variable="t2m"))
    assert da.dims == ("start", "lead", "number", "latitude", "longitude")
    assert da.shape == shape
    assert da.lead.attrs["units"] == units
    assert da.lead.values[0] == 1
    assert str(da.start.values[0])[:10] == first
    assert str(da.start.values[-1])[:10] == last
    assert da.attrs["units"] == "K"
    assert ascending(da)
    assert not da.isnull().any()
    check_plausible(da, "temperature")
    assert sorted(path.parent.iterdir()) == before  # no index files beside the data
    with pytest.raises(InputError, match=r"hindcast|members, where a reference is expected"):
        open_reference(path, variable="t2m")


@pytest.mark.parametrize("name", REFERENCES)
def test_references(name):
    path = path_of(name)
    da = load(open_reference(path, variable="t2m"))
    assert da.dims == ("time", "latitude", "longitude")
    assert da.shape == REFERENCES[name]
    assert da.time.dtype == "datetime64[ns]"
    assert ascending(da)
    check_plausible(da, "temperature")
    with pytest.raises(InputError, match=r"looks like a reference.*swap data\.hindcast and data\.reference"):
        open_hindcast(path, variable="t2m")


@pytest.mark.parametrize("name", ["colombia_0p25", "colombia_1p0", "uk_0p25", "iberia_0p5"])
def test_static_fields(name):
    path = data_path(f"seasonal/static_{name}.nc")
    ds = open_dataset(path)
    assert {"orog", "sdor", "lsm"} <= set(ds.data_vars)
    check_plausible(ds["orog"], "height")
    check_plausible(ds["lsm"], "fraction")
    with pytest.raises(InputError, match="no variable 't2m'; the file has orog, sdor, lsm"):
        open_reference(path, variable="t2m")


def test_an_ensemble_of_analyses_on_levels_says_what_to_choose():
    path = path_of("seasonal/formats/cfgrib_era5-levels-members.grib")
    ds = open_dataset(path)
    assert set(ds.data_vars) == {"z", "t"}
    with pytest.raises(InputError, match="no variable 't2m'; the file has z, t"):
        open_reference(path, variable="t2m")
    with pytest.raises(InputError, match="10 members"):
        open_reference(path, variable="t")
    with pytest.raises(InputError, match=r"dimension isobaricInhPa \(850.0, 500.0\).*select one"):
        open_reference(path, variable="t", select={"number": 0})
    with pytest.raises(InputError, match="ensemble of analyses"):
        open_hindcast(path, variable="t", select={"isobaricInhPa": 850})
    da = open_reference(path, variable="t", select={"number": 0, "isobaricInhPa": 850})
    assert da.shape == (4, 61, 120)
    assert da.longitude.values[0] == -180


@pytest.mark.parametrize(
    "name", ["cfgrib_forecast_monthly_ukmo", "cfgrib_ncep-seasonal-monthly", "xarray_era5-2mt-2019-03-uk"]
)
def test_grib_values_are_those_of_the_messages(name):
    path = path_of(f"seasonal/formats/{name}.grib")
    import eccodes

    is_hindcast = "seasonal" in name or "forecast" in name
    da = load((open_hindcast if is_hindcast else open_reference)(path, variable="2t"))
    seen = 0
    with path.open("rb") as file:
        while (handle := eccodes.codes_grib_new_from_file(file)) is not None:
            seen += 1
            if seen % 7 == 1:
                ni, nj = eccodes.codes_get(handle, "Ni"), eccodes.codes_get(handle, "Nj")
                values = eccodes.codes_get_values(handle).reshape(nj, ni)[::-1]
                lon = np.sort((eccodes.codes_get_array(handle, "distinctLongitudes") + 180) % 360 - 180)
                order = np.argsort((eccodes.codes_get_array(handle, "distinctLongitudes") + 180) % 360)
                if is_hindcast:
                    start = str(eccodes.codes_get(handle, "indexingDate"))
                    found = da.sel(
                        start=f"{start[:4]}-{start[4:6]}-{start[6:]}",
                        lead=eccodes.codes_get(handle, "forecastMonth"),
                        number=eccodes.codes_get(handle, "number"),
                    )
                    valid = str(eccodes.codes_get(handle, "verifyingMonth"))
                    assert str(found.valid_time.values.astype("datetime64[M]")).replace("-", "") == valid
                else:
                    date, time = eccodes.codes_get(handle, "dataDate"), eccodes.codes_get(handle, "dataTime")
                    stamp = np.datetime64(
                        f"{date // 10000}-{date // 100 % 100:02}-{date % 100:02}T{time // 100:02}"
                    )
                    found = da.sel(time=stamp)
                np.testing.assert_allclose(da.longitude, lon, atol=1e-9)
                np.testing.assert_allclose(found.values.squeeze(), values[:, order], rtol=1e-6)
            eccodes.codes_release(handle)
    assert seen == da.size // (da.sizes["latitude"] * da.sizes["longitude"])


def test_truncated_grib_is_refused_where_cfgrib_would_read_on(tmp_path):
    raw = path_of("seasonal/formats/cfgrib_forecast_monthly_ukmo.grib").read_bytes()
    (tmp_path / "a.grib").write_bytes(raw[:-200])
    with pytest.raises(InputError, match=r"message 168 is cut off .*a\.grib"):
        open_hindcast(tmp_path / "a.grib", variable="t2m")


@pytest.mark.parametrize("cut", [1000, 300_000])
def test_truncated_netcdf_is_refused(tmp_path, cut):
    for name in (
        "seasonal/formats/seaform_A_2011_01_ecmwf.nc",
        "seasonal/seas5_t2m_monthly_colombia_1981-2008.nc",
    ):
        raw = data_path(name).read_bytes()
        (tmp_path / "a.nc").write_bytes(raw[:-cut])
        with pytest.raises(InputError, match=r"truncated or damaged .*a\.nc"):
            load(open_hindcast(tmp_path / "a.nc", variable="t2m"))


def test_two_starts_of_25_and_51_members():
    paths = [data_path(f"seasonal/formats/seaform_A_{y}_01_ecmwf.nc") for y in (2017, 2011)]
    da = open_hindcast(paths, variable="tp")
    assert da.shape == (2, 215, 51, 8, 4)
    counts = da.isel(lead=0, latitude=0, longitude=0).notnull().sum("number").values
    assert counts.tolist() == [25, 51]
    with xr.open_dataset(paths[1], engine=xr.backends.NetCDF4BackendEntrypoint) as raw:
        np.testing.assert_array_equal(da.values[0, :, :25, ::-1], raw.tp.values)


def test_daily_rain_out_of_accumulated_rain():
    total = load(open_hindcast(data_path("seasonal/formats/seaform_A_2017_01_ecmwf.nc"), variable="tp"))
    rain = deaccumulate(total)
    assert float(rain.min()) == 0
    np.testing.assert_allclose(rain.sum("lead"), total.isel(lead=-1), atol=3e-3)  # m, of 0.3 to 1.8


def test_the_published_raw_error_over_colombia():
    hindcast = load(
        open_hindcast(data_path("seasonal/seas5_t2m_monthly_colombia_1981-2008.nc"), variable="tas")
    )
    reference = load(
        open_reference(data_path("seasonal/era5_t2m_monthly_colombia_1981-2009.nc"), variable="tas")
    )
    assert alignment(Grid.from_dataset(hindcast), Grid.from_dataset(reference)) == Alignment("node", 4)
    truth = match_reference(hindcast, reference)
    assert not truth.isnull().any()
    forecast = regrid(hindcast, reference)
    assert not forecast.isnull().any()
    test = (hindcast.start.dt.year >= 2003).values
    error = (forecast.mean("number") - truth).isel(start=test)
    weights = area_weights(reference.latitude)
    assert float(((error**2) * weights).mean()) ** 0.5 == pytest.approx(1.7230, abs=2e-4)
    assert float((error * weights).mean()) == pytest.approx(-0.453, abs=1e-3)


def test_the_same_month_from_grib_and_netcdf():
    grib = open_reference(path_of("seasonal/formats/xarray_era5-2mt-2019-03-uk.grib"), variable="t2m")
    netcdf = open_reference(data_path("seasonal/era5_t2m_hourly_uk_20190301-24.nc"), variable="t2m")
    np.testing.assert_allclose(grib.sel(time=netcdf.time).values, netcdf.values, rtol=1e-6)
    for name in ("latitude", "longitude"):
        np.testing.assert_allclose(grib[name], netcdf[name])
