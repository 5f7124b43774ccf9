"""Compiled kernels over ensembles. They read the members where they lie, with no transposed copy.

An ensemble is seen as `(outer, member, inner)`: what lies before, along and after the member axis in memory.
Cells are taken in tiles. A tile is sorted by one sorting network for all of its cells at a time, so that each
compare-exchange is a minimum and a maximum over neighbouring cells, which the compiler turns into SIMD.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

TILE_VALUES = 12288  # float64 values in a tile: 96 kB, long runs of memory within the second-level cache


@lru_cache(maxsize=32)
def sorting_network(size: int) -> np.ndarray:
    """Return the compare-exchange pairs that sort `size` values, shape (n, 2).

    Batcher's merge exchange, for any size (Knuth, The Art of Computer Programming 3, algorithm 5.2.2M).
    """
    pairs = []
    top = 1 << max((size - 1).bit_length() - 1, 0)
    p = top
    while p > 0 and size > 1:
        q, r, d = top, 0, p
        while True:
            pairs += [(i, i + d) for i in range(size - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


@njit(nogil=True, cache=True, fastmath={"contract"})
def crps_cells(
    members: np.ndarray, observed: np.ndarray, network: np.ndarray, fair: bool, out: np.ndarray
) -> None:
    """Fill `out` (outer, inner) with the CRPS of `members` (outer, member, inner) against `observed`.

    NaN members are left out of their case: they sort last, as infinities, and get no weight.
    """
    outer, size, inner = members.shape
    width = max(8, min(256, TILE_VALUES // size))
    buffer = np.empty((size, width), dtype=np.float64)
    count = np.empty(width, dtype=np.float64)
    total = np.empty(width, dtype=np.float64)
    spread = np.empty(width, dtype=np.float64)
    truth = np.empty(width, dtype=np.float64)
    cells = outer * inner
    for first in range(0, cells, width):
        n = min(width, cells - first)
        row, column = first // inner, first % inner
        count[:n] = 0.0
        total[:n] = 0.0
        spread[:n] = 0.0
        if column + n <= inner:
            for b in range(n):
                truth[b] = observed[row, column + b]
            for i in range(size):
                for b in range(n):
                    z = np.float64(members[row, i, column + b]) - truth[b]
                    buffer[i, b] = z if z == z else np.inf
        else:
            for b in range(n):
                truth[b] = observed[(first + b) // inner, (first + b) % inner]
                for i in range(size):
                    z = np.float64(members[(first + b) // inner, i, (first + b) % inner]) - truth[b]
                    buffer[i, b] = z if z == z else np.inf
        for i in range(size):
            for b in range(n):
                z = buffer[i, b]
                real = z < np.inf
                count[b] += 1.0 if real else 0.0
                total[b] += abs(z) if real else 0.0
        for k in range(network.shape[0]):
            low, high = network[k, 0], network[k, 1]
            for b in range(n):
                x, y = buffer[low, b], buffer[high, b]
                buffer[low, b] = x if x < y else y
                buffer[high, b] = y if x < y else x
        for i in range(size):
            for b in range(n):
                z = buffer[i, b]
                spread[b] += (2.0 * i + 1.0 - count[b]) * z if z < np.inf else 0.0
        for b in range(n):
            m = count[b]
            pairs = m * (m - 1.0) if fair else m * m
            value = total[b] / m - spread[b] / pairs if pairs > 0.0 else np.nan
            out[(first + b) // inner, (first + b) % inner] = value if truth[b] == truth[b] else np.nan


@njit(nogil=True, cache=True, fastmath={"contract"})
def moments_cells(members: np.ndarray, mean: np.ndarray, variance: np.ndarray, number: np.ndarray) -> None:
    """Fill mean, unbiased variance and number (outer, inner) of members (outer, member, inner) not NaN."""
    outer, size, inner = members.shape
    width = max(8, min(256, TILE_VALUES // size))
    count = np.empty(width, dtype=np.float64)
    total = np.empty(width, dtype=np.float64)
    square = np.empty(width, dtype=np.float64)
    for row in range(outer):
        for first in range(0, inner, width):
            n = min(width, inner - first)
            count[:n] = 0.0
            total[:n] = 0.0
            square[:n] = 0.0
            for i in range(size):
                for b in range(n):
                    x = np.float64(members[row, i, first + b])
                    count[b] += 1.0 if x == x else 0.0
                    total[b] += x if x == x else 0.0
            for b in range(n):
                total[b] = total[b] / count[b] if count[b] > 0.0 else np.nan
            for i in range(size):
                for b in range(n):
                    d = np.float64(members[row, i, first + b]) - total[b]
                    square[b] += d * d if d == d else 0.0
            for b in range(n):
                mean[row, first + b] = total[b]
                variance[row, first + b] = square[b] / (count[b] - 1.0) if count[b] > 1.0 else np.nan
                number[row, first + b] = count[b]
