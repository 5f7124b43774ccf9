"""Compiled building blocks of the per-cell solvers: exponentials, a guarded Cholesky, an exact l1 quadratic.

Everything here works on contiguous float64 scratch that the caller owns, so that a kernel allocates once per
call. A compiled function is cached by the file that defines it: after an edit of this file, delete the
``__pycache__`` of this folder, because the kernels of the neighbouring files hold inlined copies.
"""

# Kernels are typed by numba at the call.
# mypy: allow-untyped-defs

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

#: Not "nnan" or "ninf": the kernels test for both.
FAST_MATH = {"reassoc", "contract", "nsz", "arcp"}


#: Values left free behind every array that kernels read or write. A compiled loop takes its scalar form where
#: two arrays lie within a few vector registers of each other, which changes the last bit: so that results do
#: not depend on where the allocator put things, none may.
GAP = 64


def jit(function: Callable[..., Any] | None = None, *, fast: set[str] | None = None) -> Any:
    """Compile on first call, without the GIL, cached on disk wherever a cache folder can be written."""
    if function is None:
        return lambda plain: jit(plain, fast=fast)
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": FAST_MATH if fast is None else fast,
    }
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:  # numba: "cannot cache function ...: no locator available" (a read-only install)
        return numba.njit(function, **options)


def _generate_power(typing_context: Any, exponent: Any) -> Any:
    """Give 2**exponent from the bits of an int64 exponent in [-1022, 1023]; vectorises, unlike ldexp."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        biased = builder.add(arguments[0], ir.Constant(ir.IntType(64), 1023))
        return builder.bitcast(builder.shl(biased, ir.Constant(ir.IntType(64), 52)), ir.DoubleType())

    return types.float64(types.int64), generate


_power_of_two: Any = intrinsic(_generate_power)


@jit(fast={"contract"})
def exponential(x, out, n):
    """Set out[:n] = exp(x[:n]), saturating at |x| = 700, in vector registers; relative error below 5e-16."""
    for i in range(n):
        value = min(max(x[i], -700.0), 700.0)
        k = np.floor(value * 1.4426950408889634 + 0.5)
        r = (value - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10
        series = 2.08767569878681e-09  # 1 / 12!
        series = series * r + 2.505210838544172e-08
        series = series * r + 2.755731922398589e-07
        series = series * r + 2.755731922398589e-06
        series = series * r + 2.48015873015873e-05
        series = series * r + 0.0001984126984126984
        series = series * r + 0.001388888888888889
        series = series * r + 0.008333333333333333
        series = series * r + 0.041666666666666664
        series = series * r + 0.16666666666666666
        series = series * r + 0.5
        series = series * r + 1.0
        series = series * r + 1.0
        out[i] = series * _power_of_two(np.int64(np.int32(k)))


def _generate_bits(typing_context: Any, value: Any) -> Any:
    """Give the bits of a float64 as an int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


_bits: Any = intrinsic(_generate_bits)


@jit(fast={"contract"})
def logarithm(x, out, n):
    """Set out[:n] = log(x[:n]) for positive normal numbers; relative error below 1e-15 away from x = 1."""
    for i in range(n):
        bits = _bits(x[i])
        # Move the split from 1 to sqrt(1/2), so that the mantissa lies in [0.707, 1.414).
        shifted = bits - 4604544271217802189
        exponent = shifted >> 52
        mantissa = x[i] * _power_of_two(-exponent)
        s = (mantissa - 1.0) / (mantissa + 1.0)
        q = s * s
        series = 0.10526315789473684  # 2 / 19
        series = series * q + 0.11764705882352941
        series = series * q + 0.13333333333333333
        series = series * q + 0.15384615384615385
        series = series * q + 0.18181818181818182
        series = series * q + 0.2222222222222222
        series = series * q + 0.2857142857142857
        series = series * q + 0.4
        series = series * q + 0.6666666666666666
        series = series * q + 2.0
        out[i] = s * series + np.float64(np.int32(exponent)) * 0.6931471805599453


@jit
def dot(a, b, n):
    """Sum of a[i] b[i] over the first n."""
    total = 0.0
    for i in range(n):
        total += a[i] * b[i]
    return total


