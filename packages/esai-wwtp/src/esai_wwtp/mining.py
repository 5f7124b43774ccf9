"""What a network makes of whole training scenes: hard negatives to learn from, and the threshold of plants.

Chips show a plant in every second picture, scenes one in some thousand. A threshold chosen on chips alone
calls too much a plant, and what looks like one is too rare among chips drawn at random. Both are mended on
the scenes that train: chips are drawn around what the network takes for a plant (hard-negative mining, as of
Felzenszwalb et al., 2010, IEEE TPAMI 32, section 5), and blocks of validation are looked at in whole.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_core.splits.space import block_labels
from esai_core.verify import match_objects
from esai_wwtp.chips import IGNORE, Chips
from esai_wwtp.config import WwtpConfig
from esai_wwtp.geo import to_pixels, to_places
from esai_wwtp.labels import Labels
from esai_wwtp.network import Card
from esai_wwtp.plants import find_pieces, mask_of
from esai_wwtp.rasters import as_bytes, said
from esai_wwtp.scenes import Scene, Window
from esai_wwtp.splitting import Parts
from esai_wwtp.tiling import infer

__all__ = ["Look", "choose_threshold", "find_lookalikes", "smallest_plant"]

log = logging.getLogger(__name__)

CELL = 64
"""Side in pixels of the cells in which it is told which part of a scene is for what."""
LEVEL, SMALLEST = 0.3, 12
"""Probability and pixels of what counts as taken for a plant."""
THRESHOLDS = np.arange(5, 96, 5) / 100.0

Runner = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Look:
    """A trained network, and the scenes with the labels and chips that it was trained on.

    Attributes
    ----------
    scenes : list of Scene
        Those that the chips come from.
    labels : Labels
    chips : Chips
        With their places.
    split : Parts
        What the chips are for.
    runner : callable
        Of the network.
    card : Card
    config : WwtpConfig
    """

    scenes: list[Scene]
    labels: Labels
    chips: Chips
    split: Parts
    runner: Runner
    card: Card
    config: WwtpConfig


def smallest_plant(labels: Labels, scenes: list[Scene]) -> int:
    """Give the pixels below which a find is dropped: half of the 5 % quantile of the labelled plants."""
    areas = [
        outline.area / abs(scene.transform.a * scene.transform.e)
        for scene in scenes
        for outline in labels.on(scene).outlines
    ]
    return max(1, round(0.5 * float(np.quantile(areas, 0.05)))) if areas else 1


def find_lookalikes(look: Look) -> list[NDArray[np.float64]]:
    """Look for what the network takes for a plant in the training part of the scenes, and none is.

    Nothing within the buffer of a chip that validates or is scored is looked at.

    Returns
    -------
    list of array (find, 2)
        Of each scene, row and column of the middle of each find.
    """
    held = np.concatenate([look.split.validate, look.split.test])
    reach = 1000.0 * look.config.split.buffer_km + 10.0 * look.config.train.chip
    close = look.config.objects.close_pixels
    found = []
    for scene in look.scenes:
        free = ~_near(scene, look.chips, held, reach)
        stored, target = _apply(look, scene, free)
        pieces = find_pieces(said(stored, LEVEL), close=close, min_pixels=SMALLEST)
        middles = []
        for piece in pieces:
            w = piece.window
            if not (target[w.top : w.bottom, w.left : w.right] != 0).any():
                middles.append([(w.top + w.bottom) / 2.0, (w.left + w.right) / 2.0])
        found.append(np.array(middles, dtype=np.float64).reshape(-1, 2))
        log.debug("%s: %d lookalikes", scene.name, len(middles))
    return found


def choose_threshold(look: Look) -> float:
    """Choose the threshold with the best object F1 (IoU of 0.3) in the blocks of validation, seen whole.

    Pixels that a training chip shows are left out. Ties go to the best IoU of the pixels, then to the middle.

    Returns
    -------
    float
        One of 0.05, 0.10 ... 0.95; that of the card, where the blocks hold no plant.
    """
    size_km, close = look.config.split.block_km, look.config.objects.close_pixels
    chips, held = look.chips, look.split.validate
    blocks = np.unique(block_labels(chips.latitude[held], chips.longitude[held], size_km=size_km))
    counts = np.zeros((len(THRESHOLDS), 5), np.int64)  # matched, said, true plants; pixels of hits, of either
    for scene in look.scenes:
        latitude, longitude = _cells(scene)
        inside = np.isin(block_labels(latitude, longitude, size_km=size_km), blocks)
        area = _spread(inside, scene) & ~_shown(scene, chips, look.split.train)
        stored, target = _apply(look, scene, area)
        truth, counted = (target == 1) & area, area & (target != IGNORE)
        for row, threshold in zip(counts, THRESHOLDS, strict=True):
            marked = said(stored, threshold) & counted
            pieces = find_pieces(marked, close=close, min_pixels=look.card.min_pixels)
            match = match_objects(mask_of(pieces, scene.shape), truth, threshold=0.3)
            hits = int((marked & truth).sum())
            row += [len(match.pairs), match.forecast, match.observed, hits, int((marked | truth).sum())]
    if not counts[0, 2]:
        log.warning("no plant in the validation blocks: the threshold is chosen on chips")
        return look.card.threshold
    return float(THRESHOLDS[_best(counts)])


def _best(counts: NDArray[np.int64]) -> int:
    f1 = 2.0 * counts[:, 0] / np.maximum(counts[:, 1] + counts[:, 2], 1)
    iou = counts[:, 3] / np.maximum(counts[:, 4], 1)
    leading = np.flatnonzero(f1 >= f1.max() - 1e-12)
    leading = leading[iou[leading] >= iou[leading].max() - 0.01]
    return int(leading[len(leading) // 2])


def _apply(look: Look, scene: Scene, area: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Apply the network where `area` is; probabilities as bytes (0 elsewhere), and the labels."""
    stored = np.zeros(scene.shape, np.uint8)

    def wanted(window: Window) -> bool:
        return bool(area[window.top : window.bottom, window.left : window.right].any())

    windows: Iterator[tuple[Window, Any]] = infer(
        scene,
        look.runner,
        look.card,
        size=look.config.tiling.size,
        clouds=look.config.data.clouds,
        wanted=wanted,
    )
    for window, probability in windows:
        if probability is not None:
            stored[window.top : window.bottom, window.left : window.right] = as_bytes(
                np.nan_to_num(probability)
            )
    stored[~area] = 0
    return stored, look.labels.on(scene).read(scene.whole)


