"""Regular latitude-longitude grids: areas, how one lies on another, and checks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import xarray as xr

from esai_core.errors import InputError, UsageError
from esai_core.io.names import COORDINATE_ATTRS

EARTH_RADIUS = 6371229.0
Kind = Literal["node", "cell"]


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular latitude-longitude grid, given by its points (nodes, or the centres of cells).

    Parameters
    ----------
    latitude, longitude : numpy.ndarray
        Degrees, monotonic, ascending or descending.
    step : (float, float), optional
        Spacing along an axis that has one point only, where it cannot be seen; 1 degree by default.
    """

    latitude: np.ndarray
    longitude: np.ndarray
    step: tuple[float, float] = (1.0, 1.0)

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
        return spacing(self.latitude, self.step[0]), spacing(self.longitude, self.step[1])

    @property
    def is_global(self) -> bool:
        """Whether the longitudes close around the globe."""
        dx = self.spacing[1]
        return bool(abs(abs(self.longitude[-1] - self.longitude[0]) + dx - 360.0) < 0.01 * dx)

    @cached_property
    def latitude_bounds(self) -> np.ndarray:
        """Bounds of the cells ``(latitude, 2)``, halfway between the points, cut at the poles."""
        return np.clip(bounds(self.latitude, self.step[0]), -90.0, 90.0)

    @cached_property
    def longitude_bounds(self) -> np.ndarray:
        """Bounds of the cells ``(longitude, 2)``, halfway between the points."""
        return bounds(self.longitude, self.step[1])

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
        axes = {"latitude": self.latitude, "longitude": self.longitude}
        return {name: (name, values, dict(COORDINATE_ATTRS[name])) for name, values in axes.items()}

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

    "node": coarse points are fine points, as SEAS5 at 1 degree and ERA5 at 0.25 degree, where `n` coarse
    points correspond to ``(n - 1) * factor + 1`` fine ones. "cell": coarse cells are blocks of `factor` x
    `factor` fine ones.
    """

    kind: Kind
    factor: int


def alignment(coarse: Grid, fine: Grid, *, tolerance: float = 0.01) -> Alignment | None:
    """Find out whether, and how, a coarse grid is aligned with a fine one.

    Parameters
    ----------
    coarse, fine : Grid
        Either may cover more than the other.
    tolerance : float
        Largest departure, in fine steps.

    Returns
    -------
    Alignment or None
        With an odd factor coarse points are fine points in both kinds; then "cell" is told where the fine
        grid is exactly `factor` times as large.
    """
    ratios = [c / f for c, f in zip(coarse.spacing, fine.spacing, strict=True)]
    factor = round(ratios[0])
    if factor < 1 or any(abs(r - factor) > tolerance * factor for r in ratios):
        return None
    pairs = [
        (coarse.latitude, fine.latitude),
        (align_longitude(coarse.longitude, fine.longitude), fine.longitude),
    ]
    offsets = [((c - f.min()) / spacing(f)) % 1.0 for c, f in pairs]
    node = all(np.all(np.minimum(o, 1.0 - o) < tolerance * factor) for o in offsets)
    if factor % 2 == 0:
        cell = all(np.all(np.abs(o - 0.5) < tolerance * factor) for o in offsets)
    else:
        cell = node and factor > 1 and all(f.size == factor * c.size for c, f in pairs)
    if cell:
        return Alignment("cell", factor)
    return Alignment("node", factor) if node else None


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


def align_longitude(longitude: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Shift longitudes by whole turns to lie around the middle of others."""
    middle = 0.5 * (float(np.min(to)) + float(np.max(to)))
    return np.asarray(longitude - 360.0 * np.round((longitude - middle) / 360.0))


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
    return Grid(axes[0], axes[1], (factor * fine.spacing[0], factor * fine.spacing[1]))


def spacing(values: np.ndarray, single: float = 1.0) -> float:
    """Median step of a coordinate, positive; `single` for one point."""
    return float(np.median(np.abs(np.diff(values)))) if values.size > 1 else single


def bounds(values: np.ndarray, single: float = 1.0) -> np.ndarray:
    """Bounds ``(n, 2)`` halfway between the points, and as far beyond the outer ones."""
    if values.size == 1:
        return np.array([[values[0] - 0.5 * single, values[0] + 0.5 * single]])
    middle = 0.5 * (values[1:] + values[:-1])
    edges = np.concatenate([[2 * values[0] - middle[0]], middle, [2 * values[-1] - middle[-1]]])
    return np.stack([edges[:-1], edges[1:]], axis=1)
