"""From mass mixing ratios on model levels to concentrations at the surface."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from esai_airquality.reanalysis.config import GridSection
from esai_core.errors import InputError, nearest
from esai_core.io import open_dataset

__all__ = ["MIXING_RATIOS", "air_density", "concentration", "read_grid"]

MIXING_RATIOS = {"o3": "go3", "no2": "no2", "co": "co", "so2": "so2"}
"""Names of EAC4."""
GAS_CONSTANT = 287.06
"""Of dry air, J/(kg K), as the ECMWF documents the IFS."""

Values = TypeVar("Values", float, NDArray, xr.DataArray)


def air_density(temperature: Values, humidity: Values, pressure: Values) -> Values:
    r"""Give the density of moist air, :math:`\rho = p / (R_d T (1 + 0.609 q))`.

    Parameters
    ----------
    temperature, humidity, pressure : float, array or DataArray
        K, kg/kg, Pa.

    Returns
    -------
    same kind
        kg/m3.
    """
    return pressure / (GAS_CONSTANT * temperature * (1.0 + 0.609 * humidity))


def concentration(ratio: Values, temperature: Values, humidity: Values, pressure: Values) -> Values:
    r"""Give the concentration of a trace gas, :math:`w \rho \cdot 10^9`.

    Parameters
    ----------
    ratio : float, array or DataArray
        Mass mixing ratio w, kg/kg.
    temperature, humidity, pressure
        As in `air_density`.

    Returns
    -------
    same kind
        ug/m3.
    """
    return ratio * air_density(temperature, humidity, pressure) * 1e9


def read_grid(config: GridSection) -> xr.Dataset:
    """Read a reanalysis and bring it to concentrations at the surface.

    Parameters
    ----------
    config : GridSection
        Files and names.

    Returns
    -------
    Dataset
        The species in ug/m3, dims (time, latitude, longitude), latitude ascending, longitude -180 to 180; and
        what it was made of: ``ratio``, ``t``, ``q``, ``sp``.

    Raises
    ------
    InputError
        If a variable, the level or a time is missing, units or grids do not fit.
    """
    ratio = config.variable or MIXING_RATIOS[config.species]
    levels, surface = open_dataset(config.model_levels), open_dataset(config.surface)
    parts = {}
    for name, short, ds, path, unit in (
        ("ratio", ratio, levels, config.model_levels, "kg kg"),
        ("t", "t", levels, config.model_levels, "K"),
        ("q", "q", levels, config.model_levels, "kg kg"),
        ("sp", "sp", surface, config.surface, "Pa"),
    ):
        if short not in ds:
            known = [str(found) for found in ds.data_vars]
            raise InputError(f"no variable {short!r}", where=path, remedy=nearest(short, known))
        parts[name] = _surface_level(ds[short], config.level, path)
        units = (
            str(ds[short].attrs.get("units", unit)).replace("**-1", "").replace("-1", "").replace("/", " ")
        )
        if units.split() != unit.split():
            raise InputError(f"{short} is in {ds[short].attrs['units']!r}, not {unit!r}", where=path)
    try:
        aligned = dict(zip(parts, xr.align(*parts.values(), join="exact"), strict=True))
    except ValueError as error:
        raise InputError(
            "model levels and surface have other times or other grids",
            where=f"{config.model_levels} and {config.surface}",
            remedy="download the same dates and the same area of both",
        ) from error
    _possible(aligned, config)
    made = concentration(aligned["ratio"], aligned["t"], aligned["q"], aligned["sp"])
    made.attrs = {"units": "ug m-3", "long_name": f"{config.species} at the surface"}
    return xr.Dataset({config.species: made, **aligned}).transpose("time", "latitude", "longitude")


def _surface_level(field: xr.DataArray, level: int, path: object) -> xr.DataArray:
    """Take the level at the surface, where there are levels."""
    name = next((n for n in ("level", "model_level", "hybrid", "lev") if n in field.dims), None)
    if name is None:
        return field.drop_vars([n for n in field.coords if n not in field.dims])
    if field.sizes[name] == 1 and name not in field.coords:
        return field.isel({name: 0})
    there = field[name].values
    if level not in there:
        raise InputError(
            f"no level {level}: there are {there.min():g} to {there.max():g}",
            where=path,
            remedy="set grid.level to the one at the surface (60 in EAC4)",
        )
    return field.sel({name: level}, drop=True).drop_vars([n for n in field.coords if n not in field.dims])


def _possible(parts: dict[str, xr.DataArray], config: GridSection) -> None:
    """Refuse values that cannot be at the surface."""
    limits = {"ratio": (-1e-9, 1e-3), "t": (150.0, 350.0), "q": (-1e-4, 0.1), "sp": (3e4, 1.2e5)}
    for name, (low, high) in limits.items():
        values = parts[name].values
        if np.isfinite(values).any() and not low <= np.nanmean(values) <= high:
            raise InputError(
                f"{name} is {np.nanmean(values):.3g} on average, out of {low:g} to {high:g}",
                where=config.surface if name == "sp" else config.model_levels,
                remedy="give kg/kg, K, kg/kg and Pa of the level at the surface",
            )