def _cells(scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give latitude and longitude of the middles of the cells of a scene, row by row."""
    from pyproj import Transformer

    rows, columns = (np.arange(0, length, CELL) + CELL / 2 for length in scene.shape)
    i, j = np.meshgrid(rows, columns, indexing="ij")
    x, y = to_places(scene.transform, i.ravel(), j.ravel())
    longitude, latitude = Transformer.from_crs(scene.crs, 4326, always_xy=True).transform(x, y)
    return latitude, longitude


def _spread(cells: NDArray[np.bool_], scene: Scene) -> NDArray[np.bool_]:
    """Give a value per cell to the pixels of the scene."""
    rows, columns = scene.shape
    coarse = cells.reshape(-(-rows // CELL), -(-columns // CELL))
    return coarse.repeat(CELL, 0).repeat(CELL, 1)[:rows, :columns]


def _places(scene: Scene, chips: Chips, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give row and column in the scene of the middles of chips."""
    from pyproj import Transformer

    turn = Transformer.from_crs(4326, scene.crs, always_xy=True)
    x, y = turn.transform(chips.longitude[numbers], chips.latitude[numbers])
    return np.stack(to_pixels(scene.transform, x, y), axis=1)


def _near(scene: Scene, chips: Chips, numbers: NDArray[np.int64], distance_m: float) -> NDArray[np.bool_]:
    """Mark the pixels whose cell lies within a distance of the middle of one of the chips."""
    from scipy.spatial import cKDTree

    if not len(numbers):
        return np.zeros(scene.shape, bool)
    rows, columns = (np.arange(0, length, CELL) + CELL / 2 for length in scene.shape)
    cells = np.stack([one.ravel() for one in np.meshgrid(rows, columns, indexing="ij")], axis=1)
    away, _ = cKDTree(_places(scene, chips, numbers)).query(cells)
    return _spread(away * abs(scene.transform.a) <= distance_m, scene)


def _shown(scene: Scene, chips: Chips, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the pixels of the scene that some of the chips show."""
    shown = np.zeros(scene.shape, bool)
    half = chips.target.shape[1] / 2
    for row, column in _places(scene, chips, numbers):
        if -half < row < scene.shape[0] + half and -half < column < scene.shape[1] + half:
            top, left = (max(0, round(place - half)) for place in (row, column))
            shown[top : round(row + half), left : round(column + half)] = True
    return shown
