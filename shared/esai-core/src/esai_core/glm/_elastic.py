"""Elastic-net paths of one-response families, cell by cell: the compiled proximal-Newton kernel.

For each cell the kernel minimises, over the intercept b and the coefficients beta,

    sum_i w_i loss(y_i, b + o_i + x_i' beta) / sum_i w_i
        + lambda sum_j f_j (alpha s_j |beta_j| + (1 - alpha) (s_j beta_j)^2 / 2)

with loss (y - eta)^2 / 2 (gaussian), exp(eta) - y eta (poisson) or log(1 + exp(eta)) - y eta (binomial), f
the penalty factors and s the scales (weighted standard deviations, or 1). Each step solves the l1-penalised
second-order model exactly on a working set and backtracks on the objective (Lee, Sun & Saunders 2014, SIAM J.
Optim. 24, 1420-1443); the working set starts from the sequential strong rule (Tibshirani et al. 2012, JRSS-B
74, 245-266) and takes in every column that violates its subgradient condition, so the solution found
satisfies the conditions of the whole design.
"""

# Kernels are typed by numba at the call.
# mypy: allow-untyped-defs

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esai_core.glm._numeric import GAP, dot, exponential, jit, logarithm, solve_quadratic, total

GAUSSIAN, POISSON, BINOMIAL = 0, 1, 2

NOT_CONVERGED, SEPARATED, DEGENERATE, EMPTY = 1, 2, 4, 8


class Work(NamedTuple):
    """Scratch of one kernel call."""

    # over rows
    eta: np.ndarray
    mu: np.ndarray
    curvature: np.ndarray
    residual: np.ndarray
    trial: np.ndarray
    move: np.ndarray
    ratio: np.ndarray
    logs: np.ndarray
    # over columns
    beta: np.ndarray
    gradient: np.ndarray
    l1: np.ndarray
    l2: np.ndarray
    scale: np.ndarray
    usable: np.ndarray
    # over the working set
    column: np.ndarray
    z: np.ndarray
    z_gradient: np.ndarray
    z_l1: np.ndarray
    z_l2: np.ndarray
    gram: np.ndarray
    factor: np.ndarray
    right: np.ndarray
    rhs: np.ndarray
    diagonal: np.ndarray
    support: np.ndarray
    cross: np.ndarray
    # scalars, see below
    state: np.ndarray


#: Positions in Work.state.
_B0, _LOSS, _LAST_MOVE, _UNIT, _LEVEL, _NULL = 0, 1, 2, 3, 4, 5


def make_work(n: int, p: int) -> Work:
    """Allocate the scratch for designs of n rows and p columns."""
    vectors = {name: np.zeros((n if at < 8 else p) + GAP) for at, name in enumerate(Work._fields)}
    vectors |= {name: np.zeros((p + GAP, p)) for name in ("gram", "factor")}
    vectors |= {name: np.zeros(p + GAP, np.int64) for name in ("column", "support", "usable")}
    return Work(**vectors | {"state": np.zeros(GAP)})


@jit
def means(family, eta, mu, ratio, n):
    """Inverse link: mu[:n] from eta[:n]."""
    if family == GAUSSIAN:
        for i in range(n):
            mu[i] = eta[i]
    elif family == POISSON:
        exponential(eta, mu, n)
    else:
        for i in range(n):
            ratio[i] = -abs(eta[i])
        exponential(ratio, mu, n)
        for i in range(n):
            small = mu[i] / (1.0 + mu[i])
            mu[i] = 1.0 - small if eta[i] > 0.0 else small


@jit
def mean_loss(family, y, w, eta, mu, work, n):
    """Weighted sum of the losses of the module's head."""
    value = 0.0
    if family == GAUSSIAN:
        for i in range(n):
            value += 0.5 * w[i] * (y[i] - eta[i]) * (y[i] - eta[i])
    elif family == POISSON:
        for i in range(n):
            value += w[i] * (mu[i] - y[i] * eta[i])
    else:
        for i in range(n):  # log(1 + exp(eta)) = max(eta, 0) - log(max(mu, 1 - mu))
            work.ratio[i] = max(mu[i], 1.0 - mu[i])
        logarithm(work.ratio, work.logs, n)
        for i in range(n):
            value += w[i] * (max(eta[i], 0.0) - work.logs[i] - y[i] * eta[i])
    return value


@jit
def _set_residual(family, y, w, work, n):
    """Working weights (second derivatives) and residuals (minus first derivatives) from the means."""
    for i in range(n):
        work.residual[i] = w[i] * (y[i] - work.mu[i])
    if family == GAUSSIAN:
        for i in range(n):
            work.curvature[i] = w[i]
    elif family == POISSON:
        for i in range(n):
            work.curvature[i] = w[i] * work.mu[i]
    else:
        for i in range(n):
            work.curvature[i] = w[i] * work.mu[i] * (1.0 - work.mu[i])


@jit
def _working_set(design, work, strong, n, p):
    """Fill work.gradient and work.column; returns (size of the set, largest violation, intercept's slope).

    work.state[_LEVEL] 0 takes every usable column, 1 only the unpenalised ones, 2 none. A violation is
    measured in the units of lambda: the gradient of a coefficient of unit scale.
    """
    slope = total(work.residual, n)
    worst = abs(slope)
    m = 0
    level = work.state[_LEVEL]
    if level == 2.0:
        return m, worst, slope
    for j in range(p):
        if work.usable[j] == 0 or (level == 1.0 and work.l1[j] + work.l2[j] > 0.0):
            continue
        g = dot(design[j], work.residual, n)
        beta = work.beta[j]
        l1 = work.l1[j]
        if beta != 0.0 or l1 == 0.0:
            g -= work.l2[j] * beta
            miss = abs(g - l1) if beta > 0.0 else abs(g + l1) if beta < 0.0 else abs(g)
            take = True
        else:
            miss = abs(g) - l1
            take = miss > 0.0 or abs(g) >= strong * l1
        work.gradient[j] = g
        if take:
            work.column[m] = j
            m += 1
            worst = max(worst, miss / work.scale[j])
    return m, worst, slope


