"""Intervals of corrected forecasts: what they may use, how they are chosen, and that they cover."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_core.uncertainty import interval_scores
from esai_seasonal.calibration import (
    GAMMAS,
    choose_gamma,
    errors_of,
    known_delay,
    origins,
    predict_interval,
    truth_known,
)


def made_up(years: int, *, drift: float = 0.0, seed: int = 0) -> xr.Dataset:
    """Monthly starts whose mean misses the truth by noise in units of the spread, and by a drift."""
    rng = np.random.default_rng(seed)
    starts = pd.date_range("1981-01-01", periods=12 * years, freq="MS")
    shape = (len(starts), 2, 2, 3)
    mean, spread = rng.normal(size=shape), rng.uniform(0.5, 2.0, size=shape)
    late = np.clip(np.arange(len(starts)) - 0.5 * len(starts), 0, None)[:, None, None, None] / len(starts)
    truth = mean + spread * rng.standard_t(5, size=shape) + drift * late
    dims = ("start", "lead", "latitude", "longitude")
    coords = {"start": starts, "lead": [1, 6], "latitude": [0.0, 1.0], "longitude": [0.0, 1.0, 2.0]}
    return xr.Dataset(
        {name: (dims, x) for name, x in (("mean", mean), ("spread", spread), ("truth", truth))}, coords
    )


def test_a_truth_counts_from_the_end_of_its_month() -> None:
    monthly = pd.date_range("2000-01-01", periods=40, freq="MS")
    quarterly = pd.date_range("2000-02-01", periods=20, freq="3MS")
    for starts, lead, delay in ((monthly, 1, 1), (monthly, 6, 6), (quarterly, 1, 1), (quarterly, 4, 2)):
        assert known_delay(starts, truth_known(starts, lead, "months")) == delay
    daily = pd.date_range("2000-01-01", periods=10, freq="7D")
    assert known_delay(daily, truth_known(daily, 10, "days")) == 2


def test_origins_fit_on_nothing_that_was_not_over() -> None:
    starts = pd.date_range("1981-01-01", periods=12 * 8, freq="MS")
    ends = truth_known(starts, 6, "months")
    found = origins(starts, ends)
    assert [np.unique(starts[block].year).tolist() for _, block in found] == [[1985, 1986], [1987, 1988]]
    for known, block in found:
        assert ends[known].max() <= starts[block].min()
        assert len(known) == (starts < starts[block].min()).sum() - 5


def test_intervals_cover_and_use_no_truth_before_it_is_known() -> None:
    whole = made_up(26)
    past, new = whole.isel(start=slice(0, 240)), whole.isel(start=slice(240, None))
    gamma, table = choose_gamma(past, units="months")
    assert set(table) == {f"{one:g}" for one in GAMMAS}
    made = predict_interval(past, new, gamma=gamma, units="months")
    scores = interval_scores(new["truth"], made.lower, made.upper)
    assert 0.88 <= scores["coverage"] <= 0.92
    poisoned = new["truth"].copy()
    poisoned[30:] = 1e6  # from the 31st start on
    other = predict_interval(past, new.assign(truth=poisoned), gamma=gamma, units="months")
    for one, two in zip(made, other, strict=True):
        assert one.isel(start=slice(0, 31)).equals(two.isel(start=slice(0, 31)))
        later = slice(36, None)  # lead 6 of the 31st start is over at the 37th
        assert not one.isel(start=later, lead=1).equals(two.isel(start=later, lead=1))
        assert one.isel(start=slice(0, 36), lead=1).equals(two.isel(start=slice(0, 36), lead=1))


def test_a_drift_is_followed() -> None:
    whole = made_up(28, drift=12.0, seed=1)
    past, new = whole.isel(start=slice(0, 264)), whole.isel(start=slice(264, None))
    gamma, table = choose_gamma(past, units="months")
    assert gamma > 0.0
    assert table["0"]["coverage"] < table[f"{gamma:g}"]["coverage"]
    made = predict_interval(past, new, gamma=gamma, units="months")
    still = predict_interval(past, new, gamma=0.0, units="months")
    covered = [interval_scores(new["truth"], one.lower, one.upper)["coverage"] for one in (made, still)]
    assert abs(covered[0] - 0.9) < abs(covered[1] - 0.9)
    assert 0.85 <= covered[0] <= 0.95


def test_a_short_past_gives_no_interval_and_no_choice() -> None:
    whole = made_up(2)
    assert choose_gamma(whole.isel(start=slice(0, 12)), units="months") == (0.0, {})
    made = predict_interval(
        whole.isel(start=slice(0, 6)), whole.isel(start=slice(12, None)), gamma=0.0, units="months"
    )
    assert bool(made.lower.isnull().all())


def test_members_that_agree_are_not_sure_for_that() -> None:
    rng = np.random.default_rng(0)
    dims = ("start", "lead", "number", "latitude", "longitude")
    coords = {"start": pd.date_range("2000-01-01", periods=3, freq="MS"), "lead": [1], "number": np.arange(9)}
    values = rng.normal(size=(3, 1, 9, 2, 2))
    values[0] = 1.0
    ensemble = xr.DataArray(values, {**coords, "latitude": [0.0, 1.0], "longitude": [0.0, 1.0]}, dims)
    made = errors_of(ensemble, ensemble.isel(number=0, drop=True))
    assert float(made["spread"].min()) > 0.0
    assert made["mean"].values[1] == pytest.approx(values[1].mean(1), abs=1e-6)
    assert made["spread"].values[1] == pytest.approx(values[1].std(1, ddof=1), abs=1e-6)
