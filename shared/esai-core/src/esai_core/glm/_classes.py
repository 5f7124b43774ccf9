"""The cell loop over multinomial fits: full fit, then every fold warm-started from it."""

# Kernels are typed by numba at the call.
# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from esai_core.glm._elastic import DEGENERATE, EMPTY, SEPARATED
from esai_core.glm._numeric import dot, jit, logarithm, total
from esai_core.glm._softmax import newton, set_gradient, set_probability


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
def fit_classes(
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
