from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_core.errors import InputError
from esai_core.hindcast import (
    anomalies,
    climatology,
    deaccumulate,
    drift,
    ensemble_mean,
    match_reference,
    start_years,
    trend_covariate,
    valid_time,
)


def hindcast(first="1981-01-01", starts=48, leads=5, units="months", freq="MS", members=3):
    rng = np.random.default_rng(0)
    start = xr.DataArray(pd.date_range(first, periods=starts, freq=freq), dims="start")
    lead = xr.DataArray(np.arange(1, leads + 1), dims="lead", attrs={"units": units})
    return xr.DataArray(
        rng.normal(size=(starts, leads, members, 2, 3)),
        dims=("start", "lead", "number", "latitude", "longitude"),
        coords={
            "start": start,
            "lead": lead,
            "number": np.arange(members),
            "latitude": [0, 1],
            "longitude": [0, 1, 2],
        },
        name="t2m",
        attrs={"units": "K"},
    )


def reference(first="1981-01-01", times=60, freq="MS"):
    stamps = pd.date_range(first, periods=times, freq=freq)
    values = np.arange(times, dtype=float)[:, None, None] + np.zeros((1, 3, 2))
    coords = {"time": stamps, "latitude": [0.0, 0.5, 1.0], "longitude": [0.0, 2.0]}
    return xr.DataArray(
        values, dims=("time", "latitude", "longitude"), coords=coords, name="t2m", attrs={"units": "K"}
    )


@pytest.mark.parametrize("offset", [0, 14])
def test_monthly_truth_is_that_of_the_valid_month(offset):
    ref = reference()
    ref = ref.assign_coords(
        time=ref.time + np.timedelta64(offset, "D")
    )  # stamps in mid-month mean the same month
    h = hindcast()
    out = match_reference(h, ref)
    assert out.dims == ("start", "lead", "latitude", "longitude")
    for i in (0, 11, 47):
        for m in (1, 5):
            stamp = pd.Timestamp(h.start.values[i]) + pd.DateOffset(months=m - 1)
            months = (stamp.year - 1981) * 12 + stamp.month - 1
            assert (out.isel(start=i).sel(lead=m) == months).all()
    np.testing.assert_array_equal(out.valid_time, valid_time(h.start, h.lead))
    assert out.attrs == ref.attrs


def test_daily_truth_is_that_of_the_valid_day():
    h = hindcast("1984-02-20", starts=4, leads=12, units="days", freq="D")
    ref = reference("1984-01-01", times=120, freq="D")
    ref = ref.assign_coords(time=ref.time + np.timedelta64(12, "h"))  # stamped at noon
    out = match_reference(h, ref)
    days = (out.valid_time - np.datetime64("1984-01-01")) / np.timedelta64(1, "D")
    np.testing.assert_array_equal(out.isel(latitude=0, longitude=0).values, days.values)


def test_shuffled_and_lazy_references_give_the_same():
    h, ref = hindcast(), reference()
    expected = match_reference(h, ref)
    shuffled = ref.isel(time=np.random.default_rng(0).permutation(60))
    xr.testing.assert_identical(match_reference(h, shuffled), expected)
    lazy = match_reference(h.chunk({"start": 5}), ref.chunk({"time": 7}))
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), expected)


def test_partly_covered_starts_are_missing_and_counted(caplog):
    with caplog.at_level(logging.INFO, logger="esai_core"):
        out = match_reference(hindcast(), reference(times=50))
    missing = out.isnull().all(("latitude", "longitude")).values
    np.testing.assert_array_equal(missing, np.arange(48)[:, None] + np.arange(5)[None] >= 50)
    assert "3 of 240 start-lead pairs lie outside" in caplog.text


def test_no_common_years_names_both_ranges():
    with pytest.raises(
        InputError, match=r"hindcast is valid 1981-01-01 to 1985-04-01.* 2001-01-01 to 2005-12-01"
    ):
        match_reference(hindcast(), reference("2001-01-01"))


def test_a_daily_reference_is_not_taken_for_a_monthly_one():
    with pytest.raises(InputError, match=r"several times in one month.*make it monthly first"):
        match_reference(hindcast(), reference(times=400, freq="D"))
    with pytest.raises(InputError, match=r"several times in one day.*make it daily first"):
        match_reference(hindcast(units="days", freq="D"), reference(times=400, freq="h"))


def test_climatology_uses_the_fold_alone():
    h = hindcast()
    train = h.start[h.start.dt.year <= 1982]
    before = climatology(h, starts=train)
    poisoned = h.where(h.start.dt.year <= 1982, 1e6)
    xr.testing.assert_identical(climatology(poisoned, starts=train), before)
    expected = h.sel(start=train).isel(start=slice(3, None, 12)).mean(("start", "number"))
    np.testing.assert_allclose(before.sel(month=4), expected, rtol=1e-12)


def test_anomalies_average_to_nothing_per_month_and_lead():
    h = hindcast()
    out = anomalies(h, climatology(h))
    assert out.dims == h.dims
    assert float(abs(climatology(out)).max()) < 1e-12
    with pytest.raises(InputError, match=r"start months \[7"):
        anomalies(h, climatology(h).sel(month=slice(1, 6)))


def test_drift_is_the_known_one():
    h = hindcast()
    truth = ensemble_mean(h)
    moved = h + 0.5 * h.lead + xr.where(h.start.dt.month == 7, 2.0, 0.0)
    out = drift(moved.transpose(*h.dims), truth)
    np.testing.assert_allclose(
        out.sel(month=1), np.broadcast_to(0.5 * np.arange(1, 6)[:, None, None], (5, 2, 3))
    )
    np.testing.assert_allclose(out.sel(month=7) - out.sel(month=1), 2.0)


def test_ensemble_mean_skips_members_that_are_not_there():
    h = hindcast()
    h[:, :, 2] = np.nan
    np.testing.assert_allclose(ensemble_mean(h), h.isel(number=[0, 1]).mean("number"))
    assert ensemble_mean(h).attrs == h.attrs


def test_trend_covariates():
    h = hindcast("1981-11-01", starts=2, leads=3)
    assert start_years(h.start).values.tolist() == [1981, 1981]
    assert trend_covariate(h).values.tolist() == [1981.0, 1981.0]
    valid = trend_covariate(h, by="valid")
    assert valid.dims == ("start", "lead")
    np.testing.assert_allclose(valid.values[0], [1981 + 304 / 365, 1981 + 334 / 365, 1982])


def test_accumulated_rain_is_taken_apart_and_put_together():
    h = abs(hindcast(units="days", freq="D"))
    total = h.cumsum("lead").assign_coords(lead=h.lead)
    total = total - xr.where(total.lead == 3, 1e-6, 0.0)  # a step back, as packing makes it
    out = deaccumulate(total.transpose(*h.dims).assign_attrs(h.attrs))
    np.testing.assert_allclose(out, h, atol=2e-6)
    assert float(out.min()) >= 0
    assert out.dims == h.dims
    lazy = deaccumulate(total.transpose(*h.dims).chunk({"start": 7, "lead": 2}))
    np.testing.assert_array_equal(lazy, out)
    dry = total * 0
    assert (deaccumulate(dry.transpose(*h.dims)) == 0).all()


def test_what_is_not_accumulated_is_refused():
    h = abs(hindcast(units="days", freq="D"))
    with pytest.raises(InputError, match="it is not accumulated"):
        deaccumulate(h)
    with pytest.raises(InputError, match="need the leads 1, 2, 3"):
        deaccumulate(h.isel(lead=[0, 2, 3]))
    with pytest.raises(InputError, match="need the leads"):
        deaccumulate(hindcast())
