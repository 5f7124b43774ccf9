from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_core.errors import InputError, UsageError
from esai_core.io import checked, load, open_dataset
from esai_core.io.grib import check_messages
from esai_core.io.netcdf3 import expected_size


@pytest.fixture
def ds():
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "t2m": (("time", "lat", "lon"), rng.normal(280, 5, (40, 6, 8)).astype("f4"), {"units": "K"}),
            "tp": (("time", "lat", "lon"), rng.random((40, 6, 8)).astype("f4"), {"units": "m"}),
        },
        coords={
            "time": pd.date_range("2001", periods=40),
            "lat": np.linspace(50, 45, 6),
            "lon": np.arange(8.0),
        },
    )


def write(ds, path, **kw):
    ds.to_netcdf(path, engine="netcdf4", **kw)
    return path


@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF4_CLASSIC", "NETCDF3_CLASSIC", "NETCDF3_64BIT"])
def test_netcdf_of_every_kind_under_any_name(ds, tmp_path, form):
    path = write(ds, tmp_path / "data.bin", format=form)
    out = open_dataset(path)
    assert dict(out.sizes) == {"time": 40, "latitude": 6, "longitude": 8}
    np.testing.assert_array_equal(out.t2m.values[:, ::-1], ds.t2m.values)
    assert out.encoding["source"] == str(path)


def test_zarr(ds, tmp_path):
    ds.to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False)
    out = open_dataset(tmp_path / "a.zarr")
    np.testing.assert_array_equal(out.t2m.values[:, ::-1], ds.t2m.values)


def test_a_damaged_zarr_store_is_named(tmp_path):
    folder = tmp_path / "a.zarr"
    folder.mkdir()
    (folder / "zarr.json").write_text("{")
    with pytest.raises(InputError, match=r"truncated or damaged.*a\.zarr"):
        open_dataset(folder)


def test_several_files_join_in_time_order(ds, tmp_path):
    write(ds.isel(time=slice(20, 40)), tmp_path / "a.nc")
    write(ds.isel(time=slice(0, 20)), tmp_path / "b.nc")
    expected = open_dataset(write(ds, tmp_path / "whole.nc")).load()
    (tmp_path / "whole.nc").unlink()
    for path in (tmp_path, str(tmp_path / "*.nc"), [tmp_path / "a.nc", tmp_path / "b.nc"]):
        out = open_dataset(path)
        assert out.t2m.chunks is not None
        xr.testing.assert_identical(out.load(), expected)


def test_chunks_by_canonical_name(ds, tmp_path):
    out = open_dataset(write(ds, tmp_path / "a.nc"), chunks={"latitude": 2, "start": 3})
    assert out.t2m.chunks == ((40,), (2, 2, 2), (8,))


def test_one_variable(ds, tmp_path):
    out = open_dataset(write(ds, tmp_path / "a.nc"), variable="tas")
    assert list(out.data_vars) == ["t2m"]


def test_missing_file_names_near_matches(ds, tmp_path):
    write(ds, tmp_path / "era5_t2m_1981.nc")
    with pytest.raises(
        InputError, match=r"no such file \(.*era5_tm_1981\.nc\); did you mean 'era5_t2m_1981\.nc'"
    ):
        open_dataset(tmp_path / "era5_tm_1981.nc")
    with pytest.raises(InputError, match="no such file, nor its folder"):
        open_dataset(tmp_path / "nowhere" / "a.nc")
    with pytest.raises(InputError, match="no file matches the pattern"):
        open_dataset(str(tmp_path / "*.grib"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"PK\x03\x04....", "zip archive.*unzip it"),
        (b"\x1f\x8b\x08....", "gzip"),
        (b"<!DOCTYPE html>", "web page: the download failed"),
        (b"a,b\n1,2\n", "not a dataset: the file starts with b'a,b"),
    ],
)
def test_what_is_no_dataset(tmp_path, content, message):
    path = tmp_path / "a.nc"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_dataset(path)


def test_empty_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="holds no NetCDF, Zarr or GRIB file"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT", "NETCDF3_64BIT_DATA"])
@pytest.mark.parametrize("unlimited", [[], ["time"]])
@pytest.mark.parametrize("cut", [0.02, 0.5, 0.97])
def test_truncated_files(ds, tmp_path, form, unlimited, cut):
    path = write(ds, tmp_path / "a.nc", format=form, unlimited_dims=unlimited)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * (1 - cut))])
    with pytest.raises(InputError, match=r"truncated or damaged .*a\.nc.*download or write it again"):
        load(open_dataset(path))


@pytest.mark.parametrize("form", ["NETCDF3_CLASSIC", "NETCDF3_64BIT", "NETCDF3_64BIT_DATA"])
@pytest.mark.parametrize("unlimited", [[], ["time"]])
@pytest.mark.parametrize("several", [True, False])
def test_the_expected_size_of_classic_files_is_exact_to_padding(ds, tmp_path, form, unlimited, several):
    small = ds if several else ds[["t2m"]].astype("i2")
    path = write(small.isel(lon=slice(0, 7)), tmp_path / "a.nc", format=form, unlimited_dims=unlimited)
    assert 0 <= path.stat().st_size - expected_size(path) < 4


def test_a_classic_file_that_was_never_closed_is_left_to_the_library(tmp_path):
    header = b"CDF\x01" + b"\xff\xff\xff\xff" + struct.pack(">6I", 0, 0, 0, 0, 0, 0)
    (tmp_path / "a.nc").write_bytes(header)
    assert expected_size(tmp_path / "a.nc") is None


