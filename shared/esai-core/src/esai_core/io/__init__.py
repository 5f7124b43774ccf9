"""Open, check and write data: NetCDF, Zarr, GRIB, tables; CF names, units, calendars, longitudes.

Everything that opens gives the same data model, whatever wrote the file: dimensions ``latitude``,
``longitude``, ``time`` (a reference) or ``start``, ``lead``, ``number`` (a hindcast), longitudes and
latitudes ascending.
"""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "VARIABLES": "names",
        "atomic_path": "atomic",
        "check_plausible": "units",
        "check_units": "units",
        "checked": "read",
        "convert_units": "units",
        "find_variable": "names",
        "load": "read",
        "open_dataset": "read",
        "open_hindcast": "layouts",
        "open_reference": "layouts",
        "read_table": "tables",
        "standard_units": "units",
        "standardise": "cf",
        "write_netcdf": "write",
        "write_table": "tables",
        "write_zarr": "write",
    },
)
