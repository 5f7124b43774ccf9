from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from esai_core.grid import Grid
from esai_fire.folds import make_plan
from esai_fire.gridding import cells_of, regrid_total
from esai_fire.intervals import predictive
from esai_fire.predictors import lag_predictors
from esai_fire.screening import discoveries
from esai_fire.species import gfas_conversion
from esai_fire.windows import centred_windows, monthly_series, window_series, windows_like

seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=25, deadline=None)


def _burned(seed: int, *, shape: tuple[int, int] = (3, 4), years: int = 12) -> xr.DataArray:
    random = np.random.default_rng(seed)
    season = 1.0 + np.cos(2 * np.pi * (np.arange(12 * years) % 12 - random.integers(0, 12)) / 12)
    values = random.gamma(0.5, 1e6, size=(12 * years, *shape)) * season[:, None, None]
    return xr.DataArray(
        values,
        coords={
            "time": pd.date_range("1990-01-01", periods=12 * years, freq="MS"),
            "latitude": 40.5 + np.arange(shape[0]), "longitude": -10.5 + np.arange(shape[1]),
        },
        dims=("time", "latitude", "longitude"), name="burned_area",
    )  # fmt: skip


@quick
@given(seed=seeds, peak=st.integers(1, 12))
def test_every_month_is_in_one_window(seed: int, peak: int) -> None:
    monthly = np.random.default_rng(seed).gamma(1.0, 1.0, size=(3, 120))
    found = centred_windows(monthly, (2000, 1), np.full(3, peak), np.arange(1999, 2011))
    whole = np.isfinite(found).all(axis=0)
    assert whole.sum() >= 9
    first = (np.arange(1999, 2011)[whole][0] - 2000) * 12 + peak - 1 - 6
    np.testing.assert_allclose(
        found[:, whole].sum(axis=1), monthly[:, first : first + 12 * whole.sum()].sum(axis=1)
    )


@quick
@given(seed=seeds, shift=st.floats(-0.5, 0.5), step=st.sampled_from([0.25, 0.5, 1.0, 2.0]))
@example(seed=0, shift=1.192092896e-07, step=0.25)
def test_regridding_keeps_totals(seed: int, shift: float, step: float) -> None:
    burned = _burned(seed, years=1)
    burned = burned.assign_coords(latitude=burned.latitude + shift, longitude=burned.longitude + shift / 2)
    found = regrid_total(burned, cells_of(Grid.from_dataset(burned), step))
    dims = ["latitude", "longitude"]
    np.testing.assert_allclose(found.sum(dims), burned.sum(dims), rtol=1e-10)
    assert float(found.min()) >= 0.0


@quick
@given(seed=seeds, lead=st.integers(0, 6))
def test_nothing_after_the_issue_date_is_used(seed: int, lead: int) -> None:
    random = np.random.default_rng(seed)
    months = pd.date_range("1985-01-01", "2002-12-01", freq="MS")
    table = pd.DataFrame({"tna": random.normal(size=months.size)}, index=months)
    years, peak = np.arange(1990, 2002), int(random.integers(1, 13))
    options = {"names": ["tna"], "lags": (0, 8), "lead": lead, "years": years, "smooth": 3}
    before = lag_predictors(table, month=np.zeros(years.size, int), **options)
    row = int(random.integers(years.size))
    issue = pd.Timestamp(years[row], peak, 1) - pd.DateOffset(months=lead)
    changed = table.copy()
    changed[changed.index > issue] += 100.0
    after = lag_predictors(changed, month=np.zeros(years.size, int), **options)
    np.testing.assert_array_equal(before.x[peak - 1, row], after.x[peak - 1, row])


@quick
@given(seed=seeds)
def test_latitudes_may_come_in_any_order_and_cells_too(seed: int) -> None:
    burned = _burned(seed)
    regions = {"total": np.ones(burned.shape[1:])}
    one = window_series(burned, regions=regions)
    turned = burned.isel(latitude=slice(None, None, -1), longitude=[2, 0, 3, 1])
    two = window_series(turned, regions=regions)
    place = {str(name): k for k, name in enumerate(two.names)}
    order = [place[str(name)] for name in one.names]
    np.testing.assert_allclose(two.y[order], one.y, rtol=1e-12)
    np.testing.assert_array_equal(two.peak[order], one.peak)
    np.testing.assert_allclose(windows_like(burned, one, regions), one.y)
    monthly = monthly_series(burned, regions=regions)
    np.testing.assert_array_equal(windows_like(burned, monthly, regions), monthly.y)
    np.testing.assert_allclose(windows_like(burned, one, regions, months=True).sum(axis=2), one.y)


@quick
@given(seed=seeds, rate=st.floats(0.01, 1.0))
def test_a_higher_rate_never_discovers_less(seed: int, rate: float) -> None:
    p = np.random.default_rng(seed).uniform(size=(4, 15)) ** 2
    strict, loose = discoveries(p, rate=rate / 2), discoveries(p, rate=rate)
    assert (strict <= loose).all()
    assert discoveries(p, rate=1.0).all()


@quick
@given(seed=seeds, scale=st.floats(1e-3, 1e9), level=st.sampled_from([0.5, 0.8, 0.95]))
def test_intervals_are_nested_and_follow_the_unit(seed: int, scale: float, level: float) -> None:
    random = np.random.default_rng(seed)
    n = 14
    plan = make_plan(np.arange(n), train=np.ones(n, bool))
    y = random.gamma(1.0, 1.0, size=(3, n))
    y[0, 3] = np.nan
    outer = random.uniform(0.5, 2.0, size=(3, n))
    inner = np.where(plan.inner >= 0, random.uniform(0.5, 2.0, size=(3, plan.outer.size, n)), np.nan)
    options = {"of_row": plan.of_row, "train": plan.train}
    made = predictive(y, outer, inner, level=level, **options)
    wide = predictive(y, outer, inner, level=0.97, **options)
    assert (wide.lower <= made.lower + 1e-12).all()
    assert (wide.upper >= made.upper - 1e-12).all()
    other = predictive(y * scale, outer * scale, inner * scale, level=level, **options)
    np.testing.assert_allclose(other.lower, made.lower * scale, rtol=1e-9)
    np.testing.assert_allclose(other.crps, made.crps * scale, rtol=1e-7, equal_nan=True)


@quick
@given(seed=seeds)
def test_conversions_do_not_depend_on_the_order_of_cells(seed: int) -> None:
    random = np.random.default_rng(seed)
    years = np.arange(2000, 2010)
    plan = make_plan(years, train=np.ones(years.size, bool))
    area = random.gamma(0.5, 1e7, size=(6, years.size)) * (random.uniform(size=(6, years.size)) > 0.2)
    emission = (area**0.9 * random.lognormal(0.0, 0.3, size=area.shape))[None]
    biome = np.array([-1, 0, 1, 1, 2, 2])
    found = gfas_conversion(area, emission, biome, plan)
    order = random.permutation(6)
    again = gfas_conversion(area[order], emission[:, order], biome[order], plan)
    np.testing.assert_allclose(again.log_scale, found.log_scale[:, order], rtol=1e-9)
    np.testing.assert_allclose(again.slope, found.slope[:, order], rtol=1e-9)
