"""The cell loop over elastic-net paths: full fit, then every fold warm-started from it."""

# Kernels are typed by numba at the call.
# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from esai_core.glm._elastic import (
    _B0,
    _LEVEL,
    _NULL,
    _UNIT,
    BINOMIAL,
    DEGENERATE,
    EMPTY,
    GAUSSIAN,
    POISSON,
    SEPARATED,
    means,
    minimise,
    set_eta,
)
from esai_core.glm._numeric import dot, jit, total


@jit
def unit_deviance(family, y, eta, mu):
    """Deviance of one row of weight 1; y log y is 0 at y = 0."""
    if family == GAUSSIAN:
        return (y - mu) * (y - mu)
    if family == POISSON:
        return 2.0 * ((y * (np.log(y) - eta) if y > 0.0 else 0.0) - y + mu)
    if not np.isfinite(eta):
        return 0.0 if (eta > 0.0 and y == 1.0) or (eta < 0.0 and y == 0.0) else np.inf
    value = max(eta, 0.0) + np.log1p(np.exp(-abs(eta))) - y * eta
    if 0.0 < y < 1.0:
        value += y * np.log(y) + (1.0 - y) * np.log1p(-y)
    return 2.0 * value


@jit
def deviance_of(family, y, w, work, n):
    """Deviance of the fitted state over rows of (unnormalised) weight w."""
    value = 0.0
    for i in range(n):
        if w[i] > 0.0:
            value += w[i] * unit_deviance(family, y[i], work.eta[i], work.mu[i])
    return value


@jit
def prepare(family, design, y, w, offset, factors, base_scale, standardise, work, n, p):
    """Scales, usable columns and the null model of one weighting; returns its status.

    Leaves the null model's intercept, loss and largest gradient (the unit of an unpenalised fit) in
    work.state and beta at 0. `w` sums to 1 over the rows in use, or to 0 where there are none.
    """
    for j in range(p):
        work.beta[j] = 0.0
    work.state[_B0] = 0.0
    work.state[_UNIT] = 0.0
    work.state[_NULL] = np.nan
    if total(w, n) == 0.0:
        return EMPTY
    low, high, mean, size = np.inf, -np.inf, 0.0, 0.0
    for i in range(n):
        if w[i] > 0.0:
            low = min(low, y[i])
            high = max(high, y[i])
            mean += w[i] * y[i]
            size += w[i] * np.exp(offset[i]) if family == POISSON else 0.0
    if family == GAUSSIAN:
        for i in range(n):
            work.state[_B0] -= w[i] * offset[i]
        work.state[_B0] += mean
    elif family == POISSON:
        if high == 0.0:
            work.state[_B0] = work.state[_NULL] = -np.inf
            return DEGENERATE
        work.state[_B0] = np.log(mean) - np.log(size)
    else:
        if high == 0.0 or low == 1.0:
            work.state[_B0] = work.state[_NULL] = -np.inf if high == 0.0 else np.inf
            return DEGENERATE
        work.state[_B0] = np.log(mean) - np.log1p(-mean)
    for j in range(p):
        column = design[j]
        centre = dot(column, w, n)
        spread = 0.0
        for i in range(n):
            spread += w[i] * (column[i] - centre) * (column[i] - centre)
        spread = np.sqrt(spread)
        # Columns of the design have unit spread over all rows: below 1e-7 they are constant over these.
        work.usable[j] = 1 if spread > 1e-7 and np.isfinite(factors[j]) else 0
        work.scale[j] = spread if standardise else base_scale[j]
        work.l1[j] = work.l2[j] = 0.0
    return 0


@jit
def start_path(family, design, y, w, offset, factors, alpha, work, tolerance, max_iterations, n, p):
    """Fit the null model, then the unpenalised columns; returns the smallest lambda that keeps all else at 0.

    Sets the null intercept and the largest gradient there, the unit of an unpenalised fit, in work.state.
    """
    work.state[_UNIT] = 1.0
    largest, scatter = 0.0, 0.0
    for i in range(n):
        scatter += w[i] * abs(y[i])
    free = False
    for j in range(p):
        free |= factors[j] == 0.0 and work.usable[j] == 1
        work.l1[j] = factors[j]
    for stage in range(2):
        # Only a binomial null model with an offset has no closed form; prepare() left the others at theirs.
        work.state[_LEVEL] = 2.0 - stage
        if (stage == 1 and free) or (stage == 0 and family == BINOMIAL):
            minimise(family, design, y, w, offset, work, 0.0, 1.0, tolerance, max_iterations, n, p)
        if stage == 0:
            work.state[_NULL] = work.state[_B0]
        set_eta(design, offset, work, n, p)
        means(family, work.eta, work.mu, work.ratio, n)
        for i in range(n):
            work.residual[i] = w[i] * (y[i] - work.mu[i])
        unit, largest = 0.0, 0.0
        for j in range(p):
            if work.usable[j] == 1:
                slope = abs(dot(design[j], work.residual, n)) / work.scale[j]
                unit = max(unit, slope)
                if factors[j] > 0.0:
                    largest = max(largest, slope / (max(alpha, 1e-3) * factors[j]))
        if stage == 0:
            work.state[_UNIT] = max(unit, 1e-8 * scatter)  # below that is rounding
    return largest if largest > 1e-13 * scatter else np.nan


