"""Unpenalised gaussian fits in closed form: one decomposition for all cells that share design and weights."""

from __future__ import annotations

import numpy as np

from esai_core.glm.problem import Problem
from esai_core.glm.result import Folds, GlmPath, GlmStatus

__all__ = ["solve_least_squares"]

#: Values of one stack of decompositions.
_STACK = 4_000_000


def _patterns(problem: Problem, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells that share design and weights: (a representative cell of each pattern, pattern of each cell)."""
    cells = problem.cells
    if problem.group is None:
        return np.arange(cells), np.arange(cells)
    if cells and not problem.group.any() and (weights == weights[0]).all():
        return np.zeros(1, np.int64), np.zeros(cells, np.int64)
    keys = np.column_stack([problem.group.astype(np.float64), weights])
    _, first, pattern = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return first, pattern.reshape(-1)


def _pseudo_inverses(x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(means, pseudo-inverses of the weighted centred designs, ranks) of stacked x (m, n, p) and w (m, n).

    The columns are brought to unit norm, so that the rank does not depend on the units of X.
    """
    n, p = x.shape[1:]
    mass = w.sum(axis=1)
    share = w / np.where(mass > 0.0, mass, 1.0)[:, None]
    centre = np.einsum("mn,mnp->mp", share, x)
    root = np.sqrt(share)
    scaled = (x - centre[:, None]) * root[..., None]
    norm = np.sqrt((scaled**2).sum(axis=1))
    size = np.sqrt(np.einsum("mn,mnp->mp", share, x**2))
    constant = ~(norm > 1e-13 * size)
    norm = np.where(constant, 1.0, norm)
    scaled = np.where(constant[:, None], 0.0, scaled / norm[:, None])
    left, values, right = np.linalg.svd(scaled, full_matrices=False)
    kept = values > max(n, p) * np.finfo(np.float64).eps * values[:, :1]
    inverse = np.where(kept, 1.0 / np.where(kept, values, 1.0), 0.0)
    pseudo = np.einsum("mkp,mk,mnk->mpn", right, inverse, left, optimize=True)
    return centre, pseudo * root[:, None] / norm[..., None], kept.sum(axis=1)


def _fit_weights(
    problem: Problem, weights: np.ndarray, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, ...]:
    """(intercept, coef, rank, weighted mean of y) of every cell under these weights."""
    cells, p = problem.cells, x.shape[2]
    first, pattern = _patterns(problem, weights)
    order = np.argsort(pattern, kind="stable")
    starts = np.searchsorted(pattern[order], np.arange(first.size + 1))
    coef = np.zeros((cells, p))
    centre = np.zeros((cells, p))
    rank = np.zeros(cells, np.int64)
    mass = weights.sum(axis=1)
    mean = (weights * y).sum(axis=1) / np.where(mass > 0.0, mass, 1.0)
    centred = np.where(weights > 0.0, y - mean[:, None], 0.0)
    step = max(1, _STACK // max(x.shape[1] * p, 1))
    for low in range(0, first.size, step):
        block = first[low : low + step]
        designs = x[block if problem.group is None else problem.group[block]]
        centres, pseudo, ranks = _pseudo_inverses(designs, weights[block])
        members = order[starts[low] : starts[low + block.size]]
        local = pattern[members] - low
        centre[members], rank[members] = centres[local], ranks[local]
        if members.size == block.size:
            coef[members] = np.einsum("mpn,mn->mp", pseudo[local], centred[members])
        else:
            for a in range(block.size):
                same = order[starts[low + a] : starts[low + a + 1]]
                coef[same] = centred[same] @ pseudo[a].T
    return mean - (coef * centre).sum(axis=1), coef, rank, mean


def _link(problem: Problem, x: np.ndarray, intercept: np.ndarray, coef: np.ndarray) -> np.ndarray:
    out = np.empty_like(problem.y)
    if problem.group is None:
        np.einsum("cnp,cp->cn", x, coef, out=out)
    else:
        for design in range(x.shape[0]):
            same = problem.group == design
            out[same] = coef[same] @ x[design].T
    return out + intercept[:, None]


def solve_least_squares(problem: Problem, *, keep_predictions: bool, keep_folds: bool) -> GlmPath:
    """Fit every cell and fold by weighted least squares.

    Where columns are dependent the solution has the smallest norm, in columns of unit norm: beta = A^+ (y -
    mean y) with A the centred design under square-root weights and A^+ from its singular values.
    """
    x = problem.x.astype(np.float64)
    x = np.where(np.isfinite(x).all(axis=2, keepdims=True), x, 0.0)
    weights = problem.weights
    y = problem.y - problem.offset
    cells = problem.cells
    p, folds = x.shape[2], problem.folds.shape[0]
    intercept, coef, rank, mean = _fit_weights(problem, weights, x, y)
    residual = np.where(weights > 0.0, y - _link(problem, x, intercept, coef), 0.0)
    null = np.where(weights > 0.0, y - mean[:, None], 0.0)
    empty = weights.sum(axis=1) == 0.0
    status = np.where(empty, GlmStatus.EMPTY, np.where(rank < p, GlmStatus.RANK_DEFICIENT, 0)).astype(
        np.uint8
    )
    kkt = _violation(problem, x, weights, residual, null)
    for array in (intercept, coef):
        array[empty] = np.nan
    made: Folds | None = None
    if folds:
        made = _fit_folds(problem, weights, x, y, keep_predictions=keep_predictions, keep_folds=keep_folds)
    return GlmPath(
        family="gaussian",
        intercept=intercept[:, None],
        coef=coef[:, None],
        lambdas=np.zeros((cells, 1)),
        deviance=np.where(empty, np.nan, (weights * residual**2).sum(axis=1))[:, None],
        null_deviance=np.where(empty, np.nan, (weights * null**2).sum(axis=1)),
        kkt=np.where(empty, np.nan, kkt)[:, None],
        iterations=np.ones((cells, 1), np.int32),
        status=status[:, None],
        folds=made,
    )


def _violation(
    problem: Problem, x: np.ndarray, weights: np.ndarray, residual: np.ndarray, null: np.ndarray
) -> np.ndarray:
    """Largest gradient left, over the null model's."""
    spread = x.std(axis=1)
    scale = np.where(spread > 0.0, spread, 1.0)
    if problem.group is None:
        left = np.einsum("cn,cnp->cp", weights * residual, x) / scale
        start = np.einsum("cn,cnp->cp", weights * null, x) / scale
    else:
        left, start = np.zeros((2, problem.cells, x.shape[2]))
        for design in range(x.shape[0]):
            same = problem.group == design
            left[same] = (
                (weights[same] * residual[same]) @ (x[design] - x[design].mean(axis=0)) / scale[design]
            )
            start[same] = (weights[same] * null[same]) @ (x[design] - x[design].mean(axis=0)) / scale[design]
    unit = np.abs(start).max(axis=1, initial=0.0)
    return np.abs(left).max(axis=1, initial=0.0) / np.where(unit > 0.0, unit, 1.0)


def _fit_folds(
    problem: Problem,
    weights: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    *,
    keep_predictions: bool,
    keep_folds: bool,
) -> Folds:
    cells, n = y.shape
    p, folds = x.shape[2], problem.folds.shape[0]
    deviance, null_deviance = np.zeros((2, cells, folds))
    status = np.zeros((cells, folds), np.uint8)
    prediction, null_prediction = np.full((2, cells, n), np.nan)
    intercepts = np.zeros((cells, folds if keep_folds else 0))
    coefs = np.zeros((cells, folds if keep_folds else 0, p))
    for f, train in enumerate(problem.folds):
        inside = weights * train
        intercept, coef, rank, mean = _fit_weights(problem, inside, x, y)
        blind = inside.sum(axis=1) == 0.0
        intercept[blind], mean[blind] = np.nan, np.nan
        out = (weights > 0.0) & (train == 0.0)
        link = _link(problem, x, intercept, coef)
        held = np.where(out, weights, 0.0)
        deviance[:, f] = (held * (y - link) ** 2).sum(axis=1)
        null_deviance[:, f] = (held * (y - mean[:, None]) ** 2).sum(axis=1)
        status[:, f] = np.where(blind, GlmStatus.EMPTY, np.where(rank < p, GlmStatus.RANK_DEFICIENT, 0))
        prediction = np.where(out, link + problem.offset, prediction)
        null_prediction = np.where(out, mean[:, None] + problem.offset, null_prediction)
        if keep_folds:
            intercepts[:, f], coefs[:, f] = intercept, coef
    return Folds(
        train=problem.folds,
        weight=weights @ (1.0 - problem.folds).T,
        deviance=deviance[..., None],
        null_deviance=null_deviance,
        kkt=np.zeros((cells, folds)),
        status=status,
        prediction=prediction[:, None] if keep_predictions else None,
        null_prediction=null_prediction if keep_predictions else None,
        intercept=intercepts[..., None] if keep_folds else None,
        coef=coefs[:, :, None] if keep_folds else None,
    )
