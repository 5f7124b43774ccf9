"""Bicubic interpolation between grids that share nodes (Keys 1981, doi:10.1109/TASSP.1981.1163711)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from esai_core.grid import Grid, fill_nearest

__all__ = ["bicubic", "keys_matrix"]

SHARPNESS = -0.5


def keys_matrix(nodes: int, factor: int) -> np.ndarray:
    """Weights ``((nodes - 1) * factor + 1, nodes)`` of cubic convolution; the edge value is repeated.

    Keys's equation 15 with a = -1/2: exact for quadratic fields inside.
    """
    out = np.zeros(((nodes - 1) * factor + 1, nodes))
    for i in range(out.shape[0]):
        x = i / factor
        first = int(np.floor(x)) - 1
        for k in range(first, first + 4):
            d = abs(x - k)
            if d <= 1:
                weight = (SHARPNESS + 2) * d**3 - (SHARPNESS + 3) * d**2 + 1
            elif d < 2:
                weight = SHARPNESS * (d**3 - 5 * d**2 + 8 * d - 4)
            else:
                weight = 0.0
            out[i, min(max(k, 0), nodes - 1)] += weight
    return out


def bicubic(coarse: xr.DataArray, grid: Grid, factor: int) -> xr.DataArray:
    """Interpolate coarse fields to a grid that shares their nodes; gaps are filled with the nearest before.

    Parameters
    ----------
    coarse : DataArray
        ``(..., latitude, longitude)``.
    grid : Grid
        The fine grid.
    factor : int
        Fine steps per coarse step.
    """
    lat, lon = (keys_matrix(coarse.sizes[name], factor) for name in ("latitude", "longitude"))
    values = fill_nearest(coarse).transpose(..., "latitude", "longitude")
    out = np.einsum("ai,...ij,bj->...ab", lat, values.values.astype(float), lon, optimize=True)
    others = {d: values[d] for d in values.dims[:-2] if d in values.coords}
    return xr.DataArray(
        out.astype("float32"), dims=values.dims, coords={**others, **grid.coords()}, attrs=dict(coarse.attrs)
    )
