"""Regular latitude-longitude grids: areas, alignment, and regridding that keeps what it should.

SEAS5 at 1 degree and ERA5 at 0.25 degree are node-aligned: the coarse points are every fourth fine point, and
`n` of them correspond to ``4 (n - 1) + 1`` fine ones, not to ``4 n``. All functions work on coordinates, so neither
that nor the order of latitudes is left to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import xarray as xr

from esai_core.errors import InputError, UsageError

EARTH_RADIUS = 6371229.0
Method = Literal["bilinear", "conservative", "nearest"]


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular latitude-longitude grid, given by its points (nodes, or the centres of cells).

    Parameters
    ----------
    latitude, longitude : numpy.ndarray
        Degrees, monotonic, ascending or descending.
    """

    latitude: np.ndarray
    longitude: np.ndarray

    def __post_init__(self) -> None:
        for name in ("latitude", "longitude"):
            values = np.asarray(getattr(self, name), dtype=float)
            object.__setattr__(self, name, values)
            steps = np.diff(values)
            if values.ndim != 1 or values.size == 0:
                raise InputError(
                    f"{name} of a grid must have one dimension and values, not shape {values.shape}"
                )
            if steps.size and not (np.all(steps > 0) or np.all(steps < 0)):
                raise InputError(
                    f"{name} is not monotonic", remedy="open the file with esai_core.io.open_dataset"
                )

    @classmethod
    def from_dataset(cls, obj: xr.Dataset | xr.DataArray | Grid) -> Grid:
        """Take the grid of a dataset or array with the coordinates latitude and longitude."""
        if isinstance(obj, Grid):
            return obj
        for name in ("latitude", "longitude"):
            if name not in obj.coords:
                raise InputError(
                    f"no coordinate {name}; there are {', '.join(map(str, obj.coords)) or 'none'}"
                )
        return cls(obj["latitude"].values, obj["longitude"].values)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of latitudes and longitudes."""
        return self.latitude.size, self.longitude.size

    @property
    def spacing(self) -> tuple[float, float]:
        """Median distance of neighbouring latitudes and longitudes, degrees, positive."""
        return _spacing(self.latitude), _spacing(self.longitude)

    @property
    def is_global(self) -> bool:
        """Whether the longitudes close around the globe."""
        dx = self.spacing[1]
        return bool(abs(abs(self.longitude[-1] - self.longitude[0]) + dx - 360.0) < 0.01 * dx)

    @cached_property
    def latitude_bounds(self) -> np.ndarray:
        """Bounds of the cells ``(latitude, 2)``, halfway between the points, cut at the poles."""
        return np.clip(_bounds(self.latitude), -90.0, 90.0)

    @cached_property
    def longitude_bounds(self) -> np.ndarray:
        """Bounds of the cells ``(longitude, 2)``, halfway between the points."""
        return _bounds(self.longitude)

    @cached_property
    def cell_area(self) -> xr.DataArray:
        """Area of each cell on the sphere ``(latitude, longitude)``, m2: R² Δλ Δ(sin φ), exact."""
        dsin = np.abs(np.diff(np.sin(np.deg2rad(self.latitude_bounds)), axis=1))
        dlon = np.abs(np.diff(np.deg2rad(self.longitude_bounds), axis=1))
        area = EARTH_RADIUS**2 * dsin * dlon[:, 0][None, :]
        attrs = {"standard_name": "cell_area", "units": "m2"}
        return xr.DataArray(
            area, coords=self.coords(), dims=("latitude", "longitude"), attrs=attrs, name="cell_area"
        )

    def coords(self) -> dict[str, Any]:
        """Coordinates for an xarray object."""
        return {
            "latitude": ("latitude", self.latitude, {"standard_name": "latitude", "units": "degrees_north"}),
            "longitude": (
                "longitude",
                self.longitude,
                {"standard_name": "longitude", "units": "degrees_east"},
            ),
        }

    def matches(self, other: Grid, *, tolerance: float = 1e-4) -> bool:
        """Whether two grids have the same points in the same order, to `tolerance` degrees."""
        return self.shape == other.shape and bool(
            np.allclose(self.latitude, other.latitude, rtol=0, atol=tolerance)
            and np.allclose(self.longitude, other.longitude, rtol=0, atol=tolerance)
        )

    def describe(self) -> str:
        """One line for messages: shape, spacing and extent."""
        dy, dx = self.spacing
        return (
            f"{self.shape[0]} x {self.shape[1]} points of {dy:g} x {dx:g} degrees, "
            f"latitude {self.latitude.min():g} to {self.latitude.max():g}, "
            f"longitude {self.longitude.min():g} to {self.longitude.max():g}"
        )


def area_weights(latitude: xr.DataArray | np.ndarray) -> xr.DataArray:
    """Weights proportional to cos(latitude), with mean 1.

    Parameters
    ----------
    latitude : xarray.DataArray or numpy.ndarray
        ``(latitude)``, degrees.

    Returns
    -------
    xarray.DataArray
        ``(latitude)``.
    """
    values = np.asarray(latitude, dtype=float)
    weights = np.clip(np.cos(np.deg2rad(values)), 0.0, None)
    coords = {"latitude": latitude.values if isinstance(latitude, xr.DataArray) else values}
    return xr.DataArray(weights / weights.mean(), dims="latitude", coords=coords, name="weights")


@dataclass(frozen=True)
class Alignment:
    """How a coarse grid lies on a fine one: `factor` fine steps per coarse step.

    "node": coarse points are fine points. "cell": coarse cells are blocks of `factor` x `factor` fine cells.
    """

    kind: Literal["node", "cell"]
    factor: int


def alignment(coarse: Grid, fine: Grid, *, tolerance: float = 1e-3) -> Alignment | None:
    """Find out whether, and how, a coarse grid is aligned with a fine one; None if it is not.

    Only the overlap counts: a fine grid that covers less or more than the coarse one can be aligned too.
    """
    ratios = [c / f for c, f in zip(coarse.spacing, fine.spacing, strict=True)]
    factor = round(ratios[0])
    if factor < 1 or any(abs(r - factor) > 0.01 for r in ratios):
        return None
    offsets = []
    for axis in ("latitude", "longitude"):
        step = _spacing(getattr(fine, axis))
        offset = (float(getattr(coarse, axis)[0]) - float(getattr(fine, axis)[0])) / step
        offsets.append(offset % 1.0)
    node = all(min(o, 1.0 - o) < max(tolerance, 1e-6) * 10 for o in offsets)
    if node and (factor % 2 == 1 or factor == 1 or True):
        return Alignment("node", factor)
    if factor % 2 == 0 and all(abs(o - 0.5) < tolerance * 10 for o in offsets):
        return Alignment("cell", factor)
    return None


def is_node_aligned(coarse: Grid, fine: Grid) -> int | None:
    """Factor between two node-aligned grids, or None."""
    found = alignment(coarse, fine)
    return found.factor if found is not None and found.kind == "node" else None


def check_finer(
    coarse: Any, fine: Any, *, coarse_name: str = "hindcast", fine_name: str = "reference"
) -> None:
    """Check that one grid is not coarser than the other and that they overlap.

    Raises
    ------
    InputError
        Naming both grids.
    """
    a, b = Grid.from_dataset(coarse), Grid.from_dataset(fine)
    told = f"{fine_name}: {b.describe()}; {coarse_name}: {a.describe()}"
    if any(f > c * 1.01 for c, f in zip(a.spacing, b.spacing, strict=True)):
        raise InputError(
            f"the {fine_name} is coarser than the {coarse_name}",
            where=told,
            remedy=f"give a {fine_name} at least as fine, or swap the two",
        )
    lon = align_longitude(b.longitude, a.longitude)
    bounds = a.longitude_bounds
    inside = (lon >= bounds.min()) & (lon <= bounds.max())
    lat = (b.latitude >= a.latitude_bounds.min()) & (b.latitude <= a.latitude_bounds.max())
    if not (inside.any() or a.is_global) or not lat.any():
        raise InputError(f"the {fine_name} and the {coarse_name} do not overlap", where=told)


def regrid(
    da: xr.DataArray,
    target: Grid | xr.Dataset | xr.DataArray,
    *,
    method: Method = "bilinear",
    skipna: bool = True,
    min_valid: float = 0.0,
    edge: Literal["nan", "nearest"] = "nan",
) -> xr.DataArray:
    """Regrid to another regular grid with separable weights: ``out = W_lat · field · W_lonᵀ``.

    With missing values the weights of the valid points are renormalised, so that NaNs over the sea do not spread:
    ``out = (W · field, NaN as 0) / (W · valid)``, where the denominator exceeds `min_valid`.

    The weights are our own rather than xarray-regrid's: its linear method lets NaNs spread, and its conservative one
    takes overlaps in degrees instead of in sin(latitude) and drops targets beyond the outermost source *points*, so
    totals are not conserved.

    Parameters
    ----------
    da : xarray.DataArray
        ``(..., latitude, longitude)``, in any order of dims; dask arrays stay lazy.
    target : Grid, Dataset or DataArray
        Grid to go to, in either order of latitudes; its longitudes may be in another convention.
    method : {"bilinear", "conservative", "nearest"}
        "bilinear" gives the source values exactly at shared points. "conservative" is the area-weighted mean over the
        target cell on the sphere: the total over a covered domain is kept to rounding.
    skipna : bool
        Renormalise over valid points; else a NaN with any weight gives NaN.
    min_valid : float
        Least fraction of the weight that must be valid, in [0, 1].
    edge : {"nan", "nearest"}
        Targets beyond the outermost points but within their cells (half a step): missing, or the value at the edge.
        Nothing is ever extrapolated farther. "conservative" always uses whole cells.

    Returns
    -------
    xarray.DataArray
        Dims of `da` in their order, on the target grid, float, attributes kept.
    """
    if method not in ("bilinear", "conservative", "nearest"):
        raise UsageError(f"unknown method {method!r}", remedy="expected bilinear, conservative or nearest")
    source, grid = Grid.from_dataset(da), Grid.from_dataset(target)
    if method == "bilinear" and edge == "nan" and source.matches(grid):
        return da
    wlat, wlon = weights(source, grid, method=method, edge=edge)
    out = xr.apply_ufunc(
        _apply,
        da,
        kwargs={"wlat": wlat, "wlon": wlon, "skipna": skipna, "min_valid": min_valid},
        input_core_dims=[["latitude", "longitude"]],
        output_core_dims=[["latitude", "longitude"]],
        exclude_dims={"latitude", "longitude"},
        dask="parallelized",
        output_dtypes=[np.result_type(da.dtype, np.float32)],
        dask_gufunc_kwargs={
            "output_sizes": {"latitude": grid.shape[0], "longitude": grid.shape[1]},
            "allow_rechunk": True,
        },
        keep_attrs=True,
    )
    return out.assign_coords(grid.coords()).transpose(*da.dims)


def weights(
    source: Grid, target: Grid, *, method: Method = "bilinear", edge: Literal["nan", "nearest"] = "nan"
) -> tuple[np.ndarray, np.ndarray]:
    """Weight matrices ``(target, source)`` of latitude and longitude; rows sum to the covered fraction (0 or 1
    for bilinear and nearest).
    """
    lon = align_longitude(target.longitude, source.longitude)
    if method == "conservative":
        lat_weights = _overlap(
            np.sin(np.deg2rad(source.latitude_bounds)), np.sin(np.deg2rad(target.latitude_bounds))
        )
        bounds = target.longitude_bounds + (lon - target.longitude)[:, None]
        lon_weights = sum(_overlap(source.longitude_bounds, bounds + shift) for shift in (-360.0, 0.0, 360.0))
        return lat_weights, np.asarray(lon_weights)
    make = _linear if method == "bilinear" else _nearest
    period = 360.0 if source.is_global else None
    return (
        make(source.latitude, target.latitude, edge=edge, period=None),
        make(source.longitude, lon, edge=edge, period=period),
    )


def align_longitude(longitude: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Shift longitudes by whole turns to lie around the middle of others."""
    middle = 0.5 * (float(np.min(to)) + float(np.max(to)))
    shifted = longitude - 360.0 * np.round((longitude - middle) / 360.0)
    return np.asarray(np.round(shifted, 10))


