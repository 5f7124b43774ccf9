"""Choosing a penalty out of fold, and nested cross-validation with screening inside the folds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from esai_core.errors import UsageError, nearest
from esai_core.glm.engine import Settings, Troubles, solve
from esai_core.glm.families import unit_deviance
from esai_core.glm.problem import Problem, check_settings, make_problem, make_sequence
from esai_core.glm.result import GlmPath, predict

__all__ = ["RULES", "CrossValidation", "cross_validate", "leave_out_folds", "select_lambda"]

#: How `select_lambda` chooses: the least out-of-fold deviance, or the largest lambda within one standard
#: error of it.
RULES = ("min", "one_se")

#: A screen: (x (n, p) or (cells, n, p), y (cells, n) with NaN where hidden, weights (cells, n)) -> (cells, p)
#: bool.
Screen = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def leave_out_folds(labels: np.ndarray) -> np.ndarray:
    """Folds that each leave one label out.

    Parameters
    ----------
    labels : (n,) array
        Block of each row: its year, season or number.

    Returns
    -------
    numpy.ndarray
        (F, n) float: 0 on the rows of the fold's label (in sorted order of labels), 1 elsewhere.
    """
    rows = np.asarray(labels)
    if rows.ndim != 1 or rows.size == 0:
        raise UsageError(
            f"labels has shape {rows.shape}", where="leave_out_folds", remedy="give one label per row"
        )
    return (rows[None, :] != np.unique(rows)[:, None]).astype(np.float64)


def select_lambda(path: GlmPath, *, rule: str = "min") -> np.ndarray:
    r"""Position on the path chosen by out-of-fold deviance, for each cell.

    The deviance of each fold is that of its left-out rows over their weight v_f; a penalty's score is
    :math:`m = \sum_f v_f d_f / \sum_f v_f` and its standard error
    :math:`\sqrt{\sum_f v_f (d_f - m)^2 / \sum_f v_f / (F - 1)}` (Friedman, Hastie & Tibshirani 2010, section
    2.6).

    Parameters
    ----------
    path : GlmPath
        Fitted with folds.
    rule : {"min", "one_se"}
        The least score; or the largest lambda whose score is within one standard error of it.

    Returns
    -------
    numpy.ndarray
        (cells,) int; 0, the largest lambda, where no fold has a finite deviance.
    """
    if rule not in RULES:
        raise UsageError(f"unknown rule {rule!r}", where="rule", remedy=nearest(rule, RULES))
    if path.folds is None:
        raise UsageError(
            "the path was fitted without folds", where="select_lambda", remedy="pass folds= to fit_path"
        )
    weight = np.where(np.isfinite(path.folds.deviance), path.folds.weight[..., None], 0.0)
    counted = weight > 0.0
    each = np.where(counted, path.folds.deviance, 0.0) / np.where(counted, weight, 1.0)
    total = weight.sum(axis=1)
    score = (weight * each).sum(axis=1) / np.where(total > 0.0, total, 1.0)
    # An infinite deviance rules a penalty out, unless it rules all of them out.
    score = np.where(np.isinf(path.folds.deviance).any(axis=1) | (total == 0.0), np.inf, score)
    best = score.argmin(axis=1)
    if rule == "min":
        return best
    cells = np.arange(best.size)
    spread = (weight * (each - np.where(np.isfinite(score), score, 0.0)[:, None]) ** 2).sum(axis=1)
    folds = np.maximum(counted.sum(axis=1) - 1, 1)
    error = np.sqrt(spread / np.where(total > 0.0, total, 1.0) / folds)
    limit = score[cells, best] + error[cells, best]
    return (score <= limit[:, None]).argmax(axis=1)


@dataclass(frozen=True)
class CrossValidation:
    """Nested cross-validation: everything about a fold was chosen and fitted on its own training rows.

    Attributes
    ----------
    family : str
    prediction, null_prediction : (cells, n) or (cells, n, K) out-of-fold means of the chosen model and of the
        training mean (or class shares), by the last fold that leaves a row out; NaN where no fold does.
    deviance, null_deviance : (cells, F) weighted deviance of the rows each fold leaves out.
    chosen : (cells, F) position on the fold's path; penalty : (cells, F) its lambda.
    intercept : (cells, F) or (cells, F, K); coef : (cells, F, p) or (cells, F, K, p).
    kkt : (cells, F) largest violation of the outer fold's path and its inner folds; status : (cells, F) bits
        of `GlmStatus` of the chosen fit.
    """

    family: str
    prediction: np.ndarray
    null_prediction: np.ndarray
    deviance: np.ndarray
    null_deviance: np.ndarray
    chosen: np.ndarray
    penalty: np.ndarray
    intercept: np.ndarray
    coef: np.ndarray
    kkt: np.ndarray
    status: np.ndarray

    @property
    def d2(self) -> np.ndarray:
        """(cells,) deviance explained, 1 - sum deviance / sum null deviance; NaN where that is 0 or inf."""
        null = self.null_deviance.sum(axis=1)
        usable = np.isfinite(null) & (null > 0.0)
        return np.where(usable, 1.0 - self.deviance.sum(axis=1) / np.where(usable, null, 1.0), np.nan)


def _screened(screen: Screen, problem: Problem, trains: np.ndarray) -> np.ndarray:
    """Give penalty factors (cells, len(trains), p), inf where the screen on a row of `trains` says no."""
    shape = (problem.cells, problem.x.shape[2])
    x = problem.x
    if problem.group is not None:
        x = x[0] if x.shape[0] == 1 else x[problem.group]
    made = np.empty((shape[0], trains.shape[0], shape[1]))
    for f, train in enumerate(trains):
        inside = problem.weights * train
        kept = np.asarray(screen(x, np.where(inside > 0.0, problem.y, np.nan), inside))
        if kept.shape != shape or kept.dtype != np.bool_:
            raise UsageError(
                f"screen gave {kept.dtype} of shape {kept.shape}",
                where="screen",
                remedy=f"return booleans of shape {shape}",
            )
        made[:, f] = np.where(kept, problem.factors[:, 0], np.inf)
    return made


def _validate(
    problem: Problem, settings: Settings, screen: Screen | None, rule: str, troubles: Troubles
) -> dict[str, np.ndarray]:
    """Make the arrays of `CrossValidation` for the cells of a problem whose folds are the outer ones."""
    cells, n = problem.y.shape
    trains = problem.folds
    nothing = np.full((1, 1, problem.x.shape[2]), np.inf)
    null = solve(
        replace(problem, factors=nothing),
        replace(settings, lambdas=np.ones((cells, 1)), keep_predictions=True),
    ).folds
    assert null is not None
    assert null.null_prediction is not None
    prediction = np.full_like(null.null_prediction, np.nan)
    deviance = np.zeros((cells, trains.shape[0]))
    rest: dict[str, list[np.ndarray]] = {
        name: [] for name in ("chosen", "penalty", "intercept", "coef", "kkt", "status")
    }
    for f, train in enumerate(trains):
        inner = np.delete(trains, f, axis=0)
        inside = replace(problem, weights=problem.weights * train, folds=inner)
        if screen is not None:
            factors = _screened(screen, inside, np.concatenate([np.ones((1, n)), inner]))
            inside = replace(inside, factors=factors)
        path = solve(inside, settings)
        troubles.add(path)
        chosen = select_lambda(path, rule=rule)
        fitted = path.at(chosen)
        mean = predict(fitted, problem.x, groups=problem.group, offset=problem.offset)
        held = (problem.weights > 0.0) & (train == 0.0)
        prediction[held] = mean[held]
        lost = np.where(held, unit_deviance(problem.family, problem.y, mean), 0.0)
        deviance[:, f] = (np.where(held, problem.weights, 0.0) * lost).sum(axis=1)
        assert path.folds is not None
        worst = np.maximum(np.fmax.reduce(path.kkt, axis=1), np.fmax.reduce(path.folds.kkt, axis=1))
        found = (chosen, fitted.penalty, fitted.intercept, fitted.coef, worst, fitted.status)
        for name, value in zip(rest, found, strict=True):
            rest[name].append(value)
    return {
        "prediction": prediction,
        "null_prediction": null.null_prediction,
        "deviance": deviance,
        "null_deviance": null.null_deviance,
        **{name: np.stack(values, axis=1) for name, values in rest.items()},
    }


def cross_validate(
    X: np.ndarray,
    y: np.ndarray,
    *,
    family: str,
    folds: np.ndarray,
    groups: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    offset: np.ndarray | None = None,
    screen: Screen | None = None,
    rule: str = "min",
    alpha: float = 1.0,
    lambdas: np.ndarray | None = None,
    n_lambdas: int = 20,
    lambda_ratio: float = 0.1,
    standardise: bool = True,
    penalty_factor: np.ndarray | None = None,
    n_classes: int | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 100,
    chunk: int = 512,
    threads: int | None = None,
) -> CrossValidation:
    """Nested cross-validation of a path: screen, choose lambda and fit inside each fold, score outside it.

    For each outer fold the other folds, without its rows, are the inner ones: with `leave_out_folds(years)`
    this is nested leave-one-year-out. The screen runs on the training rows of the outer fold and again on
    those of each inner fold, so that neither the score nor the choice of lambda sees a row that it is judged
    on.

    Parameters
    ----------
    X, y, family, groups, weights, offset, alpha, lambdas, n_lambdas, lambda_ratio, standardise, n_classes, \
