"""Solvers of the Poisson lasso: the default one of the core, and independent ones that check it."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from esai_core import glm
from esai_core.errors import UsageError, unknown

__all__ = ["ENGINES", "Paths", "SingleFit", "fit_one", "fit_paths", "kkt_residual", "objective"]


@dataclass(frozen=True)
class SingleFit:
    """One fit: intercept, coefficients (p,) and KKT residual over lambda."""

    intercept: float
    coef: np.ndarray
    kkt: float


@dataclass(frozen=True)
class Paths:
    """Paths of many series.

    Attributes
    ----------
    lambdas, intercept, kkt : (C, L); NaN where a series has nothing to fit.
    coef : (C, L, p) in the units of the predictors.
    """

    lambdas: np.ndarray
    intercept: np.ndarray
    coef: np.ndarray
    kkt: np.ndarray


def objective(
    x: np.ndarray, y: np.ndarray, intercept: float, coef: np.ndarray, penalty: float, *,
    offset: np.ndarray | float = 0.0, alpha: float = 1.0,
) -> float:  # fmt: skip
    """Mean Poisson loss exp(eta) - y eta, plus penalty times the elastic net's norm."""
    eta = intercept + offset + x @ coef
    norm = alpha * np.abs(coef).sum() + (1.0 - alpha) / 2.0 * (coef**2).sum()
    return float(np.mean(np.exp(eta) - y * eta) + penalty * norm)


def kkt_residual(
    x: np.ndarray, y: np.ndarray, intercept: float, coef: np.ndarray, penalty: float, *,
    offset: np.ndarray | float = 0.0, alpha: float = 1.0,
) -> float:  # fmt: skip
    """Largest violation of the optimality conditions over the penalty."""
    gap = y - np.exp(intercept + offset + x @ coef)
    gradient = x.T @ gap / y.size - penalty * (1.0 - alpha) * coef
    inside = np.maximum(np.abs(gradient) - alpha * penalty, 0.0)
    worst = np.where(coef != 0.0, np.abs(gradient - alpha * penalty * np.sign(coef)), inside)
    return float(max(worst.max(initial=0.0), abs(gap.mean())) / penalty)


#: KKT residual over lambda past which a fit of an engine other than numba is counted in a warning.
_LATE = 1e-4
Solved = tuple[float, np.ndarray]


def _numba(x: np.ndarray, y: np.ndarray, penalty: float, offset: np.ndarray, alpha: float) -> Solved:
    fitted = glm.fit(
        x, y[None], family="poisson", penalty=penalty, alpha=alpha, offset=offset[None], standardise=False,
        tolerance=1e-9,
    )  # fmt: skip
    return float(fitted.intercept[0]), fitted.coef[0]


def _glum(x: np.ndarray, y: np.ndarray, penalty: float, offset: np.ndarray, alpha: float) -> Solved:
    from glum import GeneralizedLinearRegressor

    model = GeneralizedLinearRegressor(
        family="poisson", alpha=penalty, l1_ratio=alpha, gradient_tol=1e-12, max_iter=10_000,
        scale_predictors=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        # Rounding may keep it above 1e-12; the KKT residual that goes with every result tells.
        warnings.filterwarnings("ignore", message=".*[Cc]onverge.*")
        warnings.filterwarnings("ignore", message=".*[Ll]ine search.*")
        model.fit(x, y, offset=offset)
    return float(model.intercept_), np.asarray(model.coef_)


def _old_numpy() -> types.SimpleNamespace:
    """Give the numpy that pyglmnet 1.1 was written for, with np.float."""
    shim = types.SimpleNamespace(**{name: getattr(np, name) for name in dir(np) if not name.startswith("__")})
    shim.float = float
    return shim


def _pyglmnet(x: np.ndarray, y: np.ndarray, penalty: float, offset: np.ndarray, alpha: float) -> Solved:
    """Fit with pyglmnet 1.1, corrected so that its steps are those of ISTA.

    As released it fails on today's numpy, is linear above ``eta``, and soft-thresholds by lambda in place of
    learning rate times lambda. Here only its own name ``np`` is replaced; the start is given (so its random
    one is not drawn), ``eta`` is out of reach, y is in units of its mean, and the penalty carries the
    learning rate. Left as they are: one series at a time, slow first-order steps (badly conditioned designs
    need very many), columns in their own units, l1 penalty only, no offset that varies, and no coordinate
    descent (`cdfast` never lets a coefficient return).
    """
    if alpha != 1.0:
        raise UsageError(
            "pyglmnet fits the lasso alone", where=f"model.alpha = {alpha:g}", remedy="set it to 1"
        )
    if np.ptp(offset) > 1e-12:
        raise UsageError(
            "pyglmnet takes no offset that varies, as the monthly model has", where="model.engine",
            remedy="choose numba or glum",
        )  # fmt: skip
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old ways of numpy
            model.fit(x, y / mean)
    finally:
        module.np = before
    intercept = float(np.ravel(model.beta0_)[0]) + np.log(mean) - float(offset[0])
    return intercept, np.asarray(model.beta_, dtype=np.float64)


ENGINES: dict[str, Callable[[np.ndarray, np.ndarray, float, np.ndarray, float], Solved]] = {
    "numba": _numba,
    "glum": _glum,
    "pyglmnet": _pyglmnet,
}
"""Solvers by name."""


def _solve(
    engine: str, x: np.ndarray, y: np.ndarray, penalty: float, offset: np.ndarray, alpha: float
) -> Solved:
    try:
        return ENGINES[engine](x, y, penalty, offset, alpha)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{error.name} is not installed", where=f"engine {engine}", remedy=f"pip install {error.name}"
        ) from None


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
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    intercept, coef = _solve(engine, x, y, penalty, np.zeros(y.size), 1.0)
    return SingleFit(intercept, coef, kkt_residual(x, y, intercept, coef, penalty))


