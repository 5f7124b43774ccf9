"""Inference of scenes in windows that give, bit by bit, what the whole scene in one piece would give.

An output pixel of the network depends on input pixels no further away than its reach. A window is a core
with a margin of the reach, rounded up to the alignment of the strides (the halo), and starts at a multiple
of the alignment, so that the pools fall on the same pixels as in the whole scene; where a window meets the
border of the scene it ends there, as the scene does. What the network gives on the core is then what it
gives in one piece: nothing has to be blended, and nothing but one window is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import EsaiError, InputError
from esai_core.progress import track
from esai_wwtp.network import Card
from esai_wwtp.scenes import Scene, Window

__all__ = ["Tile", "infer", "tiles"]

WATER = 0.2
"""Windows are open water when every pixel's NDWI (McFeeters, 1996) is above this."""

Runner = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Tile:
    """A core, and the window around it that the network sees."""

    core: Window
    outer: Window


def tiles(shape: tuple[int, int], *, size: int, halo: int, alignment: int) -> list[Tile]:
    """Cut a scene into cores and their windows.

    Parameters
    ----------
    shape : tuple (rows, columns)
        Of the scene.
    size : int
        Largest side of a core, rounded up to the alignment; the cores of a scene are of about equal size.
    halo : int
        Margin; a multiple of the alignment.
    alignment : int
        Product of the network's strides.

    Returns
    -------
    list of Tile
        The cores cover every pixel once.

    Raises
    ------
    EsaiError
        If the halo is no multiple of the alignment.
    """
    if halo % alignment:
        raise EsaiError(f"a halo of {halo} is no multiple of the alignment {alignment}")
    height, width = (_balanced(length, size, alignment) for length in shape)
    found = []
    for top in range(0, shape[0], height):
        for left in range(0, shape[1], width):
            core = Window(top, min(top + height, shape[0]), left, min(left + width, shape[1]))
            outer = Window(
                max(core.top - halo, 0),
                min(core.bottom + halo, shape[0]),
                max(core.left - halo, 0),
                min(core.right + halo, shape[1]),
            )
            assert outer.top % alignment == 0
            assert outer.left % alignment == 0
            found.append(Tile(core, outer))
    return found


def _balanced(length: int, size: int, alignment: int) -> int:
    """Give the side of cores of about equal size, so that none is a sliver with wide margins."""
    side = -(-size // alignment) * alignment
    count = max(1, -(-length // side))
    return -(-length // (count * alignment)) * alignment


def infer(
    scene: Scene,
    runner: Runner,
    card: Card,
    *,
    size: int,
    clouds: bool = True,
    skip_sea: bool = False,
    wanted: Callable[[Window], bool] | None = None,
) -> Iterator[tuple[Window, NDArray[np.float32] | None]]:
    """Apply a network to a scene, window by window.

    Parameters
    ----------
    scene : Scene
        With the bands of the network.
    runner : callable
        Reflectance ``(1, row, column, band)`` to probabilities, as `esai_wwtp.network.load_runner` gives.
    card : Card
        Of the network: its bands, reach and alignment.
    size : int
        Side of the cores.
    clouds : bool
        Mask by the scene classification.
    skip_sea : bool
        Skip windows that are water throughout; the probability there is 0.
    wanted : callable, optional
        Tells of a core whether it is wanted; others are not read.

    Yields
    ------
    window : Window
        A core.
    probability : array (row, column), float32, or None
        NaN where the scene has no data; None where nothing of the core is seen.

    Raises
    ------
    InputError
        If the scene's bands are not those of the network.
    """
    if list(scene.bands) != card.bands:
        raise InputError(
            f"bands {', '.join(scene.bands)}; the network was trained on {', '.join(card.bands)}",
            where=scene.name,
            remedy=f"set data.bands = {card.bands}",
        )
    cut = tiles(scene.shape, size=size, halo=card.halo, alignment=card.alignment)
    if wanted is not None:
        cut = [tile for tile in cut if wanted(tile.core)]
    mean = np.asarray(card.mean, dtype=np.float32)
    for tile in track(cut, len(cut), scene.name):
        values = scene.read(tile.outer, clouds=clouds)
        inner = tile.core.within(tile.outer)
        seen: NDArray[np.bool_] = np.asarray(np.isfinite(values).all(-1))
        if not seen[inner].any():
            yield tile.core, None
        elif skip_sea and _is_water(values[inner], card.bands):
            yield tile.core, np.where(seen[inner], np.float32(0), np.float32(np.nan))
        else:
            values[~seen] = mean
            probability = runner(values[None])[0][inner]
            yield tile.core, np.where(seen[inner], probability, np.float32(np.nan))


def _is_water(values: NDArray[np.float32], bands: list[str]) -> bool:
    """Tell whether every pixel that is seen is open water."""
    if not {"B03", "B08"} <= set(bands):
        return False
    return bool(np.nanmin(ndwi(values, bands)) > WATER)


def ndwi(values: NDArray[np.float32], bands: list[str] | tuple[str, ...]) -> NDArray[Any]:
    """Give the water index (green - near infrared) / (green + near infrared) of McFeeters (1996)."""
    green, infrared = (np.maximum(values[..., list(bands).index(name)], 1e-4) for name in ("B03", "B08"))
    return (green - infrared) / (green + infrared)
