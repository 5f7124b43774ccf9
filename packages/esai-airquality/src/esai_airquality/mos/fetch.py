"""What to ask the data stores for: CAMS regional forecasts, observations of the EEA and of OpenAQ."""

from __future__ import annotations

from esai_airquality.mos.config import MosConfig
from esai_core.job import Request

__all__ = ["requests"]

VARIABLES = {
    "o3": "ozone",
    "no2": "nitrogen_dioxide",
    "co": "carbon_monoxide",
    "so2": "sulphur_dioxide",
    "pm10": "particulate_matter_10um",
    "pm25": "particulate_matter_2.5um",
}
PERIOD = "2023-04-01/2023-04-30"
AREA = [44.0, -10.0, 35.0, 5.0]


def requests(config: MosConfig | None = None) -> list[Request]:
    """Give the requests: one month over Spain of the CAMS regional ensemble, and hourly observations.

    Parameters
    ----------
    config : MosConfig, optional
        Its species and leads are asked for.

    Returns
    -------
    list of Request
    """
    species = "o3" if config is None else config.data.species
    leads = (1, 2, 3, 4) if config is None else config.mos.leads
    hours = [str(h) for lead in leads for h in range(24 * (lead - 1), 24 * lead)]
    forecast = Request(
        client="ads",
        dataset="cams-europe-air-quality-forecasts",
        body={
            "variable": [VARIABLES[species]],
            "model": ["ensemble"],
            "level": ["0"],
            "date": [PERIOD],
            "type": ["forecast"],
            "time": ["00:00"],
            "leadtime_hour": hours,
            "data_format": "netcdf",
            "area": AREA,
        },
        target=f"cams_{species}.nc" if config is None else config.data.forecast.name,
        note="Copernicus licence; accept it once on the page of the data set",
    )
    codes = {"o3": "O3", "no2": "NO2", "co": "CO", "so2": "SO2", "pm10": "PM10", "pm25": "PM2.5"}
    eea = Request(
        client="http",
        dataset=f"https://eeadmz1-downloads-api-appservice.azurewebsites.net/ParquetFile/urls?countries=ES&pollutants={codes[species]}&dataset=1",
        target=f"eea_{species}_files.csv",
        note="EEA download service: the list of Parquet files of Spain; reuse with acknowledgement",
    )
    openaq = Request(
        client="http",
        dataset=f"https://api.openaq.org/v3/locations?iso=ES&parameters_id={_openaq(species)}&limit=1000",
        target=f"openaq_{species}_locations.json",
        note="OpenAQ v3: needs the header X-API-Key; licences by provider",
    )
    return [forecast, eea, openaq]


def _openaq(species: str) -> int:
    return {"pm10": 1, "pm25": 2, "o3": 10, "co": 8, "no2": 7, "so2": 9}[species]
