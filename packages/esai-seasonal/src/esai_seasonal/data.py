"""Open and check the inputs of a correction: hindcast, reference and static fields."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import xarray as xr

from esai_core.errors import InputError, UsageError
from esai_core.grid import Grid, check_finer, regrid
from esai_core.hindcast import match_reference
from esai_core.io import check_plausible, convert_units, load, open_dataset, open_hindcast, open_reference
from esai_core.io.names import VARIABLES, canonical
from esai_core.io.units import units_of
from esai_seasonal.config import DataConfig, SeasonalConfig

__all__ = ["Data", "Static", "check", "on_fine_grid", "open_data", "open_static"]

log = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 28
"""Interpolated hindcasts larger than eight of these are worked through lazily, in blocks of latitudes."""

STATIC_NAMES = {
    "orography": ("orog", "z", "oro", "surface_altitude", "topography", "elevation", "altitude"),
    "roughness": ("sdor", "stdor", "sdo", "orography_std"),
    "land": ("lsm", "sftlf", "land_sea_mask", "land_binary_mask", "mask"),
}
GRAVITY = 9.80665


@dataclass(frozen=True)
class Static:
    """Fields of one grid: orography and its standard deviation (m), land fraction (0 to 1).

    Any of them may be absent.
    """

    orography: xr.DataArray | None = None
    roughness: xr.DataArray | None = None
    land: xr.DataArray | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays for a file."""
        fields = {name: getattr(self, name) for name in STATIC_NAMES}
        return {f"static_{name}": da.values for name, da in fields.items() if da is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Static:
        """Undo `arrays`; the grid is taken from the arrays `latitude` and `longitude` beside them."""
        coords = {"latitude": arrays["latitude"], "longitude": arrays["longitude"]}
        found = {name: arrays[f"static_{name}"] for name in STATIC_NAMES if f"static_{name}" in arrays}
        return cls(**{k: xr.DataArray(v, dims=tuple(coords), coords=coords) for k, v in found.items()})


@dataclass(frozen=True)
class Data:
    """The inputs of a correction, in one unit and checked against each other.

    Attributes
    ----------
    hindcast : DataArray
        ``(start, lead, number, latitude, longitude)`` on its own coarse grid, in the unit of the reference.
    truth : DataArray
        Reference at the valid times, ``(start, lead, latitude, longitude)`` on the fine grid; NaN where the
        reference does not reach.
    kind : {"additive", "multiplicative"}
        How corrections work for this variable.
    coarse, fine : Static
        Static fields of the two grids.
    name : str
        Canonical name of the variable.
    """

    hindcast: xr.DataArray
    truth: xr.DataArray
    kind: str
    name: str
    coarse: Static = field(default_factory=Static)
    fine: Static = field(default_factory=Static)

    @property
    def grid(self) -> Grid:
        """The fine grid."""
        return Grid.from_dataset(self.truth)

    def on_fine(self, starts: np.ndarray | None = None) -> xr.DataArray:
        """Hindcast of some starts (positions; all by default) interpolated to the fine grid."""
        chosen = self.hindcast if starts is None else self.hindcast.isel(start=starts)
        return on_fine_grid(chosen, self.grid)


def on_fine_grid(hindcast: xr.DataArray, grid: Grid) -> xr.DataArray:
    """Interpolate bilinearly; lazily in blocks of latitudes where the result would be large.

    Parameters
    ----------
    hindcast : DataArray
        ``(start, lead, number, latitude, longitude)``.
    grid : Grid
        The grid to go to; node-aligned points keep their values exactly.

    Returns
    -------
    DataArray
        On `grid`, in memory, or dask-backed with the starts and members whole in each block.
    """
    rows, columns = grid.shape
    cells = hindcast.size // (hindcast.sizes["latitude"] * hindcast.sizes["longitude"])
    per_row = cells * columns * 4
    if per_row * rows <= 8 * BLOCK_BYTES:
        return regrid(hindcast, grid, edge="nearest").astype("float32")
    lazy = hindcast.chunk({"start": -1, "lead": 1, "number": -1, "latitude": -1, "longitude": -1})
    step = max(1, BLOCK_BYTES * hindcast.sizes["lead"] // per_row)
    parts = [
        regrid(lazy, Grid(grid.latitude[i : i + step], grid.longitude), edge="nearest").astype("float32")
        for i in range(0, rows, step)
    ]
    return xr.concat(parts, "latitude")


def open_data(config: SeasonalConfig) -> Data:
    """Open the files of a correction and match the reference to the hindcast's valid times.

    Parameters
    ----------
    config : SeasonalConfig
        With ``task = "correction"``.

    Returns
    -------
    Data
        Everything in the unit of the reference; `check` has not been asked yet.

    Raises
    ------
    InputError
        A missing, truncated or foreign file; hindcast and reference swapped; units of another quantity; no
        common
        time; a reference coarser than the hindcast.
    """
    given = config.data
    if given.hindcast is None:
        raise UsageError("a correction needs data.hindcast")
    reference = open_reference(given.reference, variable=given.variable)
    _check_values(reference, given, given.reference)
    hindcast = open_forecast(given.hindcast, given, units_of(reference, where=str(given.reference)))
    check_finer(hindcast, reference)
    truth = load(match_reference(hindcast, reference))
    name = canonical(given.variable)
    fine, coarse = Grid.from_dataset(truth), Grid.from_dataset(hindcast)
    return Data(
        hindcast=hindcast,
        truth=truth,
        kind=_kind(given, name),
        name=name,
        coarse=open_static(given.static_coarse, coarse, "data.static_coarse"),
        fine=open_static(given.static_fine, fine, "data.static_fine"),
    )


def open_truth(config: SeasonalConfig, hindcast: xr.DataArray) -> xr.DataArray:
    """Take the reference at the valid times of a forecast, ``(start, lead, latitude, longitude)``."""
    return load(
        match_reference(hindcast, open_reference(config.data.reference, variable=config.data.variable))
    )


def open_forecast(path: Path, given: DataConfig, units: str) -> xr.DataArray:
    """Open a hindcast or forecast, check its values and convert it to the unit of the reference."""
    hindcast = load(open_hindcast(path, variable=given.variable))
    _check_values(hindcast, given, path)
    return convert_units(hindcast, units, where=str(path)).astype("float32")


def _check_values(da: xr.DataArray, given: DataConfig, path: Path) -> None:
    known = VARIABLES.get(canonical(given.variable))
    if known is not None:
        check_plausible(da, known.kind, where=str(path))


def _kind(given: DataConfig, name: str) -> str:
    if given.kind != "auto":
        return given.kind
    known = VARIABLES.get(name)
    return "multiplicative" if known is not None and known.kind == "precipitation" else "additive"


def open_static(path: Path | None, grid: Grid, key: str) -> Static:
    """Open orography and land-sea mask of a grid; a file left out gives neither.

    Raises
    ------
    InputError
        The file holds neither, or is on another grid.
    """
    if path is None:
        return Static()
    ds = load(open_dataset(path))
    found: dict[str, xr.DataArray] = {}
    for role, names in STATIC_NAMES.items():
        name = next((n for n in names if n in ds.data_vars), None)
        if name is None:
            continue
        da = ds[name].squeeze([d for d in ds[name].dims if d not in ("latitude", "longitude")], drop=True)
        if role == "orography":
            da = convert_units(da / GRAVITY, "m") if _is_geopotential(da) else da
        found[role] = _on(da, grid, f"{key} = {path}").astype("float32").fillna(0.0)
    if not found:
        raise InputError(
            f"no orography or land-sea mask, only {', '.join(map(str, ds.data_vars))}",
            where=f"{key} = {path}",
            remedy="name the variables orog and lsm",
        )
    return Static(**found)


def _is_geopotential(da: xr.DataArray) -> bool:
    return str(da.attrs.get("units", "")) in ("m2 s-2", "m**2 s**-2")


def _on(da: xr.DataArray, grid: Grid, where: str) -> xr.DataArray:
    """Take the cells of `grid` out of a static field; the file may cover more."""
    rows, columns = (_positions(da[n].values, getattr(grid, n)) for n in ("latitude", "longitude"))
    if rows is None or columns is None:
        raise InputError(
            "the static fields are on another grid",
            where=where,
            remedy=f"expected {grid.describe()}; they have {Grid.from_dataset(da).describe()}",
        )
    return (
        da.isel(latitude=rows, longitude=columns)
        .transpose("latitude", "longitude")
        .assign_coords(grid.coords())
    )


def _positions(have: np.ndarray, want: np.ndarray) -> np.ndarray | None:
    nearest = np.abs(have[None, :] - want[:, None])
    at = nearest.argmin(1)
    return at if (nearest[np.arange(want.size), at] < 1e-3).all() else None


def check(data: Data, config: SeasonalConfig) -> Data:
    """Check that every cell has values, and mask or refuse those that never have.

    Parameters
    ----------
    data : Data
        From `open_data`.
    config : SeasonalConfig
        Its ``data.missing`` says what to do with such cells.

    Returns
    -------
    Data
        The same, with cells that never have a value missing in both.

    Raises
    ------
    InputError
        A cell without any value and ``data.missing = "refuse"``: names how many, where, and in which file.
    """
    sea = None if data.fine.land is None else data.fine.land < 0.5
    empty = data.truth.isnull().all(["start", "lead"])
    _refuse(empty, sea, "reference", str(config.data.reference), config)
    coarse = data.hindcast.isnull().all(["start", "lead", "number"])
    coarse_sea = None if data.coarse.land is None else data.coarse.land < 0.5
    _refuse(coarse, coarse_sea, "hindcast", str(config.data.hindcast), config)
    uncovered = (
        on_fine_grid(data.hindcast.isel(start=[0], lead=[0], number=[0]), data.grid)[0, 0, 0].isnull()
        & ~empty
    )
    _refuse(
        uncovered, sea, "hindcast interpolated to the reference's grid", str(config.data.hindcast), config
    )
    return replace(data, truth=data.truth.where(~empty) if bool(empty.any()) else data.truth)


def _refuse(
    empty: xr.DataArray, sea: xr.DataArray | None, what: str, where: str, config: SeasonalConfig
) -> None:
    if not bool(empty.any()):
        return
    stack = empty.transpose("latitude", "longitude")
    row, column = np.argwhere(stack.values)[0]
    place = f"first at latitude {float(stack.latitude[row]):g}, longitude {float(stack.longitude[column]):g}"
    text = f"{int(empty.sum())} of {empty.size} cells of the {what} never have a value, {place}"
    if config.data.missing == "refuse" and not (sea is not None and bool((sea | ~empty).all())):
        raise InputError(text, where=where, remedy='if that is right (sea), set data.missing = "mask"')
    log.warning("%s; they stay missing", text)
