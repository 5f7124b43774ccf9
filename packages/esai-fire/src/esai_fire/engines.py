"""Independent solvers of the Poisson lasso, for one series: checks of the default engine."""

from __future__ import annotations

import types
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from esai_core.errors import UsageError, unknown

__all__ = ["ENGINES", "SingleFit", "fit_one", "kkt_residual", "objective"]


@dataclass(frozen=True)
class SingleFit:
    """One fit: intercept, coefficients (p,) and KKT residual over lambda."""

    intercept: float
    coef: np.ndarray
    kkt: float


def objective(x: np.ndarray, y: np.ndarray, intercept: float, coef: np.ndarray, penalty: float) -> float:
    """Mean Poisson loss exp(eta) - y eta plus penalty times the l1 norm."""
    eta = intercept + x @ coef
    return float(np.mean(np.exp(eta) - y * eta) + penalty * np.abs(coef).sum())


def kkt_residual(x: np.ndarray, y: np.ndarray, intercept: float, coef: np.ndarray, penalty: float) -> float:
    """Largest violation of the optimality conditions over the penalty."""
    gap = y - np.exp(intercept + x @ coef)
    gradient = x.T @ gap / y.size
    inside = np.maximum(np.abs(gradient) - penalty, 0.0)
    worst = np.where(coef != 0.0, np.abs(gradient - penalty * np.sign(coef)), inside)
    return float(max(worst.max(initial=0.0), abs(gap.mean())) / penalty)


def _numba(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
    from esai_core import glm

    fitted = glm.fit(
        x, y[None], family="poisson", penalty=penalty, alpha=1.0, standardise=False, tolerance=1e-9
    )
    return float(fitted.intercept[0]), fitted.coef[0]


def _glum(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
    from glum import GeneralizedLinearRegressor

    model = GeneralizedLinearRegressor(
        family="poisson",
        alpha=penalty,
        l1_ratio=1.0,
        gradient_tol=1e-12,
        max_iter=10_000,
        scale_predictors=False,
    )
    model.fit(x, y)
    return float(model.intercept_), np.asarray(model.coef_)


def _old_numpy() -> types.SimpleNamespace:
    """Give the numpy that pyglmnet 1.1 was written for, with np.float."""
    shim = types.SimpleNamespace(**{name: getattr(np, name) for name in dir(np) if not name.startswith("__")})
    shim.float = float
    return shim


def _pyglmnet(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
    """Fit with pyglmnet 1.1, corrected so that its steps are those of ISTA.

    As released it fails on today's numpy, is linear above ``eta``, and soft-thresholds by lambda in place of
    learning rate times lambda. Here only its own name ``np`` is replaced; the start is given (so its random
    one is not drawn), ``eta`` is out of reach, y is in units of its mean, and the penalty carries the
    learning rate. Left as they are: one series at a time, slow first-order steps (badly conditioned designs
    need very many), columns in their own units, l1 penalty only, and no coordinate descent (`cdfast` never
    lets a coefficient return).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports distutils
        from pyglmnet import pyglmnet as released
    module: Any = released
    before = module.np
    mean = float(y.mean())
    design = np.column_stack([np.ones(y.size), x])
    rate = 0.5 / float(np.linalg.eigvalsh(design.T @ design / y.size)[-1])
    scaled = penalty / mean
    try:
        module.np = _old_numpy()
        model = module.GLM(
            distr="poisson", alpha=1.0, reg_lambda=rate * scaled, learning_rate=rate, eta=30.0,
            max_iter=200_000, tol=1e-12, solver="batch-gradient",
        )  # fmt: skip
        model.beta0_ = 0.0
        model.beta_ = np.zeros(x.shape[1])
        model.fit(x, y / mean)
    finally:
        module.np = before
    return float(np.ravel(model.beta0_)[0]) + np.log(mean), np.asarray(model.beta_, dtype=np.float64)


ENGINES = {"numba": _numba, "glum": _glum, "pyglmnet": _pyglmnet}
"""Solvers by name."""


def fit_one(x: np.ndarray, y: np.ndarray, *, penalty: float, engine: str = "numba") -> SingleFit:
    """Fit the Poisson lasso of one series at one penalty.

    Parameters
    ----------
    x : (n, p) array
        Predictors, without a column of ones; penalised in their own units.
    y : (n,) array
        0 or more.
    penalty : float
        lambda of the mean loss, above 0.
    engine : {"numba", "glum", "pyglmnet"}
        ``numba`` is that of `esai_core.glm`; ``glum`` and ``pyglmnet`` are independent of it.

    Returns
    -------
    SingleFit

    Raises
    ------
    UsageError
        For an unknown engine, one that is not installed, or a penalty that is not positive.
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES, where="engine")
    if not penalty > 0.0:
        raise UsageError(f"penalty is {penalty}", where="fit_one", remedy="give a number above 0")
    try:
        intercept, coef = ENGINES[engine](np.asarray(x, np.float64), np.asarray(y, np.float64), penalty)
    except ModuleNotFoundError as error:
        # From Python 3.12 on, the distutils that pyglmnet imports come with setuptools.
        wanted = "setuptools" if error.name == "distutils" else error.name
        raise UsageError(
            f"{error.name} is not installed", where=f"engine {engine}", remedy=f"pip install {wanted}"
        ) from None
    return SingleFit(intercept, coef, kkt_residual(x, y, intercept, coef, penalty))
