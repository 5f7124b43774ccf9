"""Cells that break naive solvers: nothing to fit, nothing to learn from, no finite optimum, bad input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from esai_core import glm
from esai_core.errors import InputError, UsageError


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((30, 4))


@pytest.mark.parametrize("family", ["poisson", "binomial"])
def test_all_zero_responses_give_the_null_model(family: str, x: np.ndarray) -> None:
    y = np.zeros((2, 30))
    y[1, :15] = 1.0
    folds = np.ones((2, 30))
    folds[0, :15] = 0  # the rest of cell 1 is all 0
    folds[1, 15:] = 0
    path = glm.fit_path(x, y, family=family, folds=folds, n_lambdas=4)
    assert (path.status[0] == glm.GlmStatus.DEGENERATE).all()
    assert path.converged.all()
    assert (path.intercept[0] == -np.inf).all()
    assert (path.coef[0] == 0).all()
    assert np.isnan(path.lambdas[0]).all()
    assert path.deviance[0].max() == 0.0
    np.testing.assert_array_equal(glm.predict(path, x)[0], 0.0)
    assert path.folds is not None
    np.testing.assert_array_equal(path.folds.prediction[0], 0.0)
    # Cell 1: the fold that saw only zeros is infinitely wrong about the ones, and says so.
    assert path.folds.status[1, 0] == glm.GlmStatus.DEGENERATE
    assert np.isinf(path.folds.deviance[1, 0]).all()
    assert glm.select_lambda(path)[0] == 0


def test_cells_without_rows_are_nan(x: np.ndarray) -> None:
    y = np.random.default_rng(1).poisson(3.0, (3, 30)).astype(float)
    y[1] = np.nan
    for family, extra in (("gaussian", {}), ("poisson", {}), ("multinomial", {"n_classes": 20})):
        fitted = glm.fit(x, y, family=family, penalty=0.1, **extra)
        assert (fitted.status == [0, glm.GlmStatus.EMPTY, 0]).all()
        assert np.isnan(fitted.coef[1]).all()
        assert np.isnan(glm.predict(fitted, x)[1]).all()
        assert np.isfinite(fitted.coef[[0, 2]]).all()
    plain = glm.fit(x, y, family="gaussian")
    assert plain.status[1] == glm.GlmStatus.EMPTY
    assert np.isnan(plain.intercept[1])


@pytest.mark.parametrize("family", ["gaussian", "poisson", "binomial"])
def test_constant_and_repeated_columns(family: str, x: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    y = (
        (rng.random((3, 30)) < 0.5).astype(float)
        if family == "binomial"
        else rng.poisson(4.0, (3, 30)).astype(float)
    )
    wide = np.c_[x, np.full(30, 2.7), x[:, 0]]
    path, plain = glm.fit_path(wide, y, family=family), glm.fit_path(x, y, family=family)
    assert path.kkt.max() <= 1e-6
    assert (path.coef[..., 4] == 0).all()
    np.testing.assert_allclose(glm.predict(path, wide), glm.predict(plain, x), rtol=1e-5)
    if family != "gaussian":
        free, free_plain = glm.fit(wide, y, family=family), glm.fit(x, y, family=family)
        np.testing.assert_allclose(glm.predict(free, wide), glm.predict(free_plain, x), rtol=1e-5)


def test_a_column_constant_in_one_fold_only(x: np.ndarray) -> None:
    y = np.random.default_rng(3).poisson(4.0, (2, 30)).astype(float)
    x = x.copy()
    x[:, 2] = 0.0
    x[4, 2] = 1.0
    folds = glm.leave_out_folds(np.arange(30))
    path = glm.fit_path(x, y, family="poisson", folds=folds, lambda_ratio=1e-4, keep_folds=True)
    assert path.folds is not None
    assert (path.folds.coef[:, 4, :, 2] == 0).all()
    assert (path.folds.coef[:, 5, -1, 2] != 0).all()


def test_constant_response(x: np.ndarray) -> None:
    path = glm.fit_path(x, np.full((1, 30), 281.3), family="gaussian", n_lambdas=3)
    assert (path.status == glm.GlmStatus.DEGENERATE).all()
    np.testing.assert_allclose(path.intercept, 281.3)
    fitted = glm.fit(x, np.full((1, 30), 281.3), family="gaussian")
    np.testing.assert_allclose(fitted.coef, 0.0, atol=1e-12)
    assert (glm.fit(x, np.full((1, 30), 5.0), family="poisson").coef == 0).all()


def test_separable_cells_are_flagged_not_diverged(x: np.ndarray) -> None:
    rng = np.random.default_rng(4)
    noisy = (x[:, 0] + 2 * rng.standard_normal(30) > 0).astype(float)
    y = np.stack([(x[:, 0] > 0).astype(float), noisy])
    with pytest.warns(glm.GlmConvergenceWarning, match="1 of 2 binomial fits are separated"):
        fitted = glm.fit(x, y, family="binomial")
    assert fitted.status[0] & glm.GlmStatus.SEPARATED
    assert not fitted.converged[0]
    assert fitted.converged[1]
    assert np.isfinite(fitted.coef).all()
    assert glm.fit(x, y, family="binomial", C=1.0).converged.all()
    classes = np.stack(
        [np.digitize(x[:, 0], [-0.5, 0.5]), np.digitize(x[:, 0] + 2 * rng.standard_normal(30), [-1, 1])]
    )
    with pytest.warns(glm.GlmConvergenceWarning, match="1 of 2 multinomial fits are separated"):
        many = glm.fit(x, classes, family="multinomial")
    assert (many.converged == [False, True]).all()
    assert np.isfinite(many.coef).all()
    counts = np.where(x[:, 0] > 0, 3.0 + rng.poisson(2.0, 30), 0.0)[None]
    with pytest.warns(glm.GlmConvergenceWarning, match="separated"):
        poisson = glm.fit((x[:, :1] > 0).astype(float), counts, family="poisson")
    assert poisson.status[0] & glm.GlmStatus.SEPARATED


def test_separable_folds_are_flagged_too(x: np.ndarray) -> None:
    y = (x[:, 0] > 0).astype(float)[None].copy()
    odd = np.argsort(x[:, 0])[3]
    y[0, odd] = 1.0  # one contrary row: only the fold without it is separable
    folds = glm.leave_out_folds(np.arange(30))
    with pytest.warns(glm.GlmConvergenceWarning, match="1 of 31 binomial"):
        fitted = glm.fit(x[:, :1], y, family="binomial", folds=folds)
    assert fitted.folds is not None
    assert (np.flatnonzero(fitted.folds.status[0]) == odd).all()


def test_quasi_separated_class_shares(x: np.ndarray) -> None:
    flag = (x[:, 0] > 0).astype(float)
    y = np.where(flag == 1, 1.0, (np.arange(30) % 2)).astype(float)[None]
    with pytest.warns(glm.GlmConvergenceWarning, match="separated"):
        fitted = glm.fit(flag[:, None], y, family="binomial")
    probability = glm.predict(fitted, flag[:, None])[0]
    assert probability[flag == 1].min() > 0.999
    share = y[0][flag == 0].mean()
    np.testing.assert_allclose(probability[flag == 0], share, atol=1e-3)


def test_stopping_early_is_counted() -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((36, 20))
    y = rng.poisson(np.exp(1 + 2 * x[:, 0]), (3, 36)).astype(float)
    with pytest.warns(
        glm.GlmConvergenceWarning, match=r"of 15 poisson fits stopped past the tolerance 1e-06"
    ):
        path = glm.fit_path(x, y, family="poisson", n_lambdas=5, max_iterations=1)
    late = (path.status & glm.GlmStatus.NOT_CONVERGED) > 0
    assert late.any()
    np.testing.assert_array_equal(path.kkt > 1e-6, late)


def test_one_class_cell_is_degenerate(x: np.ndarray) -> None:
    y = np.stack([np.full(30, 2), np.arange(30) % 3])
    fitted = glm.fit(x, y, family="multinomial", C=1.0)
    assert fitted.status[0] == glm.GlmStatus.DEGENERATE
    np.testing.assert_array_equal(glm.predict(fitted, x)[0], np.tile([0.0, 0.0, 1.0], (30, 1)))
    assert fitted.deviance[0] == 0.0


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"family": "poison"}, UsageError, "did you mean 'poisson'"),
        ({"y": np.full((2, 30), -1.0)}, InputError, "a poisson response cannot be -1"),
        ({"y": np.zeros(30)}, UsageError, r"y has shape \(30,\)"),
        ({"y": np.full((2, 30), "a")}, InputError, "not an array of numbers"),
        ({"X": np.zeros((29, 4))}, UsageError, r"X has shape \(1, 29, 4\)"),
        ({"X": np.zeros((3, 30, 4))}, UsageError, "X has shape"),
        ({"groups": np.array([0, 1]), "X": np.zeros((1, 30, 4))}, UsageError, "a design that is not there"),
        ({"weights": np.full(30, -1.0)}, UsageError, "weights must be finite"),
        ({"folds": np.full((2, 30), 0.5)}, UsageError, "folds must be 0 or 1"),
        ({"folds": np.ones(30)}, UsageError, "folds has shape"),
        ({"alpha": 1.5}, UsageError, "alpha is 1.5"),
        ({"lambdas": np.array([0.1, 0.2])}, UsageError, "lambdas must be 0 or more and not rise"),
        ({"penalty_factor": -np.ones(4)}, UsageError, "penalty factors must be 0 or more"),
        ({"family": "multinomial", "y": np.zeros((2, 30))}, UsageError, "ridge penalty only"),
        ({"family": "multinomial", "y": np.full((2, 30), 0.5)}, InputError, "class numbers"),
        ({"family": "multinomial", "y": np.full((2, 30), 3.0), "n_classes": 3}, InputError, "class 3 in y"),
    ],
)
def test_bad_arguments_say_what_is_wrong(x: np.ndarray, change: dict, error: type, says: str) -> None:
    given = {"X": x, "y": np.ones((2, 30)), "family": "poisson"} | change
    with pytest.raises(error, match=says):
        glm.fit_path(given.pop("X"), given.pop("y"), **given)


def test_saved_results_come_back(tmp_path: Path, x: np.ndarray) -> None:
    y = np.random.default_rng(6).poisson(3.0, (3, 30)).astype(float)
    folds = glm.leave_out_folds(np.arange(30) // 10)
    for made in (
        glm.fit_path(x, y, family="poisson", folds=folds, n_lambdas=3),
        glm.fit(x, y, family="gaussian", folds=folds),
        glm.fit(x, y % 3, family="multinomial", C=1.0),
    ):
        glm.save(made, tmp_path / "fit.npz")
        back = glm.load(tmp_path / "fit.npz")
        assert type(back) is type(made)
        np.testing.assert_array_equal(glm.predict(back, x), glm.predict(made, x))
        np.testing.assert_array_equal(back.kkt, made.kkt)
        if made.folds is not None:
            np.testing.assert_array_equal(back.folds.prediction, made.folds.prediction)
    (tmp_path / "other.npz").write_bytes(b"PK nonsense")
    with pytest.raises(InputError, match="not a saved GLM"):
        glm.load(tmp_path / "other.npz")
    with pytest.raises(InputError, match="no such file"):
        glm.load(tmp_path / "none.npz")


def test_importing_the_room_is_light() -> None:
    heavy = ("numba", "scipy", "xarray", "numpy")
    code = f"import sys, esai_core.glm; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_kernels_compile_where_no_cache_can_be_written() -> None:
    from esai_core.glm._numeric import jit

    space: dict = {}
    exec("def twice(a):\n    return 2.0 * a\n", space)  # numba finds no file to cache this beside
    assert jit(space["twice"])(21.0) == 42.0


def test_vector_exponential_and_logarithm() -> None:
    from esai_core.glm._numeric import exponential, logarithm

    given = np.r_[np.linspace(-690, 690, 5001), -1e-9, 0.0, 1e-300, np.nan]
    made = np.empty_like(given)
    exponential(given, made, given.size)
    np.testing.assert_allclose(made, np.exp(given), rtol=1e-15)
    exponential(np.array([-np.inf, 1e9]), made, 2)
    assert made[0] < 1e-300
    assert np.isfinite(made[1])
    given = np.exp(np.linspace(-690, 690, 5001))
    made = np.empty_like(given)
    logarithm(given, made, given.size)
    np.testing.assert_allclose(made, np.log(given), rtol=1e-14, atol=1e-16)
