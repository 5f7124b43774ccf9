"""Multinomial logistic regression, cell by cell: the compiled damped-Newton kernel.

For each cell with classes k = 1..K the kernel minimises the ridge-penalised deviance

    - sum_i w_i log p(y_i | x_i) + lambda W sum_k sum_j (s_j beta_kj)^2 / 2,    p(k | x) proportional to
      exp(b_k + x' beta_k)

with W = sum_i w_i. Newton's method runs on the contrasts with one present class, theta_k = beta_k - beta_ref,
in which the symmetric penalty is theta' (I - 11'/K) theta (Krishnapuram et al. 2005, IEEE TPAMI 27, 957-968,
bound the same Hessian; here it is exact), and the result is returned symmetric: the sum over the present
classes is 0, as scikit-learn's.
"""

# Kernels are typed by numba at the call.
# mypy: allow-untyped-defs

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esai_core.glm._elastic import DEGENERATE, EMPTY, NOT_CONVERGED, SEPARATED
from esai_core.glm._numeric import GAP, dot, exponential, jit, logarithm, solve_chosen, total


class Softmax(NamedTuple):
    """Scratch of one kernel call; the Newton system has (classes - 1) (1 + p) unknowns."""

    # (classes, rows), then over rows
    probability: np.ndarray
    residual: np.ndarray
    pair: np.ndarray
    scaled: np.ndarray
    # over the unknowns
    theta: np.ndarray
    start: np.ndarray
    step: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    factor: np.ndarray
    right: np.ndarray
    rhs: np.ndarray
    diagonal: np.ndarray
    chosen: np.ndarray
    ridge: np.ndarray
    # over columns, over classes, over pairs of contrasts
    column_ridge: np.ndarray
    scale: np.ndarray
    present: np.ndarray
    pairs: np.ndarray
    pair_left: np.ndarray
    pair_right: np.ndarray


