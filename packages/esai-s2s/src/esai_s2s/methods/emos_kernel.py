"""Minimum CRPS or RPS of a normal distribution for each cell: BFGS on four numbers, compiled."""

# Kernels are typed by numba at the call.
# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["fit_cells"]

_ROOT2 = math.sqrt(2.0)
_ROOT2PI = math.sqrt(2.0 * math.pi)
_ROOTPI = math.sqrt(math.pi)


@njit(cache=True)
def _loss(theta, x, v, y, t, use_rps, gradient):
    """Return the mean loss over known rows and write its gradient."""
    for a in range(4):
        gradient[a] = 0.0
    total = 0.0
    count = 0
    c, d = math.exp(theta[2]), math.exp(theta[3])
    for i in range(x.shape[0]):
        if math.isnan(x[i]) or math.isnan(v[i]) or math.isnan(y[i]) or math.isnan(t[i, 0]):
            continue
        mu = theta[0] + theta[1] * x[i]
        sigma = math.sqrt(c + d * v[i])
        g_mu = 0.0
        g_sigma = 0.0
        if use_rps:
            for k in range(t.shape[1]):
                if t[i, k] == -math.inf:
                    continue
                u = (t[i, k] - mu) / sigma
                f = 0.5 * math.erfc(-u / _ROOT2)
                density = math.exp(-0.5 * u * u) / _ROOT2PI
                miss = f - (1.0 if y[i] < t[i, k] else 0.0)
                total += miss * miss
                g_mu -= 2.0 * miss * density / sigma
                g_sigma -= 2.0 * miss * density * u / sigma
        else:
            z = (y[i] - mu) / sigma
            below = 0.5 * math.erfc(-z / _ROOT2)
            density = math.exp(-0.5 * z * z) / _ROOT2PI
            total += sigma * (z * (2.0 * below - 1.0) + 2.0 * density - 1.0 / _ROOTPI)
            g_mu -= 2.0 * below - 1.0
            g_sigma += 2.0 * density - 1.0 / _ROOTPI
        gradient[0] += g_mu
        gradient[1] += g_mu * x[i]
        gradient[2] += g_sigma * 0.5 * c / sigma
        gradient[3] += g_sigma * 0.5 * d * v[i] / sigma
        count += 1
    if count == 0:
        return 0.0
    for a in range(4):
        gradient[a] /= count
    return total / count


@njit(cache=True)
def _fit_cell(x, v, y, t, use_rps, theta, iterations):
    """Run BFGS from `theta`, in place; written out, since matrix routines take long to compile."""
    inverse = np.zeros((4, 4))
    for a in range(4):
        inverse[a, a] = 1.0
    gradient, trial_gradient = np.zeros(4), np.zeros(4)
    step, trial, s, q, iq = np.zeros(4), np.zeros(4), np.zeros(4), np.zeros(4), np.zeros(4)
    value = _loss(theta, x, v, y, t, use_rps, gradient)
    for _ in range(iterations):
        slope, largest, steepest = 0.0, 0.0, 0.0
        for a in range(4):
            step[a] = 0.0
            for b in range(4):
                step[a] -= inverse[a, b] * gradient[b]
            slope += step[a] * gradient[a]
            largest = max(largest, abs(step[a]))
            steepest = max(steepest, abs(gradient[a]))
        if steepest < 1e-6 or slope >= 0.0:
            break
        rate = 1.0 if largest <= 1.0 else 1.0 / largest
        moved = False
        for _ in range(30):
            for a in range(4):
                trial[a] = theta[a] + rate * step[a]
                if a > 1:
                    trial[a] = min(max(trial[a], -12.0), 6.0)
            new = _loss(trial, x, v, y, t, use_rps, trial_gradient)
            if new <= value + 1e-4 * rate * slope:
                moved = True
                break
            rate *= 0.5
        if not moved:
            break
        sq = 0.0
        for a in range(4):
            s[a] = trial[a] - theta[a]
            q[a] = trial_gradient[a] - gradient[a]
            sq += s[a] * q[a]
            theta[a] = trial[a]
            gradient[a] = trial_gradient[a]
        value = new
        if sq > 1e-12:
            qiq = 0.0
            for a in range(4):
                iq[a] = 0.0
                for b in range(4):
                    iq[a] += inverse[a, b] * q[b]
                qiq += iq[a] * q[a]
            for a in range(4):
                for b in range(4):
                    inverse[a, b] += (1.0 + qiq / sq) * s[a] * s[b] / sq - (iq[a] * s[b] + s[a] * iq[b]) / sq


@njit(cache=True)
def fit_cells(x, v, y, t, use_rps, iterations):
    """Fit mean a + b x and variance exp(c) + exp(d) v of each cell.

    Parameters
    ----------
    x, v, y : (cells, n)
        Mean and squared spread of the forecast, observation; rows with NaN are left out.
    t : (cells, n, K - 1)
        Thresholds of the RPS; -inf is never undercut.
    use_rps : bool
        RPS, or else CRPS.
    iterations : int
        Steps at most.

    Returns
    -------
    (cells, 4)
        a, b, c, d.
    """
    cells = x.shape[0]
    theta = np.zeros((cells, 4))
    for cell in range(cells):
        theta[cell, 1] = 0.5
        theta[cell, 2] = -0.5
        theta[cell, 3] = -2.0
        _fit_cell(x[cell], v[cell], y[cell], t[cell], use_rps, theta[cell], iterations)
    return theta
