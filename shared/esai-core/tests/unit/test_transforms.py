from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.preprocessing import StandardScaler

from esai_core.errors import InputError, UsageError
from esai_core.transforms import Anomaliser, QuantileCategories, Standardiser, group_labels, one_hot


def _daily(years: int = 3, seed: int = 0) -> xr.DataArray:
    time = pd.date_range("2000-01-01", periods=365 * years + 1)
    data = np.random.default_rng(seed).normal(285, 5, (len(time), 3, 4))
    coords = {"time": time, "latitude": [10.0, 11, 12], "longitude": [1.0, 2, 3, 4]}
    return xr.DataArray(data, coords, ("time", "latitude", "longitude"), name="t2m", attrs={"units": "K"})


def _hindcast(seed: int = 0) -> xr.DataArray:
    start = pd.date_range("1981-01-01", periods=120, freq="MS")
    data = np.random.default_rng(seed).normal(size=(120, 3, 5, 2, 2))
    coords = {"start": start, "lead": [1, 2, 3]}
    return xr.DataArray(data, coords, ("start", "lead", "number", "latitude", "longitude"))


class TestStandardiser:
    def test_agrees_with_scikit_learn(self) -> None:
        da = _daily().stack(cell=("latitude", "longitude")).reset_index("cell", drop=True)
        expected = StandardScaler().fit(da.values)
        ours = Standardiser.fit(da, dim="time")
        np.testing.assert_allclose(ours.mean, expected.mean_, rtol=1e-12)
        np.testing.assert_allclose(ours.transform(da), expected.transform(da.values), atol=1e-12)

    def test_constant_and_missing_places(self) -> None:
        da = _daily()
        da[:, 0, 0] = 0.1
        da[:, 1, 1] = np.nan
        out = Standardiser.fit(da, dim="time").transform(da)
        np.testing.assert_allclose(out[:, 0, 0], 0, atol=1e-12)
        assert out[:, 1, 1].isnull().all()
        assert out.attrs["units"] == "1"

    def test_single_precision_stays_and_is_accumulated_in_double(self) -> None:
        da = _daily().astype(np.float32)
        ours = Standardiser.fit(da, dim=("time", "latitude", "longitude"))
        assert ours.transform(da).dtype == np.float32
        np.testing.assert_allclose(ours.mean, da.values.astype(np.float64).mean(), rtol=1e-12)

    def test_puts_shuffled_coordinates_right(self) -> None:
        da = _daily()
        ours = Standardiser.fit(da, dim="time")
        flipped = da.isel(latitude=slice(None, None, -1))
        xr.testing.assert_allclose(
            ours.transform(flipped), ours.transform(da).isel(latitude=slice(None, None, -1))
        )

    def test_refuses_what_it_was_not_fitted_on(self) -> None:
        da = _daily()
        ours = Standardiser.fit(da, dim="time")
        with pytest.raises(InputError, match="units 'K'"):
            ours.transform((da - 273.15).assign_attrs(units="degC").rename("t2m"))
        with pytest.raises(InputError, match="fitted on t2m, not on tp"):
            ours.transform(da.rename("tp"))
        with pytest.raises(InputError, match="latitude"):
            ours.transform(da.assign_coords(latitude=[0.0, 1, 2]))
        with pytest.raises(InputError, match="all values are NaN"):
            Standardiser.fit(da * np.nan, dim="time")
        with pytest.raises(UsageError, match="no dimension number"):
            Standardiser.fit(da, dim=("time", "number"))

    def test_inverse_restores_values_units_and_name(self) -> None:
        da = _daily()
        ours = Standardiser.fit(da, dim="time")
        back = ours.inverse(ours.transform(da))
        xr.testing.assert_allclose(back, da, rtol=1e-14)
        assert back.attrs == da.attrs
        assert back.name == "t2m"


