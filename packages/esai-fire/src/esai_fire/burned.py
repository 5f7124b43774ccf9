"""Readers of monthly burned area: ESA FireCCI 5.1, GFED4.1s, plain NetCDF; always m2 per cell and month."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from esai_core import io
from esai_core.errors import InputError
from esai_core.grid import Grid

__all__ = [
    "GFED_REGIONS", "check_burned", "is_gfed", "open_burned", "read_firecci", "read_gfed", "read_plain",
    "read_regions",
]  # fmt: skip

#: Regions of GFED by their number.
GFED_REGIONS = {
    1: "BONA", 2: "TENA", 3: "CEAM", 4: "NHSA", 5: "SHSA", 6: "EURO", 7: "MIDE", 8: "NHAF", 9: "SHAF",
    10: "BOAS", 11: "CEAS", 12: "SEAS", 13: "EQAS", 14: "AUST",
}  # fmt: skip

_HECTARE, _KM2 = 1.0e4, 1.0e6
_UNITS = {
    "m2": 1.0, "m^2": 1.0, "m**2": 1.0, "square meters": 1.0, "m 2": 1.0,
    "ha": _HECTARE, "hectare": _HECTARE, "hectares": _HECTARE,
    "km2": _KM2, "km^2": _KM2, "km**2": _KM2, "acre": 4046.8564224, "acres": 4046.8564224,
}  # fmt: skip

Kind = Literal["auto", "firecci", "gfed", "netcdf"]


def check_burned(burned: xr.DataArray, *, where: object) -> xr.DataArray:
    """Refuse negative or infinite burned area, and a time axis that is not monthly.

    Parameters
    ----------
    burned : DataArray
        ``(time, latitude, longitude)``, m2.
    where : object
        Named in errors.

    Returns
    -------
    DataArray
        The same, times set to the month's first day.

    Raises
    ------
    InputError
        Naming the first bad value, its month and place.
    """
    burned = burned.transpose("time", "latitude", "longitude")
    values = burned.values
    bad = np.isinf(values) | (values < 0.0)
    if bad.any():
        t, y, x = (int(i[0]) for i in np.nonzero(bad))
        place = f"{float(burned.latitude[y]):g} N, {float(burned.longitude[x]):g} E"
        raise InputError(
            f"burned area of {values[t, y, x]:g}",
            where=f"{where}: {burned.name}, {str(burned.time.values[t])[:7]}, {place}",
            remedy="areas are 0 or more; leave missing ones NaN",
        )
    months = pd.DatetimeIndex(burned["time"].values).to_period("M")
    if months.has_duplicates or not months.is_monotonic_increasing:
        raise InputError("months repeat or are out of order", where=where)
    gaps = pd.period_range(months[0], months[-1], freq="M").difference(months)
    if len(gaps):
        raise InputError(
            f"month {gaps[0]} is missing",
            where=where,
            remedy="give every month between the first and the last",
        )
    return burned.assign_coords(time=months.to_timestamp())


def _with_area(burned: xr.DataArray, area: xr.DataArray, where: object) -> xr.DataArray:
    """Refuse fires in cells without area, and leave out such cells without fire."""
    empty = ~(area.transpose("latitude", "longitude").values > 0.0)
    if not empty.any():
        return burned
    burned = burned.transpose("time", "latitude", "longitude")
    fires = np.nan_to_num(burned.values).max(axis=0) > 0.0
    if (empty & fires).any():
        y, x = (int(i[0]) for i in np.nonzero(empty & fires))
        place = f"{float(burned.latitude[y]):g} N, {float(burned.longitude[x]):g} E"
        raise InputError(
            f"fire in a cell of area {float(area.values[y, x]):g}", where=f"{where}: {place}",
            remedy="correct the cell areas, or the coordinates beyond a pole",
        )  # fmt: skip
    return burned.where(xr.DataArray(~empty, dims=("latitude", "longitude")))


def _in_m2(burned: xr.DataArray, where: object, area: xr.DataArray | None = None) -> xr.DataArray:
    cells = Grid.from_dataset(burned).cell_area if area is None else area
    burned = _with_area(burned, cells, where)
    units = str(burned.attrs.get("units", "")).strip().lower()
    if units in ("1", "fraction", "%"):
        share = burned / 100.0 if units == "%" else burned
        if bool((share > 1.0 + 1e-6).any()):
            raise InputError("a burned share above 1", where=f"{where}: {burned.name}")
        return (share * cells).assign_attrs(units="m2")
    if units not in _UNITS:
        raise InputError(
            f"unit {units or '(none)'!r} of burned area",
            where=f"{where}: {burned.name}",
            remedy="set its attribute units to m2, ha, km2, % or 1 (share of the cell)",
        )
    return (burned * _UNITS[units]).assign_attrs(units="m2")


def read_plain(path: str | Path, *, variable: str = "burned_area") -> xr.DataArray:
    """Read burned area on ``(time, latitude, longitude)`` from NetCDF or Zarr, by its ``units`` attribute.

    Parameters
    ----------
    path : path
        What `esai_core.io.open_dataset` opens.
    variable : str
        Its name in the file.

    Returns
    -------
    DataArray
        m2 per cell and month.
    """
    whole = io.open_dataset(path)
    ds = io.open_dataset(path, variable=variable)
    (name,) = ds.data_vars
    burned = io.load(ds[name])
    wanted = {"time", "latitude", "longitude"}
    burned = burned.squeeze([d for d in burned.dims if d not in wanted and burned.sizes[d] == 1], drop=True)
    if set(burned.dims) != wanted:
        raise InputError(
            f"dimensions {', '.join(map(str, burned.dims))}", where=f"{path}: {name}",
            remedy="give burned area on time, latitude and longitude",
        )  # fmt: skip
    area = whole.get("cell_area")
    if area is not None and set(area.dims) == {"latitude", "longitude"}:
        return check_burned(_in_m2(burned, path, io.load(area)), where=path)
    return check_burned(_in_m2(burned, path), where=path)


def read_firecci(path: str | Path, *, observed: float = 0.0) -> xr.Dataset:
    """Read ESA FireCCI 5.1 (0.25 degrees, monthly).

    Parameters
    ----------
    path : path
        A file, a folder of monthly files or a glob pattern.
    observed : float
        Months in which less than this share of the cell was observed become missing.

    Returns
    -------
    Dataset
        ``burned_area`` (m2) and, where the file holds them, ``standard_error`` (m2),
        ``fraction_of_observed_area``, ``fraction_of_burnable_area`` on ``(time, latitude, longitude)`` and
        ``burned_area_in_vegetation_class`` with the dim ``vegetation_class``.

    Raises
    ------
    InputError
        If it has no ``burned_area`` in m2.
    """
    ds = io.load(io.open_dataset(path))
    if "burned_area" not in ds:
        raise InputError("no variable 'burned_area'", where=path, remedy="give FireCCI 5.1 grid files")
    burned = check_burned(_in_m2(ds["burned_area"], path), where=path)
    ds = ds.assign_coords(time=burned["time"].values)
    seen = ds.get("fraction_of_observed_area")
    if seen is not None and observed > 0.0:
        burned = burned.where(seen >= observed)
    names = (
        "standard_error", "fraction_of_observed_area", "fraction_of_burnable_area",
        "burned_area_in_vegetation_class",
    )  # fmt: skip
    return xr.Dataset({"burned_area": burned, **{name: ds[name] for name in names if name in ds}})


def read_gfed(path: str | Path) -> xr.Dataset:
    """Read GFED4.1s yearly HDF5 files: burned area and dry matter by source.

    Parameters
    ----------
    path : path
        A file such as ``GFED4.1s_1997.hdf5``, or a folder of them; the year is taken from the name.

    Returns
    -------
    Dataset
        ``burned_area`` (m2), ``dm`` (kg m-2 month-1) and ``dm_share(source, ...)`` on ``(time, latitude,
        longitude)``; ``cell_area`` (m2) and ``region`` (0-14) on ``(latitude, longitude)``.

    Raises
    ------
    InputError
        If a group or variable of the layout is missing, or the name tells no year.
    """
    path = Path(path)
    files = sorted(path.glob("*.hdf5")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise InputError("no GFED4.1s file", where=path, remedy="they are called GFED4.1s_YEAR.hdf5")
    years = [_read_gfed_year(file) for file in files]
    fixed = years[0][["cell_area", "region"]]
    joined = xr.concat(
        [year.drop_vars(["cell_area", "region"]) for year in years], dim="time", join="exact"
    ).sortby("time")
    whole = xr.merge([joined, fixed], join="exact").sortby(["latitude", "longitude"])
    burned = _with_area(whole["burned_area"].transpose("time", ...), whole["cell_area"], path)
    whole["burned_area"] = check_burned(burned, where=path)
    return whole


def is_gfed(path: Path, kind: Kind = "auto") -> bool:
    """Tell whether a file or folder is GFED4.1s, by its name."""
    if kind != "auto":
        return kind == "gfed"
    first = next(iter(sorted(path.glob("*.hdf5"))), path) if path.is_dir() else path
    return first.suffix in (".hdf5", ".h5")


def read_regions(path: str | Path) -> tuple[xr.DataArray, dict[int, str]]:
    """Read a map of regions: the fourteen of a GFED4.1s file, or whole numbers of a NetCDF file.

    Parameters
    ----------
    path : path
        GFED4.1s, or a file with one variable on ``(latitude, longitude)``, whose regions are named by its
        attributes ``flag_values`` and ``flag_meanings`` where it has them.

    Returns
    -------
    (map (latitude, longitude), names)

    Raises
    ------
    InputError
        If the file holds no map, or several.
    """
    path = Path(path)
    if is_gfed(path):
        first = next(iter(sorted(path.glob("*.hdf5"))), path) if path.is_dir() else path
        return read_gfed(first)["region"], GFED_REGIONS
    ds = io.load(io.open_dataset(path))
    maps = [v for v in ds.data_vars.values() if set(v.dims) == {"latitude", "longitude"}]
    if len(maps) != 1:
        raise InputError(
            f"{len(maps)} maps on (latitude, longitude)", where=f"data.regions = {path}",
            remedy="give a file with one",
        )  # fmt: skip
    numbers = np.atleast_1d(maps[0].attrs.get("flag_values", []))
    meanings = str(maps[0].attrs.get("flag_meanings", "")).split()
    names = {int(k): name for k, name in zip(numbers, meanings, strict=False)}
    return maps[0], names


def _values(file: Any, name: str) -> np.ndarray:
    return np.ma.filled(file[name][:].astype(np.float64), np.nan)


def _read_gfed_year(path: Path) -> xr.Dataset:
    import netCDF4

    found = re.search(r"(19|20)\d\d", path.name)
    if found is None:
        raise InputError("the file name tells no year", where=path, remedy="name it GFED4.1s_YEAR.hdf5")
    year = int(found.group())
    try:
        with netCDF4.Dataset(path) as file:
            latitude, longitude = _values(file, "lat")[:, 0], _values(file, "lon")[0]
            area = _values(file, "ancill/grid_cell_area")
            region = _values(file, "ancill/basis_regions").astype(np.int16)
            months = sorted(name for name in file["burned_area"].groups if name.isdigit())
            share = [_values(file, f"burned_area/{m}/burned_fraction") for m in months]
            dm = [_values(file, f"emissions/{m}/DM") for m in months]
            sources = sorted(
                name.removeprefix("DM_")
                for name in file[f"emissions/{months[0]}/partitioning"].variables
                if name.startswith("DM_")
            )
            parts = [[_values(file, f"emissions/{m}/partitioning/DM_{s}") for s in sources] for m in months]
    except (OSError, IndexError, KeyError) as error:
        raise InputError(
            f"not in the layout of GFED4.1s ({error})", where=path, remedy="download the file again"
        ) from error
    time = pd.DatetimeIndex([pd.Timestamp(year, int(m), 1) for m in months]).as_unit("ns")
    grid = ("latitude", "longitude")
    return xr.Dataset(
        {
            "burned_area": (("time", *grid), np.stack(share) * area, {"units": "m2"}),
            "dm": (("time", *grid), np.stack(dm), {"units": "kg m-2 month-1"}),
            "dm_share": (("time", "source", *grid), np.asarray(parts), {"units": "1"}),
            "cell_area": (grid, area, {"units": "m2"}),
            "region": (grid, region),
        },
        coords={"time": time, "latitude": latitude, "longitude": longitude, "source": sources},
    )


def open_burned(
    path: str | Path, *, kind: Kind = "auto", variable: str = "burned_area", observed: float = 0.0
) -> xr.DataArray:
    """Read monthly burned area of any of the known layouts.

    Parameters
    ----------
    path : path
        File or folder.
    kind : {"auto", "firecci", "gfed", "netcdf"}
        Layout; auto tells by name and content.
    variable : str
        Its name, for plain NetCDF.
    observed : float
        FireCCI: least observed share of a cell and month.

    Returns
    -------
    DataArray
        ``(time, latitude, longitude)``, m2 per cell and month.
    """
    path = Path(path)
    if kind == "auto":
        kind = "gfed" if is_gfed(path) else "netcdf"
        if kind == "netcdf" and "fraction_of_observed_area" in io.open_dataset(path):
            kind = "firecci"
    if kind == "gfed":
        return read_gfed(path)["burned_area"]
    if kind == "firecci":
        return read_firecci(path, observed=observed)["burned_area"]
    return read_plain(path, variable=variable)
