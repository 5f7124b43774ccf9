"""What to ask for: S2S hindcasts and forecasts of the ECMWF Data Store, and the CPC observations."""

from __future__ import annotations

from esai_core.job import Request
from esai_s2s.config import S2sConfig

__all__ = ["requests"]

NAMES = {
    "t2m": ("2m_temperature", "tavg", "cpc_global_temp"),
    "tp": ("total_precipitation", "precip", "cpc_global_precip"),
    "pr": ("total_precipitation", "precip", "cpc_global_precip"),
}
YEARS = (2000, 2019)
CPC = "https://downloads.psl.noaa.gov/Datasets"
NOTE = "S2S project licence (CC BY 4.0); accept it once on the page of the data set"


def requests(config: S2sConfig | None = None) -> list[Request]:
    """Give the requests for the variables of a config, or for t2m and tp without one.

    Parameters
    ----------
    config : S2sConfig, optional
        Its variables are asked for, as far as the S2S archive has them.

    Returns
    -------
    list of Request
        ECMWF hindcasts on the challenge's grid, and the daily CPC fields of each year.
    """
    wanted = ("t2m", "tp") if config is None else tuple(v for v in config.data.variables if v in NAMES)
    found = []
    for variable in wanted:
        name, cpc, folder = NAMES[variable]
        found.append(
            Request(
                client="ecds",
                dataset="s2s-reforecasts",
                body={
                    "origin": "ecmwf",
                    "forecast_type": ["control_forecast", "perturbed_forecast"],
                    "variable": [name],
                    "level_type": "single_level",
                    "year": ["2020"],
                    "month": [f"{m:02d}" for m in range(1, 13)],
                    "day": [f"{d:02d}" for d in range(1, 32)],
                    "hindcast_year": [str(y) for y in range(YEARS[0], YEARS[1] + 1)],
                    "leadtime_hour": [str(24 * day) for day in range(14, 43)],
                    "grid": [1.5, 1.5],
                    "data_format": "grib",
                },
                target=f"ecmwf_s2s_{variable}.grib",
                note=NOTE,
            )
        )
        for year in range(YEARS[0], YEARS[1] + 1):
            files = ("tmax", "tmin") if cpc == "tavg" else (cpc,)
            for part in files:
                found.append(
                    Request(
                        client="http",
                        dataset=f"{CPC}/{folder}/{part}.{year}.nc",
                        target=f"cpc/{part}.{year}.nc",
                        note="CPC, NOAA PSL: free",
                    )
                )
    return found
