from __future__ import annotations

import inspect

import numpy as np
import pytest

from esai_core.errors import UsageError
from esai_core.glm import GlmConvergenceWarning
from esai_fire import engines
from esai_fire.engines import fit_one, fit_paths, objective


def _case(*, cells: int = 4, n: int = 30, p: int = 8, seed: int = 0) -> dict:
    random = np.random.default_rng(seed)
    x = random.normal(size=(2, n, p))
    for j in range(1, p):
        x[..., j] = 0.6 * x[..., j - 1] + 0.8 * x[..., j]
    groups = np.arange(cells) % 2
    y = random.gamma(2.0, 0.5, size=(cells, n)) * np.exp(0.5 * x[groups, :, 2] - 0.3 * x[groups, :, 6])
    weights = np.ones((cells, n))
    weights[1, 5] = weights[2, 9:12] = 0.0
    factor = np.ones((cells, p))
    factor[3, 4] = np.inf
    offset = np.zeros((cells, n))
    return {"x": x, "y": y, "groups": groups, "weights": weights, "penalty_factor": factor, "offset": offset}


def _check_same(case: dict, ours: engines.Paths, theirs: engines.Paths, *, alpha: float = 1.0) -> None:
    np.testing.assert_allclose(theirs.lambdas, ours.lambdas, rtol=1e-9)
    assert max(float(ours.kkt.max()), float(theirs.kkt.max())) <= 1e-4
    for c in range(case["y"].shape[0]):
        rows = case["weights"][c] > 0
        x = case["x"][case["groups"][c]][rows]
        spread = x.std(axis=0)
        for k in range(ours.lambdas.shape[1]):
            # Both in units of the standard deviation, in which the penalty counts.
            one, two = (
                objective(
                    x / spread, case["y"][c, rows], path.intercept[c, k], path.coef[c, k] * spread,
                    ours.lambdas[c, k], offset=case["offset"][c, rows], alpha=alpha,
                )
                for path in (ours, theirs)
            )  # fmt: skip
            assert one == pytest.approx(two, rel=1e-8)


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_a_path_is_that_of_glum(alpha: float) -> None:
    case = _case()
    case["offset"] = np.random.default_rng(3).normal(0, 0.3, size=case["y"].shape)
    options = {"n_lambdas": 6, "alpha": alpha}
    ours, glum = fit_paths(**case, **options, tolerance=1e-9), fit_paths(**case, **options, engine="glum")
    _check_same(case, ours, glum, alpha=alpha)
    np.testing.assert_array_equal(ours.coef != 0.0, np.abs(glum.coef) > 1e-8)
    assert (ours.coef[3, :, 4] == 0.0).all()
    assert (np.diff((ours.coef != 0).sum(axis=2), axis=1) >= -1).all()


def test_a_path_is_that_of_the_corrected_pyglmnet() -> None:
    case = _case(cells=1, p=4)
    ours = fit_paths(**case, n_lambdas=3, tolerance=1e-9)
    theirs = fit_paths(**case, n_lambdas=3, engine="pyglmnet")
    np.testing.assert_allclose(theirs.coef, ours.coef, atol=1e-4)
    np.testing.assert_allclose(theirs.intercept, ours.intercept, atol=1e-4)


def test_what_pyglmnet_cannot_fit_is_told() -> None:
    case = _case(cells=1)
    with pytest.raises(UsageError, match=r"lasso alone \(model.alpha = 0.5\)"):
        fit_paths(**case, alpha=0.5, engine="pyglmnet")
    case["offset"][0, 3] = 1.0
    with pytest.raises(UsageError, match=r"no offset that varies"):
        fit_paths(**case, engine="pyglmnet")
    with pytest.raises(UsageError, match=r"did you mean 'glum'"):
        fit_paths(**case, engine="glun")


def test_fits_past_the_tolerance_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def sloppy(x: np.ndarray, y: np.ndarray, penalty: float, offset: np.ndarray, alpha: float) -> tuple:
        intercept, coef = engines._numba(x, y, penalty, offset, alpha)
        return intercept + 0.01, coef

    monkeypatch.setitem(engines.ENGINES, "glum", sloppy)
    with pytest.warns(GlmConvergenceWarning, match=r"8 of 8 fits by glum stopped past"):
        fit_paths(**_case(cells=2), n_lambdas=4, engine="glum")


def test_a_fold_without_fire_has_no_coefficients() -> None:
    case = _case(cells=1)
    case["y"][:] = 0.0
    found = fit_paths(**case, n_lambdas=3, engine="glum")
    assert (found.coef == 0.0).all()
    assert np.isnan(found.intercept).all()


def test_engines_agree_on_single_series() -> None:
    random = np.random.default_rng(0)
    for _ in range(3):
        x = random.normal(size=(50, 6))
        y = random.poisson(np.exp(1.0 + 0.5 * x[:, 0] - 0.4 * x[:, 3])).astype(float)
        ours, glum = fit_one(x, y, penalty=0.15), fit_one(x, y, penalty=0.15, engine="glum")
        one, two = (objective(x, y, f.intercept, f.coef, 0.15) for f in (ours, glum))
        assert one == pytest.approx(two, rel=1e-8)
        np.testing.assert_array_equal(ours.coef != 0, np.abs(glum.coef) > 1e-9)
        assert max(ours.kkt, glum.kkt) <= 1e-4
        theirs = fit_one(x, y, penalty=0.15, engine="pyglmnet")
        np.testing.assert_allclose(theirs.coef, ours.coef, atol=1e-4)
        assert theirs.kkt <= 1e-4
    with pytest.raises(UsageError, match=r"did you mean 'numba'"):
        fit_one(x, y, penalty=0.1, engine="numbo")


def test_no_function_screens_outside_the_fold() -> None:
    """Correlations are those of each training set; no option says otherwise."""
    from esai_fire import forecasters, nested

    names = {*inspect.signature(nested.run_nested).parameters, *forecasters.Settings.__dataclass_fields__}
    assert not [name for name in names if "screen" in name or "outside" in name or "columns" in name]
