"""What to ask the data stores for: Sentinel-5P swaths, ERA5 weather, observations of the EEA and OpenAQ."""

from __future__ import annotations

from urllib.parse import quote

from esai_airquality.no2.config import No2Config
from esai_core.job import Request

__all__ = ["requests"]

CATALOGUE = "https://catalogue.dataspace.copernicus.eu/odata/v1/Products"
WEST, SOUTH, EAST, NORTH = 6.5, 44.0, 13.5, 46.7
FIRST, LAST = "2023-01-01", "2023-02-01"


def requests(config: No2Config | None = None) -> list[Request]:
    """Give the requests: January 2023 over the Po valley.

    Parameters
    ----------
    config : No2Config, optional
        Taken for the names of files alone.

    Returns
    -------
    list of Request
    """
    corners = [(WEST, SOUTH), (EAST, SOUTH), (EAST, NORTH), (WEST, NORTH), (WEST, SOUTH)]
    ring = ",".join(f"{x:g} {y:g}" for x, y in corners)
    wanted = " and ".join(
        [
            "Collection/Name eq 'SENTINEL-5P'",
            "contains(Name,'OFFL_L2__NO2____')",
            f"OData.CSC.Intersects(area=geography'SRID=4326;POLYGON(({ring}))')",
            f"ContentDate/Start ge {FIRST}T00:00:00.000Z",
            f"ContentDate/Start lt {LAST}T00:00:00.000Z",
        ]
    )
    swaths = Request(
        client="http",
        dataset=f"{CATALOGUE}?$filter={quote(wanted)}&$orderby=ContentDate/Start&$top=200",
        target="s5p_no2_products.json",
        note="Copernicus Data Space: the list of L2 NO2 orbits over the area. Each is fetched with a free "
        "account's "
        "token from https://download.dataspace.copernicus.eu/odata/v1/Products(ID)/$value into data.swaths",
    )
    weather = Request(
        client="cds",
        dataset="reanalysis-era5-single-levels",
        body={
            "product_type": ["reanalysis"],
            "variable": [
                "boundary_layer_height",
                "2m_temperature",
                "10m_u_component_of_wind",
                "10m_v_component_of_wind",
                "surface_solar_radiation_downwards",
            ],
            "year": [FIRST[:4]],
            "month": [FIRST[5:7]],
            "day": [f"{day:02d}" for day in range(1, 32)],
            "time": ["12:00"],
            "area": [NORTH, WEST, SOUTH, EAST],
            "data_format": "netcdf",
            "download_format": "unarchived",
        },
        target="era5.nc" if config is None or config.data.fields is None else config.data.fields.name,
        note="Copernicus licence; the hour of the overpass. Bring it to the grid of the map for data.fields",
    )
    eea = Request(
        client="http",
        dataset="https://eeadmz1-downloads-api-appservice.azurewebsites.net/ParquetFile/urls?countries=IT&pollutants=NO2&dataset=1",
        target="eea_no2_files.csv",
        note="EEA download service: the list of Parquet files of Italy; reuse with acknowledgement",
    )
    openaq = Request(
        client="http",
        dataset="https://api.openaq.org/v3/locations?iso=IT&parameters_id=7&limit=1000",
        target="openaq_no2_locations.json",
        note="OpenAQ v3: needs the header X-API-Key; licences by provider",
    )
    return [swaths, weather, eea, openaq]
