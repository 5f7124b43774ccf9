"""Labels of scenes: polygons of plants, and points around which nothing is learnt or scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import InputError
from esai_wwtp.chips import IGNORE
from esai_wwtp.geo import shifted, to_pixels, to_places
from esai_wwtp.scenes import Scene, Window
from esai_wwtp.uwwtd import read_uwwtd
from esai_wwtp.vectors import read_vectors

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Labels", "read_labels"]


@dataclass(frozen=True)
class Labels:
    """Plants in degrees (WGS 84).

    Attributes
    ----------
    polygons : GeoDataFrame
        Outlines; ``load`` (population equivalents) and ``level`` of treatment where they are known.
    points : GeoDataFrame
        Plants whose outline is not known.
    radius : float
        Metres around a point that are ignored.
    """

    polygons: Any
    points: Any
    radius: float

    def on(self, scene: Scene) -> SceneLabels:
        """Bring them to the grid of a scene."""
        points = self.points.to_crs(scene.crs)
        discs = points.geometry.buffer(self.radius)
        polygons = self.polygons.to_crs(scene.crs)
        return SceneLabels(scene, polygons.geometry.to_numpy(), discs.to_numpy(), polygons)


@dataclass(frozen=True)
class SceneLabels:
    """Labels in the projection of a scene; `outlines` and `discs` are shapely geometries."""

    scene: Scene
    outlines: NDArray
    discs: NDArray
    table: Any

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Rasterise a window: 1 in a plant, `IGNORE` around points without an outline, else 0.

        A pixel belongs to a polygon that holds its centre; a polygon that holds none marks those it touches.
        """
        import shapely
        from rasterio.features import rasterize

        transform = shifted(self.scene.transform, window.top, window.left)
        x, y = to_places(transform, [0, window.shape[0]], [0, window.shape[1]])
        box = shapely.box(x.min(), y.min(), x.max(), y.max())

        def burn(shapes: NDArray, value: int, **options: Any) -> NDArray[np.uint8]:
            near = shapes[shapely.intersects(shapes, box)] if len(shapes) else shapes
            if not len(near):
                return np.zeros(window.shape, np.uint8)
            return rasterize(
                [(one, value) for one in near], out_shape=window.shape, transform=transform, **options
            )

        target = burn(self.discs, IGNORE)
        marked = burn(self.outlines, 1)
        return np.where(marked == 1, np.uint8(1), target)

    def only(self, outline: Any, window: Window) -> NDArray[np.bool_]:
        """Rasterise one outline in a window."""
        from rasterio.features import rasterize

        transform = shifted(self.scene.transform, window.top, window.left)
        return rasterize([(outline, 1)], out_shape=window.shape, transform=transform, dtype="uint8") == 1

    def centres(self) -> NDArray[np.float64]:
        """Give row and column of the middle of each polygon within the scene, ``(plant, 2)``."""
        import shapely

        if not len(self.outlines):
            return np.empty((0, 2))
        middle = shapely.point_on_surface(self.outlines)
        rows, columns = to_pixels(self.scene.transform, shapely.get_x(middle), shapely.get_y(middle))
        inside = (rows >= 0) & (rows < self.scene.shape[0]) & (columns >= 0) & (columns < self.scene.shape[1])
        return np.stack([rows, columns], axis=1)[inside]


def read_labels(paths: tuple[Path, ...], *, radius: float) -> Labels:
    """Read labels: polygons from layers, points from layers and from tables (UWWTD, HydroWASTE).

    Of OSM layers the shapes with ``man_made=wastewater_plant`` are taken, where that column is there.
    Points inside or within `radius` of a polygon are the same plant: they give it their load, and no ignore
    region.

    Raises
    ------
    InputError
        If there is no shape at all.
    """
    import geopandas
    import pandas as pd

    polygons, points = [], []
    for path in paths:
        if path.suffix.lower() == ".csv":
            points.append(_points(path))
            continue
        shapes = read_vectors(path).to_crs(4326)
        if "man_made" in shapes and (shapes["man_made"] == "wastewater_plant").any():
            shapes = shapes[shapes["man_made"] == "wastewater_plant"]
        area = shapes.geom_type.isin(["Polygon", "MultiPolygon"])
        polygons.append(shapes[area])
        points.append(shapes[shapes.geom_type == "Point"])
    empty = geopandas.GeoDataFrame({"load": []}, geometry=[], crs=4326)

    def joined(parts: list[Any]) -> Any:
        kept = [part for part in parts if len(part)]
        return geopandas.GeoDataFrame(pd.concat(kept, ignore_index=True), crs=4326) if kept else empty

    areas, places = joined(polygons), joined(points)
    if not len(areas) and not len(places):
        raise InputError(
            "the labels hold no plant",
            where=", ".join(path.name for path in paths) or "data.labels",
            remedy="polygons with man_made=wastewater_plant, or a table of plants",
        )
    if len(areas):
        areas = areas.assign(geometry=areas.geometry.make_valid())
    return Labels(*_merge(areas, places, radius), radius)


def _merge(areas: Any, places: Any, radius: float) -> tuple[Any, Any]:
    """Give polygons the load of the points in or near them, and keep the other points."""
    areas = areas.reset_index(drop=True)
    if "load" not in areas:
        areas["load"] = np.nan
    if not len(areas) or not len(places):
        return areas, places.reset_index(drop=True)
    metric = places.estimate_utm_crs()
    near = places.to_crs(metric).sjoin_nearest(
        areas.to_crs(metric)[["geometry"]], max_distance=radius, how="inner"
    )
    if "load" in near:
        sums = near.groupby("index_right")["load"].sum(min_count=1)
        areas.loc[sums.index, "load"] = areas.loc[sums.index, "load"].fillna(sums)
    if "level" in near:  # that of the largest plant
        areas = areas.assign(level=areas.get("level"))
        levels = near.sort_values("load").groupby("index_right")["level"].last()
        areas.loc[levels.index, "level"] = areas.loc[levels.index, "level"].fillna(levels)
    return areas, places.drop(index=near.index.unique()).reset_index(drop=True)


HYDROWASTE = {"LAT_WWTP": "latitude", "LON_WWTP": "longitude", "POP_SERVED": "load"}


def _points(path: Path) -> Any:
    """Read a table of plants: UWWTD (EEA) or HydroWASTE (Ehalt Macedo et al., 2022, ESSD)."""
    import geopandas
    import pandas as pd

    try:
        head: pd.DataFrame = pd.read_csv(path, encoding="latin-1", nrows=0)
    except (OSError, ValueError) as error:
        raise InputError(f"not a table: {error}", where=path) from error
    if set(HYDROWASTE) <= set(head.columns):
        table = pd.read_csv(path, encoding="latin-1", usecols=list(HYDROWASTE)).rename(columns=HYDROWASTE)
        table = table[(table["latitude"].abs() <= 90) & (table["longitude"].abs() <= 180)]
    else:
        table = read_uwwtd(path).plants
    shapes = geopandas.points_from_xy(table["longitude"], table["latitude"], crs=4326)
    kept = {name: table[name].to_numpy() for name in ("load", "level") if name in table}
    return geopandas.GeoDataFrame(kept, geometry=shapes)