def fit_paths(
    x: np.ndarray, y: np.ndarray, *, groups: np.ndarray, weights: np.ndarray, offset: np.ndarray,
    penalty_factor: np.ndarray, alpha: float = 1.0, n_lambdas: int = 20, lambda_ratio: float = 0.1,
    tolerance: float = 1e-6, threads: int | None = None, engine: str = "numba",
) -> Paths:  # fmt: skip
    """Fit elastic-net paths of many series, with any engine; all solve the same problem.

    Parameters
    ----------
    x : (D, n, p) array
        Designs; penalised in units of the standard deviation over the rows in use.
    y : (C, n) array
        0 or more.
    groups : (C,) array
        Design of each series.
    weights : (C, n) array
        1 on the rows in use, else 0.
    offset : (C, n) array
        Added to the linear predictor.
    penalty_factor : (C, p) array
        1, or inf to leave a column out.
    alpha, n_lambdas, lambda_ratio, tolerance, threads
        As in `esai_core.glm.fit_path`; the last two are for numba.
    engine : {"numba", "glum", "pyglmnet"}
        The others go through the series one by one: 50 to 10,000 times slower.

    Returns
    -------
    Paths

    Raises
    ------
    UsageError
        For an unknown engine, one that is not installed, or what it cannot fit.
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES, where="model.engine")
    if engine == "numba":
        path = glm.fit_path(
            x, y, groups=groups, family="poisson", weights=weights, offset=offset, alpha=alpha,
            n_lambdas=n_lambdas, lambda_ratio=lambda_ratio, penalty_factor=penalty_factor,
            tolerance=tolerance, threads=threads,
        )  # fmt: skip
        return Paths(path.lambdas, path.intercept, path.coef, path.kkt)
    cells, p = y.shape[0], x.shape[2]
    made = Paths(
        np.full((cells, n_lambdas), np.nan), np.full((cells, n_lambdas), np.nan),
        np.zeros((cells, n_lambdas, p)), np.full((cells, n_lambdas), np.nan),
    )  # fmt: skip
    steps = lambda_ratio ** (np.arange(n_lambdas) / max(n_lambdas - 1, 1))
    for c in range(cells):
        rows = weights[c] > 0.0
        if rows.any() and y[c, rows].sum() > 0.0:
            columns = np.isfinite(penalty_factor[c])
            _fit_path(
                engine, x[groups[c]][rows], y[c, rows], offset[c, rows], columns, alpha, steps,
                Paths(made.lambdas[c], made.intercept[c], made.coef[c], made.kkt[c]),
            )  # fmt: skip
    late = int((np.nan_to_num(made.kkt) > max(tolerance, _LATE)).sum())
    if late:
        warnings.warn(
            f"{late} of {made.kkt.size} fits by {engine} stopped past a KKT residual of {_LATE:g} lambda",
            glm.GlmConvergenceWarning,
            stacklevel=2,
        )
    return made


def _fit_path(
    engine: str, x: np.ndarray, y: np.ndarray, offset: np.ndarray, columns: np.ndarray, alpha: float,
    steps: np.ndarray, out: Paths,
) -> None:  # fmt: skip
    """Fit the path of one series into the rows of `out`."""
    centre, spread = x.mean(axis=0), x.std(axis=0)
    used = np.flatnonzero(columns & (spread > 1e-12 * np.maximum(np.abs(centre), 1.0)))
    null = float(np.log(y.sum() / np.exp(offset).sum()))
    z = (x[:, used] - centre[used]) / spread[used]
    slope = np.abs(z.T @ (y - np.exp(null + offset))).max(initial=0.0) / y.size
    if used.size == 0 or slope == 0.0:
        out.intercept[:], out.kkt[:] = null, 0.0
        return
    out.lambdas[:] = slope / max(alpha, 1e-3) * steps
    for k, penalty in enumerate(out.lambdas):
        intercept, coef = _solve(engine, z, y, float(penalty), offset, alpha)
        out.kkt[k] = kkt_residual(z, y, intercept, coef, float(penalty), offset=offset, alpha=alpha)
        out.coef[k, used] = coef / spread[used]
        out.intercept[k] = intercept - out.coef[k] @ centre