def make_softmax(rows: int, columns: int, classes: int) -> Softmax:
    """Allocate the scratch for designs of `columns` columns, the first of them the intercept's ones."""
    size = max(classes - 1, 1) * columns
    pairs = -(-classes * (classes - 1) // 6) * 3  # in threes, as set_hessian takes them
    arrays = {name: np.zeros(size + GAP) for name in Softmax._fields}
    arrays |= {name: np.zeros(rows + GAP) for name in ("residual", "pair", "scaled")}
    arrays |= {name: np.zeros((size + GAP, size)) for name in ("hessian", "factor")}
    arrays |= {name: np.zeros(columns + GAP) for name in ("column_ridge", "scale")}
    arrays |= {name: np.zeros(pairs + GAP, np.int64) for name in ("pair_left", "pair_right")}
    arrays |= {"chosen": np.zeros(size + GAP, np.int64), "present": np.zeros(classes + GAP, np.int64)}
    stacks = {"probability": np.zeros((classes + GAP, rows)), "pairs": np.zeros((pairs + GAP, rows))}
    return Softmax(**arrays | stacks)


@jit
def set_probability(design, theta, classes, columns, work, rows):
    """Set the probabilities of the present classes; the last one is the reference at 0."""
    last = classes - 1
    for i in range(rows):
        work.scaled[i] = 1.0
    for k in range(last):
        for i in range(rows):
            work.pair[i] = theta[k * columns]
        for j in range(1, columns):
            slope = theta[k * columns + j]
            if slope != 0.0:
                column = design[j]
                for i in range(rows):
                    work.pair[i] += slope * column[i]
        odds = work.probability[k]
        exponential(work.pair, odds, rows)
        for i in range(rows):
            work.scaled[i] += odds[i]
    for i in range(rows):
        work.scaled[i] = 1.0 / work.scaled[i]
    for k in range(last):
        odds = work.probability[k]
        for i in range(rows):
            odds[i] *= work.scaled[i]
    reference = work.probability[last]
    for i in range(rows):
        reference[i] = work.scaled[i]


@jit
def set_gradient(design, labels, w, strength, classes, columns, work, rows):
    """Set minus the slope in theta; returns its largest entry, in units of coefficients of unit scale."""
    worst = 0.0
    binary = classes == 2
    for k in range(classes - 1):
        label = work.present[k]
        share = work.probability[k]
        for i in range(rows):
            work.residual[i] = w[i] * ((1.0 if labels[i] == label else 0.0) - share[i])
        for j in range(columns):
            pull = 0.0
            if work.column_ridge[j] > 0.0:
                for other in range(classes - 1):
                    pull -= work.theta[other * columns + j] / classes
                pull = work.theta[k * columns + j] + (0.0 if binary else pull)
            value = dot(design[j], work.residual, rows) - strength * work.column_ridge[j] * pull
            work.gradient[k * columns + j] = value
            worst = max(worst, abs(value) / work.scale[j])
    return worst


@jit
def _three_moments(x, z, a, b, c, n):
    """Sum a x z, b x z and c x z in one pass."""
    first, second, third = 0.0, 0.0, 0.0
    for i in range(n):
        product = x[i] * z[i]
        first += product * a[i]
        second += product * b[i]
        third += product * c[i]
    return first, second, third


@jit
def set_hessian(design, w, strength, classes, columns, work, rows):
    """Upper triangle of the Hessian in theta, and its ridge on the diagonal apart."""
    pairs = 0
    for k in range(classes - 1):
        for other in range(k, classes - 1):
            left, right, pair = work.probability[k], work.probability[other], work.pairs[pairs]
            same = 1.0 if k == other else 0.0
            for i in range(rows):
                pair[i] = w[i] * left[i] * (same - right[i])
            work.pair_left[pairs] = k * columns
            work.pair_right[pairs] = other * columns
            pairs += 1
    for j in range(columns):
        for m in range(j, columns):
            shared = strength * work.column_ridge[j] / classes if j == m and classes > 2 else 0.0
            for first in range(0, pairs, 3):
                moments = _three_moments(
                    design[j],
                    design[m],
                    work.pairs[first],
                    work.pairs[first + 1],
                    work.pairs[first + 2],
                    rows,
                )
                for a in range(first, min(first + 3, pairs)):
                    value = moments[a - first] - shared
                    work.hessian[work.pair_left[a] + j, work.pair_right[a] + m] = value
                    work.hessian[work.pair_left[a] + m, work.pair_right[a] + j] = value
    for k in range(classes - 1):
        for j in range(columns):
            work.ridge[k * columns + j] = strength * work.column_ridge[j]


@jit
def newton(design, labels, w, strength, slope, mass, classes, columns, tolerance, max_iterations, work, rows):
    """Damped Newton from work.theta; returns (violation / unit, iterations, status).

    The unit is the ridge's `strength`, or `slope`, the null model's largest gradient, where there is none.

    A step is halved while the slope along it has turned uphill by more than half of what it first fell, which
    needs no logarithm; probabilities in `work` belong to the theta returned.
    """
    size = (classes - 1) * columns
    iterations = 0
    downhill = 0.0
    length = 0.0
    largest = 0.0
    halvings = 0
    violation = 0.0
    free = strength == 0.0
    unit = strength if strength > 0.0 else slope
    enough = max(tolerance * min(unit, slope), 1e-13 * mass)
    while True:
        set_probability(design, work.theta, classes, columns, work, rows)
        violation = set_gradient(design, labels, w, strength, classes, columns, work, rows)
        if downhill > 0.0 and -dot(work.gradient, work.step, size) > 0.5 * downhill and halvings < 30:
            halvings += 1
            length *= 0.5
            for a in range(size):
                work.theta[a] = work.start[a] + length * work.step[a]
            continue
        if violation <= enough or iterations == max_iterations:
            break
        set_hessian(design, w, strength, classes, columns, work, rows)
        for a in range(size):
            work.chosen[a] = a
            work.step[a] = 0.0
        kept = solve_chosen(
            work.hessian, work.ridge, work.gradient, work.chosen, size, work.factor, work.rhs, work.diagonal
        )
        for a in range(kept):
            work.step[work.chosen[a]] = work.rhs[a]
        downhill = dot(work.gradient, work.step, size)
        if not downhill > 0.0:
            break
        iterations += 1
        halvings = 0
        length = 1.0
        largest = 0.0
        for k in range(classes - 1):
            reach = 0.0
            for j in range(columns):
                reach += abs(work.step[k * columns + j])
            largest = max(largest, reach)
        for a in range(size):
            work.start[a] = work.theta[a]
            work.theta[a] += work.step[a]
    status = 0
    if not violation <= enough:
        status = NOT_CONVERGED
    if free and largest > 0.5:
        status = SEPARATED  # the gradient vanished while the coefficients still ran away
    return violation / unit, iterations, status


@jit
def find_present(labels, w, share, work, rows):
    """Weighted class shares; fills work.present and returns how many classes have a row."""
    classes = share.size
    for k in range(classes):
        share[k] = 0.0
    for i in range(rows):
        if w[i] > 0.0:
            share[labels[i]] += w[i]
    mass = total(w, rows)
    count = 0
    for k in range(classes):
        if share[k] > 0.0:
            share[k] /= mass
            work.present[count] = k
            count += 1
    return count


@jit
def set_scale(design, w, base_scale, standardise, columns, work, rows):
    """Set each column's ridge: the square of its weighted standard deviation or of its unit (intercept 0)."""
    mass = total(w, rows)
    work.scale[0] = 1.0
    work.column_ridge[0] = 0.0
    for j in range(1, columns):
        work.scale[j] = base_scale[j - 1]
        if standardise:
            column = design[j]
            centre = dot(column, w, rows) / mass
            spread = 0.0
            for i in range(rows):
                spread += w[i] * (column[i] - centre) * (column[i] - centre)
            work.scale[j] = max(np.sqrt(spread / mass), 1e-7)
        work.column_ridge[j] = work.scale[j] * work.scale[j]


@jit
def unpack(work, classes, columns, intercept, coef):
    """Make symmetric intercepts and coefficients of the contrasts; absent classes have -inf and 0."""
    for k in range(intercept.size):
        intercept[k] = -np.inf
        for j in range(1, columns):
            coef[k, j - 1] = 0.0
    for j in range(columns):
        mean = 0.0
        for k in range(classes - 1):
            mean += work.theta[k * columns + j] / classes
        for k in range(classes):
            value = (work.theta[k * columns + j] if k < classes - 1 else 0.0) - mean
            if j == 0:
                intercept[work.present[k]] = value
            else:
                coef[work.present[k], j - 1] = value


@jit
def null_deviance_of(share, mass):
    """-2 sum w log(share of the row's class) over the rows that gave the shares."""
    value = 0.0
    for k in range(share.size):
        if share[k] > 0.0:
            value -= 2.0 * mass * share[k] * np.log(share[k])
    return value


@jit
def deviance_of(labels, w, classes, work, rows):
    """-2 sum w log p(y) of the fitted probabilities, for labels that are all present."""
    for i in range(rows):
        work.pair[i] = 1.0 if w[i] == 0.0 else 1e-300
    for k in range(classes):
        label = work.present[k]
        fitted = work.probability[k]
        for i in range(rows):
            if labels[i] == label and w[i] > 0.0:
                work.pair[i] = max(fitted[i], 1e-300)
    logarithm(work.pair, work.scaled, rows)
    return -2.0 * dot(w, work.scaled, rows)


@jit
def held_out_deviance(labels, w, fold, classes, share, fitted, work, rows):
    """-2 sum w log p over the rows that a fold leaves out; infinite where it never saw the row's class."""
    value = 0.0
    for i in range(rows):
        if w[i] > 0.0 and fold[i] == 0.0:
            p = 0.0
            if not fitted:
                p = share[labels[i]]
            else:
                for k in range(classes):
                    if work.present[k] == labels[i]:
                        p = work.probability[k, i]
            value -= 2.0 * w[i] * np.log(p)
    return value


@jit
def fit_softmax(
    design, group, labels, weights, folds, base_scale, standardise, lambdas, ratio, absolute, tolerance,
    max_iterations, n, work, w, share, full_theta, intercept, coef, deviance, null_deviance, kkt, iterations,
    status, fold_intercept, fold_coef, fold_deviance, fold_null, fold_kkt, fold_status, prediction,
    null_prediction,
):  # fmt: skip
    """Fit every cell at every lambda, then every fold from the full fit.

    Arrays in: design (groups, 1 + p, rows) with ones first, group (cells,), labels, weights (cells, rows),
    folds (folds, rows), base_scale (groups, p), lambdas (cells, L), the ridge per unit of weight, or of the
    whole sum where `absolute`; NaN in the first asks for a sequence from 1000 times the null model's
    largest gradient.
    Arrays out: intercept (cells, L, classes), coef (cells, L, classes, p), and those of esai_core.glm.result;
    fold_coef and prediction (cells, L, n, classes) may have length 0.
    """
    cells, rows = labels.shape
    columns = design.shape[1]
    count = lambdas.shape[1]
    for c in range(cells):
        x = design[group[c]]
        label, raw = labels[c], weights[c]
        full_classes = 0
        for f in range(-1, folds.shape[0]):
            for i in range(rows):
                w[i] = raw[i] * (folds[f, i] if f >= 0 else 1.0)
            mass = total(w, rows)
            classes = find_present(label, w, share, work, rows)
            state = EMPTY if classes == 0 else DEGENERATE if classes == 1 else 0
            if f < 0:
                full_classes = classes
                null_deviance[c] = null_deviance_of(share, mass)
            else:
                fold_null[c, f] = held_out_deviance(label, raw, folds[f], classes, share, False, work, rows)
            if classes > 0:
                set_scale(x, w, base_scale[group[c]], standardise, columns, work, rows)
                last = share[work.present[classes - 1]]
                for a in range((classes - 1) * columns):
                    work.theta[a] = 0.0
                for k in range(classes - 1):
                    work.theta[k * columns] = np.log(share[work.present[k]] / last)
                set_probability(x, work.theta, classes, columns, work, rows)
            unit = set_gradient(x, label, w, 0.0, classes, columns, work, rows) if state == 0 else 0.0
            if f < 0 and np.isnan(lambdas[c, 0]) and state == 0:
                for k in range(count):
                    lambdas[c, k] = 1e3 * unit / mass * ratio ** (k / max(count - 1, 1))
            if f >= 0 and null_prediction.shape[1] > 0:
                for i in range(n):
                    if folds[f, i] == 0.0 and raw[i] > 0.0:
                        for a in range(share.size):
                            null_prediction[c, i, a] = share[a] if classes > 0 else np.nan
            for k in range(count):
                strength = lambdas[c, k] * (1.0 if absolute else mass)
                miss, steps, done = 0.0, 0, state
                if state == 0:
                    if f >= 0 and classes == full_classes and not status[c, k] & SEPARATED:
                        for a in range((classes - 1) * columns):
                            work.theta[a] = full_theta[k, a]
                    miss, steps, done = newton(
                        x, label, w, strength, max(unit, 1e-8 * mass), mass, classes, columns, tolerance,
                        max_iterations, work, rows,
                    )  # fmt: skip
                if f < 0:
                    for a in range((classes - 1) * columns):
                        full_theta[k, a] = work.theta[a]
                    unpack(work, classes, columns, intercept[c, k], coef[c, k])
                    deviance[c, k] = deviance_of(label, raw, classes, work, rows)
                    kkt[c, k], iterations[c, k], status[c, k] = miss, steps, done
                    continue
                fold_kkt[c, f] = max(fold_kkt[c, f], miss)
                fold_status[c, f] |= done
                fold_deviance[c, f, k] = held_out_deviance(
                    label, raw, folds[f], classes, share, True, work, rows
                )
                if fold_coef.shape[1] > 0:
                    unpack(work, classes, columns, fold_intercept[c, f, k], fold_coef[c, f, k])
                if prediction.shape[1] > 0:
                    for i in range(n):
                        if folds[f, i] == 0.0 and raw[i] > 0.0:
                            for a in range(share.size):
                                prediction[c, k, i, a] = 0.0 if classes > 0 else np.nan
                            for a in range(classes):
                                prediction[c, k, i, work.present[a]] = work.probability[a, i]