class TestAnomaliser:
    def test_monthly_climatology_is_xarrays_groupby(self) -> None:
        da = _daily()
        da = da.where(da > 280)
        expected = da.groupby("time.month") - da.groupby("time.month").mean()
        out = Anomaliser.fit(da).transform(da)
        np.testing.assert_allclose(out, expected.transpose(*da.dims), atol=1e-11)
        assert out.attrs == da.attrs

    def test_hindcast_climatology_is_per_start_month_and_lead(self) -> None:
        da = _hindcast()
        ours = Anomaliser.fit(da, time="start", over=("number",))
        expected = da.groupby("start.month").mean(("start", "number")).rename(month="group")
        xr.testing.assert_allclose(ours.level, expected.transpose("group", ...))
        anomalies = ours.transform(da)
        assert anomalies.dims == da.dims
        np.testing.assert_allclose(
            anomalies.groupby("start.month").mean(("start", "number")), np.zeros(expected.shape), atol=1e-14
        )

    def test_trend_is_least_squares_with_gaps(self) -> None:
        da = _hindcast().isel(number=0, lead=0, drop=True)
        da[5:20, 0, 0] = np.nan
        ours = Anomaliser.fit(da, time="start", trend=True)
        march = da.sel(start=da.start.dt.month == 3)[:, 0, 0].dropna("start")
        years = march.start.dt.year + (march.start.dt.dayofyear - 1) / march.start.dt.days_in_year
        slope, level = np.polyfit(years - ours.year, march, 1)
        np.testing.assert_allclose(ours.slope.sel(group=3)[0, 0], slope, rtol=1e-9)
        np.testing.assert_allclose(ours.level.sel(group=3)[0, 0], level, rtol=1e-9)

    def test_trend_is_extrapolated_and_removed_exactly(self) -> None:
        time = pd.date_range("1981-01-01", periods=240, freq="MS")
        years = time.year + (time.day_of_year - 1) / np.where(time.is_leap_year, 366, 365)
        da = xr.DataArray(280 + 0.05 * (years - 1990) + time.month.values, {"time": time}, ("time",))
        ours = Anomaliser.fit(da.isel(time=slice(0, 120)), trend=True)
        np.testing.assert_allclose(ours.transform(da), np.zeros(240), atol=1e-10)
        np.testing.assert_allclose(ours.climatology(da), da, atol=1e-10)

    def test_two_years_carry_no_trend(self) -> None:
        da = _hindcast().isel(start=slice(0, 24))
        with pytest.raises(InputError, match="too few for a trend"):
            Anomaliser.fit(da, time="start", over=("number",), trend=True)

    def test_window_goes_around_the_year(self) -> None:
        da = _daily()
        ours = Anomaliser.fit(da, group="dayofyear", window=10)
        day = group_labels(da, time="time", group="dayofyear")
        near = (day >= 366 + 3 - 10) | (day <= 13)
        np.testing.assert_allclose(ours.level.sel(group=3), da[near].mean("time"), rtol=1e-12)

    def test_refuses_a_month_it_never_saw_and_a_wrong_window(self) -> None:
        da = _daily()
        winter = da.sel(time=da.time.dt.month.isin([12, 1, 2]))
        with pytest.raises(InputError, match="group 3 of time; fitted: 1, 2, 12"):
            Anomaliser.fit(winter).transform(da)
        with pytest.raises(UsageError, match="window"):
            Anomaliser.fit(da, group=None, window=2)
        with pytest.raises(UsageError, match="did you mean 'month'"):
            Anomaliser.fit(da, group="months")


