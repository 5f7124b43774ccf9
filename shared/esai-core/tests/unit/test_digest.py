from __future__ import annotations

import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest

from esai_core.errors import InputError
from esai_core.runs import digest, digest_file

VALUES = np.array([[1.0, np.nan], [3.0, 4.0]])


def netcdf(path: Path, values: np.ndarray = VALUES, *, units: str = "K", **attributes: str) -> Path:
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.setncatts(attributes)
        for name, size in zip(("y", "x"), values.shape, strict=True):
            dataset.createDimension(name, size)
        variable = dataset.createVariable("t", values.dtype, ("y", "x"), zlib=attributes.get("zip") == "yes")
        variable.units = units
        variable[:] = values
        names = dataset.createVariable("name", str, ("y",))
        names[:] = np.array(["a", "b"], dtype=object)
    return path


def test_netcdf_counts_by_content(tmp_path: Path) -> None:
    one = digest_file(netcdf(tmp_path / "a.nc", history="today", title="x"))
    two = digest_file(netcdf(tmp_path / "b.nc", history="tomorrow", date_created="now", title="x"))
    assert one == two
    assert len(one) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"values": VALUES + 1e-12},
        {"values": VALUES.astype("float32")},
        {"values": VALUES.T},
        {"values": np.array([[1.0, 2.0], [3.0, 4.0]])},
        {"units": "degC"},
        {"title": "other"},
    ],
)
def test_netcdf_of_other_content_differs(tmp_path: Path, change: dict[str, Any]) -> None:
    one = digest_file(netcdf(tmp_path / "a.nc", title="x"))
    assert digest_file(netcdf(tmp_path / "b.nc", **{"title": "x", **change})) != one


def test_large_arrays_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = netcdf(tmp_path / "a.nc", np.arange(2000.0).reshape(2, 1000))
    whole = digest_file(path)
    monkeypatch.setitem(digest_file.__globals__, "_BLOCK", 8000)
    assert digest_file(path) == whole


def test_zarr_counts_by_content(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    digests = []
    for number, chunk in enumerate([2, 1]):
        root = zarr.open_group(
            tmp_path / f"{number}.zarr", mode="w", attributes={"history": str(number), "title": "x"}
        )
        root.create_array("t", data=VALUES, chunks=(chunk, 2), dimension_names=("y", "x"))
        digests.append(digest_file(tmp_path / f"{number}.zarr"))
    assert digests[0] == digests[1]
    root["t"][0, 0] = 7.0
    assert digest_file(tmp_path / "1.zarr") != digests[0]
    assert list(digest(tmp_path)) == ["0.zarr", "1.zarr"]


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return digest_file(path)


def test_json_counts_by_values_less_timings(tmp_path: Path) -> None:
    one = write(tmp_path / "a.json", json.dumps({"b": 1, "a": 2, "timings_s": {"fit": 1}}))
    assert one == write(tmp_path / "b.json", json.dumps({"a": 2, "timings_s": {"fit": 9}, "b": 1}, indent=2))
    assert one != write(tmp_path / "c.json", json.dumps({"a": 2, "b": 1.5}))


def test_csv_counts_by_cells_less_seconds(tmp_path: Path) -> None:
    one = write(tmp_path / "a.csv", "epoch,loss,seconds\n1,0.5,3\n")
    assert one == write(tmp_path / "b.csv", "epoch,loss,seconds\r\n1,0.5,4\r\n")
    assert one != write(tmp_path / "c.csv", "epoch,loss,seconds\n1,0.6,3\n")


def test_archives_count_by_members(tmp_path: Path) -> None:
    for number, year in enumerate([2001, 2002]):
        with zipfile.ZipFile(tmp_path / f"{number}.keras", "w") as archive:
            archive.writestr(zipfile.ZipInfo("metadata.json", (year, 1, 1, 0, 0, 0)), str(year))
            archive.writestr("config.json", f'{{"shared_object_id": {year}, "units": 8}}')
            archive.writestr(zipfile.ZipInfo("weights", (year, 1, 1, 0, 0, 0)), b"same")
    assert digest_file(tmp_path / "0.keras") == digest_file(tmp_path / "1.keras")
    with zipfile.ZipFile(tmp_path / "2.keras", "w") as archive:
        archive.writestr("config.json", '{"shared_object_id": 2001, "units": 9}')
        archive.writestr("weights", b"same")
    assert digest_file(tmp_path / "2.keras") != digest_file(tmp_path / "0.keras")


def test_geopackages_count_by_rows(tmp_path: Path) -> None:
    for name, moment, plants in (("a", 1, 5), ("b", 2, 5), ("c", 3, 6)):
        with sqlite3.connect(tmp_path / f"{name}.gpkg") as connection:
            connection.execute("create table gpkg_contents (table_name, last_change)")
            connection.execute("insert into gpkg_contents values ('plants', ?)", (moment,))
            connection.execute("create table plants (id)")
            connection.executemany("insert into plants values (?)", [(i,) for i in range(plants)])
        connection.close()
    found = digest(tmp_path)
    assert found["a.gpkg"] == found["b.gpkg"] != found["c.gpkg"]


def test_a_folder_leaves_out_what_varies(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    for name in ("manifest.json", "config.toml", "report.html", "run.log", "maps/a.png", "b.txt"):
        (tmp_path / name).write_text("{}")
    assert list(digest(tmp_path)) == ["b.txt", "maps/a.png"]
    assert list(digest(tmp_path, varies=["maps/*"])) == ["b.txt"]
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "network.onnx").write_text("weights")
    assert list(digest(tmp_path, varies=["*/*"])) == ["b.txt", "model/network.onnx"]


@pytest.mark.parametrize("name", ["a.nc", "a.json", "a.npz", "a.gpkg"])
def test_a_broken_output_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x00broken" * 100)
    with pytest.raises(InputError, match=name):
        digest_file(tmp_path / name)
