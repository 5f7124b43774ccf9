"""Each trap of sub-seasonal verification, with a test that fails where its guard is taken away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from esai_core.config import validate_config
from esai_core.errors import EsaiError, InputError, UsageError
from esai_core.splits import Fold, drop_overlap
from esai_s2s import S2sConfig, assert_no_leak, fit_categories
from esai_s2s.crossval import guard
from esai_s2s.fitting import Plan, fit, make_blocks, make_folds
from esai_s2s.methods.raw import member_counts
from esai_s2s.methods.registry import fit_method
from esai_s2s.methods.settings import Settings
from esai_s2s.predictors import debiased_spread, ensemble_mean
from esai_s2s.sample import Sample
from esai_s2s.windows import daily_windows, lagged_means, valid_days

Make = Callable[..., Sample]


def test_rain_that_is_not_known_is_in_no_category(sample: Sample) -> None:
    observed = sample.observed.copy()
    observed[::3] = np.nan
    holed = replace(sample, observed=observed)
    codes = fit_categories(holed, group=None).codes(holed)
    assert np.isnan(codes[::3]).all()
    assert not np.isnan(codes[1::3]).any()


def test_a_member_that_is_not_known_is_not_counted() -> None:
    codes = np.array([[0.0, 2.0, np.nan, np.nan], [np.nan] * 4])[:, :, None]
    found = member_counts(codes, 3)
    np.testing.assert_allclose(found[0, 0], [0.5, 0, 0.5])
    assert np.isnan(found[1]).all()


def test_a_window_with_a_missing_day_is_missing() -> None:
    rain = xr.DataArray(np.ones((2, 45)), dims=("start", "lead"), coords={"lead": np.arange(45)}, name="tp")
    rain[0, 20] = np.nan
    total = daily_windows(rain, {"14d": (14, 27), "28d": (28, 41)}, total=True)
    assert np.isnan(total.sel(window="14d").values[0])
    assert total.sel(window="14d").values[1] == 14
    assert total.sel(window="28d").values[0] == 14


def test_climatology_is_a_third_each_and_not_the_frequency_in_sample() -> None:
    rng = np.random.default_rng(0)
    twenty = rng.normal(size=(20, 500))
    starts = (np.datetime64("2000-01-06") + 365 * np.arange(20)).astype("datetime64[ns]")
    year = Sample("x", "14d", "normal", starts, np.zeros((20, 1), dtype="datetime64[D]"), twenty)
    codes = fit_categories(year, group=None).codes(year)
    shares = [(codes == k).mean() for k in range(3)]
    assert shares == pytest.approx([0.35, 0.30, 0.35], abs=1e-9)  # what a fit of 20 years would give
    found = fit(year, np.arange(20), Plan(methods=(), group=None, stack=False)).predict(year)
    np.testing.assert_allclose(found["climatology"], 1 / 3)


def test_spread_of_11_and_of_51_members_is_the_same_on_average() -> None:
    rng = np.random.default_rng(1)
    for size in (2, 4, 11, 51):
        members = rng.normal(0, 2.0, (20000, size, 4))
        assert debiased_spread(members).mean() == pytest.approx(2.0, rel=0.012)
    assert rng.normal(0, 2.0, (4000, 4, 4)).std(axis=1).mean() < 1.75  # the plain one is too small
    padded = np.concatenate([members, np.full((20000, 5, 4), np.nan)], axis=1)
    np.testing.assert_allclose(debiased_spread(padded), debiased_spread(members))
    np.testing.assert_allclose(ensemble_mean(padded), ensemble_mean(members))


def test_the_dry_mask_follows_the_code_of_the_challenge_not_its_text(make_sample: Make) -> None:
    base = make_sample(cells=2)
    rain = np.exp(base.observed)
    rain[:, 1] = np.where(base.observed[:, 1] < 0.3, 0.001, rain[:, 1])  # two thirds of the time below 0.01
    wet = replace(base, observed=rain, kind="precipitation")
    codes = fit_categories(wet, group=None, dry_edge=0.01).codes(wet)
    assert not np.isnan(codes[:, 0]).any()
    assert np.isnan(codes[:, 1]).all()
    assert not np.isnan(fit_categories(wet, group=None).codes(wet)).any()
    cold = replace(wet, kind="normal")
    assert not np.isnan(fit_categories(cold, group=None, dry_edge=0.01).codes(cold)).any()


def test_weights_come_from_out_of_fold_forecasts(make_sample: Make) -> None:
    """A forest learns noise by heart: weighed on its own training cases it would win."""
    noise = make_sample(skill=0.0, cells=1, n_years=10)
    plan = Plan(methods=("logistic", "forest"), group=None)
    eager = replace(plan, settings=replace(plan.settings, leaf=1, trees=20, cycle=False))
    fitted = fit(noise, make_years(noise), eager)
    assert fitted.weights["forest"] < 0.15
    assert fitted.weights["climatology"] > 0.5
    inside = fitted.predict(noise)["forest"]
    codes = fitted.categories.codes(noise)
    assert (inside.argmax(-1) == codes).mean() > 0.9  # in sample it seems perfect


def make_years(sample: Sample) -> np.ndarray:
    return sample.starts.astype("datetime64[M]").astype(int) // 12 + 1970


def _config(**split: object) -> S2sConfig:
    data = {"observations": "a.nc", "variables": ["x"]}
    return validate_config({"data": data, "split": split}, S2sConfig)


def test_a_winter_is_one_block_and_torn_winters_need_a_flag(
    sample: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    blocks = make_blocks(sample.starts, _config(blocks="season"))
    years = make_years(sample)
    assert all(len(np.unique(blocks[i : i + 20])) == 1 for i in range(0, sample.size, 20))
    assert len(np.unique(years[:20])) == 2
    with pytest.raises(UsageError, match=r"tear the season.*allow_torn_seasons"):
        make_blocks(sample.starts, _config(blocks="year"))
    made = make_blocks(sample.starts, _config(blocks="year", allow_torn_seasons=True))
    np.testing.assert_array_equal(made, years)
    assert "scores may be too good" in caplog.text


def test_starts_whose_truth_reaches_into_the_test_part_are_not_trained_on(make_sample: Make) -> None:
    base = make_sample(n_years=4)
    daily = (np.datetime64("2000-01-01") + 7 * np.arange(base.size)).astype("datetime64[ns]")
    moved = replace(
        base, starts=daily, valid=base.valid - base.valid[:, :1] + daily.astype("datetime64[D]")[:, None]
    )
    for fold in make_folds(moved, make_years(moved), "each"):
        seen = np.unique(moved.valid[fold.train])
        assert not np.isin(moved.valid[fold.test], seen).any()


def test_the_leak_guard_passes_what_is_fitted_in_the_fold(sample: Sample) -> None:
    plan = Plan(methods=("raw", "logistic", "emos"), group=None)
    blocks = make_blocks(sample.starts, _config())
    guard(sample, blocks, make_folds(sample, blocks, "each")[0], plan)


@pytest.mark.parametrize(("change", "leaks"), [(1e-15, False), (1e-7, True)])
def test_rounding_is_no_leak_and_a_small_leak_is_one(sample: Sample, change: float, leaks: bool) -> None:
    blocks = make_blocks(sample.starts, _config())
    fold = make_folds(sample, blocks, "each")[0]
    top = np.nanmax(np.abs(sample.observed))

    def procedure(given: Sample, part: Fold) -> np.ndarray:
        replaced = np.nanmax(np.abs(given.observed)) > top
        return np.full((len(part.test), sample.cells, 3), 1 / 3) + change * replaced

    if leaks:
        with pytest.raises(EsaiError, match="test part leaks"):
            assert_no_leak(procedure, sample, fold)
    else:
        assert_no_leak(procedure, sample, fold)


@pytest.mark.parametrize("leak", ["edges", "scaler"])
def test_a_leak_planted_on_purpose_is_caught(sample: Sample, leak: str) -> None:
    blocks = make_blocks(sample.starts, _config())
    fold = make_folds(sample, blocks, "each")[0]
    plan = Plan(methods=("logistic",), group=None, stack=False)

    def procedure(given: Sample, part: Fold) -> np.ndarray:
        source = given if leak == "edges" else given.take(part.train)
        categories = fit_categories(source, group=None)
        held, train = given.take(part.test), given.take(part.train)
        fitted = fit(train, blocks[part.train], plan)
        if (
            leak == "scaler"
        ):  # held cases are centred with the mean of all years, the fit with that of its own
            assert given.forecast is not None
            assert train.forecast is not None
            shift = np.nanmean(given.forecast) - np.nanmean(train.forecast)
            held = replace(held, forecast=held.forecast - shift)
        edges = categories.edges(held).transpose(0, 2, 1)
        return np.concatenate([fitted.predict(held)["logistic"], edges], axis=-1)

    with pytest.raises(EsaiError, match="test part leaks"):
        assert_no_leak(procedure, sample, fold)


def test_the_last_days_of_the_year_have_edges_although_week_53_is_rare() -> None:
    starts = (np.datetime64("2000-01-06") + 7 * np.arange(520)).astype("datetime64[ns]")
    values = np.random.default_rng(0).normal(size=(520, 1))
    weekly = Sample("x", "14d", "normal", starts, np.zeros((520, 1), dtype="datetime64[D]"), values)
    early = weekly.take(np.flatnonzero(starts < np.datetime64("2004-12-01")))
    categories = fit_categories(early, group="week", window=1)
    assert not np.isnan(categories.codes(weekly)).any()
    # A week 53 of its own would have two cases in ten years, and no edges.
    assert not np.isnan(fit_categories(weekly, group="week", window=0).codes(weekly)).any()


def test_weeks_that_are_only_before_held_out_seasons_borrow_the_edges_of_their_neighbours() -> None:
    """Every other season is held out: late November, whose truth reaches into it, is in no training case."""
    starts = (np.datetime64("2000-01-06") + 7 * np.arange(8 * 52)).astype("datetime64[ns]")
    values = np.random.default_rng(0).normal(size=(len(starts), 1))
    weekly = Sample("x", "28d", "normal", starts, valid_days(starts, 28, 41), values)
    blocks = make_blocks(starts, _config())
    held = np.isin(blocks, np.unique(blocks)[1::2])
    fold = drop_overlap(Fold(np.flatnonzero(~held), np.flatnonzero(held)), weekly.valid)
    week = (starts.astype("datetime64[D]") - starts.astype("datetime64[Y]")).astype(int) // 7 + 1
    assert 48 not in week[fold.train]
    categories = fit_categories(weekly.take(fold.train), group="week", window=2)
    assert not np.isnan(categories.codes(weekly)).any()
    far = weekly.take(np.flatnonzero(week < 30))
    with pytest.raises(InputError, match="nothing was fitted for group"):
        fit_categories(far, group="week", window=2).codes(weekly)


def test_nothing_observed_on_or_after_the_start_is_a_predictor() -> None:
    days = (np.datetime64("2000-01-01") + np.arange(120)).astype("datetime64[ns]")
    series = xr.DataArray(np.arange(120.0), dims="time", coords={"time": days})
    starts = days[[40, 60]]
    known = lagged_means(series, starts)
    np.testing.assert_allclose(known.isel(lag=0), [36, 56])  # the seven days before
    changed = series.where(series["time"] < starts[0], -999.0)
    np.testing.assert_array_equal(lagged_means(changed, starts).isel(start=0), known.isel(start=0))


def test_emos_gives_no_chance_below_an_edge_of_zero(make_sample: Make) -> None:
    wet = make_sample(cells=2, n_years=6)
    assert wet.forecast is not None
    # Rain that is often none: the lower edge is zero, below which nothing can fall.
    rain = replace(
        wet,
        kind="precipitation",
        observed=np.maximum(wet.observed, 0.0),
        forecast=np.maximum(wet.forecast, 0.0),
    )
    categories = fit_categories(rain, group=None)
    assert (categories.edges(rain)[:, 0] == 0).all()
    emos = fit_method("emos", rain, categories, Settings(power="cbrt"))
    chances = emos.predict(rain, categories)
    assert (chances[..., 0] == 0).all()
    np.testing.assert_allclose(chances.sum(axis=-1), 1, atol=1e-12)