def coarsen(
    da: xr.DataArray,
    factor: int,
    *,
    kind: Literal["node", "cell"] = "node",
    skipna: bool = True,
    min_valid: float = 0.0,
) -> xr.DataArray:
    """Area-weighted mean over coarse cells, from a fine field; missing values do not spread.

    Parameters
    ----------
    da : xarray.DataArray
        ``(..., latitude, longitude)``.
    factor : int
        Fine steps per coarse step.
    kind : {"node", "cell"}
        "node": coarse points are every `factor`-th fine point, ``(n - 1) * factor + 1`` fine points give `n`, and their
        cells reach half a coarse step to each side (cut at the edge of the domain). "cell": blocks of `factor` cells.
    skipna, min_valid
        As in :func:`regrid`; `min_valid` is the least fraction of valid area.

    Raises
    ------
    InputError
        If the sizes do not fit the factor; nothing is cut off silently.
    """
    return regrid(
        da,
        coarse_grid(Grid.from_dataset(da), factor, kind=kind),
        method="conservative",
        skipna=skipna,
        min_valid=min_valid,
    )


def coarsen_nodes(da: xr.DataArray, factor: int) -> xr.DataArray:
    """Take every `factor`-th point of a node grid: what a coarse model grid shares with the fine one.

    Raises
    ------
    InputError
        If the sizes are not ``(n - 1) * factor + 1``.
    """
    grid = coarse_grid(Grid.from_dataset(da), factor, kind="node")
    return da.isel(latitude=slice(None, None, factor), longitude=slice(None, None, factor)).assign_coords(
        grid.coords()
    )


