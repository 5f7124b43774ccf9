"""Affine transforms of rasters: places of pixels, and pixels of places."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["from_corner", "shifted", "to_pixels", "to_places"]


def from_corner(x: float, y: float, step: float) -> Any:
    """Give the transform of a north-up raster from its upper left corner and the size of a pixel."""
    from rasterio import Affine

    return Affine(step, 0.0, x, 0.0, -step, y)


def to_places(transform: Any, rows: ArrayLike, columns: ArrayLike) -> tuple[NDArray, NDArray]:
    """Give x and y of rows and columns (whole numbers are corners of pixels)."""
    i, j = np.asarray(rows, dtype=np.float64), np.asarray(columns, dtype=np.float64)
    t = transform
    return t.a * j + t.b * i + t.c, t.d * j + t.e * i + t.f


def to_pixels(transform: Any, x: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray]:
    """Give row and column of places; the inverse of `to_places`."""
    t = transform
    across = np.asarray(x, dtype=np.float64) - t.c
    down = np.asarray(y, dtype=np.float64) - t.f
    area = t.a * t.e - t.b * t.d
    return (t.a * down - t.d * across) / area, (t.e * across - t.b * down) / area


def shifted(transform: Any, row: int, column: int) -> Any:
    """Give the transform of the part of a raster that begins at a pixel."""
    from rasterio import Affine

    x, y = to_places(transform, row, column)
    t = transform
    return Affine(t.a, t.b, float(x), t.d, t.e, float(y))