class TestQuantileCategories:
    def test_edges_are_numpys_quantiles_per_week(self) -> None:
        da = _daily()
        da[3:40, 0, 0] = np.nan
        ours = QuantileCategories.fit(da, window=1, labels=[str(k) for k in range(5)])
        week = group_labels(da, time="time", group="week")
        for value in (1, 2, 20, 53):
            near = np.isin(week, [(value - 2) % 53 + 1, value, value % 53 + 1])
            expected = np.nanquantile(da.values[near], [0.2, 0.4, 0.6, 0.8], axis=0)
            np.testing.assert_allclose(ours.edges.sel(group=value), expected, rtol=1e-13)

    def test_the_official_rule_at_the_edges(self) -> None:
        train = xr.DataArray([0.0, 1.0, 2.0, 3.0], dims="time")
        ours = QuantileCategories.fit(train, group=None)
        np.testing.assert_allclose(ours.edges[:, 0], [1.0, 2.0])
        out = ours.transform(xr.DataArray([0.999, 1.0, 1.999, 2.0, np.nan, -np.inf, np.inf], dims="time"))
        np.testing.assert_array_equal(out, [0, 1, 1, 2, np.nan, 0, 2])
        assert ours.labels == ("below normal", "near normal", "above normal")

    def test_nan_never_becomes_a_class(self) -> None:
        da = _daily()
        da[:, 0, 0] = np.nan
        ours = QuantileCategories.fit(da, group=None)
        fresh = _daily(seed=4)
        fresh = fresh.where(fresh > 280)
        codes = ours.transform(fresh)
        assert codes[:, 0, 0].isnull().all()
        np.testing.assert_array_equal(codes[:, 1, 1].isnull(), fresh[:, 1, 1].isnull())
        hot = ours.one_hot(fresh)
        assert hot.dims[0] == "category"
        np.testing.assert_array_equal(hot.isnull().any("category"), hot.isnull().all("category"))
        np.testing.assert_array_equal(hot.sum("category", skipna=True), codes.notnull())

    def test_too_few_values_have_no_edges(self) -> None:
        da = xr.DataArray([[1.0, 2, 3], [1, 2, np.nan]], dims=("cell", "time"))
        edges = QuantileCategories.fit(da, group=None).edges
        assert edges.isel(cell=0).notnull().all()
        assert edges.isel(cell=1).isnull().all()
        with pytest.raises(InputError, match="no category edges"):
            QuantileCategories.fit(da.isel(cell=[1]), group=None)

    def test_dry_places_are_known_as_degenerate(self) -> None:
        da = xr.DataArray([[0.0, 0, 0, 0, 0, 1], [1, 2, 3, 4, 5, 6]], dims=("cell", "time"))
        assert QuantileCategories.fit(da, group=None).degenerate.values.tolist() == [[True, False]]

    def test_model_edges_pool_members(self) -> None:
        da = _hindcast()
        ours = QuantileCategories.fit(da, time="start", over=("number",), group="month")
        june = da.sel(start=da.start.dt.month == 6)
        expected = june.quantile([1 / 3, 2 / 3], dim=("start", "number"))
        np.testing.assert_allclose(ours.edges.sel(group=6), expected, rtol=1e-12)
        counts = [(ours.transform(da) == k).sum().item() for k in range(3)]
        assert max(counts) - min(counts) < 0.06 * da.size

    def test_groups_may_be_a_coordinate(self) -> None:
        da = _hindcast().assign_coords(start_index=("start", np.arange(120) % 4))
        ours = QuantileCategories.fit(da, time="start", over=("number",), group="start_index")
        assert ours.edges.group.values.tolist() == [0, 1, 2, 3]
        assert ours.transform(da).dims == da.dims

    @pytest.mark.parametrize("labels", [("one",), ("a", "a", "b")])
    def test_refuses_labels(self, labels: tuple[str, ...]) -> None:
        with pytest.raises(UsageError, match="two or more, all different"):
            QuantileCategories.fit(_daily(), labels=labels)


def test_labels_of_the_calendar() -> None:
    time = pd.to_datetime(
        ["2000-02-28", "2000-02-29", "2000-03-01", "2001-02-28", "2001-03-01", "2001-12-31"]
    )
    da = xr.DataArray(np.zeros(6), {"time": time}, ("time",))
    assert group_labels(da, time="time", group="dayofyear").tolist() == [59, 60, 61, 59, 61, 366]
    assert group_labels(da, time="time", group="week").tolist() == [9, 9, 9, 9, 9, 53]
    with pytest.raises(UsageError, match="no dates"):
        group_labels(da.drop_vars("time"), time="time", group="month")
    with pytest.raises(UsageError, match="no dimension 'start'"):
        group_labels(da, time="start", group="month")


def test_one_hot_of_codes() -> None:
    hot = one_hot(xr.DataArray([0.0, 2, np.nan], dims="time"), ["low", "mid", "high"])
    np.testing.assert_array_equal(hot, [[1, 0, np.nan], [0, 0, np.nan], [0, 1, np.nan]])


@pytest.mark.parametrize("kind", [Standardiser, Anomaliser, QuantileCategories])
def test_saved_transforms_come_back_and_write_the_same_bytes(kind: Any, tmp_path: Path) -> None:
    da = _daily()
    fitted = kind.fit(da, dim="time") if kind is Standardiser else kind.fit(da)
    fitted.save(tmp_path / "a.npz")
    fitted.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    loaded = kind.load(tmp_path / "a.npz")
    xr.testing.assert_identical(loaded.transform(da), fitted.transform(da))
    with pytest.raises(InputError, match="fitted on t2m"):
        loaded.transform(da.rename("tp"))


def test_load_refuses_other_files(tmp_path: Path) -> None:
    Standardiser.fit(_daily(), dim="time").save(tmp_path / "s.npz")
    with pytest.raises(InputError, match="holds a standardiser"):
        Anomaliser.load(tmp_path / "s.npz")
    with pytest.raises(InputError, match="no such file"):
        Anomaliser.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("not a zip")
    with pytest.raises(InputError, match="not a saved transform"):
        Anomaliser.load(tmp_path / "text.npz")
    whole = (tmp_path / "s.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a saved transform"):
        Standardiser.load(tmp_path / "cut.npz")
