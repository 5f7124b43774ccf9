"""What to ask the data stores for: EAC4 on the lowest model level, and validated hourly observations."""

from __future__ import annotations

from esai_airquality.reanalysis.config import ReanalysisConfig
from esai_core.job import Request

__all__ = ["requests"]

VARIABLES = {
    "o3": "ozone",
    "no2": "nitrogen_dioxide",
    "co": "carbon_monoxide",
    "so2": "sulphur_dioxide",
}
PERIOD = "2018-04-01/2018-09-30"
AREA = [44.0, -10.0, 35.0, 5.0]
HOURS = [f"{hour:02d}:00" for hour in range(0, 24, 3)]


def requests(config: ReanalysisConfig | None = None) -> list[Request]:
    """Give the requests: half a year of EAC4 over Spain, and the EEA's validated observations.

    Parameters
    ----------
    config : ReanalysisConfig, optional
        Its species and file names are asked for.

    Returns
    -------
    list of Request
    """
    grid = config.grid if config is not None else None
    species = grid.species if grid is not None else "o3"
    common = {"date": [PERIOD], "time": HOURS, "area": AREA, "data_format": "netcdf"}
    note = "Copernicus licence; accept it once on the page of the data set"
    levels = Request(
        client="ads",
        dataset="cams-global-reanalysis-eac4",
        body={
            "variable": [VARIABLES[species], "temperature", "specific_humidity"],
            "model_level": [str(grid.level if grid is not None else 60)],
            **common,
        },
        target=grid.model_levels.name if grid is not None else "eac4_ml.nc",
        note=note,
    )
    surface = Request(
        client="ads",
        dataset="cams-global-reanalysis-eac4",
        body={"variable": ["surface_pressure"], **common},
        target=grid.surface.name if grid is not None else "eac4_sfc.nc",
        note=note,
    )
    code = species.upper()
    observations = Request(
        client="http",
        dataset=f"https://eeadmz1-downloads-api-appservice.azurewebsites.net/ParquetFile/urls?countries=ES&pollutants={code}&dataset=2",
        target=f"eea_{species}_files.csv",
        note="EEA download service: validated files of Spain (E1a); reuse with acknowledgement",
    )
    return [levels, surface, observations]
