"""What to ask the Climate Data Store for: SEAS5 and ERA5 monthly means, orography and land-sea mask."""

from __future__ import annotations

from typing import Any

import numpy as np

from esai_core.io.names import canonical
from esai_core.job import Request
from esai_seasonal.config import SeasonalConfig

__all__ = ["requests"]

AREA = (11, -77, 8, -73)  # north, west, south, east
YEARS = (1981, 2016)
LEADS = 6
SYSTEM = "51"
CDS_NAMES = {
    "t2m": "2m_temperature",
    "tp": "total_precipitation",
    "sst": "sea_surface_temperature",
    "mx2t": "maximum_2m_temperature_in_the_last_24_hours",
    "mn2t": "minimum_2m_temperature_in_the_last_24_hours",
    "d2m": "2m_dewpoint_temperature",
    "msl": "mean_sea_level_pressure",
}
NOTE = "Copernicus licence; accept it once on the page of the data set"


def requests(config: SeasonalConfig | None = None) -> list[Request]:
    """Give the requests for the inputs of a config, or of the Colombia example without one.

    Parameters
    ----------
    config : SeasonalConfig, optional
        Its variable and years are asked for, under the file names it uses; the area is that of the
        hindcast or
        reference where the file is there, else that of the example.

    Returns
    -------
    list of Request
        SEAS5 and ERA5 monthly means and their orography and land-sea mask.
    """
    variable = "t2m" if config is None else canonical(config.data.variable)
    first, last = _years(config)
    area = _area(config)
    name = CDS_NAMES.get(variable, variable)
    years = [str(y) for y in range(first, last + 1)]
    months = [f"{m:02d}" for m in range(1, 13)]
    seasonal: dict[str, Any] = {
        "originating_centre": "ecmwf",
        "system": SYSTEM,
        "variable": [name],
        "product_type": ["monthly_mean"],
        "year": years,
        "month": months,
        "leadtime_month": [str(lead) for lead in range(1, LEADS + 1)],
        "area": area,
        "data_format": "netcdf",
    }
    reanalysis: dict[str, Any] = {
        "product_type": ["monthly_averaged_reanalysis"],
        "variable": [name],
        "year": [*years, str(last + 1)],
        "month": months,
        "time": ["00:00"],
        "area": area,
        "data_format": "netcdf",
        "download_format": "unarchived",
    }
    static = {
        **reanalysis,
        "variable": ["geopotential", "standard_deviation_of_orography", "land_sea_mask"],
        "year": [years[-1]],
        "month": ["01"],
    }
    coarse = {
        "originating_centre": "ecmwf",
        "system": SYSTEM,
        "variable": ["orography", "land_sea_mask"],
        "year": [years[-1]],
        "month": ["01"],
        "day": ["01"],
        "leadtime_hour": ["0"],
        "area": area,
        "data_format": "netcdf",
    }
    label = f"{variable}_monthly_{first}-{last}"
    reference = Request(
        client="cds",
        dataset="reanalysis-era5-single-levels-monthly-means",
        body=reanalysis,
        target=_target(config, "reference", f"era5_{label}.nc"),
        note=NOTE,
    )
    fine = Request(
        client="cds",
        dataset="reanalysis-era5-single-levels-monthly-means",
        body=static,
        target=_target(config, "static_fine", "static_0p25.nc"),
        note=NOTE,
    )
    if config is not None and config.task == "superresolution":
        return [_hourly(config, reference), fine]
    return [
        Request(
            client="cds",
            dataset="seasonal-monthly-single-levels",
            body=seasonal,
            target=_target(config, "hindcast", f"seas5_{label}.nc"),
            note=NOTE,
        ),
        reference,
        Request(
            client="cds",
            dataset="seasonal-original-single-levels",
            body=coarse,
            target=_target(config, "static_coarse", "static_1p0.nc"),
            note=NOTE,
        ),
        fine,
    ]


def _area(config: SeasonalConfig | None) -> list[float]:
    """North, west, south, east of the first input that is there, in whole degrees; else the example's."""
    for path in () if config is None else (config.data.hindcast, config.data.reference):
        if path is not None and path.exists():
            from esai_core.io import open_dataset

            ds = open_dataset(path)
            lat, lon = ds["latitude"].values, ds["longitude"].values
            return [
                float(x)
                for x in (np.ceil(lat.max()), np.floor(lon.min()), np.floor(lat.min()), np.ceil(lon.max()))
            ]
    return list(AREA)


def _years(config: SeasonalConfig | None) -> tuple[int, int]:
    if config is None:
        return YEARS
    ends = [v for pair in (config.split.train, config.split.validate_, config.split.test) for v in pair]
    years = [v if isinstance(v, int) else v.year for v in ends]
    return min(years), max(years)


def _hourly(config: SeasonalConfig, monthly: Request) -> Request:
    """Hourly reanalysis of the days of a super-resolution."""
    ends = [v for pair in (config.split.train, config.split.validate_, config.split.test) for v in pair]
    if isinstance(ends[0], int):
        return monthly
    days = np.arange(
        str(min(ends)), np.datetime64(str(max(ends))) + np.timedelta64(1, "D"), dtype="datetime64[D]"
    )
    parts = [str(d).split("-") for d in days]
    body = {
        **{k: v for k, v in monthly.body.items() if k not in ("product_type", "year", "month", "time")},
        "product_type": ["reanalysis"],
        **{key: sorted({p[i] for p in parts}) for i, key in enumerate(("year", "month", "day"))},
        "time": [f"{h:02d}:00" for h in range(24)],
    }
    return Request(
        client="cds",
        dataset="reanalysis-era5-single-levels",
        body=body,
        target=monthly.target,
        note=monthly.note,
    )


def _target(config: SeasonalConfig | None, key: str, default: str) -> str:
    path = None if config is None else getattr(config.data, key)
    return default if path is None else path.name