@jit
def total(a, n):
    """Sum of the first n."""
    value = 0.0
    for i in range(n):
        value += a[i]
    return value


@jit
def standardise_designs(x, first, design, usable, centre, spread):
    """Put the columns of x, centred and scaled to unit spread, into a design for the kernels.

    x is (groups, n, p) and design (groups, first + p, rows). Rows with a value that is not finite are 0
    throughout and get `usable` 0; constant columns have spread 1. `first` leading columns of the design are
    set to 1 (0 on padding).
    """
    groups, n, p = x.shape
    for g in range(groups):
        kept = 0.0
        for i in range(n):
            usable[g, i] = 1.0
            for j in range(p):
                if not np.isfinite(x[g, i, j]):
                    usable[g, i] = 0.0
            kept += usable[g, i]
            for j in range(first):
                design[g, j, i] = 1.0
        for j in range(p):
            column = design[g, first + j]
            mean = 0.0
            for i in range(n):
                column[i] = x[g, i, j] if usable[g, i] == 1.0 else 0.0
                mean += column[i]
            mean /= max(kept, 1.0)
            square = 0.0
            for i in range(n):
                column[i] = (column[i] - mean) * usable[g, i]
                square += column[i] * column[i]
            scale = np.sqrt(square / max(kept, 1.0))
            if not scale > 1e-14 * abs(mean):  # rounding of a constant
                scale = 0.0
            centre[g, j] = mean
            spread[g, j] = scale if scale > 0.0 else 1.0
            inverse = 1.0 / scale if scale > 0.0 else 0.0
            for i in range(n):
                column[i] *= inverse


@jit
def solve_positive(a, b, m, diagonal):
    """Solve a x = b in place (x in b) by a right-looking Cholesky of the upper triangle of a[:m, :m].

    Returns the first pivot below 1e-11 of its `diagonal`, whose column the earlier ones explain, or -1 when
    the system was solved.
    """
    for k in range(m):
        pivot = a[k, k]
        if not pivot > 1e-11 * diagonal[k]:
            return k
        inverse = 1.0 / np.sqrt(pivot)
        for j in range(k, m):
            a[k, j] *= inverse
        b[k] *= inverse
        for i in range(k + 1, m):
            factor = a[k, i]
            b[i] -= factor * b[k]
            for j in range(i, m):
                a[i, j] -= factor * a[k, j]
    for k in range(m - 1, -1, -1):
        total = b[k]
        for j in range(k + 1, m):
            total -= a[k, j] * b[j]
        b[k] = total / a[k, k]
    return -1


@jit
def try_chosen(matrix, ridge, right, chosen, size, work, rhs, diagonal):
    """Solve (matrix + diag(ridge)) x = right on the `size` chosen indices; the solution is in rhs[:size].

    Returns the position of the first index that the earlier ones explain, or -1 when the system was solved.
    """
    for a in range(size):
        j = chosen[a]
        rhs[a] = right[j]
        diagonal[a] = matrix[j, j] + ridge[j]
        for b in range(a, size):
            work[a, b] = matrix[j, chosen[b]]
        work[a, a] += ridge[j]
    return solve_positive(work, rhs, size, diagonal)


@jit
def take_out(chosen, position, size):
    """Remove one entry of chosen[:size]; returns the new size."""
    for a in range(position, size - 1):
        chosen[a] = chosen[a + 1]
    return size - 1


@jit
def solve_chosen(matrix, ridge, right, chosen, size, work, rhs, diagonal):
    """Solve as `try_chosen`, without the indices that earlier ones explain; returns how many are left."""
    while size > 0:
        bad = try_chosen(matrix, ridge, right, chosen, size, work, rhs, diagonal)
        if bad < 0:
            break
        size = take_out(chosen, bad, size)
    return size


@jit
def _support(l1, z, m, support):
    size = 0
    for j in range(m):
        if z[j] != 0.0 or l1[j] == 0.0:
            support[size] = j
            size += 1
    return size


