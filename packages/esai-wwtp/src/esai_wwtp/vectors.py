"""Polygons and points: GeoJSON, GeoPackage, GeoParquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from esai_core.config import missing_path
from esai_core.errors import InputError
from esai_core.io import atomic_path

__all__ = ["read_vectors", "write_vectors"]


def read_vectors(path: str | Path) -> Any:
    """Read a layer.

    Parameters
    ----------
    path : path
        ``.parquet`` is read as GeoParquet, ``.json`` of the Overpass API (``out geom``) as its ways and
        relations, all else by GDAL.

    Returns
    -------
    geopandas.GeoDataFrame
        Without empty shapes; WGS 84 where the file names no CRS and its numbers are degrees.

    Raises
    ------
    InputError
        If the file is missing, no layer, or names no CRS.
    """
    import geopandas
    from pyogrio.errors import DataLayerError, DataSourceError

    path = Path(path)
    if not path.exists():
        raise missing_path(path)
    if path.suffix == ".json" and (shapes := _read_overpass(path)) is not None:
        return shapes
    try:
        shapes = geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path)
    except (DataSourceError, DataLayerError, ValueError, OSError) as error:
        raise InputError(f"not a layer of shapes: {str(error)[:150]}", where=path) from error
    if not isinstance(shapes, geopandas.GeoDataFrame):
        raise InputError("a table without shapes", where=path)
    shapes = shapes[~(shapes.geometry.is_empty | shapes.geometry.isna())].reset_index(drop=True)
    if shapes.crs is None:
        raise InputError("no coordinate reference system", where=path, remedy="write it with one")
    return shapes


def _read_overpass(path: Path) -> Any:
    """Give closed ways and the outer rings of relations as polygons; None where the file is another JSON."""
    import geopandas
    from shapely.geometry import Polygon
    from shapely.ops import polygonize, unary_union

    try:
        told = json.loads(path.read_text())
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"not JSON, or truncated: {str(error)[:100]}", where=path) from error
    if not isinstance(told, dict) or "elements" not in told:
        return None
    tags, geometry = [], []
    for element in told["elements"]:
        points = [(one["lon"], one["lat"]) for one in element.get("geometry", [])]
        if element.get("type") == "way" and len(points) > 3 and points[0] == points[-1]:
            shape: Any = Polygon(points)
        elif element.get("type") == "relation":
            lines = [
                [(one["lon"], one["lat"]) for one in member.get("geometry", [])]
                for member in element.get("members", [])
                if member.get("role") == "outer"
            ]
            shape = unary_union(list(polygonize([line for line in lines if len(line) > 1])))
        else:
            continue
        if not shape.is_empty:
            tags.append({**element.get("tags", {}), "osm": f"{element['type']}/{element.get('id')}"})
            geometry.append(shape)
    columns = {key: [tag.get(key) for tag in tags] for key in ("man_made", "name", "operator", "osm")}
    return geopandas.GeoDataFrame(columns, geometry=geometry, crs=4326)


def write_vectors(shapes: Any, path: Path, *, layer: str = "plants") -> None:
    """Write a layer to ``.gpkg`` or ``.parquet``, whole or not at all."""
    with atomic_path(path) as partial:
        if path.suffix == ".parquet":
            shapes.to_parquet(partial)
        else:
            shapes.to_file(partial, driver="GPKG", layer=layer)
