"""Methods on random samples: oracles, missing values, order of cells, files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from esai_s2s.fitting import Plan, fit
from esai_s2s.methods.settings import Settings
from esai_s2s.methods.stacking import gram, mix, simplex_weights
from esai_s2s.methods.trees import Forest, _training
from esai_s2s.sample import Sample, fit_categories
from esai_s2s.store import load, save, save_weights

Make = Callable[..., Sample]
QUICK = Settings(trees=10, rounds=10, cycle=False, leaf=5)
ALL = ("raw", "logistic", "forest", "boosting", "emos")


@given(seed=st.integers(0, 10_000), size=st.integers(2, 5), pull=st.sampled_from([0.0, 0.01, 0.3]))
@settings(max_examples=25, deadline=None)
def test_simplex_weights_are_the_minimum_that_a_general_solver_finds(
    seed: int, size: int, pull: float
) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size + 2, size)) + 0.5
    matrix = root.T @ root / (size + 2)

    def loss(w: np.ndarray) -> float:
        return float(w @ matrix @ w + pull * ((w - np.eye(size)[0]) ** 2).sum())

    ours = simplex_weights(matrix, pull=pull)
    assert ours.min() >= 0
    assert ours.sum() == pytest.approx(1)
    other = minimize(
        loss,
        np.full(size, 1 / size),
        bounds=[(0, 1)] * size,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert loss(ours) <= other.fun + 1e-7


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_gram_matrix_gives_the_rps_of_a_mixture(seed: int) -> None:
    rng = np.random.default_rng(seed)
    given_ = {name: rng.dirichlet(np.ones(3), (30, 2)) for name in ("climatology", "a", "b")}
    codes = rng.integers(0, 3, (30, 2)).astype(float)
    codes[rng.random((30, 2)) < 0.2] = np.nan
    matrix, weight = gram(given_, codes)
    w = rng.dirichlet(np.ones(3))
    mixed = mix(given_, dict(zip(given_, w, strict=True)))
    known = ~np.isnan(codes)
    happened = codes[..., None] <= np.arange(2)
    score = ((mixed.cumsum(-1)[..., :2] - happened) ** 2).sum(-1)[known]
    assert weight == known.sum()
    assert w @ matrix @ w == pytest.approx(score.sum())


def test_missing_methods_and_members_are_done_without_per_case(make_sample: Make) -> None:
    sample = make_sample(cells=2)
    assert sample.forecast is not None
    forecast = sample.forecast.copy()
    forecast[5:10] = np.nan  # no forecast at all
    forecast[10:20, 3:] = np.nan  # fewer members
    holed = replace(sample, forecast=forecast)
    found = fit(sample, np.arange(sample.size) // 20, Plan(methods=ALL, group=None, settings=QUICK)).predict(
        holed
    )
    for name in ALL:
        assert np.isnan(found[name][5:10]).all(), name
        np.testing.assert_allclose(found[name][10:].sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(found["ensemble"][5:10], 1 / 3, atol=1e-9)
    np.testing.assert_allclose(found["ensemble"].sum(-1), 1, atol=1e-6)


def test_cells_do_not_know_of_each_other_in_fits_per_cell(make_sample: Make) -> None:
    sample = make_sample(cells=4)
    order = np.array([2, 0, 3, 1])
    for name in ("raw", "logistic", "emos"):
        plan = Plan(methods=(name,), group=None, stack=False, settings=QUICK)
        blocks = np.arange(sample.size) // 20
        one = fit(sample, blocks, plan).predict(sample)[name]
        other = fit(sample.on_cells(order), blocks, plan).predict(sample.on_cells(order))[name]
        np.testing.assert_allclose(other, one[:, order], atol=1e-9)


def test_a_saved_fit_gives_the_same_forecast(make_sample: Make, tmp_path: Path) -> None:
    sample = make_sample(cells=2)
    fitted = fit(
        sample, np.arange(sample.size) // 20, Plan(methods=ALL, group="month", window=1, settings=QUICK)
    )
    save(fitted, tmp_path / "model")
    save_weights(tmp_path / "model", list(fitted.models), fitted.weights, fitted.inner_rps)
    again = load(tmp_path / "model").predict(sample)
    for name, values in fitted.predict(sample).items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)


def test_the_kept_forest_is_that_of_scikit_learn(sample: Sample) -> None:
    from sklearn.ensemble import RandomForestClassifier

    categories = fit_categories(sample, group=None)
    ours = Forest.fit(sample, categories, QUICK)
    rows, codes = _training(ours.predictors, sample, categories, QUICK)
    theirs = RandomForestClassifier(10, min_samples_leaf=5, random_state=0).fit(rows, codes)
    mine = ours.predict(sample, categories).reshape(-1, 3)
    np.testing.assert_allclose(mine, theirs.predict_proba(rows), atol=1e-12)


def test_emos_crps_is_the_minimum_that_a_general_solver_finds(make_sample: Make) -> None:
    from scoringrules import crps_normal

    from esai_s2s.methods.emos_kernel import fit_cells

    rng = np.random.default_rng(3)
    x, v = rng.normal(size=(1, 300)), rng.gamma(4, 0.25, (1, 300))
    y = 0.2 + 0.6 * x + np.sqrt(0.2 + 0.5 * v) * rng.normal(size=(1, 300))
    y[0, ::17] = np.nan
    theta = fit_cells(x, v, y, np.zeros((1, 300, 2)), False, 100)[0]
    known = ~np.isnan(y[0])

    def loss(t: np.ndarray) -> float:
        sigma = np.sqrt(np.exp(t[2]) + np.exp(t[3]) * v[0, known])
        return float(np.mean(crps_normal(y[0, known], t[0] + t[1] * x[0, known], sigma)))

    other = minimize(
        loss, np.array([0, 0.5, -0.5, -2.0]), method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-12}
    )
    assert loss(theta) == pytest.approx(other.fun, abs=2e-6)