def coarse_grid(fine: Grid, factor: int, *, kind: Literal["node", "cell"] = "node") -> Grid:
    """Coarse grid aligned with a fine one; see :func:`coarsen`."""
    if factor < 1:
        raise UsageError(f"factor {factor} is not positive")
    axes = []
    for name in ("latitude", "longitude"):
        values = getattr(fine, name)
        if kind == "node":
            if (values.size - 1) % factor:
                below, above = (
                    (values.size - 1) // factor * factor + 1,
                    -(-(values.size - 1) // factor) * factor + 1,
                )
                raise InputError(
                    f"{values.size} points of {name} are not (n - 1) * {factor} + 1",
                    remedy=f"use {below} or {above}",
                )
            axes.append(values[::factor])
        else:
            if values.size % factor:
                raise InputError(f"{values.size} points of {name} are not a multiple of {factor}")
            axes.append(values.reshape(-1, factor).mean(1))
    return Grid(*axes)


def fill_nearest(da: xr.DataArray) -> xr.DataArray:
    """Fill missing values of each field with the nearest valid point (great-circle), for inputs of convolutions.

    The mask must be the same for all fields (a land-sea mask): points missing in the first field only are filled from
    their own field's neighbours, and a field that is missing at the neighbour stays missing there.

    Parameters
    ----------
    da : xarray.DataArray
        ``(..., latitude, longitude)``.
    """
    from scipy.spatial import cKDTree

    fields = [d for d in da.dims if d not in ("latitude", "longitude")]
    valid = da.notnull().any(fields).transpose("latitude", "longitude").values
    if valid.all():
        return da
    if not valid.any():
        raise InputError(f"{da.name} holds no values: all are missing")
    lat, lon = np.meshgrid(
        np.deg2rad(da["latitude"].values), np.deg2rad(da["longitude"].values), indexing="ij"
    )
    points = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    _, nearest = cKDTree(points[valid]).query(points.reshape(-1, 3))
    index = np.flatnonzero(valid)[nearest].reshape(valid.shape)
    rows = xr.DataArray(index // valid.shape[1], dims=("latitude", "longitude"))
    columns = xr.DataArray(index % valid.shape[1], dims=("latitude", "longitude"))
    filled = da.isel(latitude=rows, longitude=columns).drop_vars(["latitude", "longitude"])
    filled = filled.assign_coords(latitude=da["latitude"], longitude=da["longitude"]).transpose(*da.dims)
    return da.fillna(filled).assign_attrs(da.attrs)


def _apply(
    values: np.ndarray, wlat: np.ndarray, wlon: np.ndarray, skipna: bool, min_valid: float
) -> np.ndarray:
    dtype = np.result_type(values.dtype, np.float32)
    wlat, wlon = wlat.astype(dtype), wlon.astype(dtype)
    covered = wlat.sum(1)[:, None] * wlon.sum(1)[None, :]
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    if missing.any():
        total = _product(np.where(missing, 0, values).astype(dtype, copy=False), wlat, wlon)
        valid = _product((~missing).astype(dtype), wlat, wlon)
    else:
        total, valid = _product(values.astype(dtype, copy=False), wlat, wlon), covered
    least = max(min_valid, 1e-6) if skipna else 1.0
    keep = valid >= least * (1.0 - 1e-5)
    with np.errstate(invalid="ignore", divide="ignore"):
        out = np.where(keep, total / valid, np.nan)
    return out.astype(dtype, copy=False)


def _product(values: np.ndarray, wlat: np.ndarray, wlon: np.ndarray) -> np.ndarray:
    """``W_lat · x · W_lonᵀ`` over the last two axes, the cheaper side first."""
    (a, b), (c, d) = wlat.shape, wlon.shape
    if b * d * c + a * b * c <= a * b * d + a * d * c:
        return np.matmul(wlat, np.matmul(values, wlon.T))
    return np.matmul(np.matmul(wlat, values), wlon.T)


def _spacing(values: np.ndarray) -> float:
    return float(np.median(np.abs(np.diff(values)))) if values.size > 1 else 1.0


def _bounds(values: np.ndarray) -> np.ndarray:
    if values.size == 1:
        return np.array([[values[0] - 0.5, values[0] + 0.5]])
    middle = 0.5 * (values[1:] + values[:-1])
    edges = np.concatenate([[2 * values[0] - middle[0]], middle, [2 * values[-1] - middle[-1]]])
    return np.stack([edges[:-1], edges[1:]], axis=1)


def _overlap(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Fraction of each target interval that each source interval covers ``(target, source)``."""
    s, t = np.sort(source, axis=1), np.sort(target, axis=1)
    low = np.maximum(t[:, None, 0], s[None, :, 0])
    high = np.minimum(t[:, None, 1], s[None, :, 1])
    return np.clip(high - low, 0.0, None) / (t[:, 1] - t[:, 0])[:, None]


def _linear(source: np.ndarray, target: np.ndarray, *, edge: str, period: float | None) -> np.ndarray:
    """Linear weights ``(target, source)``; a target on a source point takes it alone, exactly."""
    x, position, columns = _brackets(source, target, edge=edge, period=period)
    out = np.zeros((target.size, source.size))
    rows = np.arange(target.size)
    inside = ~np.isnan(position)
    if x.size == 1:
        out[rows[inside], columns[0]] = 1.0
        return out
    left = np.clip(np.searchsorted(x, position, side="right") - 1, 0, x.size - 2)
    step = x[left + 1] - x[left]
    right_weight = np.where(inside, (position - x[left]) / step, 0.0)
    right_weight = np.where(np.abs(right_weight) < 1e-6, 0.0, right_weight)
    right_weight = np.where(np.abs(right_weight - 1.0) < 1e-6, 1.0, right_weight)
    np.add.at(out, (rows[inside], columns[left[inside]]), 1.0 - right_weight[inside])
    np.add.at(out, (rows[inside], columns[left[inside] + 1]), right_weight[inside])
    return out


def _nearest(source: np.ndarray, target: np.ndarray, *, edge: str, period: float | None) -> np.ndarray:
    x, position, columns = _brackets(source, target, edge="nearest", period=period)
    out = np.zeros((target.size, source.size))
    inside = np.flatnonzero(~np.isnan(position))
    closest = np.abs(position[inside][:, None] - x[None, :]).argmin(1)
    out[inside, columns[closest]] = 1.0
    return out


def _brackets(
    source: np.ndarray, target: np.ndarray, *, edge: str, period: float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ascending source points (closed around the globe), target positions (NaN outside), source columns."""
    columns = np.argsort(source)
    x = source[columns]
    if period is not None:
        x = np.concatenate([[x[-1] - period], x, [x[0] + period]])
        columns = np.concatenate([[columns[-1]], columns, [columns[0]]])
        position = x[1] + (target - x[1]) % period
        return x, position, columns
    half = 0.5 * _spacing(x) * (1 + 1e-6)
    slack = half if edge == "nearest" else 1e-6 * max(half, 1e-3)
    outside = (target < x[0] - slack) | (target > x[-1] + slack)
    return x, np.where(outside, np.nan, np.clip(target, x[0], x[-1])), columns
