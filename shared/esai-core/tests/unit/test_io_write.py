from __future__ import annotations

import errno
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import dask.array
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_core.errors import EsaiError
from esai_core.io import atomic_path, open_dataset, open_hindcast, write_netcdf, write_zarr
from esai_core.io.layouts import valid_time


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture
def hindcast():
    rng = np.random.default_rng(0)
    start = xr.DataArray(pd.date_range("2001-01-01", periods=6, freq="MS"), dims="start")
    lead = xr.DataArray([1, 2], dims="lead", attrs={"units": "months"})
    da = xr.DataArray(
        rng.normal(285, 3, (6, 2, 3, 4, 5)).astype("f4"),
        dims=("start", "lead", "number", "latitude", "longitude"),
        coords={
            "start": start,
            "lead": lead,
            "number": [0, 1, 2],
            "latitude": np.arange(4.0),
            "longitude": np.arange(5.0),
        },
        name="t2m",
        attrs={"units": "K", "long_name": "2 metre temperature"},
    )
    da[0, 0, 2] = np.nan
    return da.assign_coords(valid_time=valid_time(start, lead))


@pytest.mark.parametrize("writer", [write_netcdf, write_zarr])
@pytest.mark.parametrize("chunks", [None, {"start": 4, "latitude": 3}])
def test_what_is_written_is_read(hindcast, tmp_path, writer, chunks):
    given = hindcast if chunks is None else hindcast.chunk(chunks)
    path = writer(given, tmp_path / "out", provenance={"title": "a test", "seed": 3})
    out = open_hindcast(path, variable="t2m").load()
    xr.testing.assert_equal(out, hindcast)
    assert out.attrs == hindcast.attrs
    assert out.lead.attrs["units"] == "months"
    attrs = open_dataset(path).attrs
    assert attrs == {"Conventions": "CF-1.11", "title": "a test", "seed": 3}
    assert names(tmp_path) == ["out"]


def test_cf_encoding(hindcast, tmp_path):
    import netCDF4

    write_netcdf(hindcast.astype("f8"), tmp_path / "a.nc")
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        assert file["t2m"].dtype == "f4"
        assert np.isnan(file["t2m"]._FillValue)
        assert file["t2m"].coordinates == "valid_time"
        assert file["t2m"].filters()["zlib"]
        assert file["start"].units == "days since 1970-01-01"
        assert file["start"].calendar == "standard"
        assert file["start"].standard_name == "forecast_reference_time"
        assert file["number"].standard_name == "realization"
        assert (file["latitude"].axis, file["longitude"].axis) == ("Y", "X")
        assert "_FillValue" not in file["latitude"].ncattrs()


def test_the_packing_of_an_input_file_is_not_repeated(hindcast, tmp_path):
    packed = {"t2m": {"dtype": "i2", "scale_factor": 0.5, "add_offset": 280.0, "_FillValue": -999}}
    hindcast.to_dataset().to_netcdf(tmp_path / "a.nc", engine="netcdf4", encoding=packed)
    once = open_hindcast(tmp_path / "a.nc")
    finer = (once + 0.1).assign_attrs(once.attrs).rename("t2m")
    out = open_hindcast(write_netcdf(finer, tmp_path / "b.nc"))
    np.testing.assert_allclose(out.values, finer.values, rtol=1e-6)


@pytest.mark.parametrize("chunks", [None, {"start": 1}])
def test_the_same_data_give_the_same_bytes(hindcast, tmp_path, chunks):
    given = hindcast if chunks is None else hindcast.chunk(chunks)
    contents = {write_netcdf(given, tmp_path / f"{i}.nc").read_bytes() for i in range(4)}
    assert len(contents) == 1


def test_hours_are_kept(tmp_path):
    times = pd.date_range("2019-03-01 01:00", periods=3, freq="h")
    da = xr.DataArray([1.0, 2.0, 3.0], dims="time", coords={"time": times}, name="v")
    out = open_dataset(write_netcdf(da, tmp_path / "a.nc"))
    np.testing.assert_array_equal(out.time.values, times.values)


def test_attributes_that_netcdf_cannot_hold(tmp_path):
    da = xr.DataArray(
        [1.0], dims="x", name="v", attrs={"flag": True, "none": None, "list": ["a"], "n": [1, 2]}
    )
    out = open_dataset(write_netcdf(da, tmp_path / "a.nc", provenance={"config": {"a": 1}}))
    assert out.v.attrs["flag"] == 1
    assert out.v.attrs["list"] == "['a']"
    assert "none" not in out.v.attrs
    assert out.attrs["config"] == "{'a': 1}"


