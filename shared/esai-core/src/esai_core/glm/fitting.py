"""`fit` and `fit_path`: batched generalised linear models, one per cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from esai_core.errors import UsageError
from esai_core.glm.engine import GlmConvergenceWarning, Settings, Troubles, solve
from esai_core.glm.least_squares import solve_least_squares
from esai_core.glm.problem import check_settings, make_problem, make_sequence
from esai_core.glm.result import GlmFit, GlmPath

__all__ = ["GlmConvergenceWarning", "fit", "fit_path"]


def _warn(path: GlmPath, tolerance: float) -> None:
    troubles = Troubles(path.family)
    troubles.add(path)
    troubles.warn(tolerance, stacklevel=4)


def fit_path(
    X: np.ndarray,
    y: np.ndarray,
    *,
    family: str,
    groups: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    folds: np.ndarray | None = None,
    offset: np.ndarray | None = None,
    alpha: float = 1.0,
    lambdas: np.ndarray | None = None,
    n_lambdas: int = 20,
    lambda_ratio: float = 0.1,
    standardise: bool = True,
    penalty_factor: np.ndarray | None = None,
    n_classes: int | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 100,
    keep_predictions: bool = True,
    keep_folds: bool = False,
    threads: int | None = None,
) -> GlmPath:
    r"""Fit a path of penalties for every cell, and for every fold of every cell.

    Each cell minimises over the intercept b and the coefficients beta

    .. math:: \frac{\sum_i w_i \ell(y_i, b + o_i + x_i'\beta)}{\sum_i w_i}
              + \lambda \sum_j f_j \left(\alpha s_j|\beta_j| + \tfrac{1-\alpha}{2} (s_j\beta_j)^2\right)

    with the loss half the unit deviance (gaussian: squared error / 2), as glmnet (Friedman, Hastie &
    Tibshirani 2010, J. Stat. Softw. 33(1)). One-response families run a proximal-Newton method with an exact
    inner solve (Lee, Sun & Saunders 2014, SIAM J. Optim. 24), the multinomial a damped Newton method; each
    result carries the largest violation of its optimality conditions.

    Parameters
    ----------
    X : (n, p), (groups, n, p) with `groups`, or (cells, n, p)
        Design shared by all cells, by the cells of a group, or one for each cell; without a column of ones. A
        row with a value that is not finite is left out; a column that is constant over the rows in use gets
        the coefficient 0.
    y : (cells, n)
        Responses; NaN leaves the row out of that cell. Gaussian any, poisson 0 or more (counts or not),
        binomial shares in [0, 1], multinomial class numbers 0 .. K - 1 (negative: missing).
    family : {"gaussian", "poisson", "binomial", "multinomial"}
    groups : (cells,) int array, optional
        Design of each cell.
    weights : (n,) or (cells, n), optional
        Weight of each row, 0 to leave it out.
    folds : (F, n), optional
        1 where a fold fits a row, 0 where it leaves it out (see `leave_out_folds`). Each fold starts from the
        cell's full fit and uses the cell's sequence of lambdas; scales, means and the null model are its own
        rows'.
    offset : (n,) or (cells, n), optional
        Added to the linear predictor; rows where it is not finite are left out. Not for the multinomial.
    alpha : float
        Share of the l1 penalty: 1 lasso, 0 ridge. The multinomial takes 0 only.
    lambdas : (L,) or (cells, L), optional
        Penalties, not rising. By default `n_lambdas` from the smallest that leaves the model empty (for alpha
        below 0.001 that of alpha = 0.001) down to `lambda_ratio` times it, in equal ratios.
    standardise : bool
        Penalise in columns of unit weighted standard deviation (s_j), or in the units of X (s_j = 1).
    penalty_factor : (p,), (cells, p) or (cells, 1 + F, p), optional
        f_j: 0 leaves a column unpenalised, inf excludes it. The last form gives the full fit (first) and each
        fold their own. Not rescaled.
    n_classes : int, optional
        Classes of the multinomial; by default one more than the largest in `y`.
    tolerance : float
        Largest KKT violation over lambda of a converged fit.
    max_iterations : int
        Newton steps of one fit.
    keep_predictions, keep_folds : bool
        Return the predictions at rows left out (cells, L, n); the folds' coefficients (cells, F, L, p).
    threads : int, optional
        Threads over cells; numba's number by default (`NUMBA_NUM_THREADS`, or the CPUs this process may use).
        The results do not depend on it.

    Returns
    -------
    GlmPath

    Raises
    ------
    UsageError
        Shapes or settings that do not fit.
    InputError
        A response outside the family's range.

    Warns
    -----
    GlmConvergenceWarning
        With the count of fits past the tolerance, or without a finite solution (separated).

    Notes
    -----
    A cell whose responses are all 0 (poisson, binomial) or all 1 has the intercept -inf (inf), coefficients 0
    and fitted means of exactly 0 (1): such a fold's deviance is infinite where the row it left out differs.
    The multinomial is over-parameterised as scikit-learn's: coefficients sum to 0 over the classes present; a
    class without a row has intercept -inf; with two classes present the ridge is that of the binomial model
    of their contrast.
    """
    problem = make_problem(
        X, y, family=family, groups=groups, weights=weights, folds=folds, offset=offset,
        penalty_factor=penalty_factor, n_classes=n_classes,
    )  # fmt: skip
    check_settings(problem, alpha, tolerance, max_iterations, threads)
    settings = Settings(
        alpha=alpha,
        lambdas=make_sequence(lambdas, problem.cells, n_lambdas, lambda_ratio),
        ratio=lambda_ratio,
        absolute=False,
        standardise=standardise,
        tolerance=tolerance,
        max_iterations=max_iterations,
        keep_predictions=keep_predictions,
        keep_folds=keep_folds,
        threads=threads,
    )
    path = solve(problem, settings)
    _warn(path, tolerance)
    return path


def fit(
    X: np.ndarray,
    y: np.ndarray,
    *,
    family: str,
    penalty: float | np.ndarray = 0.0,
    C: float | None = None,
    alpha: float = 0.0,
    standardise: bool = False,
    groups: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    folds: np.ndarray | None = None,
    offset: np.ndarray | None = None,
    penalty_factor: np.ndarray | None = None,
    n_classes: int | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 100,
    keep_predictions: bool = True,
    keep_folds: bool = True,
    threads: int | None = None,
) -> GlmFit:
    """Fit one penalty for every cell, and for every fold of every cell.

    Parameters
    ----------
    X, y, family, groups, weights, folds, offset, penalty_factor, n_classes, tolerance, max_iterations, \
keep_predictions, keep_folds, threads
        As in `fit_path`.
    penalty : float or (cells,)
        lambda of the objective in `fit_path`, per unit of weight. 0 is the maximum-likelihood fit; for the
        gaussian that is least squares in closed form (singular values, smallest norm where columns are
        dependent).
    C : float, optional
        In place of `penalty`: the inverse strength on the summed loss as scikit-learn's, lambda = 1 / (C sum
        w), each fold with its own sum.
    alpha : float
        Share of the l1 penalty; 0 (ridge) by default.
    standardise : bool
        Penalise in columns of unit standard deviation; by default in the units of X, as scikit-learn does.

    Returns
    -------
    GlmFit

    Raises
    ------
    UsageError
        Shapes or settings that do not fit.
    InputError
        A response outside the family's range.

    Warns
    -----
    GlmConvergenceWarning
        With the count of fits past the tolerance, or without a finite solution: an unpenalised logistic or
        Poisson fit whose classes (or zeros) can be split perfectly is flagged `GlmStatus.SEPARATED`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> fit(x, np.array([[1.0, 3.0, 5.0], [0.0, 0.0, 3.0]]), family="gaussian").coef.round(6)
    array([[2. ],
           [1.5]])
    """
    problem = make_problem(
        X, y, family=family, groups=groups, weights=weights, folds=folds, offset=offset,
        penalty_factor=penalty_factor, n_classes=n_classes,
    )  # fmt: skip
    check_settings(problem, alpha, tolerance, max_iterations, threads)
    strength = np.broadcast_to(np.asarray(penalty, dtype=np.float64), (problem.cells,))
    if C is not None:
        if not C > 0.0 or np.any(strength != 0.0):
            raise UsageError(
                "C must be above 0 and stand alone", where="C", remedy="give either C or penalty"
            )
        strength = np.full(problem.cells, 1.0 / C)
    if not (np.isfinite(strength) & (strength >= 0.0)).all():
        raise UsageError("penalties must be finite and 0 or more", where="penalty")
    if family == "gaussian" and not strength.any() and np.isfinite(problem.factors).all():
        return solve_least_squares(problem, keep_predictions=keep_predictions, keep_folds=keep_folds).at(0)
    settings = Settings(
        alpha=alpha,
        lambdas=strength[:, None].copy(),
        ratio=0.5,
        absolute=C is not None,
        standardise=standardise,
        tolerance=tolerance,
        max_iterations=max_iterations,
        keep_predictions=keep_predictions,
        keep_folds=keep_folds,
        threads=threads,
    )
    path = solve(problem, settings)
    _warn(path, tolerance)
    fitted = path.at(0)
    if C is not None:
        mass = problem.weights.sum(axis=1)
        fitted = replace(fitted, penalty=strength / np.where(mass > 0.0, mass, np.nan))
    return fitted
