"""Land and sea: fill the sea for convolutions, mask it again, and what share of a cell is valid."""

from __future__ import annotations

import numpy as np
import xarray as xr

from esai_core.errors import InputError
from esai_core.grid.grids import Grid
from esai_core.grid.regridding import regrid, separable_weights


def fill_nearest(da: xr.DataArray, *, valid: xr.DataArray | None = None) -> xr.DataArray:
    """Fill missing points with the nearest valid point on the sphere, as inputs of convolutions need.

    Parameters
    ----------
    da : xarray.DataArray
        ``(..., latitude, longitude)``.
    valid : xarray.DataArray, optional
        ``(latitude, longitude)``, true where points count as valid (a land mask). By default those with a
        value in any field, which reads all of a lazy array.

    Returns
    -------
    xarray.DataArray
        Like `da`. A field that is missing at the neighbour as well stays missing there: gaps in time are not
        the sea.

    Raises
    ------
    InputError
        If no point is valid.
    """
    from scipy.spatial import cKDTree

    if valid is None:
        valid = da.notnull().any([d for d in da.dims if d not in ("latitude", "longitude")])
    good = valid.transpose("latitude", "longitude").values.astype(bool)
    if good.all():
        return da
    if not good.any():
        raise InputError(f"{da.name} holds no values: all are missing")
    lat, lon = np.meshgrid(
        np.deg2rad(da["latitude"].values), np.deg2rad(da["longitude"].values), indexing="ij"
    )
    points = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    _, nearest = cKDTree(points[good]).query(points.reshape(-1, 3))
    index = np.flatnonzero(good)[nearest]
    stacked = da.transpose(..., "latitude", "longitude")
    # flat fields and one index for all of them: also lazy, and cheaper than pointwise indexing
    flat = stacked.data.reshape((*stacked.shape[:-2], -1))
    filled = stacked.copy(data=flat[..., index].reshape(stacked.shape)).transpose(*da.dims)
    return da.fillna(filled).assign_attrs(da.attrs)


def mask_sea(da: xr.DataArray, land: xr.DataArray, *, least: float = 0.5) -> xr.DataArray:
    """Set points with less than `least` of land to missing.

    Parameters
    ----------
    da : xarray.DataArray
        ``(..., latitude, longitude)``.
    land : xarray.DataArray
        Land fraction ``(latitude, longitude)`` on the same points, in either order.
    least : float
        Least fraction of land.

    Raises
    ------
    InputError
        If the grids differ.
    """
    land = land.sortby("latitude", ascending=bool(da["latitude"][0] < da["latitude"][-1]))
    if not Grid.from_dataset(da).matches(Grid.from_dataset(land)):
        raise InputError("the land mask is on another grid", where=str(land.name))
    land = land.assign_coords(latitude=da["latitude"], longitude=da["longitude"])
    return da.where(land >= least).assign_attrs(da.attrs)


def valid_fraction(da: xr.DataArray, target: Grid | xr.Dataset | xr.DataArray) -> xr.DataArray:
    """Share of each target cell's area that valid points cover ``(..., latitude, longitude)``, in [0, 1]."""
    source, grid = Grid.from_dataset(da), Grid.from_dataset(target)
    valid = da.notnull().astype(float)
    covered = [w.sum(1) for w in separable_weights(source, grid, method="conservative")]
    share = xr.DataArray(
        covered[0][:, None] * covered[1][None, :], coords=grid.coords(), dims=("latitude", "longitude")
    )
    out = (regrid(valid, grid, method="conservative").fillna(0.0) * share).transpose(*da.dims)
    return out.rename("valid_fraction").assign_attrs(units="1")
