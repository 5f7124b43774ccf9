from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from sklearn.linear_model import PoissonRegressor

from esai_core import verify
from esai_core.errors import UsageError
from esai_fire.demo import synthetic_burned_area, synthetic_indices
from esai_fire.folds import Plan, make_plan
from esai_fire.forecasters import FORECASTERS, RIDGE, Settings, make_block
from esai_fire.intervals import predictive
from esai_fire.nested import run_nested
from esai_fire.predictors import Predictors, lag_predictors
from esai_fire.scoring import claims, skill_of_series
from esai_fire.screening import correlations, discoveries, p_values
from esai_fire.stability import half_samples, selection_frequency
from esai_fire.windows import window_series


def _case(
    *,
    seed: int = 0,
    drivers: dict | None = None,
    shape: tuple[int, int] = (3, 4),
    first: int = 1981,
    last: int = 2008,
):
    table = synthetic_indices(("nino34", "pdo", "tna", "dmi"), first=first - 3, last=last, seed=seed)
    burned = synthetic_burned_area(table, first=first, last=last, shape=shape, drivers=drivers, seed=seed)
    series = window_series(burned, regions={"total": np.ones(shape)})
    predictors = lag_predictors(
        table,
        names=list(table),
        lags=(4, 8),
        lead=4,
        years=series.year,
        month=series.month,
        peaks=series.peak,
    )
    known = np.isfinite(series.y).any(axis=0)
    return series, predictors, make_plan(series.year, train=known)


def test_correlations_are_scipys_on_the_rows_that_train() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(30, 4)), random.normal(size=30)
    weights = (random.uniform(size=(5, 30)) < 0.7).astype(float)
    r = correlations(x, y, weights)
    p = p_values(r, weights.sum(axis=1)[:, None])
    for s in range(5):
        rows = weights[s] > 0
        for j in range(4):
            expected = stats.pearsonr(x[rows, j], y[rows])
            assert r[s, j] == pytest.approx(expected.statistic, abs=1e-12)
            assert p[s, j] == pytest.approx(expected.pvalue, abs=1e-9)
    assert correlations(np.ones((30, 1)), y, weights).max() == 0.0


def test_discoveries_are_those_of_scipy() -> None:
    random = np.random.default_rng(1)
    p = random.uniform(size=(50, 20)) ** 3
    for row, found in zip(p, discoveries(p, rate=0.1), strict=True):
        np.testing.assert_array_equal(found, stats.false_discovery_control(row) <= 0.1)


def test_single_is_a_ridge_poisson_fit_of_the_training_years() -> None:
    series, predictors, plan = _case()
    cell = series.pick(np.array([1]))
    block = make_block(cell.y, cell.peak - 1, cell.season, cell.year, predictors, plan, Settings())
    found = FORECASTERS["single"](block)
    row = 5
    train = np.isfinite(cell.y[0])
    train[row] = False
    x = predictors.x[cell.peak[0] - 1]
    target = np.log(block.y[0] / block.y[0][train].mean() + 0.1)
    best = max(range(x.shape[1]), key=lambda j: abs(np.corrcoef(x[train, j], target[train])[0, 1]))
    column = x[:, best]
    standard = (column - column[train].mean()) / column[train].std()
    own = block.y[0] / block.y[0][train].mean()
    oracle = PoissonRegressor(alpha=RIDGE, tol=1e-10, max_iter=1000)
    oracle.fit(standard[train, None], own[train])
    expected = oracle.predict(standard[row : row + 1, None])[0] * block.y[0][train].mean()
    assert found.outer[0, row] == pytest.approx(expected, rel=1e-5)


