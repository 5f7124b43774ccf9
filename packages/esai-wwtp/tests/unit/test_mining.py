"""What is mined is no plant and lies apart from validation; the threshold is that of whole blocks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from esai_wwtp.chips import Chips
from esai_wwtp.config import WwtpConfig
from esai_wwtp.geo import to_pixels, to_places
from esai_wwtp.labels import Labels
from esai_wwtp.mining import Look, choose_threshold, find_lookalikes, smallest_plant
from esai_wwtp.network import Card
from esai_wwtp.sampling import REPEATS, chips_around, sample_chips
from esai_wwtp.splitting import Parts, split_chips
from esai_wwtp.synthetic import ToyScene, toy_scene

CONFIG = WwtpConfig.model_validate(
    {
        "data": {"synthetic": {"scenes": 1, "size": 640}},
        "split": {"block_km": 2.0, "buffer_km": 0.3},
        "train": {"chip": 64},
        "tiling": {"size": 640},
    }
)
CARD = Card(["B02", "B03", "B04", "B08"], [0.1] * 4, [0.05] * 4, 0, 1, 0.5, 0.05, min_pixels=5)


@pytest.fixture(scope="module")
def toy() -> ToyScene:
    return toy_scene(seed=2, size=640, plants=14)


@pytest.fixture(scope="module")
def labels(toy: ToyScene) -> Labels:
    return Labels(toy.outlines.to_crs(4326), toy.outlines.iloc[:0].to_crs(4326), 100.0)


@pytest.fixture(scope="module")
def chips(toy: ToyScene, labels: Labels) -> Chips:
    return sample_chips([toy.scene], labels, side=64, per_scene=120, seed=0)


@pytest.fixture(scope="module")
def split(chips: Chips) -> Parts:
    return split_chips(chips, CONFIG.split, test_elsewhere=True)


def knowing(toy: ToyScene, extra: NDArray[np.float32]):
    """Give a network that says 0.9 on plants, and elsewhere what it is told."""
    said = np.where(toy.mask, np.float32(0.9), extra)
    return lambda x: said[None, : x.shape[1], : x.shape[2]]


def test_what_is_mined_is_no_plant_and_apart_from_validation(toy, labels, chips, split) -> None:
    extra = np.zeros((640, 640), np.float32)
    for top in range(20, 620, 60):
        for left in range(20, 620, 60):
            extra[top : top + 6, left : left + 6] = 0.8
    (found,) = find_lookalikes(Look([toy.scene], labels, chips, split, knowing(toy, extra), CARD, CONFIG))
    assert len(found) > 5
    for row, column in found.astype(int):
        assert extra[row - 3 : row + 3, column - 3 : column + 3].any()
        assert not toy.mask[row - 3 : row + 3, column - 3 : column + 3].any()
    x, y = to_places(toy.scene.transform, found[:, 0], found[:, 1])
    held = chips.take(split.validate)
    middles = held.transform[:, [2, 5]] + 320.0 * np.array([1, -1])
    away = np.hypot(x[:, None] - middles[:, 0], y[:, None] - middles[:, 1]).min(1)
    assert away.min() > 300.0 + 640.0 - 10.0 * 64  # the buffer, from the middles of cells of 64 pixels
    hard = chips_around([toy.scene], labels, [found[:2]], side=64, per_scene=1000, seed=0)
    assert hard is not None
    assert len(hard) == 2 * REPEATS
    rows, columns = to_pixels(toy.scene.transform, hard.transform[:, 2], hard.transform[:, 5])
    assert (np.abs(rows[::2] + 32 - found[0, 0]) <= 27).all()
    assert (np.abs(columns[::2] + 32 - found[0, 1]) <= 27).all()
    assert len(chips.joined(hard)) == len(chips) + len(hard)
    assert chips_around([toy.scene], labels, [found[:0]], side=64, per_scene=9, seed=0) is None


def test_the_threshold_is_that_of_whole_blocks(toy, labels, chips, split) -> None:
    extra = np.zeros((640, 640), np.float32)
    extra[10:630:40, 10:630] = 0.62  # lines of false alarms that no plant reaches
    chosen = choose_threshold(Look([toy.scene], labels, chips, split, knowing(toy, extra), CARD, CONFIG))
    assert 0.65 <= chosen <= 0.9
    silent = Labels(labels.polygons.iloc[:0], labels.points, 100.0)
    assert choose_threshold(Look([toy.scene], silent, chips, split, knowing(toy, extra), CARD, CONFIG)) == 0.5


def test_the_smallest_plant_follows_from_the_labels(toy, labels) -> None:
    pixels = np.quantile(toy.outlines.area / 100.0, 0.05)
    assert smallest_plant(labels, [toy.scene]) == pytest.approx(0.5 * pixels, abs=1)
