"""Polygons and points: GeoJSON, GeoPackage, GeoParquet."""

from __future__ import annotations

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
        ``.parquet`` is read as GeoParquet, all else by GDAL.

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


def write_vectors(shapes: Any, path: Path, *, layer: str = "plants") -> None:
    """Write a layer to ``.gpkg`` or ``.parquet``, whole or not at all."""
    with atomic_path(path) as partial:
        if path.suffix == ".parquet":
            shapes.to_parquet(partial)
        else:
            shapes.to_file(partial, driver="GPKG", layer=layer)