tolerance, max_iterations, threads
        As in `fit_path`.
    folds : (F, n)
        At least 3, 1 where a fold trains and 0 where it is scored.
    screen : callable, optional
        ``screen(x, y, weights) -> (cells, p) bool``: columns that may enter, from one weighting of some of
        the cells; y is NaN and the weight 0 on hidden rows. x is (n, p) where all cells share it, else
        (cells, n, p). A cell without a column gets the null model.
    rule : {"min", "one_se"}
        See `select_lambda`.
    penalty_factor : (p,) or (cells, p), optional
        As in `fit_path`, the same for every fold.
    chunk : int
        Cells in memory at a time.

    Returns
    -------
    CrossValidation
    """
    problem = make_problem(
        X, y, family=family, groups=groups, weights=weights, folds=folds, offset=offset,
        penalty_factor=penalty_factor, n_classes=n_classes,
    )  # fmt: skip
    check_settings(problem, alpha, tolerance, max_iterations, threads)
    trains = problem.folds
    if trains.shape[0] < 3:
        raise UsageError(
            f"{trains.shape[0]} folds", where="folds", remedy="nested validation needs 3 or more"
        )
    if rule not in RULES:
        raise UsageError(f"unknown rule {rule!r}", where="rule", remedy=nearest(rule, RULES))
    sequence = make_sequence(lambdas, problem.cells, n_lambdas, lambda_ratio)
    if problem.factors.shape[1] > 1:
        raise UsageError(
            "penalty factors differ by fold", where="penalty_factor", remedy="use screen= for that"
        )
    settings = Settings(
        alpha=alpha, lambdas=sequence, ratio=lambda_ratio, absolute=False, standardise=standardise,
        tolerance=tolerance, max_iterations=max_iterations, keep_predictions=False, keep_folds=False,
        threads=threads,
    )  # fmt: skip
    troubles = Troubles(family)
    starts = range(0, max(problem.cells, 1), max(chunk, 1))
    parts = []
    for start in starts:
        part = slice(start, start + max(chunk, 1))
        one = replace(settings, lambdas=sequence[part])
        parts.append(_validate(problem.part(part), one, screen, rule, troubles))
    troubles.warn(tolerance)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return CrossValidation(family=family, **joined)