@jit
def _newton_direction(design, work, m, slope, tolerance, n):
    """Exact proximal-Newton target on the working set, left in work.z; returns the intercept's step."""
    mass = total(work.curvature, n)
    for a in range(m):
        j = work.column[a]
        column = design[j]
        moment = 0.0
        for i in range(n):
            work.trial[i] = work.curvature[i] * column[i]
            moment += work.trial[i]
        work.cross[a] = moment
        for b in range(a + 1):
            value = dot(work.trial, design[work.column[b]], n) - moment * work.cross[b] / mass
            work.gram[a, b] = value
            work.gram[b, a] = value
        work.z[a] = work.beta[j]
        work.z_l1[a] = work.l1[j]
        work.z_l2[a] = work.l2[j]
        # The intercept is eliminated: its own optimum given z is put in (Schur complement).
        work.z_gradient[a] = work.gradient[j] - moment * slope / mass
    if m > 0:
        solve_quadratic(
            work.gram, work.z_l1, work.z_l2, work.z, work.z_gradient, m, tolerance,
            work.factor, work.right, work.rhs, work.diagonal, work.support,
        )  # fmt: skip
    step = slope
    for a in range(m):
        step -= work.cross[a] * (work.z[a] - work.beta[work.column[a]])
    return step / mass


@jit
def _line_search(family, design, y, w, offset, work, m, slope, step, n):
    """Backtrack from the full step until the objective falls enough; returns False when it cannot."""
    for i in range(n):
        work.move[i] = step
    decrease = -slope * step
    penalty = 0.0
    for a in range(m):
        j = work.column[a]
        old, new = work.beta[j], work.z[a]
        if new != old:
            column = design[j]
            for i in range(n):
                work.move[i] += (new - old) * column[i]
            # work.gradient holds the smooth part's slope with the ridge term in it.
            decrease += work.l1[j] * (abs(new) - abs(old)) - (new - old) * work.gradient[j]
        penalty += work.l1[j] * abs(old) + 0.5 * work.l2[j] * old * old
    largest = 0.0
    for i in range(n):
        if w[i] > 0.0:
            largest = max(largest, abs(work.move[i]))
    work.state[_LAST_MOVE] = largest
    start = work.state[_LOSS] + penalty
    noise = 1e-13 * abs(start)
    t = 1.0
    for _ in range(40):
        for i in range(n):
            work.trial[i] = work.eta[i] + t * work.move[i]
        means(family, work.trial, work.mu, work.ratio, n)
        loss = mean_loss(family, y, w, work.trial, work.mu, work, n)
        value = loss
        for a in range(m):
            j = work.column[a]
            beta = work.beta[j] + t * (work.z[a] - work.beta[j])
            value += work.l1[j] * abs(beta) + 0.5 * work.l2[j] * beta * beta
        if value <= start + 1e-4 * t * decrease + noise:
            for a in range(m):
                j = work.column[a]
                work.beta[j] = work.z[a] if t == 1.0 else work.beta[j] + t * (work.z[a] - work.beta[j])
            work.state[_B0] += t * step
            work.state[_LOSS] = loss
            for i in range(n):
                work.eta[i] = work.trial[i]
            return True
        t *= 0.5
    means(family, work.eta, work.mu, work.ratio, n)
    return False


@jit
def minimise(family, design, y, w, offset, work, lam, strong, tolerance, max_iterations, n, p):
    """Bring work.beta and the intercept to the optimum at the penalties in work.l1 and work.l2.

    Returns (violation / unit, iterations, status), the unit being lambda, or the null model's largest
    gradient (work.state[_UNIT]) where lambda is 0.
    """
    set_eta(design, offset, work, n, p)
    means(family, work.eta, work.mu, work.ratio, n)
    work.state[_LOSS] = mean_loss(family, y, w, work.eta, work.mu, work, n)
    work.state[_LAST_MOVE] = 0.0
    unit = lam if lam > 0.0 else work.state[_UNIT]
    enough = max(tolerance * min(unit, work.state[_UNIT]), 1e-13 * work.state[_UNIT])
    violation = 0.0
    iterations = 0
    while True:
        _set_residual(family, y, w, work, n)
        m, violation, slope = _working_set(design, work, strong, n, p)
        if violation <= enough or iterations == max_iterations:
            break
        if not total(work.curvature, n) > 0.0:
            break
        iterations += 1
        strong = 1.0
        step = _newton_direction(design, work, m, slope, 0.1 * enough, n)
        if not _line_search(family, design, y, w, offset, work, m, slope, step, n):
            break
    status = 0
    if not violation <= enough:
        status = NOT_CONVERGED
    if family != GAUSSIAN and work.state[_LAST_MOVE] > 0.5:
        for j in range(p):
            if work.usable[j] == 1 and work.l1[j] + work.l2[j] == 0.0 and work.state[_LEVEL] < 2.0:
                status = SEPARATED  # the gradient vanished while the fitted values still ran away
    return (violation / unit if unit > 0.0 else 0.0), iterations, status


@jit
def set_eta(design, offset, work, n, p):
    """Linear predictor of the state in hand."""
    for i in range(n):
        work.eta[i] = work.state[_B0] + offset[i]
    for j in range(p):
        beta = work.beta[j]
        if beta != 0.0:
            column = design[j]
            for i in range(n):
                work.eta[i] += beta * column[i]
