"""Point and grid emissions in the layouts that emission models read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esai_core.io import atomic_path

if TYPE_CHECKING:
    import pandas as pd

    from esai_wwtp.proxy import Proxy

__all__ = ["write_cams_reg", "write_hermes"]

CAMS_REG = (
    "Lon_rounded",
    "Lat_rounded",
    "ISO3",
    "Year",
    "GNFR_Sector",
    "SourceType",
    "CH4",
)
ISO3 = {
    "AT": "AUT", "BE": "BEL", "BG": "BGR", "CY": "CYP", "CZ": "CZE", "DE": "DEU", "DK": "DNK", "EE": "EST",
    "EL": "GRC", "ES": "ESP", "FI": "FIN", "FR": "FRA", "GR": "GRC", "HR": "HRV", "HU": "HUN", "IE": "IRL",
    "IT": "ITA", "LT": "LTU", "LU": "LUX", "LV": "LVA", "MT": "MLT", "NL": "NLD", "PL": "POL", "PT": "PRT",
    "RO": "ROU", "SE": "SWE", "SI": "SVN", "SK": "SVK", "UK": "GBR", "GB": "GBR",
}  # fmt: skip
"""Country codes of the EEA (EL, UK) and of ISO 3166-1 to three letters."""


def _emitting(made: Proxy) -> pd.DataFrame:
    """Give the plants on the grid with their share of the national total, kg CH4 per year in ``kg``."""
    plants = made.plants[made.plants["status"] == "assigned"].copy()
    sums = plants.groupby("country")["ch4"].transform("sum")
    plants["kg"] = plants["ch4"] / sums * plants["country"].map(made.totals)
    return plants


def write_cams_reg(made: Proxy, path: Path, *, year: int) -> None:
    """Write a table of points as CAMS-REG's: semicolons, one line per plant, kg of the year.

    Parameters
    ----------
    made : Proxy
    path : Path
        ``.csv``.
    year : int
        Of the emissions.

    Notes
    -----
    Columns ``Lon_rounded; Lat_rounded; ISO3; Year; GNFR_Sector; SourceType; CH4`` (Kuenen et al., 2022,
    ESSD): sector J (waste), source type P (point). The sum of CH4 is the sum of the national totals of
    countries with plants on the grid.
    """
    plants = _emitting(made)
    table = plants.assign(
        Lon_rounded=plants["longitude"].round(5),
        Lat_rounded=plants["latitude"].round(5),
        ISO3=plants["country"].map(lambda code: ISO3.get(code, code)),
        Year=year,
        GNFR_Sector="J",
        SourceType="P",
        CH4=plants["kg"],
    )
    with atomic_path(path) as partial:
        table[list(CAMS_REG)].to_csv(partial, sep=";", index=False)


def write_hermes(made: Proxy, folder: Path, *, year: int) -> None:
    """Write plants as HERMESv3 point sources, and the grid's cells as a shapefile with weights.

    Parameters
    ----------
    made : Proxy
    folder : Path
        Gets ``wwtp_points.csv`` (Code, Lon, Lat, height, AF, the national category NFR 5D1, and the annual
        emission of CH4 in kg), ``wwtp_totals.csv`` (the national totals) and ``wwtp_weights.shp`` (cells
        with a weight of each country, in WGS 84).
    year : int
        Of the emissions.
    """
    import geopandas
    import pandas as pd
    import shapely

    folder.mkdir(parents=True, exist_ok=True)
    plants = _emitting(made)
    number = pd.Series(np.arange(1, len(plants) + 1), index=plants.index)
    code = plants["code"] if "code" in plants else number.map(lambda n: f"P{n}")
    points = {
        "Code": code,
        "Lon": plants["longitude"],
        "Lat": plants["latitude"],
        "Height": 0.0,  # at the ground: basins have no stack
        "AF": 1.0,
        "Country": plants["country"],
        "NFR": "5D1",
        "Year": year,
        "ch4": plants["kg"],
    }
    with atomic_path(folder / "wwtp_points.csv") as partial:
        pd.DataFrame(points).to_csv(partial, index=False)
    rows = [
        {"Country": name, "NFR": "5D1", "GNFR": "J_Waste", "Year": year, "ch4_kg": made.totals[name]}
        for name in made.countries
    ]
    with atomic_path(folder / "wwtp_totals.csv") as partial:
        pd.DataFrame(rows).to_csv(partial, index=False)
    lat, lon = made.grid.latitude_edges, made.grid.longitude_edges
    cells: dict[str, list[Any]] = {"country": [], "row": [], "col": [], "weight": [], "ch4_kg": []}
    for index, name in enumerate(made.countries):
        r, c = np.nonzero(made.weight[index])
        weight = made.weight[index][r, c]
        values = ([name] * len(r), r, c, weight, weight * made.totals[name])
        for key, value in zip(cells, values, strict=True):
            cells[key].extend(value)
    r, c = np.array(cells["row"], dtype=int), np.array(cells["col"], dtype=int)
    boxes = shapely.box(lon[c], lat[r], lon[c + 1], lat[r + 1])
    shapes = geopandas.GeoDataFrame(cells, geometry=boxes, crs=4326)
    shapes.to_file(folder / "wwtp_weights.shp", driver="ESRI Shapefile")
