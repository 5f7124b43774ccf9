"""GFAS on generated files of its schema: synthetic, no observation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_core.errors import InputError, UsageError
from esai_core.grid import Grid
from esai_fire.gfas import PARAMETERS, find_species, read_gfas

LATITUDE, LONGITUDE = np.arange(41.95, 40.0, -0.1), np.arange(0.05, 2.0, 0.1)


def _daily(days: int = 60, *, names: tuple[str, ...] = ("cofire", "pm2p5fire")) -> xr.Dataset:
    random = np.random.default_rng(0)
    time = pd.date_range("2003-01-01", periods=days, freq="D")
    values = {
        name: (
            ("time", "latitude", "longitude"),
            random.gamma(0.1, 1e-9, (days, LATITUDE.size, LONGITUDE.size)).astype("float32"),
            {"units": "kg m**-2 s**-1"},
        )
        for name in names
    }
    return xr.Dataset(values, coords={"time": time, "latitude": LATITUDE, "longitude": LONGITUDE})


def _write(ds: xr.Dataset, path: Path) -> Path:
    ds.to_netcdf(path, engine="netcdf4")
    return path


def test_monthly_totals_keep_mass_on_coarser_cells(tmp_path: Path) -> None:
    ds = _daily(59)
    path = _write(ds, tmp_path / "gfas.nc")
    target = Grid(np.array([40.5, 41.5]), np.array([0.5, 1.5]))
    found = read_gfas(path, species=["CO", "PM2.5"], target=target)
    assert list(found.data_vars) == ["CO", "PM2.5"]
    assert [str(t)[:10] for t in found.time.values] == ["2003-01-01", "2003-02-01"]
    area = Grid(LATITUDE, LONGITUDE).cell_area.values
    for name, variable in (("CO", "cofire"), ("PM2.5", "pm2p5fire")):
        for month, days in ((0, slice(0, 31)), (1, slice(31, 59))):
            expected = float((ds[variable].values[days].astype(float) * area).sum() * 86400.0)
            assert float(found[name][month].sum()) == pytest.approx(expected, rel=1e-5)
    south_west = float((ds["cofire"].values[:31, 10:, :10].astype(float) * area[10:, :10]).sum() * 86400.0)
    assert float(found["CO"][0, 0, 0]) == pytest.approx(south_west, rel=1e-5)


def test_a_file_for_each_month_is_the_same_as_one(tmp_path: Path) -> None:
    ds = _daily(59)
    whole = read_gfas(_write(ds, tmp_path / "whole.nc"), species=["CO"])
    folder = tmp_path / "months"
    folder.mkdir()
    _write(ds.isel(time=slice(0, 31)), folder / "200301.nc")
    _write(ds.isel(time=slice(31, 59)), folder / "200302.nc")
    xr.testing.assert_allclose(read_gfas(folder, species=["CO"]), whole)


def test_the_parameter_number_goes_before_the_name() -> None:
    ds = _daily(1, names=("cofire", "odd"))
    ds["odd"].attrs["GRIB_paramId"] = PARAMETERS["CO"]
    ds["cofire"].attrs["GRIB_paramId"] = PARAMETERS["CH4"]
    assert find_species(ds, "CO", where="x") == "odd"
    assert find_species(ds, "CH4", where="x") == "cofire"
    renamed = _daily(1, names=("var210080", "p90.210"))
    assert find_species(renamed, "CO2", where="x") == "var210080"
    assert find_species(renamed, "OC", where="x") == "p90.210"
    with pytest.raises(InputError, match=r"no flux of BC \(parameter 210091, bcfire\)"):
        find_species(ds, "BC", where="x")
    with pytest.raises(UsageError, match=r"did you mean 'NOx'"):
        find_species(ds, "NOX", where="x")


def test_the_numbers_are_those_of_eccodes() -> None:
    eccodes = pytest.importorskip("eccodes")
    for species, number in PARAMETERS.items():
        handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
        eccodes.codes_set(handle, "paramId", number)
        name = eccodes.codes_get(handle, "name").lower()
        assert "wildfire" in name
        if species == "NOx":
            assert "nox" in name
        eccodes.codes_release(handle)


def test_grib(tmp_path: Path) -> None:
    eccodes = pytest.importorskip("eccodes")
    pytest.importorskip("cfgrib")
    path = tmp_path / "gfas.grib"
    random = np.random.default_rng(1)
    fields = random.gamma(0.1, 1e-9, (31, 4, 5))
    with path.open("wb") as file:
        for day in range(31):
            handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
            for key, value in {
                "paramId": PARAMETERS["CO"], "dataDate": 20030101 + day, "dataTime": 0, "Ni": 5, "Nj": 4,
                "latitudeOfFirstGridPointInDegrees": 40.35, "latitudeOfLastGridPointInDegrees": 40.05,
                "longitudeOfFirstGridPointInDegrees": 10.05, "longitudeOfLastGridPointInDegrees": 10.45,
                "iDirectionIncrementInDegrees": 0.1, "jDirectionIncrementInDegrees": 0.1, "bitsPerValue": 24,
            }.items():  # fmt: skip
                eccodes.codes_set(handle, key, value)
            eccodes.codes_set_values(handle, fields[day].ravel())
            eccodes.codes_write(handle, file)
            eccodes.codes_release(handle)
    found = read_gfas(path, species=["CO"])
    area = Grid(np.array([40.35, 40.25, 40.15, 40.05]), 10.05 + 0.1 * np.arange(5)).cell_area.values
    np.testing.assert_allclose(
        found["CO"].values[0], (fields.sum(axis=0) * area * 86400.0)[::-1], rtol=1e-4, atol=1e-3
    )


def test_bad_files_are_told(tmp_path: Path) -> None:
    ds = _daily(45)
    with pytest.raises(InputError, match=r"14 days of 2003-02"):
        read_gfas(_write(ds, tmp_path / "a.nc"), species=["CO"])
    bad = _daily(31)
    bad["cofire"].attrs["units"] = "g m-2"
    with pytest.raises(InputError, match=r"unit 'g m-2' of a flux"):
        read_gfas(_write(bad, tmp_path / "b.nc"), species=["CO"])
    bad = _daily(31)
    bad["cofire"][3, 2, 1] = -1e-9
    with pytest.raises(InputError, match=r"negative flux in 2003-01"):
        read_gfas(_write(bad, tmp_path / "c.nc"), species=["CO"])
