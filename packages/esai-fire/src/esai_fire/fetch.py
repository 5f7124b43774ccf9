"""What ``fetch`` asks the data stores for."""

from __future__ import annotations

from esai_core.job import Request
from esai_fire.config import FireConfig

__all__ = ["requests"]

_PSL = "https://psl.noaa.gov/data/correlation"
_INDICES = ("nina34", "nina4", "nina3", "nina1", "oni", "pdo", "tna", "tsa", "amon.us")
_GFAS = (
    "wildfire_flux_of_carbon_dioxide", "wildfire_flux_of_carbon_monoxide", "wildfire_flux_of_methane",
    "wildfire_flux_of_nitrogen_oxides", "wildfire_flux_of_particulate_matter_d_2_5_µm",
    "wildfire_flux_of_organic_carbon", "wildfire_flux_of_black_carbon", "wildfire_radiative_power",
)  # fmt: skip


def requests(config: FireConfig | None) -> list[Request]:
    """List the downloads: FireCCI 5.1 (CDS), ERSSTv5, PSL indices, GFAS (ADS).

    Parameters
    ----------
    config : FireConfig, optional
        Its holdout ends the years asked for; 2001-2020 without one.

    Returns
    -------
    list of Request
    """
    last = 2020 if config is None or config.split.holdout is None else min(config.split.holdout[1], 2020)
    months = [f"{month:02d}" for month in range(1, 13)]
    found = [
        Request(
            client="cds",
            dataset="satellite-fire-burned-area",
            body={
                "origin": "esa_cci",
                "sensor": "modis",
                "variable": "grid_variables",
                "version": "5_1_1cds",
                "region": "global",
                "year": [str(year)],
                "month": months,
                "nominal_day": ["01"],
            },
            target=f"firecci51/{year}.zip",
            note="ESA FireCCI 5.1 burned area, 0.25 degrees; accept the licence on the CDS page first",
        )
        for year in range(2001, last + 1)
    ]
    found.append(
        Request(
            client="http",
            dataset="https://downloads.psl.noaa.gov/Datasets/noaa.ersst.v5/sst.mnmean.nc",
            target="ersstv5/sst.mnmean.nc",
            note="NOAA ERSSTv5 monthly sea-surface temperature",
        )
    )
    found += [
        Request(
            client="http",
            dataset=f"{_PSL}/{name}.data" if name == "oni" or "." in name else f"{_PSL}/{name}.anom.data"
            if name.startswith("nina") else f"{_PSL}/{name}.data",
            target=f"indices/{name}.data",
            note="NOAA PSL index",
        )
        for name in _INDICES
    ]  # fmt: skip
    found += [
        Request(
            client="ads",
            dataset="cams-global-fire-emissions-gfas",
            body={"variable": list(_GFAS), "date": [f"{year}-01-01/{year}-12-31"], "data_format": "grib"},
            target=f"gfas/{year}.grib",
            note="CAMS GFAS daily fire emissions, 0.1 degrees",
        )
        for year in range(2003, last + 1)
    ]
    return found