@jit
def set_null(family, offset, state, work, n):
    """Means of the null model; exactly 0 or 1 where every response is."""
    for i in range(n):
        work.eta[i] = work.state[_NULL] + offset[i]
    means(family, work.eta, work.mu, work.ratio, n)
    if state == DEGENERATE:
        for i in range(n):
            work.mu[i] = 0.0 if work.state[_NULL] < 0.0 else 1.0


@jit
def _penalise(lam, alpha, factors, work, p):
    for j in range(p):
        weight = lam * factors[j] if np.isfinite(factors[j]) else 0.0
        work.l1[j] = alpha * weight * work.scale[j]
        work.l2[j] = (1.0 - alpha) * weight * work.scale[j] * work.scale[j]


@jit
def fit_cells(
    family, design, group, y, weights, offset, folds, factors, base_scale, standardise, alpha, lambdas, ratio,
    absolute, tolerance, max_iterations, n, work, w, full_b0, full_beta, intercept, coef, deviance,
    null_deviance, kkt, iterations, status, fold_intercept, fold_coef, fold_deviance, fold_null, fold_kkt,
    fold_status, prediction, null_prediction, selected,
):  # fmt: skip
    """Fit every cell: the path on all rows, then on the rows of each fold.

    Arrays in: design (groups, p, rows), group (cells,), y, weights, offset (cells, rows), folds (folds,
    rows), factors (1 or cells, 1 or 1 + folds, p), base_scale (groups, p), lambdas (cells, L; NaN in the
    first asks for the geometric sequence from the smallest lambda with an empty model, which is written
    there). Rows past n are padding of weight 0. Arrays out are described in esai_core.glm.result; fold_coef
    and prediction may have length 0.
    """
    cells, rows = y.shape
    p = design.shape[1]
    count = lambdas.shape[1]
    for c in range(cells):
        x = design[group[c]]
        base = base_scale[group[c]]
        target, shift, raw = y[c], offset[c], weights[c]
        for f in range(-1, folds.shape[0]):
            factor = factors[c % factors.shape[0], (f + 1) % factors.shape[1]]
            inside = 0.0
            for i in range(rows):
                w[i] = raw[i] * (folds[f, i] if f >= 0 else 1.0)
                inside += w[i]
            if inside > 0.0:
                for i in range(rows):
                    w[i] /= inside
            state = prepare(family, x, target, w, shift, factor, base, standardise, work, rows, p)
            largest = np.nan
            if state == 0:
                largest = start_path(
                    family, x, target, w, shift, factor, alpha, work, tolerance, max_iterations, rows, p
                )
            set_null(family, shift, state, work, rows)
            if f < 0:
                null_deviance[c] = deviance_of(family, target, raw, work, rows)
            else:
                fold_null[c, f] = 0.0
                for i in range(n):
                    if raw[i] > 0.0 and folds[f, i] == 0.0:
                        fold_null[c, f] += raw[i] * unit_deviance(family, target[i], work.eta[i], work.mu[i])
                        if null_prediction.shape[1] > 0:
                            null_prediction[c, i] = work.mu[i]
            if f < 0 and np.isnan(lambdas[c, 0]) and state == 0:
                for k in range(count):
                    lambdas[c, k] = largest * ratio ** (k / max(count - 1, 1))
            for k in range(count):
                lam = lambdas[c, k] / (inside if absolute else 1.0)
                done, miss, steps = state, 0.0, 0
                if state == 0 and lam >= 0.0:
                    if f >= 0 and not status[c, k] & SEPARATED:
                        work.state[_B0] = full_b0[k]
                        for j in range(p):
                            work.beta[j] = full_beta[k, j] if work.usable[j] == 1 else 0.0
                    work.state[_LEVEL] = 0.0
                    _penalise(lam, alpha, factor, work, p)
                    strong = 2.0 - lambdas[c, k - 1] / lambdas[c, k] if k > 0 and lam > 0.0 and f < 0 else 1.0
                    miss, steps, done = minimise(
                        family, x, target, w, shift, work, lam, strong, tolerance, max_iterations, rows, p
                    )
                elif state == 0:
                    done = DEGENERATE
                if f < 0:
                    for j in range(p):
                        full_beta[k, j] = work.beta[j]
                        coef[c, k, j] = work.beta[j]
                    full_b0[k] = work.state[_B0]
                    intercept[c, k] = work.state[_B0] if state != EMPTY else np.nan
                    deviance[c, k] = (
                        null_deviance[c] if state != 0 else deviance_of(family, target, raw, work, rows)
                    )
                    kkt[c, k], iterations[c, k], status[c, k] = miss, steps, done
                    continue
                fold_kkt[c, f] = max(fold_kkt[c, f], miss)
                fold_status[c, f] |= done
                value = 0.0
                for i in range(n):
                    if raw[i] > 0.0 and folds[f, i] == 0.0:
                        value += raw[i] * unit_deviance(family, target[i], work.eta[i], work.mu[i])
                        if prediction.shape[1] > 0:
                            prediction[c, k, i] = work.mu[i]
                fold_deviance[c, f, k] = value
                for j in range(p):
                    if work.beta[j] != 0.0:
                        selected[c, k, j] += 1
                if fold_coef.shape[1] > 0:
                    fold_intercept[c, f, k] = work.state[_B0] if state != EMPTY else np.nan
                    for j in range(p):
                        fold_coef[c, f, k, j] = work.beta[j]
