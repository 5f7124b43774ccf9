"""Every family against other libraries and closed forms."""

from __future__ import annotations

import glum
import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge

from esai_core import glm


def _design(rng: np.random.Generator, n: int, p: int, shared: float = 0.6) -> np.ndarray:
    """Correlated columns of mean 0 and standard deviation 1."""
    x = np.sqrt(shared) * rng.standard_normal((n, 1)) + np.sqrt(1 - shared) * rng.standard_normal((n, p))
    return (x - x.mean(axis=0)) / x.std(axis=0)


def _poisson_world(seed: int, cells: int, n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = _design(rng, n, p)
    beta = np.where(rng.random((cells, p)) < 3 / p, rng.normal(0, 0.5, (cells, p)), 0.0)
    return x, rng.poisson(np.exp(np.clip(2.0 + beta @ x.T, -5, 8))).astype(float)


def _objective(
    family: str, x: np.ndarray, y: np.ndarray, b: float, beta: np.ndarray, lam: float, alpha: float
) -> float:
    eta = b + x @ beta
    loss = {
        "gaussian": lambda: 0.5 * (y - eta) ** 2,
        "poisson": lambda: np.exp(eta) - y * eta,
        "binomial": lambda: np.logaddexp(0.0, eta) - y * eta,
    }[family]()
    return loss.mean() + lam * (alpha * np.abs(beta).sum() + 0.5 * (1 - alpha) * (beta**2).sum())


@pytest.mark.parametrize("family", ["poisson", "binomial", "gaussian"])
@pytest.mark.parametrize(("n", "p", "alpha"), [(36, 78, 1.0), (60, 12, 1.0), (40, 50, 0.5)])
def test_path_matches_glum(family: str, n: int, p: int, alpha: float) -> None:
    x, y = _poisson_world(3, 2, n, p)
    if family == "binomial":
        y = (y > np.median(y, axis=1)[:, None]).astype(float)
    path = glm.fit_path(x, y, family=family, alpha=alpha, n_lambdas=6, standardise=False)
    assert path.kkt.max() <= 1e-6
    assert path.converged.all()
    for c in range(2):
        for k in (1, 3, 5):
            lam = path.lambdas[c, k]
            oracle = glum.GeneralizedLinearRegressor(
                family="normal" if family == "gaussian" else family,
                alpha=lam, l1_ratio=alpha, gradient_tol=1e-6 * lam, max_iter=3000, scale_predictors=False,
                solver="irls-cd",
            ).fit(x, y[c])  # fmt: skip
            ours = _objective(family, x, y[c], path.intercept[c, k], path.coef[c, k], lam, alpha)
            theirs = _objective(family, x, y[c], oracle.intercept_, oracle.coef_, lam, alpha)
            assert ours <= theirs + 1e-8 * abs(theirs)
            assert theirs == pytest.approx(ours, rel=1e-8)
            np.testing.assert_array_equal(path.coef[c, k] != 0, np.abs(oracle.coef_) > 1e-9)


@pytest.mark.parametrize("family", ["gaussian", "poisson", "binomial"])
def test_kkt_certificate_is_what_numpy_finds(family: str) -> None:
    rng = np.random.default_rng(0)
    x = _design(rng, 36, 78) * rng.uniform(0.1, 30, 78) + rng.uniform(-5, 5, 78)
    _, y = _poisson_world(0, 5, 36, 78)
    y = y if family != "binomial" else (y > 6).astype(float)
    w = rng.uniform(0.2, 2, (5, 36))
    alpha = 0.9
    path = glm.fit_path(x, y, family=family, weights=w, alpha=alpha)
    mean = glm.predict(path, x)
    share = w / w.sum(axis=1, keepdims=True)
    centre = share @ x
    scale = np.sqrt(np.einsum("cn,cnp->cp", share, (x[None] - centre[:, None]) ** 2))
    slope = np.einsum("cn,cln,np->clp", share, y[:, None] - mean, x - x.mean(axis=0)) / scale[:, None]
    unit = path.coef * scale[:, None]
    lam = path.lambdas[..., None]
    slope -= lam * (1 - alpha) * unit
    miss = np.where(
        unit != 0, np.abs(slope - alpha * lam * np.sign(unit)), np.maximum(np.abs(slope) - alpha * lam, 0)
    )
    level = np.abs(np.einsum("cn,cln->cl", share, y[:, None] - mean))
    worst = np.maximum(miss.max(axis=2), level) / path.lambdas
    np.testing.assert_allclose(path.kkt, worst, atol=1e-8)
    assert worst.max() <= 1e-6
    assert (path.coef[:, 0] == 0).all()
    assert (path.coef[:, 1] != 0).any(axis=1).all()


def test_gaussian_matches_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3, 40, 5)) * [1, 10, 0.1, 3, 1] + 4
    y = rng.standard_normal((3, 40)) + x[:, :, 1] + 280.0
    w = rng.uniform(0, 2, (3, 40))
    plain = glm.fit(x, y, family="gaussian", weights=w)
    ridge = glm.fit(x, y, family="gaussian", weights=w, C=1 / 7.0)
    net = glm.fit(x, y, family="gaussian", penalty=0.3, alpha=0.4)
    for c in range(3):
        oracle = LinearRegression().fit(x[c], y[c], sample_weight=w[c])
        np.testing.assert_allclose(plain.coef[c], oracle.coef_, rtol=1e-9, atol=1e-11)
        assert plain.intercept[c] == pytest.approx(oracle.intercept_, rel=1e-11)
        oracle = Ridge(alpha=7.0, solver="cholesky").fit(x[c], y[c], sample_weight=w[c])
        np.testing.assert_allclose(ridge.coef[c], oracle.coef_, rtol=1e-6, atol=1e-8)
        oracle = ElasticNet(alpha=0.3, l1_ratio=0.4, tol=1e-13, max_iter=100_000).fit(x[c], y[c])
        np.testing.assert_allclose(net.coef[c], oracle.coef_, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_less(plain.kkt, 1e-9)
    np.testing.assert_allclose(ridge.penalty, 7.0 / w.sum(axis=1))


def test_least_squares_of_dependent_columns_has_the_smallest_norm() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((30, 3))
    x = np.c_[x / x.std(axis=0), np.full(30, 3.3)]
    x = np.c_[x - x.mean(axis=0), (x[:, 0] - x[:, 0].mean())]
    y = rng.standard_normal((4, 30))
    fitted = glm.fit(x, y, family="gaussian")
    assert (fitted.status == glm.GlmStatus.RANK_DEFICIENT).all()
    assert fitted.converged.all()
    norm = np.sqrt((x**2).sum(axis=0))
    oracle = np.linalg.lstsq(
        (x / np.where(norm > 0, norm, 1))[:, [0, 1, 2, 4]], (y - y.mean(axis=1, keepdims=True)).T
    )[0]
    np.testing.assert_allclose(
        fitted.coef[:, [0, 1, 2, 4]], (oracle / norm[[0, 1, 2, 4], None]).T, atol=1e-10
    )
    np.testing.assert_array_equal(fitted.coef[:, 3], 0.0)


def test_more_columns_than_rows_interpolates() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((10, 25)), rng.standard_normal((2, 10))
    fitted = glm.fit(x, y, family="gaussian")
    np.testing.assert_allclose(glm.predict(fitted, x), y, atol=1e-9)
    assert (fitted.status == glm.GlmStatus.RANK_DEFICIENT).all()


@pytest.mark.parametrize("family", ["poisson", "binomial"])
def test_unpenalised_matches_statsmodels(family: str) -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((2, 80, 3)) * [1, 50, 0.01]
    offset = rng.uniform(-1, 1, (2, 80))
    w = rng.uniform(0.5, 3, (2, 80))
    eta = 0.3 + x @ [0.5, 0.01, -40.0] * 0.5 + offset
    y = (
        rng.poisson(np.exp(eta)) if family == "poisson" else rng.random((2, 80)) < 1 / (1 + np.exp(-eta))
    ).astype(float)
    fitted = glm.fit(x, y, family=family, weights=w, offset=offset)
    kind = sm.families.Poisson() if family == "poisson" else sm.families.Binomial()
    for c in range(2):
        oracle = sm.GLM(y[c], sm.add_constant(x[c]), family=kind, offset=offset[c], freq_weights=w[c]).fit(
            tol=1e-13
        )
        np.testing.assert_allclose(
            np.r_[fitted.intercept[c], fitted.coef[c]], oracle.params, rtol=1e-6, atol=1e-8
        )
        assert fitted.deviance[c] == pytest.approx(oracle.deviance, rel=1e-9)
        null = sm.GLM(y[c], np.ones(80), family=kind, offset=offset[c], freq_weights=w[c]).fit(tol=1e-13)
        assert fitted.null_deviance[c] == pytest.approx(null.deviance, rel=1e-8)
    np.testing.assert_allclose(glm.predict(fitted, x, offset=offset).shape, (2, 80))


def test_poisson_takes_areas_as_large_as_burned_area() -> None:
    x, y = _poisson_world(5, 4, 36, 78)
    small = glm.fit_path(x, y, family="poisson")
    large = glm.fit_path(x, 1e9 * y, family="poisson")
    np.testing.assert_allclose(large.coef, small.coef, atol=1e-6)
    np.testing.assert_allclose(large.intercept, small.intercept + np.log(1e9), atol=1e-6)
    np.testing.assert_allclose(large.lambdas, 1e9 * small.lambdas, rtol=1e-9)


def _class_cells(rng: np.random.Generator, n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Cells: ordinary; separable; a constant feature; an empty class; two classes; unequal scales."""
    x = rng.standard_normal((6, n, 3))
    y = rng.integers(0, 3, (6, n)).astype(float)
    y[0] = np.digitize(x[0, :, 0] + rng.standard_normal(n), [-0.5, 0.5])
    y[1] = np.digitize(x[1, :, 0], [-0.5, 0.5])
    x[2, :, 1] = 7.3
    y[3] = np.where(y[3] == 1, 2, y[3])
    y[4] = np.where(x[4, :, 0] + rng.standard_normal(n) > 0, 2, 1)
    x[5] = x[5] * [1e-2, 1.0, 50.0] + [3.0, -20.0, 100.0]
    return x, y


@pytest.mark.parametrize("strength", [0.1, 1.0, 100.0])
def test_multinomial_matches_scikit_learn(strength: float) -> None:
    x, y = _class_cells(np.random.default_rng(6))
    fitted = glm.fit(x, y, family="multinomial", C=strength)
    assert fitted.converged.all()
    for c in range(6):
        oracle = LogisticRegression(C=strength, tol=1e-12, max_iter=10_000, solver="newton-cholesky").fit(
            x[c], y[c]
        )
        present = oracle.classes_.astype(int)
        if present.size == 3:
            np.testing.assert_allclose(fitted.coef[c], oracle.coef_, atol=1e-5)
            np.testing.assert_allclose(
                fitted.intercept[c] - fitted.intercept[c].mean(),
                oracle.intercept_ - oracle.intercept_.mean(),
                atol=1e-5,
            )
            assert fitted.intercept[c].sum() == pytest.approx(0.0, abs=1e-9)
        else:
            low, high = present
            np.testing.assert_allclose(fitted.coef[c, high] - fitted.coef[c, low], oracle.coef_[0], atol=1e-5)
            absent = ({0, 1, 2} - {low, high}).pop()
            assert fitted.intercept[c, absent] == -np.inf
            np.testing.assert_array_equal(fitted.coef[c, absent], 0.0)
        probability = glm.predict(fitted, x)[c]
        np.testing.assert_allclose(probability[:, present], oracle.predict_proba(x[c]), atol=1e-6)
        deviance = -2 * np.log(probability[np.arange(120), y[c].astype(int)]).sum()
        assert fitted.deviance[c] == pytest.approx(deviance, rel=1e-9)


@pytest.mark.parametrize("strength", [0.1, 1.0, 100.0])
def test_binomial_matches_scikit_learn(strength: float) -> None:
    x, y = _class_cells(np.random.default_rng(7))
    y = (y == 2).astype(float)
    fitted = glm.fit(x, y, family="binomial", C=strength)
    assert fitted.converged.all()
    for c in range(6):
        oracle = LogisticRegression(C=strength, tol=1e-12, max_iter=10_000, solver="newton-cholesky").fit(
            x[c], y[c]
        )
        np.testing.assert_allclose(fitted.coef[c], oracle.coef_[0], atol=1e-5)


def test_many_classes_and_weights_match_scikit_learn() -> None:
    rng = np.random.default_rng(8)
    x, y, w = rng.standard_normal((200, 4)), rng.integers(0, 5, (1, 200)), rng.uniform(0, 3, (1, 200))
    fitted = glm.fit(x, y, family="multinomial", C=0.5, weights=w)
    oracle = LogisticRegression(C=0.5, tol=1e-12, max_iter=10_000, solver="newton-cholesky")
    oracle.fit(x, y[0], sample_weight=w[0])
    np.testing.assert_allclose(fitted.coef[0], oracle.coef_, atol=1e-6)


def test_unpenalised_multinomial_matches_statsmodels() -> None:
    rng = np.random.default_rng(9)
    x = rng.standard_normal((150, 2))
    y = np.digitize(x[:, 0] + 2 * rng.standard_normal(150), [-1, 1])
    fitted = glm.fit(x, y[None], family="multinomial")
    oracle = sm.MNLogit(y, sm.add_constant(x)).fit(disp=0, tol=1e-12)
    contrasts = np.c_[fitted.intercept[0], fitted.coef[0]]
    np.testing.assert_allclose((contrasts[1:] - contrasts[0]).T, oracle.params, atol=1e-6)
    assert fitted.status[0] == 0
