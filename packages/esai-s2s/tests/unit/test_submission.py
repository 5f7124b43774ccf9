"""Files to hand in: what fits, and each rule broken once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from esai_core.errors import InputError
from esai_core.testing import run_cli
from esai_s2s import check_submission, make_submission
from esai_s2s.cli import main
from esai_s2s.sample import LABELS

Change = Callable[[xr.Dataset], xr.Dataset]


def made(contest: str) -> xr.Dataset:
    """Return climatology as a run's forecast.nc holds it: latitudes ascending, longitudes from -180."""
    size, windows, names, count = (
        (3, ["14d", "28d"], ("t2m", "tp"), 53)
        if contest == "challenge"
        else (5, ["19d", "26d"], ("tas", "mslp", "pr"), 1)
    )
    dims = ("category", "start", "window", "latitude", "longitude")
    coords = {
        "category": list(LABELS[size]),
        "start": (np.datetime64("2020-01-02") + 7 * np.arange(count)).astype("datetime64[ns]"),
        "window": windows,
        "latitude": np.arange(-90, 90.1, 1.5),
        "longitude": np.arange(-180, 180, 1.5),
    }
    values = np.full((size, count, 2, 121, 240), 1 / size, dtype=np.float32)
    return xr.Dataset({name: (dims, values) for name in names}, coords)


@pytest.mark.parametrize("contest", ["challenge", "quest"])
def test_a_global_forecast_fits(contest: str) -> None:
    ds = make_submission(made(contest), contest=contest)
    check_submission(ds, contest=contest)
    assert ds["latitude"].values[0] == 90
    assert ds["longitude"].values[0] == 0


def _without_one(ds: xr.Dataset) -> xr.Dataset:
    return ds.assign(t2m=ds["t2m"].where(ds["longitude"] != 0))


BROKEN: dict[str, tuple[Change, str]] = {
    "variable": (lambda ds: ds[["t2m"]], "missing: tp"),
    "order of dimensions": (lambda ds: ds.transpose("forecast_time", ...), "dimensions"),
    "order of labels": (lambda ds: ds.isel(category=[2, 1, 0]), "category labels"),
    "names of labels": (lambda ds: ds.assign_coords(category=["a", "b", "c"]), "category labels"),
    "lead": (lambda ds: ds.isel(lead_time=[0]), "lead times"),
    "number of dates": (lambda ds: ds.isel(forecast_time=slice(50)), "50 forecast times"),
    "order of dates": (lambda ds: ds.isel(forecast_time=slice(None, None, -1)), "not ascending"),
    "weekday": (
        lambda ds: ds.assign_coords(forecast_time=ds["forecast_time"] + np.timedelta64(1, "D")),
        "no Thursday",
    ),
    "grid": (lambda ds: ds.isel(latitude=slice(None, None, -1)), "give 121 from 90 to -90"),
    "missing": (_without_one, "probabilities are missing"),
    "sums": (lambda ds: ds * 0.99, "sum to 1 only within"),
    "negative": (lambda ds: ds - 0.5, r"outside \[0, 1\]"),
}


@pytest.fixture(scope="module")
def good() -> xr.Dataset:
    return make_submission(made("challenge"))


@pytest.mark.parametrize("rule", BROKEN)
def test_each_rule_is_checked(good: xr.Dataset, rule: str) -> None:
    change, message = BROKEN[rule]
    with pytest.raises(InputError, match=message):
        check_submission(change(good))


def test_the_verb_checks_and_writes(tmp_path: Path) -> None:
    made("quest").to_netcdf(tmp_path / "forecast.nc", engine="netcdf4")
    out = tmp_path / "out.nc"
    done = run_cli(main, ["submit", tmp_path / "forecast.nc", "--contest", "quest", "--out", out])
    assert done.code == 0, done.err
    with xr.open_dataset(out, engine="netcdf4") as ds:
        check_submission(ds, contest="quest")
    wrong = run_cli(main, ["submit", tmp_path / "forecast.nc", "--contest", "challenge"])
    assert wrong.code == 3
    assert "t2m" in wrong.error