def test_damage_found_only_when_reading_names_file_and_variable(tmp_path):
    values = np.random.default_rng(0).random((400, 500)).astype("f4")
    big = xr.Dataset({"t2m": (("y", "x"), values, {"units": "K"})})
    path = write(big, tmp_path / "a.nc", encoding={"t2m": {"zlib": True, "fletcher32": True}})
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2  # inside the only chunk
    raw[middle : middle + 40] = bytes(40)
    path.write_bytes(raw)
    out = open_dataset(path)
    with pytest.raises(InputError, match=r"truncated or damaged .*a\.nc: t2m"):
        load(out)
    with pytest.raises(InputError, match=r"a\.nc: t2m"):
        load(open_dataset(path).t2m)
    with pytest.raises(InputError, match=r"b\.nc: v"), checked("b.nc", "v"):
        open_dataset(path, chunks={}).t2m.mean().compute()


def test_errors_that_are_no_matter_of_reading_pass_through():
    with pytest.raises(RuntimeError, match="a mistake of our own"), checked("a.nc", "v"):
        raise RuntimeError("a mistake of our own")
    with pytest.raises(OSError, match="No space"), checked("a.nc", "v"):
        raise OSError(28, "No space left on device")


def test_no_permission(ds, tmp_path):
    path = write(ds, tmp_path / "a.nc")
    path.chmod(0)
    try:
        if os.access(path, os.R_OK):
            pytest.skip("this user reads everything")
        with pytest.raises(InputError, match="cannot read the file: Permission denied"):
            open_dataset(path)
    finally:
        path.chmod(0o644)


def test_months_since_of_nmme(ds, tmp_path):
    raw = xr.Dataset(
        {"tref": (("S", "L", "M", "Y", "X"), np.zeros((2, 3, 2, 2, 2), "f4"), {"units": "Kelvin_scale"})},
        coords={
            "S": ("S", [252.0, 253.0], {"units": "months since 1960-01-01", "calendar": "360"}),
            "L": ("L", [0.5, 1.5, 2.5], {"units": "months"}),
            "M": ("M", [1.0, 2.0], {"units": "unitless"}),
            "Y": ("Y", [0.0, 1.0], {"units": "degree_north"}),
            "X": ("X", [0.0, 1.0], {"units": "degree_east"}),
        },
    )
    out = open_dataset(write(raw, tmp_path / "nmme.nc"))
    assert out.start.values.astype("datetime64[D]").astype(str).tolist() == ["1981-01-01", "1981-02-01"]
    assert set(out.dims) == {"start", "lead", "number", "latitude", "longitude"}


def test_dates_that_cannot_be_decoded_are_said_so(tmp_path):
    raw = xr.Dataset(
        {"t2m": ("time", [1.0])}, coords={"time": ("time", [1.0], {"units": "days since yesterday"})}
    )
    with pytest.raises(InputError, match="cannot be decoded"):
        open_dataset(write(raw, tmp_path / "a.nc"))


def test_grib_without_the_extra_names_it(tmp_path, monkeypatch):
    path = tmp_path / "a.grib"
    path.write_bytes(b"GRIB" + bytes(20))
    for name in ("cfgrib", "cfgrib.xarray_plugin"):  # the second may have been imported by an earlier test
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"pip install esai-core\[grib\]"):
        open_dataset(path)


def test_opening_loads_no_other_packages_plugins(ds, tmp_path):
    path = write(ds, tmp_path / "a.nc")
    code = (
        "import sys\nfrom esai_core.io import open_dataset\n"
        f"open_dataset({str(path)!r}).load()\n"
        "print(sorted({'rasterio', 'rioxarray', 'h5netcdf', 'cfgrib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_damaged_grib_file_is_refused(tmp_path):
    pytest.importorskip("cfgrib")
    path = tmp_path / "a.grib"
    path.write_bytes(b"GRIB" + (1000).to_bytes(3, "big") + b"\x01" + bytes(100))
    with pytest.raises(InputError, match="message 1 is cut off"):
        open_dataset(path)
    path.write_bytes(b"GRIB" + (12).to_bytes(3, "big") + b"\x01" + b"7777" + b"rubbish and more of it")
    with pytest.raises(InputError, match=r"damaged after 1 messages \(byte 12\)"):
        open_dataset(path)


@pytest.mark.parametrize("size", [2100, 3000])  # 8.8 and 18 MB: the second is coded in units of 120 bytes
def test_long_grib_messages(tmp_path, size):
    eccodes = pytest.importorskip("eccodes")
    handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
    for key, value in {"Ni": size, "Nj": size, "bitsPerValue": 16}.items():
        eccodes.codes_set(handle, key, value)
    eccodes.codes_set_values(handle, np.linspace(270, 300, size * size))
    message = eccodes.codes_get_message(handle)
    eccodes.codes_release(handle)
    path = tmp_path / "a.grib"
    path.write_bytes(message + message)
    assert check_messages(path) == 2
    path.write_bytes(message + message[:-1])
    with pytest.raises(InputError, match="message 2 is cut off"):
        check_messages(path)


def test_errors_cross_processes(tmp_path):
    with pytest.raises(InputError) as caught:
        open_dataset(tmp_path / "a.nc")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
