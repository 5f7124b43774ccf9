r"""Pixels of a swath brought to a regular grid by the areas that they share with its cells.

Corners are taken to the cylinder of equal areas, :math:`(\lambda, \sin\varphi)`, where cells are rectangles
and
areas are true ones; a pixel is the quadrilateral of its corners there. Each is cut by the cells that it
touches (Sutherland and Hodgman 1974), and a cell's value is the mean of its pixels with weights
:math:`w_{cp} = |c \cap p|`,

.. math:: \bar v_c = \sum_p w_{cp} v_p \Big/ \sum_p w_{cp},

so that nothing is lost: over a grid that holds all pixels :math:`\sum_c \bar v_c \sum_p w_{cp} = \sum_p |p|
v_p`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from esai_core.errors import UsageError
from esai_core.grid import Grid

__all__ = ["Gridded", "Gridder", "overlaps"]

Array = NDArray[np.float64]
TURN = 2 * math.pi
WIDEST = 60.0
"""Degrees of longitude: a pixel that spans more holds a pole, and is left out."""


@dataclass(frozen=True)
class Gridded:
    """What pixels gave on a grid, arrays ``(latitude, longitude)`` in the order of the grid.

    Attributes
    ----------
    mean : array
        Area-weighted mean, NaN where no pixel is.
    error : array
        Standard error of the mean, of pixels with independent errors.
    weight : array
        Area shared with pixels over the area of the cell; above 1 where pixels overlap.
    count : int array
        Pixels that touch the cell.
    """

    mean: Array
    error: Array
    weight: Array
    count: NDArray[np.int64]


class Gridder:
    """Sums of pixels on a grid, to which swaths are added one after the other.

    Parameters
    ----------
    grid : Grid
        Of cells, ascending or descending.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        lat, lon = grid.latitude_bounds, grid.longitude_bounds
        self._y = _edges(np.sin(np.radians(lat)))
        self._x = _edges(np.radians(lon))
        self._flip = (bool(lat[0, 0] > lat[-1, 0]), bool(lon[0, 0] > lon[-1, 0]))
        self._sums = np.zeros((3, *grid.shape))
        self._count = np.zeros(grid.shape, np.int64)
        self.left_out = 0

    def add(self, latitude: Array, longitude: Array, values: Array, errors: Array | None = None) -> None:
        """Add pixels.

        Parameters
        ----------
        latitude, longitude : array (pixel, 4)
            Corners in order around the pixel, degrees; any convention of longitude.
        values : array (pixel,)
            Pixels with NaN are left out.
        errors : array (pixel,), optional
            Standard errors of the values.
        """
        x, y, kept = _project(latitude, longitude, values, self._x)
        self.left_out += int(np.isfinite(values).sum() - kept.sum())
        error = np.zeros(len(values)) if errors is None else np.nan_to_num(errors)
        _add(
            x[kept], y[kept], np.asarray(values, np.float64)[kept], error[kept], self._x, self._y,
            self._sums, self._count,
        )  # fmt: skip

    def result(self) -> Gridded:
        """Give the means of what was added so far."""
        weight, total, square = self._sums
        some = weight > 0
        area = np.outer(np.diff(self._y), np.diff(self._x))
        safe = np.where(some, weight, 1.0)
        made = (
            np.where(some, total / safe, np.nan),
            np.where(some, np.sqrt(square) / safe, np.nan),
            weight / area,
            self._count.copy(),
        )
        turn = tuple(slice(None, None, -1 if flip else 1) for flip in self._flip)
        return Gridded(*(part[turn] for part in made))


def overlaps(latitude: Array, longitude: Array, grid: Grid) -> tuple[NDArray[np.int64], ...]:
    """Give the shared area of each pixel and each cell that it touches.

    Parameters
    ----------
    latitude, longitude : array (pixel, 4)
        Corners in order around the pixel, degrees.
    grid : Grid
        Of cells, ascending.

    Returns
    -------
    tuple of arrays (pair,)
        Positions of the pixel, the latitude and the longitude, and the shared area on the unit sphere.

    Raises
    ------
    UsageError
        If the grid is not ascending.
    """
    if (np.diff(grid.latitude) < 0).any() or (np.diff(grid.longitude) < 0).any():
        raise UsageError("overlaps needs an ascending grid", remedy="sort it by latitude and longitude")
    x_edges = _edges(np.radians(grid.longitude_bounds))
    y_edges = _edges(np.sin(np.radians(grid.latitude_bounds)))
    x, y, kept = _project(latitude, longitude, np.zeros(len(latitude)), x_edges)
    pixel, row, column, area = _pairs(x[kept], y[kept], x_edges, y_edges)
    return np.flatnonzero(kept)[pixel], row, column, area


def _edges(bounds: Array) -> Array:
    """Make ascending edges (n + 1,) of bounds (n, 2)."""
    low, high = bounds.min(axis=1), bounds.max(axis=1)
    order = np.argsort(low)
    return np.append(low[order], high[order][-1])


