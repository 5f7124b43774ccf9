"""Reader of CAMS GFAS daily fire emissions: monthly totals per cell and species."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from esai_core import io
from esai_core.errors import InputError, unknown
from esai_core.grid import Grid
from esai_fire.gridding import regrid_total

__all__ = ["PARAMETERS", "find_species", "read_gfas"]

#: Species, as in the table of emission factors, to its number in ECMWF's parameter database.
PARAMETERS = {
    "CO2": 210080, "CO": 210081, "CH4": 210082, "NMHC": 210083, "H2": 210084, "NOx": 210085, "N2O": 210086,
    "PM2.5": 210087, "TPM": 210088, "TPC": 210089, "OC": 210090, "BC": 210091, "C": 210092, "DM": 210100,
    "SO2": 210102, "CH3OH": 210103, "C2H5OH": 210104, "C3H8": 210105, "C2H4": 210106, "C3H6": 210107,
    "C5H8": 210108, "CH2O": 210113, "C2H4O": 210114, "C3H6O": 210115, "NH3": 210116, "C2H6S": 210117,
    "C2H6": 210118,
}  # fmt: skip
#: Names that differ from the species in lower case followed by "fire".
_NAMES = {"PM2.5": "pm2p5fire", "TPC": "tcfire", "DM": "crfire"}

_DAY = 86400.0
_UNITS = {"kg m**-2 s**-1", "kg m-2 s-1", "kg/m2/s", "kg m^-2 s^-1", "kg/m^2/s"}
_FEWEST_DAYS = 25  # a month with fewer is not whole


def _parameter(variable: xr.DataArray) -> int | None:
    """Find the parameter's number: GRIB's paramId, a code such as 81.210, or a name such as var210081."""
    found = variable.attrs.get("GRIB_paramId", variable.attrs.get("param_id"))
    if found is not None:
        return int(found)
    text = str(variable.name)
    match = re.fullmatch(r"(?:p|param|var)?_?(\d{1,3})\.210(?:\.192)?", text) or re.fullmatch(
        r"(?:p|param|var)_?210(\d{3})", text
    )
    return None if match is None else 210_000 + int(match.group(1))


def find_species(ds: xr.Dataset, species: str, *, where: object) -> str:
    """Find the variable of a species, by parameter number first: short names have changed with ecCodes.

    Parameters
    ----------
    ds : Dataset
        GFAS as opened.
    species : str
        From `PARAMETERS`.
    where : object
        Named in errors.

    Returns
    -------
    str

    Raises
    ------
    UsageError
        For a species that GFAS has not.
    InputError
        If the file does not hold it.
    """
    if species not in PARAMETERS:
        raise unknown("species of GFAS", species, PARAMETERS, where="emissions.species")
    number = PARAMETERS[species]
    for name, variable in ds.data_vars.items():
        if _parameter(variable) == number:
            return str(name)
    wanted = _NAMES.get(species, f"{species.lower()}fire")
    for name, variable in ds.data_vars.items():
        # A variable that carries another number is another species, whatever it is called.
        if str(name).lower() == wanted and _parameter(variable) is None:
            return str(name)
    listed = ", ".join(str(name) for name in ds.data_vars)
    raise InputError(
        f"no flux of {species} (parameter {number}, {wanted}); the file has {listed}",
        where=where,
        remedy="download it, or leave it out of emissions.species",
    )


def _month_totals(flux: xr.DataArray, where: object) -> xr.DataArray:
    """Sum daily means (kg m-2 s-1) over their days: kg m-2 per month, NaN where days are missing."""
    units = str(flux.attrs.get("units", "")).strip()
    if units not in _UNITS:
        raise InputError(
            f"unit {units or '(none)'!r} of a flux",
            where=f"{where}: {flux.name}",
            remedy="GFAS is in kg m-2 s-1",
        )
    days = pd.DatetimeIndex(flux["time"].values).normalize()
    if days.has_duplicates:
        again = days[days.duplicated()][0]
        raise InputError(f"{again:%Y-%m-%d} occurs twice", where=where, remedy="give each day once")
    months = days.to_period("M")
    monthly, names = [], []
    for month in months.unique():
        at = np.flatnonzero(months == month)
        if at.size < min(_FEWEST_DAYS, month.days_in_month):
            raise InputError(
                f"{at.size} days of {month}", where=where, remedy="give whole months of daily fields"
            )
        part = io.load(flux.isel(time=at))
        if bool((part < 0.0).any()):
            raise InputError(f"a negative flux in {month}", where=f"{where}: {flux.name}")
        # The mean of the days that are there stands for the few that are not.
        monthly.append(part.mean("time", skipna=False) * (_DAY * month.days_in_month))
        names.append(month.to_timestamp())
    time = xr.DataArray(pd.DatetimeIndex(names).as_unit("ns"), dims="time", name="time")
    return xr.concat(monthly, dim=time).transpose("time", "latitude", "longitude")


def read_gfas(path: str | Path, *, species: Sequence[str], target: Grid | None = None) -> xr.Dataset:
    """Read monthly emissions per species from daily GFAS fields, GRIB or NetCDF.

    Fields are read a month at a time, so that years of 0.1 degrees need little memory.

    Parameters
    ----------
    path : path
        A file, a folder of files or a glob pattern.
    species : sequence of str
        From `PARAMETERS`.
    target : Grid, optional
        Cells to sum into, conserving mass; those of the file by default.

    Returns
    -------
    Dataset
        One variable per species on ``(time, latitude, longitude)``, kg per cell and month; times are the
        month's first day.

    Raises
    ------
    UsageError
        For an unknown species.
    InputError
        If a species is not there, its unit is another, days repeat or are missing, or a flux is negative.
    """
    ds = io.open_dataset(path)
    missing = {"time", "latitude", "longitude"} - set(ds.dims)
    if missing:
        raise InputError(f"no dimension {sorted(missing)[0]!r}", where=path, remedy="give daily GFAS fields")
    made = {}
    for name in species:
        flux = ds[find_species(ds, name, where=path)]
        monthly = _month_totals(flux, path)
        kilograms = (monthly * Grid.from_dataset(monthly).cell_area).rename(name)
        if target is not None:
            kilograms = regrid_total(kilograms, target)
        made[name] = kilograms.assign_attrs(units="kg", long_name=f"{name} from fires, per cell and month")
    return xr.Dataset(made)
