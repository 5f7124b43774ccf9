"""Readers on generated files of the published schemas: synthetic, no observation."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_core.errors import InputError
from esai_fire.burned import open_burned, read_firecci, read_gfed, read_plain


def _firecci(path: Path) -> Path:
    """Write FireCCI 5.1 of two months: its names, dims, units and latitudes from +90; 2-degree cells."""
    latitude, longitude = np.arange(89.0, -90.0, -2.0), np.arange(-179.0, 180.0, 2.0)
    shape = (2, latitude.size, longitude.size)
    random = np.random.default_rng(0)
    burned = random.gamma(0.1, 1e8, shape).astype("float32")
    observed = np.ones(shape, "float32")
    observed[0, 10, 20] = 0.2
    ds = xr.Dataset(
        {
            "burned_area": (("time", "lat", "lon"), burned, {"units": "m2", "standard_name": "burned_area"}),
            "standard_error": (("time", "lat", "lon"), burned / 10, {"units": "m2"}),
            "fraction_of_observed_area": (("time", "lat", "lon"), observed, {"units": "1"}),
            "fraction_of_burnable_area": (("time", "lat", "lon"), observed, {"units": "1"}),
            "burned_area_in_vegetation_class": (
                ("time", "vegetation_class", "lat", "lon"),
                np.repeat(burned[:, None], 18, axis=1) / 18,
                {"units": "m2"},
            ),
        },
        coords={
            "time": pd.to_datetime(["2001-01-01", "2001-02-01"]),
            "lat": latitude,
            "lon": longitude,
            "vegetation_class": np.arange(10, 190, 10),
        },
        attrs={"comment": "synthetic"},
    )
    ds.to_netcdf(path, engine="netcdf4")
    return path


def test_firecci(tmp_path: Path) -> None:
    path = _firecci(tmp_path / "20010101-ESACCI-L4_FIRE-BA-MODIS-fv5.1.nc")
    ds = read_firecci(path, observed=0.5)
    assert ds["burned_area"].dims == ("time", "latitude", "longitude")
    assert ds["burned_area_in_vegetation_class"].sizes["vegetation_class"] == 18
    assert np.isnan(ds["burned_area"].sel(latitude=69, longitude=-139).isel(time=0))
    assert float(ds["burned_area"].isel(time=1).sum()) == pytest.approx(
        float(ds["burned_area_in_vegetation_class"].isel(time=1).sum()), rel=1e-5
    )
    assert int(np.isnan(open_burned(path, observed=0.5)).sum()) == 1


def _gfed(path: Path, *, leave_out: str = "") -> Path:
    """Write GFED4.1s of one year: its groups and names, latitude from +90, 10-degree cells."""
    rows, columns = 18, 36
    latitude = 90 - 10 * (np.arange(rows) + 0.5)
    longitude = -180 + 10 * (np.arange(columns) + 0.5)
    random = np.random.default_rng(1)
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("y", rows)
        file.createDimension("x", columns)

        def put(name: str, values: np.ndarray, kind: str = "f4") -> None:
            if name != leave_out:
                file.createVariable(name, kind, ("y", "x"))[:] = values

        put("lat", np.repeat(latitude[:, None], columns, 1))
        put("lon", np.repeat(longitude[None], rows, 0))
        put("ancill/basis_regions", np.full((rows, columns), 9), "i2")
        put("ancill/grid_cell_area", np.repeat(1e12 * np.cos(np.deg2rad(latitude))[:, None], columns, 1))
        for month in range(1, 13):
            put(f"burned_area/{month:02d}/burned_fraction", random.uniform(0, 0.1, (rows, columns)))
            put(f"emissions/{month:02d}/DM", random.uniform(0, 1, (rows, columns)))
            for source in ("SAVA", "BORF", "TEMF", "DEFO", "PEAT", "AGRI"):
                put(f"emissions/{month:02d}/partitioning/DM_{source}", np.full((rows, columns), 1 / 6))
    return path


def test_gfed(tmp_path: Path) -> None:
    ds = read_gfed(_gfed(tmp_path / "GFED4.1s_1997.hdf5"))
    assert ds.sizes == {"time": 12, "latitude": 18, "longitude": 36, "source": 6}
    assert str(ds["time"].values[4])[:7] == "1997-05"
    assert (np.diff(ds["latitude"]) > 0).all()
    np.testing.assert_allclose(ds["dm_share"].sum("source"), 1.0, rtol=1e-6)
    share = ds["burned_area"] / ds["cell_area"]
    assert float(share.min()) >= 0.0
    assert float(share.max()) <= 0.1 + 1e-6
    # The northernmost row of the file is the last one here.
    np.testing.assert_allclose(ds["cell_area"].isel(latitude=-1, longitude=0), 1e12 * np.cos(np.deg2rad(85)))


def test_gfed_of_another_layout_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"layout of GFED4.1s"):
        read_gfed(_gfed(tmp_path / "GFED4.1s_1998.hdf5", leave_out="ancill/grid_cell_area"))
    _gfed(tmp_path / "GFED4.1s_1997.hdf5").rename(tmp_path / "gfed.hdf5")
    with pytest.raises(InputError, match=r"tells no year"):
        read_gfed(tmp_path / "gfed.hdf5")


def _plain(path: Path, values: np.ndarray, *, units: str = "ha", months: int = 12) -> Path:
    time = pd.date_range("2000-01-01", periods=13, freq="MS").delete(5 if months == 13 else 12)
    ds = xr.Dataset(
        {"burned_area": (("time", "lat", "lon"), values, {"units": units})},
        coords={"time": time, "lat": [30.5, 31.5], "lon": [-120.5, -119.5, -118.5]},
    )
    ds.to_netcdf(path, engine="netcdf4")
    return path


def test_units_of_plain_files(tmp_path: Path) -> None:
    values = np.full((12, 2, 3), 2.0)
    assert float(read_plain(_plain(tmp_path / "a.nc", values))[0, 0, 0]) == pytest.approx(2e4)
    share = read_plain(_plain(tmp_path / "b.nc", values, units="%"))
    assert float(share[0, 0, 0] / share[0, 1, 0]) == pytest.approx(
        np.cos(np.deg2rad(30.5)) / np.cos(np.deg2rad(31.5)), rel=1e-3
    )
    with pytest.raises(InputError, match=r"unit 'bananas'"):
        read_plain(_plain(tmp_path / "c.nc", values, units="bananas"))


def test_negative_area_and_a_missing_month_are_told(tmp_path: Path) -> None:
    values = np.ones((12, 2, 3))
    values[3, 1, 2] = -5.0
    with pytest.raises(InputError, match=r"-50000 .*2000-04, 31.5 N, -118.5 E"):
        read_plain(_plain(tmp_path / "a.nc", values))
    with pytest.raises(InputError, match=r"month 2000-06 is missing"):
        read_plain(_plain(tmp_path / "b.nc", np.ones((12, 2, 3)), months=13))
