"""Training chips out of scenes: on plants, on what is easily taken for one, and anywhere."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import InputError
from esai_wwtp.chips import IGNORE, Chips
from esai_wwtp.geo import shifted, to_places
from esai_wwtp.labels import Labels, SceneLabels
from esai_wwtp.scenes import Scene, Window
from esai_wwtp.tiling import ndwi

__all__ = ["SHIFT", "chips_around", "sample_chips"]

log = logging.getLogger(__name__)

SHIFT, STEP = 0.1, 1e-4
"""Chips are kept as 16-bit numbers of reflectance + 0.1 in steps of 1/10000 (lossless)."""
ON_PLANTS, ON_HARD = 0.5, 0.25
REPEATS = 6
"""Chips around one place, each shifted."""


def sample_chips(
    scenes: list[Scene], labels: Labels, *, side: int, per_scene: int, seed: int, clouds: bool = True
) -> Chips:
    """Draw chips from scenes.

    Half of them hold a plant somewhere (all plants in turn), a quarter hold a hard negative: water or
    something very bright or dark that is no plant (ponds, reservoirs, pools, solar farms, roofs); the rest
    lies anywhere. Pixels without data are ignored.

    Parameters
    ----------
    scenes : list of Scene
        With the same bands.
    labels : Labels
    side : int
        Pixels of a chip.
    per_scene : int
        Chips of each scene.
    seed : int
    clouds : bool
        Mask by the scene classification.

    Returns
    -------
    Chips

    Raises
    ------
    InputError
        If no plant lies in any scene, a scene is smaller than a chip, or all under cloud.
    """
    corners, found = [], 0
    for number, scene in enumerate(scenes):
        if min(scene.shape) < side:
            raise InputError(
                f"{scene.shape[0]} x {scene.shape[1]} pixels, fewer than a chip",
                where=scene.name,
                remedy=f"set train.chip below {min(scene.shape)}",
            )
        random = np.random.default_rng([seed, number])
        truth = labels.on(scene)
        corners.append(_corners(scene, truth, side, per_scene, random, clouds))
        found += len(truth.centres())
    if not found:
        raise InputError(
            "no plant of the labels lies in a scene",
            where="data.labels",
            remedy="check that labels and scenes are of the same place",
        )
    return _cut(scenes, labels, corners, side=side, clouds=clouds, mark="")


def chips_around(
    scenes: list[Scene],
    labels: Labels,
    finds: list[NDArray[np.float64]],
    *,
    side: int,
    per_scene: int,
    seed: int,
    clouds: bool = True,
) -> Chips | None:
    """Draw chips around places, each in turn and at most `REPEATS` times; None where there is no place.

    Parameters
    ----------
    scenes, labels, side, clouds
        As in `sample_chips`.
    finds : list of array (find, 2)
        Of each scene, rows and columns.
    per_scene : int
        Chips of a scene, at most.
    seed : int
    """
    corners = []
    for number, (scene, places) in enumerate(zip(scenes, finds, strict=True)):
        random = np.random.default_rng([seed, number, 1])
        count = min(per_scene, REPEATS * len(places))
        chosen = places[np.arange(count) % max(len(places), 1)]
        jitter = random.uniform(-0.4 * side, 0.4 * side, chosen.shape)
        corners.append(
            [_clip(place + off, side, scene.shape) for place, off in zip(chosen, jitter, strict=True)]
        )
    if not any(corners):
        return None
    return _cut(scenes, labels, corners, side=side, clouds=clouds, mark="hard")


def _cut(
    scenes: list[Scene],
    labels: Labels,
    corners: list[list[tuple[int, int]]],
    *,
    side: int,
    clouds: bool,
    mark: str,
) -> Chips:
    """Cut chips out of scenes at their upper left corners."""
    names, pixels, targets, centres, crs, transforms = [], [], [], [], [], []
    for scene, places in zip(scenes, corners, strict=True):
        truth = labels.on(scene)
        for number, (top, left) in enumerate(places):
            window = Window(top, top + side, left, left + side)
            values = scene.read(window, clouds=clouds)
            target = truth.read(window)
            target[~np.isfinite(values).all(-1)] = IGNORE
            stored = np.rint((np.nan_to_num(values) + SHIFT) / STEP)
            pixels.append(np.clip(stored, 0, 65535).astype(np.uint16))
            targets.append(target)
            names.append(f"{scene.name}_{mark}{number}")
            corner = shifted(scene.transform, top, left)
            transforms.append(tuple(corner)[:6])
            centres.append(to_places(corner, side / 2, side / 2))
            crs.append(scene.crs.to_string())
    longitude, latitude = _degrees(np.array(centres), crs)
    return Chips(
        names=names,
        pixels=np.stack(pixels),
        target=np.stack(targets),
        latitude=latitude,
        longitude=longitude,
        crs=crs,
        transform=np.array(transforms, dtype=float),
        bands=scenes[0].bands,
        scale=STEP,
        offset=-SHIFT,
    )


def _degrees(places: NDArray[np.float64], crs: list[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from pyproj import Transformer

    degrees = np.empty(places.shape)
    for name in set(crs):
        own = np.array([one == name for one in crs])
        turn = Transformer.from_crs(name, "EPSG:4326", always_xy=True)
        degrees[own] = np.stack(turn.transform(*places[own].T), axis=1)
    return degrees[:, 0], degrees[:, 1]


def _corners(
    scene: Scene, truth: SceneLabels, side: int, count: int, random: np.random.Generator, clouds: bool
) -> list[tuple[int, int]]:
    """Choose the upper left corners of the chips of a scene, those with nothing to see left out."""
    step = max(1, side // 24)
    overview = scene.read(scene.whole, step=step, clouds=clouds)
    seen = np.isfinite(overview).all(-1)
    if not seen.any():
        raise InputError(
            "no pixel is free of clouds",
            where=scene.name,
            remedy="choose another date, or set data.clouds = false to ignore the scene classification",
        )
    plants = truth.centres()
    wanted = [round(count * ON_PLANTS) if len(plants) else 0, round(count * ON_HARD)]
    places = [plants[i % len(plants)] for i in range(wanted[0])]
    jitter = random.uniform(-0.4 * side, 0.4 * side, (len(places), 2))
    corners = [_clip(place + off, side, scene.shape) for place, off in zip(places, jitter, strict=True)]
    hard = np.argwhere(_hard(overview, scene.bands) & seen) * step
    if len(hard):
        some = hard[random.integers(0, len(hard), wanted[1])]
        jitter = random.uniform(-0.4 * side, 0.4 * side, some.shape)
        corners += [_clip(place + off, side, scene.shape) for place, off in zip(some, jitter, strict=True)]
    anywhere = np.argwhere(seen) * step
    some = anywhere[random.integers(0, len(anywhere), count - len(corners))]
    return corners + [_clip(place, side, scene.shape) for place in some]


def _clip(place: NDArray, side: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Give the corner of the chip around a place, inside the scene."""
    top, left = (round(float(p)) - side // 2 for p in place)
    return max(0, min(top, shape[0] - side)), max(0, min(left, shape[1] - side))


def _hard(overview: NDArray[np.float32], bands: tuple[str, ...]) -> NDArray[np.bool_]:
    """Mark what stands out: water, and the brightest and darkest percent."""
    with np.errstate(invalid="ignore"):
        bright = overview.mean(-1)
        present = bright[np.isfinite(bright)]
        low, high = np.quantile(present, [0.01, 0.99])
        marked = (bright <= low) | (bright >= high)
        if {"B03", "B08"} <= set(bands):
            marked |= ndwi(overview, bands) > 0
    return marked
