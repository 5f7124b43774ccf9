"""What ``fetch`` asks the data stores for: scenes by STAC, outlines by Overpass, the plants of the UWWTD."""

from __future__ import annotations

from urllib.parse import quote

from esai_core.job import Request
from esai_wwtp.config import WwtpConfig

__all__ = ["requests"]

STAC = "https://earth-search.aws.element84.com/v1/search"
OVERPASS = "https://overpass-api.de/api/interpreter"
UWWTD = "https://discodata.eea.europa.eu/sql"
CLEAR = '{"eo:cloud_cover":{"lt":10}}'
IBERIA = (-9.6, 35.9, 4.4, 43.9)


def requests(config: WwtpConfig | None) -> list[Request]:
    """List the downloads: a STAC search of scenes with few clouds, OSM outlines, the table of the UWWTD.

    Parameters
    ----------
    config : WwtpConfig, optional
        The grid of its ``[proxy]`` is the region; the Iberian peninsula without.

    Returns
    -------
    list of Request
    """
    west, south, east, north = IBERIA
    if config is not None and config.proxy is not None:
        grid = config.proxy.grid
        west, south, east, north = grid.west, grid.south, grid.east, grid.north
    box = f"{west:g},{south:g},{east:g},{north:g}"
    search = (
        f"{STAC}?collections=sentinel-2-c1-l2a&bbox={quote(box)}&limit=100"
        f"&datetime=2023-06-01T00:00:00Z/2023-08-31T23:59:59Z&query={quote(CLEAR)}"
    )
    overpass = (
        f"[out:json][timeout:300];(way[man_made=wastewater_plant]({south:g},{west:g},{north:g},{east:g});"
        f"relation[man_made=wastewater_plant]({south:g},{west:g},{north:g},{east:g}););out geom;"
    )
    table = "SELECT * FROM [WISE_UWWTD].[latest].[T_UWWTPS] WHERE rptMStateKey IN ('ES','PT')"
    return [
        Request(
            client="http",
            dataset=search,
            target="scenes/search.json",
            note="STAC items of Sentinel-2 L2A (Copernicus data); a feature is an item for data.scenes",
        ),
        Request(
            client="http",
            dataset=f"{OVERPASS}?data={quote(overpass)}",
            target="labels/osm_wastewater_plants.json",
            note="outlines of plants, OpenStreetMap contributors, ODbL; name the file in data.labels",
        ),
        Request(
            client="http",
            dataset=f"{UWWTD}?query={quote(table)}&p=1&nrOfHits=100000",
            target="labels/uwwtd.json",
            note="plants of the Urban Waste Water Treatment Directive, EEA, reuse with acknowledgement",
        ),
    ]
