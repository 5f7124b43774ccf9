"""From probabilities to plants: outlines, measures in equal-area units, and no plant twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_wwtp.geo import shifted, to_pixels
from esai_wwtp.labels import SceneLabels
from esai_wwtp.rasters import as_probability
from esai_wwtp.scenes import Scene, Window
from esai_wwtp.tiling import ndwi

__all__ = [
    "Piece",
    "drop_duplicates",
    "find_pieces",
    "mask_of",
    "measure",
    "outline_labels",
    "outline_plants",
]

BLOCK = 64
"""Side of the blocks in which marks are looked for; more than twice the largest closing."""

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


@dataclass(frozen=True)
class Piece:
    """The pixels of one plant: a window of the scene, and which of its pixels are the plant's."""

    window: Window
    mask: NDArray[np.bool_]


def find_pieces(said: NDArray[np.bool_], *, close: int, min_pixels: int) -> list[Piece]:
    """Join parts that are near, drop those that are small, and give the rest one by one.

    Only the surroundings of what is marked are worked on: a scene with few plants costs little memory.

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
    list of Piece
        By rows, then columns, of their upper left corners.
    """
    from scipy import ndimage

    rows, columns = said.shape
    coarse = np.logical_or.reduceat(
        np.logical_or.reduceat(said, np.arange(0, rows, BLOCK), axis=0), np.arange(0, columns, BLOCK), axis=1
    )
    groups, _ = ndimage.label(coarse, structure=np.ones((3, 3)))
    found: list[Piece] = []
    for number, box in enumerate(ndimage.find_objects(groups), 1):
        top, left = box[0].start * BLOCK, box[1].start * BLOCK
        part = said[top : box[0].stop * BLOCK, left : box[1].stop * BLOCK]
        own = np.kron(groups[box] == number, np.ones((BLOCK, BLOCK), bool))[: part.shape[0], : part.shape[1]]
        for piece in _pieces_of(part & own, close, min_pixels):
            w = piece.window
            window = Window(w.top + top, w.bottom + top, w.left + left, w.right + left)
            found.append(Piece(window, piece.mask))
    return sorted(found, key=lambda piece: (piece.window.top, piece.window.left))


def _pieces_of(part: NDArray[np.bool_], close: int, min_pixels: int) -> list[Piece]:
    """Do what `find_pieces` does for one group of blocks, which no closing can join with another."""
    from scipy import ndimage

    mask = part
    if close:
        reach = np.hypot(*np.mgrid[-close : close + 1, -close : close + 1]) <= close + 0.5
        padded = np.pad(part, close)  # a closing would otherwise lose what touches the border
        mask = ndimage.binary_closing(padded, structure=reach)[close:-close, close:-close]
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    found = []
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        own = labels[box] == number
        if own.sum() >= min_pixels:
            found.append(Piece(Window(box[0].start, box[0].stop, box[1].start, box[1].stop), own))
    return found


def mask_of(pieces: list[Piece], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Put pieces together again, ``(row, column)``."""
    mask = np.zeros(shape, bool)
    for piece in pieces:
        w = piece.window
        mask[w.top : w.bottom, w.left : w.right] |= piece.mask
    return mask


def outline_plants(
    pieces: list[Piece], stored: NDArray[np.uint8], scene: Scene, *, crs: str, clouds: bool = True
) -> Any:
    """Outline plants and measure them.

    Parameters
    ----------
    pieces : list of Piece
        As `find_pieces` gives.
    stored : array (row, column)
        Probabilities of the scene as bytes (`esai_wwtp.rasters.as_bytes`).
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
        outline without the steps of the pixels), orientation (degrees from east, anticlockwise, 0 to 180, of
        the longest side of the smallest rectangle), elongation (its sides' ratio), and the share of water
        (NDWI above 0).
    """
    import geopandas
    from rasterio.features import shapes
    from shapely.geometry import shape

    geometry, rows = [], []
    for piece in pieces:
        window, own = piece.window, piece.mask
        corner = shifted(scene.transform, window.top, window.left)
        found = shapes(own.astype(np.uint8), mask=own, transform=corner, connectivity=8)
        geometry.append(_union([shape(one) for one, _ in found]))
        part = stored[window.top : window.bottom, window.left : window.right]
        rows.append(
            {
                "scene": scene.name,
                "sensed": scene.sensed,
                "probability": _mean(as_probability(part)[own]),
                "pixels": int(own.sum()),
                "water_fraction": _water(scene, window, own, clouds),
            }
        )
    table = {name: [row.get(name) for row in rows] for name in COLUMNS}
    plants = geopandas.GeoDataFrame(table, geometry=geometry, crs=scene.crs).to_crs(crs)
    return measure(plants, step=abs(scene.transform.a))


def outline_labels(truth: SceneLabels, *, crs: str, clouds: bool = True) -> Any:
    """Measure labelled outlines as found ones are: by their pixels on the grid of the scene.

    Parameters
    ----------
    truth : SceneLabels
        Its table may have columns ``load`` and ``level``.
    crs, clouds
        As in `outline_plants`.

    Returns
    -------
    GeoDataFrame
        As of `outline_plants`, with ``load`` and ``level``; outlines that leave the scene are not in it.
    """
    pieces, kept = [], []
    scene = truth.scene
    for number, outline in enumerate(truth.outlines):
        west, south, east, north = outline.bounds
        rows, columns = to_pixels(scene.transform, [west, east], [north, south])
        top, left = int(np.floor(rows.min() + 1e-6)), int(np.floor(columns.min() + 1e-6))
        bottom, right = int(np.ceil(rows.max() - 1e-6)), int(np.ceil(columns.max() - 1e-6))
        if top < 0 or left < 0 or bottom > scene.shape[0] or right > scene.shape[1]:
            continue
        window = Window(top, bottom, left, right)
        own = truth.only(outline, window)
        if own.any():
            pieces.append(Piece(window, own))
            kept.append(number)
    blank = np.zeros(scene.shape, np.uint8)
    table = truth.table.iloc[kept]
    told = {
        name: table[name].to_numpy() if name in table else np.full(len(kept), missing)
        for name, missing in (("load", np.nan), ("level", None))
    }
    return outline_plants(pieces, blank, scene, crs=crs, clouds=clouds).assign(**told)


def _mean(values: NDArray[np.float32]) -> float:
    present = values[np.isfinite(values)]
    return float(present.mean()) if present.size else float("nan")


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