def test_a_year_left_out_changes_nothing_in_its_own_forecast() -> None:
    series, predictors, plan = _case(shape=(2, 3))
    pool = np.where(series.is_cell, 0, -1)
    before = run_nested(series, predictors, plan, pool=pool)
    row = 9
    y = series.y.copy()
    y[:, row] *= np.random.default_rng(3).uniform(0.1, 10.0, y.shape[0])
    after = run_nested(dataclasses.replace(series, y=y), predictors, plan, pool=pool)
    for method, forecast in before.outer.items():
        np.testing.assert_allclose(after.outer[method][:, row], forecast[:, row], rtol=1e-4, err_msg=method)
        assert not np.allclose(after.outer[method], forecast), method


def test_a_known_signal_is_found_and_the_stack_follows() -> None:
    series, predictors, plan = _case(drivers={("nino34", 6): 0.8})
    found = run_nested(series, predictors, plan, pool=np.where(series.is_cell, 0, -1))
    skill = skill_of_series(series.y, found.outer, {m: np.zeros_like(series.y) for m in found.outer})
    d2 = skill["d2"].sel({"method": "stack"}).values
    assert np.median(d2) > 0.4
    assert (d2 > 0).all()
    assert np.nanmax(found.kkt) <= 1e-4
    best = np.abs(found.selected["single"]).argmax(axis=1)
    assert np.mean([predictors.labels[j].startswith("nino34") for j in best]) > 0.8


def test_noise_claims_no_skill() -> None:
    claimed, cells = 0, 0
    for seed in range(3):
        series, predictors, plan = _case(seed=seed, drivers={}, shape=(5, 6))
        found = run_nested(series, predictors, plan, pool=np.where(series.is_cell, 0, -1))
        skill = skill_of_series(series.y, found.outer, {m: np.zeros_like(series.y) for m in found.outer})
        one = skill.sel({"method": "stack"})
        claimed += int(((one["d2"] > 0) & (one["p"] < 0.05)).sum())
        cells += series.y.shape[0]
    assert cells == 93
    assert claimed / cells <= 0.05


def test_the_support_of_a_synthetic_world_is_recovered() -> None:
    """Two drivers of coefficient 0.5 (signal variance 0.5 against a dispersion of 0.05), 60 years."""
    random = np.random.default_rng(0)
    n, p, cells = 60, 12, 20
    x = random.normal(size=(1, n, p))
    truth = np.zeros(p, bool)
    truth[[2, 7]] = True
    mean = np.exp(0.5 * x[0, :, 2] - 0.5 * x[0, :, 7])
    y = mean * random.gamma(20.0, 1 / 20.0, size=(cells, n))
    halves = half_samples(np.arange(n), np.ones(n, bool), pairs=10, seed=0)
    assert halves.sum(axis=1).tolist() == [30.0] * 20
    stable = selection_frequency(x, y, np.zeros(cells, int), halves) >= 0.9
    hit = (stable & truth).sum()
    f1 = 2 * hit / (stable.sum() + cells * truth.sum())
    assert f1 >= 0.9


KINDS = ("jackknife", "quasi_poisson", "negative_binomial")


@pytest.mark.parametrize("kind", KINDS)
def test_intervals_cover_as_they_should(kind: str) -> None:
    """With the expectation known: gamma noise with the variance that each kind supposes."""
    random = np.random.default_rng(0)
    cells, n = 300, 30
    shape = 1.0 / 0.5
    mean = random.uniform(0.5, 2.0, size=(1, n))
    if kind == "quasi_poisson":
        y = random.gamma(mean / 0.5, 0.5, size=(cells, n))
    else:
        y = mean * random.gamma(shape, 1 / shape, size=(cells, n))
    plan = make_plan(np.arange(n), train=np.ones(n, bool))
    inner = np.where(plan.inner[None] >= 0, np.broadcast_to(mean, (cells, 1, n)), np.nan)
    made = predictive(
        y, np.broadcast_to(mean, y.shape), inner, of_row=plan.of_row, train=plan.train, kind=kind
    )
    covered = ((y >= made.lower) & (y <= made.upper)).mean()
    assert 0.85 <= covered <= 0.95


