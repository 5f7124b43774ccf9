"""What to ask for: S2S hindcasts and forecasts of the ECMWF Data Store, and the CPC observations."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from esai_core.job import Request
from esai_s2s.config import S2sConfig

__all__ = ["newest_thursday", "requests"]

NAMES = {
    "t2m": (("167",), ("tmax", "tmin"), "cpc_global_temp"),
    "tp": (("228228",), ("precip",), "cpc_global_precip"),
    "pr": (("228228",), ("precip",), "cpc_global_precip"),
}
"""Variable to its MARS parameter, the CPC files and their folder."""
MEAN_STEPS = [f"{24 * day}-{24 * day + 24}" for day in range(14, 42)]
TOTAL_STEPS = ["336", "672", "1008"]
YEARS = (2000, 2019)
VERSION_YEAR = 2020
CPC = "https://downloads.psl.noaa.gov/Datasets"
DELAY_DAYS = 3
"""Days after the start that a forecast is asked for at the earliest."""
NOTE = "S2S project licence (CC BY 4.0); accept it once on the page of the data set"


def newest_thursday(today: date) -> date:
    """Return the last Thursday that lies `DELAY_DAYS` or more back."""
    day = today - timedelta(days=DELAY_DAYS)
    return day - timedelta(days=(day.weekday() - 3) % 7)


def _thursdays(year: int) -> list[date]:
    first = date(year, 1, 1)
    first += timedelta(days=(3 - first.weekday()) % 7)
    days = [first + timedelta(days=7 * week) for week in range(53)]
    return [day for day in days if day.year == year]


def _mars(variable: str, kind: str) -> dict[str, Any]:
    """Return what hindcasts and forecasts have in common, in the words of MARS, which the store takes."""
    body: dict[str, Any] = {
        "class": "s2",
        "expver": "prod",
        "grid": "1.5/1.5",
        "levtype": "sfc",
        "origin": "ecmf",
        "param": "/".join(NAMES[variable][0]),
        "step": "/".join(MEAN_STEPS if variable == "t2m" else TOTAL_STEPS),
        "time": "00:00:00",
        "type": kind,
    }
    return body


def _hindcasts(variable: str) -> list[Request]:
    """Return a request for each month of model versions and type: the fields of one tape at a time."""
    found = []
    for month in range(1, 13):
        for version in (day for day in _thursdays(VERSION_YEAR) if day.month == month):
            dates = [f"{year}-{version:%m-%d}" for year in range(YEARS[0], YEARS[1] + 1)]
            for kind in ("cf", "pf"):
                own = {
                    **_mars(variable, kind),
                    "stream": "enfh",
                    "date": version.isoformat(),
                    "hdate": "/".join(dates),
                }
                if kind == "pf":
                    own["number"] = "1/to/10"
                target = f"s2s/{variable}/hindcast_{version:%Y%m%d}_{kind}.grib"
                found.append(
                    Request(client="ecds", dataset="s2s-reforecasts", body=own, target=target, note=NOTE)
                )
    return found


def _newest(variable: str) -> list[Request]:
    day = newest_thursday(datetime.now(UTC).date())
    found = []
    for kind in ("cf", "pf"):
        own = {**_mars(variable, kind), "stream": "enfo", "date": day.isoformat()}
        if kind == "pf":
            own["number"] = "1/to/50" if day < date(2023, 6, 28) else "1/to/100"
        target = f"s2s/{variable}/newest_{day:%Y%m%d}_{kind}.grib"
        note = f"{NOTE}; for data.live"
        found.append(Request(client="ecds", dataset="s2s-forecasts", body=own, target=target, note=note))
    return found


def requests(config: S2sConfig | None = None) -> list[Request]:
    """Give the requests for the variables of a config, or for t2m and tp without one.

    Parameters
    ----------
    config : S2sConfig, optional
        Its variables are asked for, as far as the S2S archive has them.

    Returns
    -------
    list of Request
        ECMWF hindcasts of the 53 model versions of 2020 on the challenge's grid, the newest forecast, and the
        daily CPC fields of each year. Name the folder of a variable in the config.
    """
    wanted = ("t2m", "tp") if config is None else tuple(v for v in config.data.variables if v in NAMES)
    found = []
    for variable in wanted:
        found += _hindcasts(variable)
        found += _newest(variable)
        _, files, folder = NAMES[variable]
        for year in range(YEARS[0], YEARS[1] + 2):
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