def _project(
    latitude: Array, longitude: Array, values: Array, edges: Array
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Take corners to the cylinder, by whole turns near the grid; mark pixels that can be used."""
    lat, lon = np.asarray(latitude, np.float64), np.asarray(longitude, np.float64)
    lon = lon[:, :1] + (lon - lon[:, :1] + 180.0) % 360.0 - 180.0  # whole, also across the dateline
    middle = np.degrees(0.5 * (edges[0] + edges[-1]))
    lon = lon - 360.0 * np.round((lon.mean(axis=1, keepdims=True) - middle) / 360.0)
    kept = np.isfinite(values) & np.isfinite(lat).all(axis=1) & np.isfinite(lon).all(axis=1)
    kept &= np.ptp(lon, axis=1) < WIDEST
    return np.radians(lon), np.sin(np.radians(lat)), kept


@njit(cache=True, nogil=True)
def _clip(
    px: Array, py: Array, count: int, axis: int, bound: float, sign: float, qx: Array, qy: Array
) -> int:
    """Cut a polygon by the half plane ``sign * (coordinate - bound) >= 0``; the number of its corners."""
    made = 0
    for i in range(count):
        j = i + 1 if i + 1 < count else 0
        here = sign * ((px[i] if axis == 0 else py[i]) - bound)
        there = sign * ((px[j] if axis == 0 else py[j]) - bound)
        if here >= 0.0:
            qx[made] = px[i]
            qy[made] = py[i]
            made += 1
        if (here > 0.0 and there < 0.0) or (here < 0.0 and there > 0.0):
            t = here / (here - there)
            qx[made] = px[i] + t * (px[j] - px[i])
            qy[made] = py[i] + t * (py[j] - py[i])
            made += 1
    return made


@njit(cache=True, nogil=True)
def _area(px: Array, py: Array, count: int) -> float:
    total = 0.0
    for i in range(1, count - 1):
        total += (px[i] - px[0]) * (py[i + 1] - py[0]) - (px[i + 1] - px[0]) * (py[i] - py[0])
    return 0.5 * abs(total)


@njit(cache=True, nogil=True)
def _shared(
    x: Array, y: Array, x0: float, x1: float, y0: float, y1: float, work: Array, other: Array
) -> float:
    """Area that a quadrilateral shares with a rectangle."""
    for k in range(4):
        work[0, k] = x[k]
        work[1, k] = y[k]
    count = _clip(work[0], work[1], 4, 0, x0, 1.0, other[0], other[1])
    count = _clip(other[0], other[1], count, 0, x1, -1.0, work[0], work[1])
    count = _clip(work[0], work[1], count, 1, y0, 1.0, other[0], other[1])
    count = _clip(other[0], other[1], count, 1, y1, -1.0, work[0], work[1])
    return _area(work[0], work[1], count)


@njit(cache=True, nogil=True)
def _range(values: Array, edges: Array) -> tuple[int, int]:
    """First and last-but-one cell that corners reach."""
    first = np.searchsorted(edges, values.min(), side="right") - 1
    stop = np.searchsorted(edges, values.max(), side="left")
    return max(first, 0), min(stop, len(edges) - 1)


@njit(cache=True, nogil=True)
def _turns(values: Array, edges: Array) -> tuple[int, int]:
    """Whole turns by which a pixel may be moved and still reach the grid."""
    low = int(np.ceil((edges[0] - values.max()) / TURN))
    high = int(np.floor((edges[-1] - values.min()) / TURN))
    return low, high


@njit(cache=True, nogil=True)
def _add(
    x: Array,
    y: Array,
    values: Array,
    errors: Array,
    x_edges: Array,
    y_edges: Array,
    sums: Array,
    count: Array,
) -> None:
    work, other = np.empty((2, 16)), np.empty((2, 16))
    for p in range(len(values)):
        low, high = _turns(x[p], x_edges)
        r0, r1 = _range(y[p], y_edges)
        for turn in range(low, high + 1):
            moved = x[p] + TURN * turn
            c0, c1 = _range(moved, x_edges)
            for r in range(r0, r1):
                for c in range(c0, c1):
                    area = _shared(
                        moved, y[p], x_edges[c], x_edges[c + 1], y_edges[r], y_edges[r + 1], work, other
                    )
                    if area > 0.0:
                        sums[0, r, c] += area
                        sums[1, r, c] += area * values[p]
                        sums[2, r, c] += (area * errors[p]) ** 2
                        count[r, c] += 1


@njit(cache=True, nogil=True)
def _pairs(x: Array, y: Array, x_edges: Array, y_edges: Array) -> tuple:
    work, other = np.empty((2, 16)), np.empty((2, 16))
    pixels, rows, columns, areas = [0], [0], [0], [0.0]
    for p in range(len(x)):
        low, high = _turns(x[p], x_edges)
        r0, r1 = _range(y[p], y_edges)
        for turn in range(low, high + 1):
            moved = x[p] + TURN * turn
            c0, c1 = _range(moved, x_edges)
            for r in range(r0, r1):
                for c in range(c0, c1):
                    area = _shared(
                        moved, y[p], x_edges[c], x_edges[c + 1], y_edges[r], y_edges[r + 1], work, other
                    )
                    if area > 0.0:
                        pixels.append(p)
                        rows.append(r)
                        columns.append(c)
                        areas.append(area)
    return np.array(pixels[1:]), np.array(rows[1:]), np.array(columns[1:]), np.array(areas[1:])
