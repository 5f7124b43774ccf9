"""Folds, choice of lambda, nested validation, designs by group, threads, xarray."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import Ridge

from esai_core import glm
from esai_core.errors import UsageError


def _world(seed: int, cells: int = 4, n: int = 24, p: int = 10) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p)) + 0.7 * rng.standard_normal((n, 1))
    beta = np.zeros((cells, p))
    beta[:, :2] = rng.normal(0, 0.6, (cells, 2))
    return x, rng.poisson(np.exp(1.0 + beta @ x.T)).astype(float)


def _respond(family: str, y: np.ndarray) -> np.ndarray:
    if family == "binomial":
        return (y > np.median(y)).astype(float)
    return np.clip(y // 2, 0, 2) if family == "multinomial" else y


@pytest.mark.parametrize("family", ["poisson", "binomial", "gaussian", "multinomial"])
def test_each_fold_is_the_fit_of_its_rows(family: str) -> None:
    x, y = _world(0)
    y = _respond(family, y)
    y[1, 5] = np.nan
    folds = glm.leave_out_folds(np.arange(24) // 4)
    alpha = 0.0 if family == "multinomial" else 0.9
    classes = {"n_classes": 3} if family == "multinomial" else {}
    path = glm.fit_path(
        x, y, family=family, folds=folds, alpha=alpha, keep_folds=True, n_lambdas=5, **classes
    )
    assert path.folds is not None
    assert path.folds.kkt.max() <= 1e-6
    for f, train in enumerate(folds):
        kept = train == 1
        alone = glm.fit_path(x[kept], y[:, kept], family=family, alpha=alpha, lambdas=path.lambdas, **classes)
        np.testing.assert_allclose(path.folds.coef[:, f], alone.coef, atol=2e-5)
        np.testing.assert_allclose(path.folds.intercept[:, f], alone.intercept, atol=1e-4)
        mean = glm.predict(alone, x[~kept])
        np.testing.assert_allclose(path.folds.prediction[:, :, ~kept][0], mean[0], atol=1e-3, rtol=1e-4)
        held = y[:, ~kept]
        known = np.isfinite(held)
        lost = glm.unit_deviance(family, np.repeat(np.where(known, held, 0)[:, None], 5, 1), mean)
        np.testing.assert_allclose(
            path.folds.deviance[:, f], np.where(known[:, None], lost, 0).sum(axis=2), atol=1e-3, rtol=1e-4
        )
    assert np.isnan(path.folds.prediction[1, :, 5]).all()
    if family != "multinomial":
        np.testing.assert_array_equal(path.folds.selected, (path.folds.coef != 0).sum(axis=1))
        base = np.stack([y[0, t == 1].mean() for t in folds])
        np.testing.assert_allclose(path.folds.null_prediction[0], np.repeat(base, 4), rtol=1e-9)
    np.testing.assert_allclose(path.folds.weight.sum(axis=1), np.isfinite(y).sum(axis=1))


def test_least_squares_folds_match_scikit_learn_ridge_of_zero() -> None:
    x, y = _world(1, p=3)
    w = np.random.default_rng(1).uniform(0.5, 2, (4, 24))
    folds = glm.leave_out_folds(np.arange(24))
    fitted = glm.fit(x, y, family="gaussian", weights=w, folds=folds)
    assert fitted.folds is not None
    for c in (0, 3):
        for f in (0, 11, 23):
            kept = folds[f] == 1
            oracle = Ridge(alpha=1e-12, solver="svd").fit(x[kept], y[c, kept], sample_weight=w[c, kept])
            assert fitted.folds.prediction[c, f] == pytest.approx(oracle.predict(x[~kept])[0], rel=1e-7)
            mean = np.average(y[c, kept], weights=w[c, kept])
            assert fitted.folds.null_deviance[c, f] == pytest.approx(w[c, f] * (y[c, f] - mean) ** 2)


def test_rules_choose_as_the_definition_says() -> None:
    x, y = _world(2, cells=6)
    folds = glm.leave_out_folds(np.arange(24) // 3)
    path = glm.fit_path(x, y, family="poisson", folds=folds)
    assert path.folds is not None
    each = path.folds.deviance / 3
    score = each.mean(axis=1)
    error = each.std(axis=1, ddof=0) / np.sqrt(7)
    best = score.argmin(axis=1)
    np.testing.assert_array_equal(glm.select_lambda(path), best)
    expected = [
        next(k for k in range(20) if score[c, k] <= score[c, best[c]] + error[c, best[c]]) for c in range(6)
    ]
    np.testing.assert_array_equal(glm.select_lambda(path, rule="one_se"), expected)
    chosen = path.at(best)
    np.testing.assert_array_equal(chosen.coef, path.coef[np.arange(6), best])
    np.testing.assert_array_equal(chosen.folds.prediction, path.folds.prediction[np.arange(6), best])
    with pytest.raises(UsageError, match="did you mean 'one_se'"):
        glm.select_lambda(path, rule="one-se")
    with pytest.raises(UsageError, match="without folds"):
        glm.select_lambda(glm.fit_path(x, y, family="poisson"))


def _correlated(threshold: float) -> Callable[..., np.ndarray]:
    def screen(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
        np.testing.assert_array_equal(np.isfinite(y), weights > 0)
        kept = np.zeros((len(y), x.shape[-1]), bool)
        for c, (row, w) in enumerate(zip(y, weights, strict=True)):
            inside = w > 0
            kept[c] = np.abs(np.corrcoef(np.c_[x[inside], row[inside]].T)[-1, :-1]) > threshold
        return kept

    return screen


@pytest.mark.parametrize("screened", [False, True])
def test_nested_validation_equals_the_loop_written_out(screened: bool) -> None:
    x, y = _world(3, cells=3)
    folds = glm.leave_out_folds(np.arange(24) // 6)
    screen = _correlated(0.35) if screened else None
    made = glm.cross_validate(x, y, family="poisson", folds=folds, screen=screen, chunk=2, n_lambdas=8)
    for c in range(3):
        for f in range(4):
            outer = folds[f] == 1
            rows, target = x[outer], y[c : c + 1, outer]
            inner = np.delete(folds, f, axis=0)[:, outer]
            factors = None
            if screen is not None:
                trains = [np.ones(18), *inner]
                kept = [screen(rows, np.where(t > 0, target, np.nan), t[None]) for t in trains]
                factors = np.where(np.stack(kept, axis=1), 1.0, np.inf)
            path = glm.fit_path(
                rows, target, family="poisson", folds=inner, penalty_factor=factors, n_lambdas=8
            )
            fitted = path.at(glm.select_lambda(path))
            mean = glm.predict(fitted, x[~outer])[0]
            np.testing.assert_allclose(made.prediction[c, ~outer], mean, rtol=1e-4)
            np.testing.assert_allclose(made.coef[c, f], fitted.coef[0], atol=1e-5)
            np.testing.assert_allclose(made.null_prediction[c, ~outer], target.mean(), rtol=1e-9)
            lost = glm.unit_deviance("poisson", y[c, ~outer], mean).sum()
            assert made.deviance[c, f] == pytest.approx(lost, rel=1e-3)
    total = made.null_deviance.sum(axis=1)
    np.testing.assert_allclose(made.d2, 1 - made.deviance.sum(axis=1) / total)


@pytest.mark.parametrize("family", ["poisson", "gaussian", "binomial", "multinomial"])
def test_nothing_of_a_fold_depends_on_the_rows_it_leaves_out(family: str) -> None:
    x, y = _world(4, cells=3)
    y = _respond(family, y)
    folds = glm.leave_out_folds(np.arange(24) // 6)
    more = {"alpha": 0.0, "n_classes": 3} if family == "multinomial" else {"screen": _correlated(0.2)}
    made = glm.cross_validate(x, y, family=family, folds=folds, n_lambdas=5, **more)
    other_y, other_x = y.copy(), x.copy()
    other_y[:, :6] = other_y[:, 5::-1]
    other_x[:6] *= -3.0
    other = glm.cross_validate(other_x, other_y, family=family, folds=folds, n_lambdas=5, **more)
    # Fold 0 leaves rows 0-5 out. The design is centred over all rows, so equality is to the tolerance.
    np.testing.assert_array_equal(made.chosen[:, 0], other.chosen[:, 0])
    np.testing.assert_allclose(made.penalty[:, 0], other.penalty[:, 0], rtol=1e-9)
    np.testing.assert_allclose(made.coef[:, 0], other.coef[:, 0], atol=1e-5)
    np.testing.assert_allclose(made.null_prediction[:, :6], other.null_prediction[:, :6], rtol=1e-12)
    assert not np.allclose(made.deviance[:, 0], other.deviance[:, 0])


def test_screen_must_return_booleans() -> None:
    x, y = _world(5)
    with pytest.raises(UsageError, match="screen gave float64"):
        glm.cross_validate(
            x,
            y,
            family="poisson",
            folds=glm.leave_out_folds(np.arange(24) // 6),
            screen=lambda x, y, w: np.ones((4, 10)),
        )
    with pytest.raises(UsageError, match="needs 3 or more"):
        glm.cross_validate(x, y, family="poisson", folds=np.ones((2, 24)))


@pytest.mark.parametrize("family", ["poisson", "gaussian", "multinomial"])
def test_groups_and_own_designs_and_threads_agree(family: str) -> None:
    rng = np.random.default_rng(6)
    designs = rng.standard_normal((3, 24, 4))
    group = np.array([2, 0, 1, 1, 2, 0, 0])
    y = _respond(family, rng.poisson(3.0, (7, 24)).astype(float))
    y[3, 2] = np.nan
    designs[1, 7, 2] = np.nan  # the row is lost to the cells of design 1 only
    folds = glm.leave_out_folds(np.arange(24) // 8)
    more = {"n_classes": 3} if family == "multinomial" else {}
    strength = 0.0 if family == "gaussian" else 0.05
    given = {"family": family, "folds": folds, "penalty": strength, **more}
    grouped = glm.fit(designs, y, groups=group, **given)
    own = glm.fit(designs[group], y, threads=3, **given)
    np.testing.assert_allclose(own.coef, grouped.coef, atol=1e-12)
    np.testing.assert_allclose(own.folds.prediction, grouped.folds.prediction, atol=1e-12)
    apart = glm.predict(own, designs[group])
    np.testing.assert_allclose(apart, glm.predict(grouped, designs, groups=group), rtol=1e-12)
    keep = np.arange(24) != 7
    alone = glm.fit(designs[1][keep], y[2:4, keep], family=family, penalty=strength, **more)
    np.testing.assert_allclose(grouped.coef[2:4], alone.coef, atol=1e-6)


def test_penalty_factors_free_and_exclude() -> None:
    x, y = _world(7)
    factor = np.ones(10)
    factor[3], factor[0] = 0.0, np.inf
    path = glm.fit_path(x, y, family="poisson", penalty_factor=factor)
    assert (path.coef[:, :, 0] == 0).all()
    free = glm.fit(x[:, [3]], y, family="poisson")
    np.testing.assert_allclose(path.coef[:, 0, 3], free.coef[:, 0], atol=1e-5)
    assert path.kkt.max() <= 1e-6
    # A factor of 2 is a column of half the size.
    double = glm.fit_path(
        x, y, family="poisson", penalty_factor=np.r_[2.0, np.ones(9)], standardise=False, lambdas=[0.1]
    )
    half = glm.fit_path(x * np.r_[0.5, np.ones(9)], y, family="poisson", standardise=False, lambdas=[0.1])
    np.testing.assert_allclose(double.coef[:, :, 0], half.coef[:, :, 0] / 2, atol=1e-6)


@pytest.mark.parametrize("family", ["poisson", "gaussian", "multinomial"])
@pytest.mark.parametrize("own", [False, True])
def test_dask_equals_numpy_exactly(family: str, own: bool) -> None:
    rng = np.random.default_rng(8)
    shape = (3, 24, 4, 5) if own else (24, 4)
    dims = ("latitude", "time", "feature", "longitude") if own else ("time", "feature")
    x = xr.DataArray(rng.standard_normal(shape), dims=dims).transpose(..., "time", "feature")
    values = _respond(family, rng.poisson(3.0, (24, 3, 5)).astype(float))
    values[4, 1, 2] = np.nan
    y = xr.DataArray(values, dims=("time", "latitude", "longitude"), coords={"latitude": [3.0, 1.0, 2.0]})
    folds = glm.leave_out_folds(np.arange(24) // 6)
    path = family == "poisson"
    given = {"family": family, "folds": folds, "path": path} | (
        {"n_lambdas": 4} if path else {"penalty": 0.1}
    )
    if family == "multinomial":
        given["n_classes"] = 3
    here = glm.fit_dataset(x, y, **given)
    lazy = glm.fit_dataset(x, y.chunk(latitude=2, longitude=2, time=10), **given)
    assert lazy.coef.chunks is not None
    xr.testing.assert_identical(lazy.compute(), here)
    assert here.coef.dims[:2] == ("latitude", "longitude")
    assert here.prediction.dims[:2] == ("latitude", "longitude")
    cell = values[:, 1, 2][None]
    design = x.isel(latitude=1, longitude=2).values if own else x.values
    call = glm.fit_path if path else glm.fit
    alone = call(design, cell, **{k: v for k, v in given.items() if k != "path"})
    np.testing.assert_array_equal(here.coef[1, 2].values, alone.coef[0])
    np.testing.assert_array_equal(here.fold_deviance[1, 2].values, alone.folds.deviance[0])
    np.testing.assert_array_equal(here.status[1, 2].values, alone.status[0])


def test_dataset_refuses_what_it_cannot_place() -> None:
    x = xr.DataArray(np.zeros((5, 2)), dims=("time", "feature"))
    y = xr.DataArray(np.zeros((5, 3)), dims=("time", "cell"))
    with pytest.raises(UsageError, match="y has no dim 'year'"):
        glm.fit_dataset(x.rename(time="year"), y, family="gaussian", sample="year")
    with pytest.raises(UsageError, match="a dim 'member' that y lacks"):
        glm.fit_dataset(x.expand_dims(member=2), y, family="gaussian")
    with pytest.raises(UsageError, match="number of classes"):
        glm.fit_dataset(x, y, family="multinomial")
    shifted = y.assign_coords(time=np.arange(5) + 1)
    with pytest.raises(ValueError, match="time"):
        glm.fit_dataset(x.assign_coords(time=np.arange(5)), shifted, family="gaussian")