def test_years_without_fire_do_not_widen_the_intervals() -> None:
    """Nothing can lie below 0: a two-sided interval that begins there would cover 95 %, not 90."""
    random = np.random.default_rng(1)
    y = random.gamma(1.0, 1.0, size=(400, 30)) * (random.uniform(size=(400, 30)) > 0.35)
    plan = make_plan(np.arange(30), train=np.ones(30, bool))
    inner = np.where(plan.inner[None] >= 0, np.ones((400, 1, 30)), np.nan)
    made = predictive(y, np.ones(y.shape), inner, of_row=plan.of_row, train=plan.train)
    assert (made.lower == 0.0).mean() > 0.99
    assert 0.88 <= ((y >= made.lower) & (y <= made.upper)).mean() <= 0.92


@pytest.fixture(scope="module")
def world() -> tuple:
    """A world with a known driver, through the whole of the nested fits."""
    series, predictors, plan = _case(drivers={("nino34", 6): 0.6}, shape=(5, 8), seed=4)
    return series, plan, run_nested(series, predictors, plan, pool=np.where(series.is_cell, 0, -1))


@pytest.mark.parametrize("kind", KINDS)
def test_intervals_of_the_stack_cover_a_synthetic_world(world: tuple, kind: str) -> None:
    series, plan, found = world
    made = predictive(
        series.y, found.outer["stack"], found.inner["stack"], of_row=plan.of_row, train=plan.train, kind=kind
    )
    covered = ((series.y >= made.lower) & (series.y <= made.upper))[np.isfinite(series.y)].mean()
    assert 0.85 <= covered <= 0.95


def test_crps_is_that_of_the_core() -> None:
    series, predictors, plan = _case(shape=(1, 2))
    found = run_nested(series, predictors, plan)
    outer, inner = found.outer["stack"], found.inner["stack"]
    made = predictive(series.y, outer, inner, of_row=plan.of_row, train=plan.train)
    c, row = 0, 4
    fit = inner[c, plan.of_row[row]].astype(float)
    sample = outer[c, row] * series.y[c] / fit
    expected = verify.crps(xr.DataArray(sample, dims="number"), xr.DataArray(series.y[c, row]))
    assert made.crps[c, row] == pytest.approx(float(expected), rel=1e-6)


def test_a_climatology_claims_nothing() -> None:
    y = np.random.default_rng(0).gamma(1.0, 1.0, (4, 20))
    mean = np.broadcast_to(y.mean(axis=1, keepdims=True), y.shape)
    assert (claims(y, mean, mean) == 1.0).all()
    assert (claims(y, y * 0.9 + mean * 0.1, mean) < 0.05).all()


def test_a_cluster_gives_the_same_numbers() -> None:
    """Two workers of dask, each with some of the series; 40 cells are more than one task."""
    distributed = pytest.importorskip("distributed")
    series, predictors, plan = _case(shape=(5, 8), first=1985, last=1999)
    pool = np.where(series.is_cell, 0, -1)
    options = {"forecasters": ["single", "lasso"], "pool": pool}
    here = run_nested(series, predictors, plan, settings=Settings(threads=1), **options)
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
            protocol="tcp://",
            host="127.0.0.1",
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        there = run_nested(series, predictors, plan, settings=Settings(threads=1, distribute=True), **options)
        assert len(client.scheduler_info()["workers"]) == 2
    for method, forecast in here.outer.items():
        np.testing.assert_array_equal(there.outer[method], forecast, err_msg=method)
        np.testing.assert_array_equal(there.inner[method], here.inner[method])


def test_unknown_forecasters_are_told() -> None:
    series, predictors, plan = _case(shape=(1, 2))
    with pytest.raises(UsageError, match=r"did you mean 'lasso'"):
        run_nested(series, predictors, plan, forecasters=["laso"])
    assert isinstance(plan, Plan)
    assert isinstance(predictors, Predictors)
