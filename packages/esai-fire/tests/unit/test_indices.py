from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_core import io
from esai_core.errors import InputError, UsageError
from esai_core.testing import data_path
from esai_fire.catalogue import Box, canonical, ocean_of
from esai_fire.indices import box_mean, compute_indices
from esai_fire.predictors import lag_predictors
from esai_fire.reading import read_index_table, read_indices, read_psl


def _rebased(series: pd.Series) -> pd.Series:
    return series - series.groupby(series.index.month).transform("mean")


def test_indices_from_ersst_follow_the_published_ones() -> None:
    sst = io.open_reference(data_path("fire/ersstv5_2010_2017.nc"), variable="sst")
    ours = compute_indices(sst)
    psl = read_indices(data_path("fire/psl_climate_indices_monthly_1950_2017.csv")).reindex(ours.index)
    oopc = read_indices(data_path("fire/oopc_monthly_sst_indices_1981_2017.csv")).reindex(ours.index)
    floors = {"nino12": 0.999, "nino3": 0.999, "nino34": 0.999, "nino4": 0.999, "oni": 0.995}
    floors |= {"tna": 0.95, "tsa": 0.95, "amo": 0.90, "pdo": 0.90}
    for name, floor in floors.items():
        # Both as departures from the months of these years: eight years give no thirty-year normal.
        assert _rebased(ours[name]).corr(_rebased(psl[name])) > floor, name
    assert _rebased(ours["dmi"]).corr(_rebased(oopc["dmi"])) > 0.90


def _field(shift: float = 0.0) -> xr.DataArray:
    time = pd.date_range("2000-01-01", periods=72, freq="MS")
    latitude, longitude = np.arange(-88.0, 89.0, 4.0), np.arange(0.0, 360.0, 4.0) - shift
    random = np.random.default_rng(0)
    values = random.normal(size=(72, latitude.size, longitude.size))
    return xr.DataArray(
        values,
        coords={"time": time, "latitude": latitude, "longitude": longitude},
        dims=("time", "latitude", "longitude"),
        name="sst",
    )


def test_a_box_across_the_dateline_is_the_same_from_either_longitude() -> None:
    field = _field()
    turned = field.assign_coords(longitude=(field.longitude + 180) % 360 - 180).sortby("longitude")
    box = Box(-5, 5, 160, 210)
    part = field.sel(latitude=slice(-5, 5), longitude=slice(160, 210))
    expected = part.weighted(np.cos(np.deg2rad(part.latitude))).mean(["latitude", "longitude"])
    np.testing.assert_allclose(box_mean(field, box), expected)
    np.testing.assert_allclose(box_mean(turned, box), expected)
    np.testing.assert_allclose(box_mean(field.isel(latitude=slice(None, None, -1)), box), expected)


def test_land_everywhere_and_too_few_years_are_told() -> None:
    with pytest.raises(InputError, match=r"no sea cell"):
        compute_indices(_field() * np.nan, names=["tna"])
    with pytest.raises(InputError, match=r"2 years"):
        compute_indices(_field().isel(time=slice(24)), names=["tna"])
    with pytest.raises(UsageError, match=r"did you mean 'nino3'"):
        compute_indices(_field(), names=["nino35"])


def test_names_and_oceans() -> None:
    assert canonical("nina34.anom") == "nino34"
    assert ocean_of("amon.us") == "atlantic"
    assert ocean_of("my_index") == "my_index"


def _psl(
    path: Path, *, mark: str = "-99.99", other: str | None = None, years: tuple[int, int] = (2000, 2002)
) -> Path:
    lines = [f" {years[0]} {years[1]}"]
    for year in range(years[0], years[1] + 1):
        values = [f"{0.1 * month:.2f}" for month in range(12)]
        if year == years[1]:
            values[10:] = [mark, mark]
        if other and year == years[0]:
            values[3] = other
        lines.append(f" {year} " + " ".join(values))
    path.write_text("\n".join([*lines, f"  {mark}", "  NINA34", " a remark 5.3"]) + "\n")
    return path


@pytest.mark.parametrize("mark", ["-99.99", "-99.9", "-9.0", "9999"])
def test_each_file_has_its_own_mark_of_missing_values(tmp_path: Path, mark: str) -> None:
    series = read_psl(_psl(tmp_path / "nina34.anom.data", mark=mark))
    assert series.name == "nino34"
    assert series.size == 36
    assert series.isna().sum() == 2
    assert series["2000-04-01"] == pytest.approx(0.3)


def test_mixed_marks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"-99.99 as its missing value, but -999 occurs"):
        read_psl(_psl(tmp_path / "tna.data", other="-999.0"))


def test_a_table_with_an_undeclared_mark_is_refused_and_read_when_declared(tmp_path: Path) -> None:
    path = tmp_path / "indices.csv"
    months = pd.date_range("2000-01-01", periods=48, freq="MS")
    values = np.sin(np.arange(48.0))
    values[5] = -99.9
    pd.DataFrame({"time": months, "tna": values}).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"missing_values = \[-99.9\]"):
        read_index_table(path)
    assert np.isnan(read_index_table(path, missing=[-99.9])["tna"].iloc[5])


def test_no_psl_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.data").write_text("hello\n")
    with pytest.raises(InputError, match=r"text layout of PSL"):
        read_indices(tmp_path / "x.data")


def _table() -> pd.DataFrame:
    months = pd.date_range("1990-01-01", "2000-12-01", freq="MS")
    return pd.DataFrame({"tna": np.arange(months.size, dtype=float)}, index=months)


def test_lags_count_back_from_the_peak_and_stop_at_the_issue_date() -> None:
    made = lag_predictors(
        _table(), names=["tna"], lags=(0, 6), lead=4, years=np.array([1995]), month=np.zeros(1, int)
    )
    assert list(made.lags) == [4, 5, 6]
    # January 1990 is month 0: March 1995 is month 62.
    np.testing.assert_array_equal(made.x[7 - 1, 0], [62, 61, 60])
    np.testing.assert_array_equal(made.x[1 - 1, 0], [56, 55, 54])


def test_indices_that_end_before_the_issue_date_are_told() -> None:
    with pytest.raises(InputError, match=r"tna ends in 2000-12, before the issue date 2001-08"):
        lag_predictors(
            _table(),
            names=["tna"],
            lags=(4, 12),
            lead=4,
            years=np.array([2001]),
            month=np.zeros(1, int),
            peaks=np.array([12]),
        )
    with pytest.raises(UsageError, match=r"before the issue date"):
        lag_predictors(
            _table(), names=["tna"], lags=(0, 3), lead=4, years=np.array([1995]), month=np.zeros(1, int)
        )