@jit
def _along_null(z, right, l1, work, rhs, support, bad):
    """Set rhs[: bad + 1] to a direction that leaves the fit as it is and does not raise the penalty.

    `work` holds the factor of the columns before the dependent one. Returns False where nothing stops a move.
    """
    rhs[bad] = 1.0
    for k in range(bad - 1, -1, -1):
        value = -work[k, bad]
        for i in range(k + 1, bad):
            value -= work[k, i] * rhs[i]
        rhs[k] = value / work[k, k]
    fall = 0.0
    for a in range(bad + 1):
        fall += right[support[a]] * rhs[a]
    j = support[bad]
    turn = -1.0 if fall < 0.0 or (fall == 0.0 and z[j] > 0.0) else 1.0
    stops = False
    for a in range(bad + 1):
        rhs[a] *= turn
        stops |= l1[support[a]] > 0.0 and z[support[a]] * rhs[a] < 0.0
    return stops


@jit
def _polish(gram, l1, l2, z, gradient, m, work, right, rhs, diagonal, support):
    """Solve exactly on the support of z, keeping its signs: a coefficient that reaches 0 leaves the support.

    So does one whose column the others explain, moved with them along the line on which the fit stays.
    """
    size = _support(l1, z, m, support)
    while size > 0:
        for a in range(size):
            # The step s from z solves (gram + l2) s = gradient - l1 sign(z) on the support.
            j = support[a]
            right[j] = gradient[j] - (l1[j] if z[j] > 0.0 else -l1[j] if z[j] < 0.0 else 0.0)
        bad = try_chosen(gram, l2, right, support, size, work, rhs, diagonal)
        moved, step = size, 1.0
        if bad >= 0:
            if not _along_null(z, right, l1, work, rhs, support, bad):
                size = take_out(support, bad, size)
                continue
            moved, step = bad + 1, np.inf
        blocked = -1
        for a in range(moved):
            j = support[a]
            if l1[j] > 0.0 and z[j] * rhs[a] < 0.0 and -z[j] / rhs[a] <= step:
                step = -z[j] / rhs[a]
                blocked = a
        for a in range(moved):
            j = support[a]
            move = -z[j] if a == blocked else step * rhs[a]
            for i in range(m):
                gradient[i] -= move * gram[j, i]
            gradient[j] -= l2[j] * move
            z[j] = 0.0 if a == blocked else z[j] + move
        if blocked < 0:
            break
        size = take_out(support, blocked, size)


@jit
def _descend(gram, l1, l2, z, gradient, m, j):
    """Minimise over z[j] alone."""
    curvature = gram[j, j] + l2[j]
    if curvature <= 0.0:
        return
    target = curvature * z[j] + gradient[j]
    new = 0.0
    if target > l1[j] * (1.0 + 1e-12):
        new = (target - l1[j]) / curvature
    elif target < -l1[j] * (1.0 + 1e-12):
        new = (target + l1[j]) / curvature
    move = new - z[j]
    if move != 0.0:
        z[j] = new
        for i in range(m):
            gradient[i] -= move * gram[j, i]
        gradient[j] -= l2[j] * move


@jit
def solve_quadratic(gram, l1, l2, z, gradient, m, tolerance, work, right, rhs, diagonal, support):
    """Minimise q(z) + sum l1 |z| over z[:m] for a quadratic q whose Hessian is gram + diag(l2).

    `gradient` holds -q'(z) at the z given and is kept up to date. Coordinate descent (Friedman, Hastie &
    Tibshirani 2010, section 2.2, covariance updates) finds the support; a Cholesky solve on that support, cut
    short where a sign would change, makes it exact. After three rounds of both, only the coefficient that
    violates its condition most is let in before each solve: sweeps would let near copies in and out for ever.
    It ends when no condition is violated by more than `tolerance`, or after 100 + 2 m rounds.
    """
    worst, at = np.inf, 0
    for attempt in range(100 + 2 * m):
        if attempt < 3:
            for _ in range(2):
                for j in range(m):
                    _descend(gram, l1, l2, z, gradient, m, j)
        else:
            _descend(gram, l1, l2, z, gradient, m, at)
        _polish(gram, l1, l2, z, gradient, m, work, right, rhs, diagonal, support)
        worst = 0.0
        for j in range(m):
            if z[j] > 0.0:
                miss = abs(gradient[j] - l1[j])
            elif z[j] < 0.0:
                miss = abs(gradient[j] + l1[j])
            else:
                miss = abs(gradient[j]) - l1[j]
            if miss > worst:
                worst, at = miss, j
        if worst <= tolerance:
            break
