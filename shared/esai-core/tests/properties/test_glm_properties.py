"""What every fit must keep, whatever the numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esai_core import glm

FAMILIES = st.sampled_from(["gaussian", "poisson", "binomial", "multinomial"])
SEEDS = st.integers(0, 2**32 - 1)
QUICK = settings(max_examples=25, deadline=None, derandomize=True)


def _world(
    family: str, seed: int, n: int = 30, p: int = 4, cells: int = 3
) -> tuple[np.ndarray, np.ndarray, dict]:
    """Responses, a shared design, and the options of a penalised fit."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p)) * rng.uniform(0.1, 10, p) + rng.normal(0, 5, p)
    z = (x - x.mean(axis=0)) / x.std(axis=0) @ rng.normal(0, 0.5, (p, cells))
    y = {
        "gaussian": lambda: z + rng.standard_normal(z.shape),
        "poisson": lambda: rng.poisson(np.exp(np.clip(z + 1, -3, 4))).astype(float),
        "binomial": lambda: rng.random(z.shape),
        "multinomial": lambda: np.digitize(z + rng.standard_normal(z.shape), [-0.5, 0.5]).astype(float),
    }[family]()
    lam = {"gaussian": 0.05, "poisson": 0.2, "binomial": 0.01, "multinomial": 0.02}[family]
    options: dict = {"family": family, "penalty": lam, "standardise": True, "tolerance": 1e-8}
    options |= {"n_classes": 3} if family == "multinomial" else {"alpha": 0.7}
    return x, y.T.copy(), options


def _close(a: glm.GlmFit, b: glm.GlmFit, x: np.ndarray, atol: float = 1e-5) -> None:
    spread = x.std(axis=0)
    np.testing.assert_allclose(a.coef * spread, b.coef * spread, atol=atol)
    np.testing.assert_allclose(glm.predict(a, x), glm.predict(b, x), atol=atol, rtol=atol)
    np.testing.assert_allclose(a.deviance, b.deviance, rtol=1e-5, atol=atol)


@QUICK
@given(family=FAMILIES, seed=SEEDS)
def test_order_of_cells_and_of_rows_is_nothing(family: str, seed: int) -> None:
    x, y, options = _world(family, seed)
    rng = np.random.default_rng(seed)
    cells, rows = rng.permutation(3), rng.permutation(30)
    plain = glm.fit(x, y, **options)
    np.testing.assert_array_equal(glm.fit(x, y[cells], **options).coef, plain.coef[cells])
    _close(glm.fit(x[rows], y[:, rows], **options), plain, x)


@QUICK
@given(family=FAMILIES, seed=SEEDS)
def test_weight_zero_is_absence_and_weight_two_is_repetition(family: str, seed: int) -> None:
    x, y, options = _world(family, seed)
    rng = np.random.default_rng(seed)
    gone, twice = rng.permutation(30)[:10].reshape(2, 5)
    weights = np.ones(30)
    weights[gone], weights[twice] = 0.0, 2.0
    rows = np.r_[np.setdiff1d(np.arange(30), gone), twice]
    weighted = glm.fit(x, y, weights=weights, **options)
    repeated = glm.fit(x[rows], y[:, rows], **options)
    _close(weighted, repeated, x)
    missing = y.copy()
    missing[:, gone] = np.nan
    holes = x.copy()
    holes[gone, 1] = np.nan
    weights[gone] = 1.0
    np.testing.assert_array_equal(glm.fit(x, missing, weights=weights, **options).coef, weighted.coef)
    _close(glm.fit(holes, y, weights=weights, **options), weighted, x)


@QUICK
@given(family=FAMILIES, seed=SEEDS, power=st.integers(-4, 4), shift=st.floats(-50, 50))
def test_units_of_a_column_are_nothing_when_standardised(
    family: str, seed: int, power: int, shift: float
) -> None:
    x, y, options = _world(family, seed)
    other = x.copy()
    other[:, 2] = 10.0**power * other[:, 2] + shift * 10.0**power
    plain, scaled = glm.fit(x, y, **options), glm.fit(other, y, **options)
    np.testing.assert_allclose(scaled.coef[..., 2] * 10.0**power, plain.coef[..., 2], atol=1e-6)
    np.testing.assert_allclose(glm.predict(scaled, other), glm.predict(plain, x), rtol=1e-5, atol=1e-6)


@QUICK
@given(seed=SEEDS, factor=st.floats(1e-6, 1e9))
def test_poisson_scales_with_its_response(seed: int, factor: float) -> None:
    x, y, _ = _world("poisson", seed)
    plain = glm.fit_path(x, y, family="poisson", n_lambdas=4, tolerance=1e-8)
    scaled = glm.fit_path(x, factor * y, family="poisson", n_lambdas=4, tolerance=1e-8)
    np.testing.assert_allclose(scaled.coef, plain.coef, atol=1e-6)
    np.testing.assert_allclose(scaled.intercept, plain.intercept + np.log(factor), atol=1e-5)


@QUICK
@given(family=st.sampled_from(["gaussian", "poisson", "binomial"]), seed=SEEDS, p=st.integers(1, 60))
def test_paths_descend_and_certify(family: str, seed: int, p: int) -> None:
    x, y, _ = _world(family, seed, n=20, p=p)
    path = glm.fit_path(x, y, family=family, n_lambdas=8, lambda_ratio=0.05)
    assert path.kkt.max() <= 1e-6
    assert path.converged.all()
    assert (np.diff(path.deviance, axis=1) <= 1e-6 * path.null_deviance[:, None]).all()
    np.testing.assert_allclose(path.deviance[:, 0], path.null_deviance, rtol=1e-9)
    # Conditions of the intercept: fitted and observed totals agree.
    np.testing.assert_allclose(
        glm.predict(path, x).sum(axis=2), y.sum(axis=1)[:, None] * np.ones(8), rtol=1e-4, atol=1e-4
    )


@QUICK
@given(family=FAMILIES, seed=SEEDS)
def test_a_fit_beats_every_neighbour(family: str, seed: int) -> None:
    x, y, options = _world(family, seed)
    fitted = glm.fit(x, y, **options)
    rng = np.random.default_rng(seed)
    scale = x.std(axis=0)

    def objective(intercept: np.ndarray, coef: np.ndarray) -> np.ndarray:
        moved = glm.GlmFit(family, intercept, coef, *(fitted.penalty,) * 6)
        loss = glm.unit_deviance(family, y, glm.predict(moved, x)).mean(axis=1) / 2
        alpha = options.get("alpha", 0.0)
        unit = (coef * scale).reshape(3, -1)
        return loss + options["penalty"] * (alpha * np.abs(unit).sum(1) + (1 - alpha) / 2 * (unit**2).sum(1))

    best = objective(fitted.intercept, fitted.coef)
    for size in (1e-1, 1e-3):
        moved = fitted.coef + size * rng.standard_normal(fitted.coef.shape) / scale
        shifted = fitted.intercept + size * rng.standard_normal(fitted.intercept.shape)
        assert (objective(shifted, moved) >= best - 1e-12).all()


def test_seeds_do_reach_the_kernels() -> None:
    x, y, options = _world("poisson", 1)
    other_x, other_y, _ = _world("poisson", 2)
    assert not np.allclose(glm.fit(x, y, **options).coef, glm.fit(other_x, other_y, **options).coef)
    with pytest.warns(glm.GlmConvergenceWarning):
        glm.fit(x, y, max_iterations=1, **options)
