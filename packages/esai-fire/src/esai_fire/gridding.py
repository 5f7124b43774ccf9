"""Area-conserving regridding of what adds up over cells: burned area, dry matter, emissions."""

from __future__ import annotations

import numpy as np
import xarray as xr

from esai_core.errors import InputError, UsageError
from esai_core.grid import Grid, separable_weights

__all__ = ["cells_of", "regrid_total"]

#: A target cell is known in a month in which this share of what is ever known of it is.
KNOWN = 0.95
#: Share of a source cell that the rounding of the outer edges may cut off.
SLIVER = 1e-5


def cells_of(source: Grid, step: float) -> Grid:
    """Cells of a round size that cover a grid: edges are whole multiples of the step (0.25: FireCCI's cells).

    Parameters
    ----------
    source : Grid
        What is to be covered.
    step : float
        Degrees; 180 must be a multiple of it.

    Returns
    -------
    Grid
        Cell centres, ascending.

    Raises
    ------
    UsageError
        If the step does not divide the globe.
    """
    if not step > 0.0 or abs(180.0 / step - round(180.0 / step)) > 1e-6:
        raise UsageError(
            f"cells of {step} degrees",
            where="target.resolution",
            remedy="180 must be a multiple, as of 0.25",
        )
    south, north = source.latitude_bounds.min(), source.latitude_bounds.max()
    west, east = source.longitude_bounds.min(), source.longitude_bounds.max()
    first, last = np.floor(south / step + 1e-6), np.ceil(north / step - 1e-6)
    left, right = np.floor(west / step + 1e-6), np.ceil(east / step - 1e-6)
    if source.is_global:
        right = left + round(360.0 / step)
    return Grid(
        (np.arange(first, last) + 0.5) * step, (np.arange(left, right) + 0.5) * step, step=(step, step)
    )


def regrid_total(da: xr.DataArray, target: Grid) -> xr.DataArray:
    r"""Move totals per cell (m2, kg) to other cells; the sum over the covered domain stays.

    .. math:: T_{ij} = \sum_{kl} f_{ik} g_{jl} S_{kl}

    with f the share of source row k, in sin(latitude), that lies in target row i, and g that of longitudes:
    within a source cell the quantity is spread evenly. Missing cells add nothing; a target cell is missing
    in a month in which less than 95 % of the area that is ever known in it is known.

    Parameters
    ----------
    da : DataArray
        ``(time, latitude, longitude)``, totals per cell.
    target : Grid
        Cells to go to.

    Returns
    -------
    DataArray
        ``(time, latitude, longitude)``, float64, attributes kept.

    Raises
    ------
    InputError
        If the grids do not overlap.
    """
    source = Grid.from_dataset(da)
    if source.matches(target):
        return da
    # Overlaps as shares of the source cells: the weights of the way back, transposed.
    rows, columns = map(_whole, separable_weights(target, source, method="conservative"))
    if not rows.any() or not columns.any():
        raise InputError(
            "the grids do not overlap", where=f"{da.name}: {source.describe()}; target: {target.describe()}"
        )
    values = da.transpose("time", "latitude", "longitude").values.astype(np.float64)
    known = np.isfinite(values)
    total = np.einsum("ki,tkl,lj->tij", rows, np.where(known, values, 0.0), columns, optimize=True)
    area = source.cell_area.values
    ever = rows.T @ (area * known.any(axis=0)) @ columns
    if not known.all():
        seen = np.einsum("ki,tkl,lj->tij", rows, known * area, columns, optimize=True)
        total[seen < KNOWN * ever] = np.nan
    total[:, ever <= 1e-9 * float(area.max())] = np.nan
    return xr.DataArray(
        total,
        coords={"time": da["time"], "latitude": target.latitude, "longitude": target.longitude},
        dims=("time", "latitude", "longitude"),
        name=da.name,
        attrs=da.attrs,
    )


def _whole(shares: np.ndarray) -> np.ndarray:
    """Give back to source cells the sliver that an edge rounded by `cells_of` cut off."""
    total = shares.sum(axis=1, keepdims=True)
    return shares / np.where(total > 1.0 - SLIVER, total, 1.0)
