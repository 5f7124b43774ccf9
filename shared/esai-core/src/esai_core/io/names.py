"""Names of variables and coordinates: what each is called in the files of the different producers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esai_core.errors import InputError, nearest

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Variable:
    """A physical variable: its kind (see `io.units.KINDS`), the canonical unit and its other names."""

    kind: str
    units: str
    long_name: str
    aliases: tuple[str, ...]
    standard_names: tuple[str, ...] = ()


VARIABLES: dict[str, Variable] = {
    "t2m": Variable(
        "temperature",
        "K",
        "2 metre temperature",
        ("2t", "tas", "t_2m", "temp2m", "tmp2m", "tmp_2m", "var_2t", "var167", "2m_temperature", "t2"),
    ),
    "mx2t": Variable(
        "temperature",
        "K",
        "maximum 2 metre temperature",
        ("tasmax", "t2mmax", "mx2t24", "tmax", "maximum_2m_temperature_in_the_last_24_hours"),
    ),
    "mn2t": Variable(
        "temperature",
        "K",
        "minimum 2 metre temperature",
        ("tasmin", "t2mmin", "mn2t24", "tmin", "minimum_2m_temperature_in_the_last_24_hours"),
    ),
    "d2m": Variable(
        "temperature",
        "K",
        "2 metre dewpoint temperature",
        ("2d", "tdps", "var_2d", "2m_dewpoint_temperature"),
        ("dew_point_temperature",),
    ),
    "sst": Variable(
        "temperature",
        "K",
        "sea surface temperature",
        ("tos", "sstk", "var_sstk", "var34", "sea_surface_temperature"),
        ("sea_surface_temperature", "sea_surface_foundation_temperature"),
    ),
    "t": Variable("temperature", "K", "temperature", ("ta", "temperature", "var_t", "var130")),
    "tp": Variable(
        "precipitation",
        "m",
        "total precipitation",
        ("pr", "precip", "precipitation", "tprate", "rr", "rain", "total_precipitation", "var228", "prlr"),
        (
            "precipitation_amount",
            "precipitation_flux",
            "lwe_precipitation_rate",
            "lwe_thickness_of_precipitation_amount",
        ),
    ),
    "e": Variable("water", "m", "evaporation", ("evaporation", "evspsbl", "var182")),
    "msl": Variable(
        "pressure",
        "Pa",
        "mean sea level pressure",
        ("psl", "mslp", "prmsl", "mean_sea_level_pressure", "var151"),
        ("air_pressure_at_mean_sea_level", "air_pressure_at_sea_level"),
    ),
    "sp": Variable(
        "pressure", "Pa", "surface pressure", ("ps", "surface_pressure", "var134"), ("surface_air_pressure",)
    ),
    "z": Variable("geopotential", "m2 s-2", "geopotential", ("geopotential", "var129"), ("geopotential",)),
    "u10": Variable(
        "wind", "m s-1", "10 metre U wind component", ("10u", "uas", "10m_u_component_of_wind", "var165")
    ),
    "v10": Variable(
        "wind", "m s-1", "10 metre V wind component", ("10v", "vas", "10m_v_component_of_wind", "var166")
    ),
    "ssrd": Variable(
        "energy",
        "J m-2",
        "surface solar radiation downwards",
        ("rsds", "surface_solar_radiation_downwards", "var169"),
    ),
    "orog": Variable(
        "height",
        "m",
        "surface altitude",
        ("orography", "topography", "elevation", "height", "topo", "hgt", "dem", "surface_altitude"),
        ("surface_altitude",),
    ),
    "lsm": Variable(
        "fraction",
        "1",
        "land area fraction",
        ("sftlf", "land_sea_mask", "landmask", "land_mask", "land_binary_mask", "mask"),
        ("land_area_fraction", "land_binary_mask"),
    ),
}

COORDINATES: dict[str, tuple[str, ...]] = {
    "latitude": ("lat", "lats", "nav_lat", "xlat"),
    "longitude": ("lon", "lons", "long", "nav_lon", "xlong"),
    "time": ("valid_time", "validtime", "t", "date", "dates", "day", "datetime"),
    "start": (
        "forecast_reference_time",
        "indexing_time",
        "s",
        "init",
        "init_time",
        "initial_time",
        "initialization_time",
        "forecast_time",
        "start_date",
        "start_time",
        "sdate",
        "reftime",
    ),
    "lead": (
        "forecastmonth",
        "forecast_period",
        "leadtime_month",
        "leadtime",
        "lead_time",
        "leadtime_hour",
        "l",
        "step",
        "ftime",
    ),
    "number": ("member", "members", "realization", "realisation", "ensemble", "ens", "ensemble_member", "m"),
}
STANDARD_NAMES = {
    "latitude": "latitude",
    "longitude": "longitude",
    "time": "time",
    "realization": "number",
    "forecast_period": "lead",
    "forecast_reference_time": "start",
}

COORDINATE_ATTRS: dict[str, dict[str, str]] = {
    "latitude": {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north", "axis": "Y"},
    "longitude": {
        "standard_name": "longitude",
        "long_name": "longitude",
        "units": "degrees_east",
        "axis": "X",
    },
    "time": {"standard_name": "time", "long_name": "time", "axis": "T"},
    "start": {"standard_name": "forecast_reference_time", "long_name": "start of the forecast"},
    "valid_time": {"standard_name": "time", "long_name": "time the forecast is valid for"},
    "lead": {"standard_name": "forecast_period", "long_name": "lead time"},
    "number": {"standard_name": "realization", "long_name": "ensemble member", "units": "1", "axis": "E"},
}


def canonical(name: str) -> str:
    """Canonical name of a variable (``"tas"`` gives ``"t2m"``); an unknown name is returned as it is."""
    low = name.lower()
    for key, variable in VARIABLES.items():
        if low == key or low in variable.aliases:
            return key
    return name


def find_variable(ds: xr.Dataset, name: str | None = None, *, where: str | None = None) -> str:
    """Name that a variable has in a dataset.

    Parameters
    ----------
    ds : xarray.Dataset
        Opened dataset.
    name : str, optional
        Name asked for, in any spelling of :data:`VARIABLES`. Without it the dataset must hold one variable
        only.
    where : str, optional
        File named in the error.

    Returns
    -------
    str
        The name in `ds`.

    Raises
    ------
    InputError
        If there is no such variable, or several fit; the message lists what there is.
    """
    names = [str(n) for n in ds.data_vars if not is_auxiliary(ds, str(n))]
    where = where or source(ds)
    listed = ", ".join(names) or "none"
    if name is None:
        if len(names) == 1:
            return names[0]
        raise InputError(
            f"{'several variables' if names else 'no variable'} in the file: {listed}",
            where=where,
            remedy="name the one to read",
        )
    if name in ds.data_vars:
        return name
    low = {n.lower(): n for n in names}
    if name.lower() in low:
        return low[name.lower()]
    key = canonical(name)
    entry = VARIABLES.get(key)
    if entry is not None:
        for alias in (key, *entry.aliases):
            if alias in low:
                return low[alias]
        for found in names:
            if ds[found].attrs.get("standard_name") in entry.standard_names:
                return found
    hint = nearest(name, names)
    raise InputError(f"no variable {name!r}; the file has {listed}", where=where, remedy=hint or None)


def is_auxiliary(ds: xr.Dataset, name: str) -> bool:
    """Whether a data variable only describes others: bounds, grid mappings, strings, scalars without data."""
    variable = ds[name]
    if variable.attrs.get("grid_mapping_name") or name.endswith(("_bnds", "_bounds")):
        return True
    bounds = {v.attrs.get("bounds") for v in ds.variables.values()}
    return name in bounds or variable.dtype.kind in "SU"


def source(obj: xr.Dataset | xr.DataArray) -> str | None:
    """File an object was opened from, as far as it is known."""
    found = obj.encoding.get("source") or obj.attrs.get("_source")
    return str(found) if found else None
