"""Every mistake gets one clear line and its exit code, and leaves an earlier run as it was."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from esai_core.runs.digests import digest
from esai_core.testing import Result, run_cli
from esai_seasonal.cli import main

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")


def _changed(toy, tmp_path: Path, name: str, change: Callable[[xr.Dataset], xr.Dataset]) -> Path:
    """Copy the toy's files with one of them changed; give the config."""
    for file in ("hindcast.nc", "reference.nc", "toy.toml"):
        shutil.copy(toy.folder / file, tmp_path / file)
    with xr.open_dataset(tmp_path / name, engine="netcdf4") as ds:
        new = change(ds.load())
    new.drop_encoding().to_netcdf(tmp_path / name, engine="netcdf4")
    return tmp_path / "toy.toml"


def _refused(toy, config: Path, *more: str) -> Result:
    """Run onto the finished run; whatever happens, that one stays."""
    before = digest(toy.run)
    done = run_cli(main, ["run", config, "--out", toy.run, "--overwrite", *more])
    assert digest(toy.run) == before
    assert done.code != 0
    assert "Traceback" not in done.err
    assert len(done.error.splitlines()) == 1
    return done


def test_missing_file(toy, tmp_path: Path) -> None:
    done = _refused(toy, toy.config, "--set", f"data.hindcast={tmp_path / 'none.nc'}")
    assert done.code == 3
    assert "no such file" in done.error
    assert "data.hindcast" in done.error


def test_truncated_file(toy, tmp_path: Path) -> None:
    config = _changed(toy, tmp_path, "hindcast.nc", lambda ds: ds)
    whole = (tmp_path / "hindcast.nc").read_bytes()
    (tmp_path / "hindcast.nc").write_bytes(whole[: len(whole) // 2])
    done = _refused(toy, config)
    assert done.code == 3
    assert "hindcast.nc" in done.error


@pytest.mark.parametrize(
    ("file", "units"), [("hindcast.nc", "degC"), ("reference.nc", "hPa"), ("hindcast.nc", "m")]
)
def test_wrong_units(toy, tmp_path: Path, file: str, units: str) -> None:
    def relabelled(ds: xr.Dataset) -> xr.Dataset:
        ds["t2m"].attrs["units"] = units
        return ds

    done = _refused(toy, _changed(toy, tmp_path, file, relabelled))
    assert done.code == 3
    assert file in done.error
    assert "units" in done.error


def test_swapped_files(toy) -> None:
    done = _refused(
        toy,
        toy.config,
        "--set",
        f"data.hindcast={toy.folder / 'reference.nc'}",
        "--set",
        f"data.reference={toy.folder / 'hindcast.nc'}",
    )
    assert done.code == 3
    assert "swap data.hindcast and data.reference" in done.error


def test_no_common_years(toy, tmp_path: Path) -> None:
    def later(ds: xr.Dataset) -> xr.Dataset:
        return ds.assign_coords(time=ds["time"] + np.timedelta64(365 * 60, "D"))

    done = _refused(toy, _changed(toy, tmp_path, "reference.nc", later))
    assert done.code == 3
    assert "no common years" in done.error


def test_no_truth_in_the_training_years(toy, tmp_path: Path) -> None:
    done = _refused(
        toy, _changed(toy, tmp_path, "reference.nc", lambda ds: ds.sel(time=slice("1992-01-01", None)))
    )
    assert done.code == 3
    assert "split.train" in done.error


def test_a_test_year_inside_the_training_years(toy) -> None:
    done = _refused(toy, toy.config, "--set", "split.test=[1990, 1994]")
    assert done.code == 2
    assert "1990" in done.error


def test_reference_coarser_than_the_hindcast(toy, tmp_path: Path) -> None:
    def coarser(ds: xr.Dataset) -> xr.Dataset:
        return ds.isel(latitude=slice(None, None, 8), longitude=slice(None, None, 6))

    done = _refused(toy, _changed(toy, tmp_path, "reference.nc", coarser))
    assert done.code == 3
    assert "coarser" in done.error


@pytest.mark.parametrize("file", ["hindcast.nc", "reference.nc"])
def test_a_cell_without_values(toy, tmp_path: Path, file: str) -> None:
    def holed(ds: xr.Dataset) -> xr.Dataset:
        ds["t2m"][{"latitude": 1, "longitude": 2}] = np.nan
        return ds

    config = _changed(toy, tmp_path, file, holed)
    done = _refused(toy, config)
    assert done.code == 3
    assert "1 of" in done.error
    assert 'data.missing = "mask"' in done.error
    masked = run_cli(main, ["run", config, "--out", tmp_path / "masked", "--set", "data.missing=mask"])
    assert masked.code == 0, masked.err
    with xr.open_dataset(tmp_path / "masked" / "forecast.nc", engine="netcdf4") as ds:
        empty = ds["t2m"].isnull().all(("start", "lead", "number"))
        assert int(empty.sum()) == 1


@pytest.mark.parametrize(("key", "near"), [("data.hindcasts=x.nc", "hindcast"), ("trian.epochs=3", "train")])
def test_unknown_config_key(toy, key: str, near: str) -> None:
    done = _refused(toy, toy.config, "--set", key)
    assert done.code == 2
    assert f"did you mean '{near}'" in done.error


def test_a_run_is_not_overwritten_unasked(toy) -> None:
    done = run_cli(main, ["run", toy.config, "--out", toy.run])
    assert done.code == 2
    assert "--overwrite" in done.error


def test_full_disk(toy, tmp_path: Path) -> None:
    """A disk of 100 kB where one can be mounted, else a limit on the size of files."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        os.geteuid() == 0
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(disk)], capture_output=True, check=False
        ).returncode
        == 0
    )
    limit = "" if mounted else "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"{limit} from esai_seasonal.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    try:
        words = [sys.executable, "-c", program, "run", str(toy.config), "--out", str(disk / "run")]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
        left = [p.name for p in disk.iterdir()]
    finally:
        if mounted:
            subprocess.run(["umount", str(disk)], check=True)
    assert done.returncode == 1
    assert "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert "run" not in left
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY


def test_ctrl_c_leaves_the_earlier_run(toy) -> None:
    before = digest(toy.run)
    words = [
        "run",
        str(toy.config),
        "--out",
        str(toy.run),
        "--overwrite",
        "-v",
        "--set",
        "model.network=true",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "esai_seasonal.cli", *words],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs ignore it
    )
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if "fit ..." in line:
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            break
    rest = process.communicate(timeout=120)[1] or ""
    assert process.returncode == 130, "".join(seen) + rest
    assert "Traceback" not in rest.split("esai-seasonal: ")[-1]
    assert digest(toy.run) == before