@pytest.mark.parametrize("writer", [write_netcdf, write_zarr])
def test_streaming_takes_a_fraction_of_the_memory(tmp_path, writer):
    size = (64, 256, 512)  # 67 MB in float64, blocks of 1 MB
    lazy = dask.array.random.RandomState(0).random_sample(size, chunks=(1, 256, 512))
    da = xr.DataArray(lazy, dims=("time", "latitude", "longitude"), name="v")
    tracemalloc.start()
    try:
        writer(da, tmp_path / "a")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.35 * lazy.nbytes


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("earlier", [True, False])
def test_an_interrupted_write_leaves_what_was_there(tmp_path, error, earlier):
    path = tmp_path / "a.nc"
    if earlier:
        path.write_text("earlier")

    def stop():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        stop()
    assert [p.name for p in tmp_path.iterdir()] == (["a.nc"] if earlier else [])
    assert not earlier or path.read_text() == "earlier"


def test_an_error_while_streaming_leaves_what_was_there(hindcast, tmp_path):
    path = write_netcdf(hindcast, tmp_path / "a.nc")
    before = path.read_bytes()

    def fail(block):
        if block.size and block.mean() > 0:
            raise RuntimeError("a worker died")
        return block

    bad = hindcast.copy(
        data=hindcast.chunk({"start": 1}).data.map_blocks(fail, dtype="f4", meta=np.empty(0, "f4"))
    )
    with pytest.raises(RuntimeError, match="a worker died"):
        write_netcdf(bad, path)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["a.nc"]


def test_a_full_disk_is_one_clear_line(tmp_path):
    def full():
        with atomic_path(tmp_path / "a.nc"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(EsaiError, match=r"the disk is full.*a\.nc"):
        full()
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "error", [RuntimeError("NetCDF: HDF error"), PermissionError(13, "Permission denied")]
)
def test_what_the_netcdf_library_says_on_a_full_disk(tmp_path, monkeypatch, error):
    def write():
        with atomic_path(tmp_path / "a.nc"):
            raise error

    with pytest.raises((RuntimeError, EsaiError), match=r"HDF error|not allowed"):
        write()
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=4096))
    with pytest.raises(EsaiError, match="the disk is full"):
        write()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_the_systems_own_full_disk(tmp_path):
    def full():
        with atomic_path(tmp_path / "a.txt"), Path("/dev/full").open("w") as file:
            file.write("x" * 100_000)

    with pytest.raises(EsaiError, match="the disk is full"):
        full()


def test_folders_are_replaced_whole(hindcast, tmp_path):
    path = tmp_path / "a.zarr"
    write_zarr(hindcast, path)
    (path / "left_over").write_text("x")
    write_zarr(hindcast.isel(start=slice(0, 2)), path)
    assert not (path / "left_over").exists()
    assert open_hindcast(path).sizes["start"] == 2
    assert names(tmp_path) == ["a.zarr"]


def test_folders_above_are_made_and_a_file_in_their_place_is_named(tmp_path):
    with atomic_path(tmp_path / "b" / "c" / "x.txt") as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("x")
    assert (tmp_path / "b" / "c" / "x.txt").read_text() == "x"

    def below_a_file():
        with atomic_path(tmp_path / "b" / "c" / "x.txt" / "y") as temporary:
            temporary.write_text("x")

    with pytest.raises(EsaiError):
        below_a_file()


LARGE = """
import resource, sys
from pathlib import Path
import dask.array as da
import xarray as xr
from esai_core import io

def write(length):
    values = da.zeros((length, 1000, 100), chunks=(10, -1, -1), dtype="f4")
    field = xr.DataArray(values, dims=("time", "y", "x"))
    io.write_netcdf(xr.Dataset({f"v{number}": field for number in range(4)}), Path(sys.argv[1]))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

print(-write(10) + write(160))
"""


def test_memory_is_that_of_blocks_however_many_and_large_the_variables(tmp_path):
    """Four variables of 64 MB in blocks of 4 MB; HDF5 would keep up to 64 MB of each in its cache."""
    done = subprocess.run(
        [sys.executable, "-c", LARGE, str(tmp_path / "a.nc")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 90
