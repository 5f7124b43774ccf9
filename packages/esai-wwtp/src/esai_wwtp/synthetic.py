"""Seeded scenes with known plants: land, water, and what is easily taken for a plant.

A toy: spectra and shapes are made up from what Sentinel-2 shows of them, and a network that finds these
plants has not been shown to find real ones. Sizes follow those of real outlines: a median of 373 pixels of
10 m, from 149 to 1015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_wwtp.geo import from_corner
from esai_wwtp.reflectance import QUANTIFICATION, Scaling
from esai_wwtp.scenes import Scene

__all__ = ["BANDS", "ToyScene", "toy_scene"]

BANDS = ("B02", "B03", "B04", "B08")
OFFSET = -1000.0

SPECTRA = {
    "crop": (0.045, 0.075, 0.05, 0.36),
    "meadow": (0.05, 0.08, 0.06, 0.30),
    "soil": (0.09, 0.13, 0.18, 0.25),
    "forest": (0.022, 0.04, 0.026, 0.24),
    "town": (0.12, 0.13, 0.14, 0.20),
    "roof": (0.22, 0.24, 0.26, 0.30),
    "concrete": (0.20, 0.22, 0.235, 0.27),
    "lawn": (0.05, 0.085, 0.06, 0.28),
    "water": (0.045, 0.04, 0.025, 0.012),
    "basin": (0.05, 0.06, 0.05, 0.035),
    "sludge": (0.07, 0.085, 0.09, 0.10),
    "pool": (0.15, 0.17, 0.10, 0.03),
    "panel": (0.06, 0.065, 0.07, 0.11),
}
"""Reflectance in `BANDS`."""

MEDIAN_PIXELS, LOG_SPREAD, SMALLEST, LARGEST = 373.0, 0.55, 149.0, 1015.0


@dataclass(frozen=True)
class ToyScene:
    """A scene in memory and what is in it.

    Attributes
    ----------
    scene : Scene
    mask : array (row, column), bool
        The plants.
    outlines : GeoDataFrame
        Their outlines in the scene's CRS, with ``man_made`` as in OSM and ``load`` (population equivalents).
    """

    scene: Scene
    mask: NDArray[np.bool_]
    outlines: Any


def toy_scene(
    *, seed: int, size: int = 1024, plants: int | None = None, prevalence: float = 4.5e-4, number: int = 0
) -> ToyScene:
    """Make a scene.

    Parameters
    ----------
    seed : int
        The same seed and number give the same scene.
    size : int
        Rows and columns of 10 m.
    plants : int, optional
        How many; by default as many as fit into `prevalence`, at least one.
    prevalence : float
        Largest share of the pixels that plants cover, where `plants` is not given.
    number : int
        Of the scene: it lies so many tiles to the east.

    Returns
    -------
    ToyScene
    """
    from rasterio.crs import CRS

    random = np.random.default_rng([seed, number])
    land = _land(random, size)
    taken = np.zeros((size, size), bool)
    _hard_negatives(random, land, taken)
    mask = np.zeros((size, size), bool)
    count, budget = 0, prevalence * size * size
    while count < (plants or 10_000):
        spread = LOG_SPREAD * random.standard_normal()
        area = float(np.clip(MEDIAN_PIXELS * np.exp(spread), SMALLEST, LARGEST))
        if plants is None and count and mask.sum() + area > budget:
            break
        if _draw_plant(random, land, taken, mask, area):
            count += 1
    texture = 1.0 + 0.05 * random.standard_normal(land.shape).astype(np.float32)
    light = np.exp(random.normal(0, 0.08)) * np.exp(random.normal(0, 0.02, 4))
    reflectance = _blurred(land * texture) * light + 0.002 * random.standard_normal(land.shape)
    numbers = np.clip(np.rint(reflectance * QUANTIFICATION - OFFSET), 1, 65534).astype(np.uint16)
    place = (
        CRS.from_epsg(32630),
        from_corner(300_000.0 + 10.0 * (size + 500) * number, 4_500_000.0, 10.0),
    )
    scaling = Scaling(QUANTIFICATION, dict.fromkeys(BANDS, OFFSET), "05.09", "L2A")
    scene = Scene(f"toy_{seed}_{number}", BANDS, scaling, values=numbers, place=place, sensed="2023-08-21")
    return ToyScene(scene, mask, _outlines(random, mask, scene))


def _outlines(random: np.random.Generator, mask: NDArray[np.bool_], scene: Scene) -> Any:
    """Outline the plants; their load follows their area (90 p.e. per pixel) with a spread of 30 %."""
    import geopandas
    from rasterio.features import shapes
    from scipy import ndimage
    from shapely.geometry import shape

    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    found = shapes(labels.astype(np.int32), mask=mask, transform=scene.transform, connectivity=8)
    parts = {int(value): shape(one) for one, value in found}
    geometry = [parts[i] for i in range(1, count + 1)]
    pixels = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    load = 90.0 * pixels * np.exp(0.3 * random.standard_normal(count))
    table = {"man_made": ["wastewater_plant"] * count, "load": load}
    return geopandas.GeoDataFrame(table, geometry=geometry, crs=scene.crs)


def _land(random: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Make parcels of crops, soil, meadow and forest, with towns and a river, ``(row, column, band)``."""
    from scipy.spatial import cKDTree

    count = max(8, size * size // 1500)
    seeds = random.uniform(0, size, (count, 2))
    names = ["crop", "meadow", "soil", "forest"]
    cover = random.choice(4, count, p=[0.35, 0.2, 0.2, 0.25])
    cover[_smooth_choice(random, seeds, size)] = 3  # forests are large
    tone = np.exp(0.15 * random.standard_normal((count, 1)) + 0.06 * random.standard_normal((count, 4)))
    colour = np.array([SPECTRA[name] for name in names])[cover] * tone
    half = -(-size // 2)
    rows, columns = np.mgrid[0:half, 0:half] * 2.0
    nearest = cKDTree(seeds).query(np.stack([rows.ravel(), columns.ravel()], 1))[1].reshape(half, half)
    land = colour[nearest].repeat(2, 0).repeat(2, 1)[:size, :size].astype(np.float32)
    for _ in range(max(1, size * size // 300_000)):
        _town(random, land)
    row = random.uniform(0.2, 0.8) * size + np.cumsum(
        random.normal(0, 0.6, size) + 0.3 * np.sin(np.arange(size) / 60)
    )
    for column in range(size):
        top = int(row[column])
        land[max(top, 0) : max(top + random.integers(2, 5), 0), column] = SPECTRA["water"]
    return land


def _smooth_choice(random: np.random.Generator, seeds: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    """Choose the parcels inside a few large discs."""
    chosen = np.zeros(len(seeds), bool)
    for _ in range(max(2, size * size // 400_000)):
        centre, radius = random.uniform(0, size, 2), random.uniform(0.03, 0.09) * min(size, 1500)
        chosen |= np.hypot(*(seeds - centre).T) < radius
    return chosen


def _town(random: np.random.Generator, land: NDArray[np.float32]) -> None:
    """Draw streets and roofs in a disc; some roofs are large and bright, as industry has them."""
    size = land.shape[0]
    centre, radius = random.uniform(0.05, 0.95, 2) * size, random.uniform(20, 60)
    box, inside = _rectangle(size, centre, (2 * radius, 2 * radius), 0.0)
    rows, columns = np.mgrid[box]
    inside = np.hypot(rows - centre[0], columns - centre[1]) < radius * random.uniform(0.8, 1.1, inside.shape)
    land[box][inside] = SPECTRA["town"]
    for _ in range(int(radius * 4)):
        place = centre + random.normal(0, radius / 2, 2)
        sides = random.uniform(1, 3, 2) if random.random() < 0.95 else random.uniform(6, 16, 2)
        spot, roof = _rectangle(size, place, sides, random.uniform(0, np.pi))
        land[spot][roof] = np.array(SPECTRA["roof"]) * random.uniform(0.6, 1.4)


def _rectangle(
    size: int, centre: Any, sides: Any, angle: float
) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Give the box around a turned rectangle, and which of its pixels are inside."""
    reach = int(np.ceil(np.hypot(*sides) / 2)) + 1
    low = np.clip(np.floor(centre).astype(int) - reach, 0, size)
    high = np.clip(np.ceil(centre).astype(int) + reach + 1, 0, size)
    box = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])))
    rows, columns = np.mgrid[box]
    y, x = rows - centre[0], columns - centre[1]
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return box, (np.abs(u) <= sides[0] / 2) & (np.abs(v) <= sides[1] / 2)


def _disc(size: int, centre: Any, radius: float) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    box, _ = _rectangle(size, centre, (2 * radius, 2 * radius), 0.0)
    rows, columns = np.mgrid[box]
    return box, np.hypot(rows - centre[0], columns - centre[1]) <= radius


def _hard_negatives(random: np.random.Generator, land: NDArray[np.float32], taken: NDArray[np.bool_]) -> None:
    """Draw ponds, reservoirs, pools, solar farms and round fields."""
    size = land.shape[0]
    each = max(2, size * size // 120_000)
    for _ in range(each):
        box, inside = _disc(size, random.uniform(0, size, 2), random.uniform(2, 9))
        wobble = inside & (random.random(inside.shape) < 0.97)
        land[box][wobble] = np.array(SPECTRA["water"]) * random.uniform(0.8, 1.5)
        taken[box] |= inside
    for _ in range(each):
        sides, angle = random.uniform(8, 30, 2), random.uniform(0, np.pi)
        box, inside = _rectangle(size, random.uniform(0, size, 2), sides, angle)
        rows, columns = np.mgrid[box]
        gap = ((rows * np.cos(angle) + columns * np.sin(angle)) % 3) < 1
        land[box][inside] = SPECTRA["panel"]
        land[box][inside & gap] = SPECTRA["meadow"]
        taken[box] |= inside
    for _ in range(each):
        sides = random.uniform(6, 22, 2)
        box, inside = _rectangle(size, random.uniform(0, size, 2), sides, random.uniform(0, np.pi))
        land[box][inside] = np.array(SPECTRA["water"]) * random.uniform(0.8, 1.5)  # a reservoir
        taken[box] |= inside
    for _ in range(3 * each):
        box, inside = _disc(size, random.uniform(0, size, 2), random.uniform(0.5, 1.3))
        land[box][inside] = SPECTRA["pool"]
    for _ in range(each // 2):
        box, inside = _disc(size, random.uniform(0, size, 2), random.uniform(10, 30))
        land[box][inside] = np.array(SPECTRA["crop"]) * random.uniform(0.8, 1.2)


def _draw_plant(
    random: np.random.Generator,
    land: NDArray[np.float32],
    taken: NDArray[np.bool_],
    mask: NDArray[np.bool_],
    area: float,
) -> bool:
    """Draw one plant of so many pixels where there is room; whether there was."""
    size, ratio, angle = land.shape[0], random.uniform(1.0, 1.9), random.uniform(0, np.pi)
    sides = (np.sqrt(area * ratio), np.sqrt(area / ratio))
    centre = random.uniform(25, size - 25, 2)
    free, _ = _rectangle(size, centre, (sides[0] + 16, sides[1] + 16), angle)
    if taken[free].any():
        return False
    box, inside = _rectangle(size, centre, sides, angle)
    yard = np.array(SPECTRA["lawn" if random.random() < 0.5 else "concrete"])
    land[box][inside] = yard * random.uniform(0.85, 1.15)
    turn = np.array([[np.sin(angle), np.cos(angle)], [np.cos(angle), -np.sin(angle)]])  # to row and column
    radius = float(np.clip(0.13 * np.sqrt(area) * random.uniform(0.8, 1.2), 1.6, 4.2))
    columns, rows = (max(1, int(side // (2.6 * radius))) for side in sides)
    for i in range(columns):
        for j in range(rows):
            offset = ((i + 0.5) / columns - 0.5) * sides[0], ((j + 0.5) / rows - 0.5) * sides[1]
            _draw_tank(random, land, centre + turn @ np.array(offset), radius, angle)
    mask[box] |= inside
    taken[free] = True
    return True


def _draw_tank(
    random: np.random.Generator,
    land: NDArray[np.float32],
    place: NDArray[np.float64],
    radius: float,
    angle: float,
) -> None:
    """Draw a round basin with a rim, a rectangular tank, a sludge bed or a building; sometimes nothing."""
    size, kind = land.shape[0], random.random()
    if kind < 0.5:
        for name, r in (("concrete", radius), ("basin", 0.75 * radius)):
            box, inside = _disc(size, place, r)
            land[box][inside] = SPECTRA[name]
    elif kind < 0.9:
        name = "basin" if kind < 0.7 else "sludge" if kind < 0.82 else "roof"
        box, inside = _rectangle(size, place, (2 * radius, 1.3 * radius), angle)
        land[box][inside] = SPECTRA[name]


def _blurred(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blur by the point spread of the sensor (about half a pixel)."""
    from scipy import ndimage

    return np.stack([ndimage.gaussian_filter(values[..., b], 0.5) for b in range(values.shape[-1])], axis=-1)
