"""A real GRIB file of S2S hindcasts, coded as in the archive: model versions by years and members."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from esai_core.config import validate_config
from esai_s2s import S2sConfig, open_samples
from esai_s2s.layouts import open_layout, take_variable

eccodes = pytest.importorskip("eccodes")

VERSIONS = ("2020-01-09", "2020-01-02")
YEARS = (2001, 2000)
MEMBERS = (0, 1)
STEPS = {
    "t2m": [(24 * day, 24 * day + 24) for day in range(14, 42)],
    "tp": [(0, 24 * day) for day in (14, 28, 42)],
}
PARAMETER = {"t2m": (167, 0), "tp": (228228, 1)}

Field = tuple[str, int, int, str, int]


def value(version: str, year: int, member: int, name: str, end: int) -> float:
    """Return a number that tells the fields apart; day 14 of t2m ends at 360 hours."""
    level = {"t2m": 280.0, "tp": 0.1 * end}[name]
    return level + 0.5 * (year - 2000) + 0.1 * member + 0.01 * int(version[8:])


def write(path: Path) -> None:
    """Write every field, in the order of the archive's tapes."""
    with path.open("wb") as file:
        for version in VERSIONS:
            for year in YEARS:
                for member in MEMBERS:
                    for name, steps in STEPS.items():
                        for first, last in steps:
                            file.write(message(version, year, member, name, first, last))


def message(version: str, year: int, member: int, name: str, first: int, last: int) -> bytes:
    parameter, process = PARAMETER[name]
    settings = {
        "centre": "ecmf",
        "productionStatusOfProcessedData": 6,  # S2S
        "productDefinitionTemplateNumber": 61,  # individual ensemble reforecast in a time interval
        "dataDate": int(f"{year}{version[5:7]}{version[8:]}"),
        "dataTime": 0,
        "YearOfModelVersion": int(version[:4]),
        "MonthOfModelVersion": int(version[5:7]),
        "DayOfModelVersion": int(version[8:]),
        "perturbationNumber": member,
        "numberOfForecastsInEnsemble": len(MEMBERS),
        "Ni": 4,
        "Nj": 3,
        "latitudeOfFirstGridPointInDegrees": 3.0,
        "latitudeOfLastGridPointInDegrees": 0.0,
        "longitudeOfFirstGridPointInDegrees": 0.0,
        "longitudeOfLastGridPointInDegrees": 4.5,
        "iDirectionIncrementInDegrees": 1.5,
        "jDirectionIncrementInDegrees": 1.5,
        "typeOfStatisticalProcessing": process,
        "paramId": parameter,
        "stepRange": f"{first}-{last}",
    }
    handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
    for key, setting in settings.items():
        eccodes.codes_set(handle, key, setting)
    field = value(version, year, member, name, last) + np.arange(12) / 4
    eccodes.codes_set_values(handle, field)
    made: bytes = eccodes.codes_get_message(handle)
    eccodes.codes_release(handle)
    return made


@pytest.fixture(scope="module")
def grib(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("grib") / "hindcast.grib"
    write(path)
    return path


def test_versions_and_years_become_one_axis_of_starts(grib: Path) -> None:
    ds = open_layout(grib)
    days = ds["start"].values.astype("datetime64[D]").astype(str).tolist()
    assert days == [f"{year}-01-{day}" for year in (2000, 2001) for day in ("02", "09")]
    assert ds.sizes["number"] == 2
    assert (ds.sizes["latitude"], ds.sizes["longitude"]) == (3, 4)


def test_a_daily_mean_is_named_by_the_day_that_it_begins_with(grib: Path) -> None:
    """In GRIB the mean from hour 336 to 360, day 14, has the step 360 hours, which is 15 days."""
    ds = open_layout(grib)
    mean = take_variable(ds, "t2m", role="forecast", alone=True, where=grib)
    day = mean.sel(lead=14, start="2001-01-09T00:00", number=1).values.ravel()
    np.testing.assert_allclose(day, value("2020-01-09", 2001, 1, "t2m", 360) + np.arange(12) / 4, atol=1e-2)
    assert mean.sel(lead=slice(14, 41)).notnull().all()


@pytest.mark.parametrize("name", ["t2m", "tp"])
def test_windows_of_a_grib_are_means_of_days_and_differences_of_totals(
    grib: Path, tmp_path: Path, name: str
) -> None:
    import xarray as xr

    days = (np.datetime64("2000-01-01") + np.arange(1200)).astype("datetime64[ns]")
    coords = {"time": days, "latitude": [3.0, 1.5, 0.0], "longitude": [0.0, 1.5, 3.0, 4.5]}
    truth = xr.Dataset({name: (("time", "latitude", "longitude"), np.ones((1200, 3, 4)))}, coords)
    truth.to_netcdf(tmp_path / "obs.nc", engine="netcdf4")
    data = {"forecast": str(grib), "observations": "obs.nc", "variables": [name]}
    near, far = open_samples(validate_config({"data": data}, S2sConfig, folder=tmp_path))
    assert (near.size, near.cells) == (4, 12)
    assert near.forecast is not None
    assert far.forecast is not None
    spread = 0.5 * np.array([0, 0, 1, 1])[:, None] + 0.01 * np.array([2, 9] * 2)[:, None]
    expected = spread + 0.1 * np.arange(2)
    if name == "t2m":
        np.testing.assert_allclose(near.forecast[:, :, 4] - 1.0, 280 + expected, atol=1e-2)
        np.testing.assert_allclose(near.observed, 1.0)
    else:
        np.testing.assert_allclose(
            near.forecast, 0.1 * 336, atol=2e-2
        )  # d28 - d14, although config is silent
        np.testing.assert_allclose(near.observed, 14.0)
    assert np.isfinite(far.forecast).all()


def test_a_folder_of_versions_control_and_perturbed_is_one_hindcast(grib: Path, tmp_path: Path) -> None:
    """As the archive hands them out: a file for each model version and type."""
    for version in VERSIONS:
        for kind, members in (("cf", (0,)), ("pf", (1, 2))):
            with (tmp_path / f"{version}_{kind}.grib").open("wb") as file:
                for year in YEARS:
                    for member in members:
                        for first, last in STEPS["tp"]:
                            file.write(message(version, year, member, "tp", first, last))
    total = open_layout(tmp_path)["tp"].isel(latitude=0, longitude=0)
    assert total["start"].values.astype("datetime64[D]").astype(str).tolist() == [
        f"{year}-01-{day}" for year in (2000, 2001) for day in ("02", "09")
    ]
    assert total["number"].values.tolist() == [0, 1, 2]
    for version in VERSIONS:
        for year in YEARS:
            start = np.datetime64(f"{year}{version[4:]}", "ns")
            found = total.sel(start=start, lead=28).transpose("number").values
            expected = [value(version, year, member, "tp", 672) for member in (0, 1, 2)]
            np.testing.assert_allclose(found, expected, atol=2e-2)
