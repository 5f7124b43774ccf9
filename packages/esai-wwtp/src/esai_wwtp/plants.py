"""From probabilities to plants: outlines, measures in equal-area units, and no plant twice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_wwtp.geo import shifted
from esai_wwtp.scenes import Scene, Window
from esai_wwtp.tiling import ndwi

__all__ = ["clean_mask", "drop_duplicates", "outline_plants"]

COLUMNS = (
    "scene",
    "sensed",
    "probability",
    "pixels",
    "area_m2",
    "perimeter_m",
    "orientation_deg",
    "elongation",
    "water_fraction",
)


def clean_mask(said: NDArray[np.bool_], *, close: int, min_pixels: int) -> NDArray[np.int32]:
    """Join parts that are near, drop those that are small, and number the rest.

    Parameters
    ----------
    said : array (row, column)
        Where the network says plant.
    close : int
        Parts up to twice so many pixels apart become one (a binary closing with a disc).
    min_pixels : int
        Parts with fewer pixels are dropped.

    Returns
    -------
    array of int32
        0, or the number of the plant, from 1 without gaps.
    """
    from scipy import ndimage

    mask = said
    if close and said.any():
        reach = np.hypot(*np.mgrid[-close : close + 1, -close : close + 1]) <= close + 0.5
        padded = np.pad(said, close)  # a closing would otherwise lose what touches the border
        mask = ndimage.binary_closing(padded, structure=reach)[close:-close, close:-close]
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    kept = sizes >= min_pixels
    kept[0] = False
    numbers = np.where(kept, kept.cumsum(), 0).astype(np.int32)
    return numbers[labels]


def outline_plants(
    labels: NDArray[np.int32],
    probability: NDArray[np.float32],
    scene: Scene,
    *,
    crs: str,
    clouds: bool = True,
) -> Any:
    """Outline numbered plants and measure them.

    Parameters
    ----------
    labels : array (row, column)
        As `clean_mask` gives.
    probability : array (row, column)
        Same shape; NaN is left out of the mean.
    scene : Scene
        For the place, and the water in the outlines.
    crs : str
        Equal-area CRS of the result.
    clouds : bool
        As in the inference.

    Returns
    -------
    GeoDataFrame
        In `crs`, with the columns of `COLUMNS`: mean probability, pixels, area (m2), perimeter (m, of the
        outline without the steps of the pixels), orientation (degrees from east, anticlockwise, 0 to 180,
        of the longest side of the smallest rectangle), elongation (its sides' ratio), and the share of
        water (NDWI above 0).
    """
    import geopandas
    from rasterio.features import shapes
    from scipy import ndimage
    from shapely.geometry import shape

    transform = scene.transform
    geometry, rows = [], []
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        own = labels[box] == number
        window = Window(box[0].start, box[0].stop, box[1].start, box[1].stop)
        corner = shifted(transform, window.top, window.left)
        found = shapes(own.astype(np.uint8), mask=own, transform=corner, connectivity=8)
        geometry.append(_union([shape(one) for one, _ in found]))
        rows.append(
            {
                "scene": scene.name,
                "sensed": scene.sensed,
                "probability": float(np.nanmean(np.where(own, probability[box], np.nan))),
                "pixels": int(own.sum()),
                "water_fraction": _water(scene, window, own, clouds),
            }
        )
    table = {name: [row.get(name) for row in rows] for name in COLUMNS}
    plants = geopandas.GeoDataFrame(table, geometry=geometry, crs=scene.crs).to_crs(crs)
    return measure(plants, step=abs(transform.a))


def _union(parts: list[Any]) -> Any:
    import shapely

    return parts[0] if len(parts) == 1 else shapely.union_all(parts)


def _water(scene: Scene, window: Window, own: NDArray[np.bool_], clouds: bool) -> float:
    if not {"B03", "B08"} <= set(scene.bands):
        return float("nan")
    index = ndwi(scene.read(window, clouds=clouds), scene.bands)[own]
    present = np.isfinite(index)
    return float((index[present] > 0).mean()) if present.any() else float("nan")


def measure(plants: Any, *, step: float) -> Any:
    """Add area, perimeter, orientation and elongation to outlines; `step`: metres of a pixel."""
    import shapely

    smooth = plants.geometry.simplify(0.75 * step)
    boxes = shapely.minimum_rotated_rectangle(smooth.to_numpy())
    angles, ratios = [], []
    for box in boxes:
        corners = np.asarray(box.exterior.coords) if box.geom_type == "Polygon" else np.zeros((3, 2))
        sides = np.diff(corners[:3], axis=0)
        lengths = np.hypot(sides[:, 0], sides[:, 1])
        longest = sides[int(np.argmax(lengths))]
        angles.append(float(np.degrees(np.arctan2(longest[1], longest[0])) % 180.0))
        ratios.append(float(lengths.max() / lengths.min()) if lengths.min() > 0 else float("nan"))
    return plants.assign(
        area_m2=plants.geometry.area,
        perimeter_m=smooth.length,
        orientation_deg=np.array(angles, dtype=float),
        elongation=np.array(ratios, dtype=float),
    )


def drop_duplicates(plants: Any, *, overlap: float = 0.3) -> Any:
    """Keep one of the outlines that different scenes give for one plant.

    Of two outlines of different scenes whose common part is at least `overlap` of the smaller one, the one
    with the higher mean probability times area stays (a plant cut by the edge of a tile is the smaller one).

    Parameters
    ----------
    plants : GeoDataFrame
        In an equal-area CRS, with ``scene`` and ``probability``.
    overlap : float
        Share of the smaller outline.

    Returns
    -------
    GeoDataFrame
        With a fresh index, in the order of what came in.
    """
    if len(plants) < 2:
        return plants.reset_index(drop=True)
    shapes = plants.geometry.to_numpy()
    rank = plants["probability"].to_numpy() * plants.geometry.area.to_numpy()
    scenes = plants["scene"].to_numpy()
    first, second = plants.sindex.query(plants.geometry, predicate="intersects")
    near: dict[int, list[int]] = {}
    for a, b in zip(first, second, strict=True):
        if scenes[a] != scenes[b]:
            smaller = min(shapes[a].area, shapes[b].area)
            if smaller > 0 and shapes[a].intersection(shapes[b]).area >= overlap * smaller:
                near.setdefault(int(a), []).append(int(b))
    gone: set[int] = set()
    for a in np.lexsort((np.arange(len(plants)), -rank)):
        if int(a) not in gone:
            gone.update(b for b in near.get(int(a), []) if b != a)
    return plants.iloc[[i for i in range(len(plants)) if i not in gone]].reset_index(drop=True)
