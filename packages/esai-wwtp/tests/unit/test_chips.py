from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from esai_core.errors import InputError, UsageError
from esai_core.testing import data_path
from esai_wwtp.chips import IGNORE, TCI_SCALE, Chips, ChipSource, read_chips
from esai_wwtp.config import SplitConfig, TrainSection
from esai_wwtp.fitting import Gaussian
from esai_wwtp.scoring import pixel_scores
from esai_wwtp.splitting import new_chips, split_chips, write_split


def some_chips(count: int, *, side: int = 12, seed: int = 0) -> Chips:
    random = np.random.default_rng(seed)
    target = random.integers(0, 3, (count, side, side)).astype(np.uint8)
    pixels = random.integers(0, 200, (count, side, side, 3)).astype(np.uint8)
    pixels[..., 0] = 40 * target  # so that pixels and target can be compared after a turn
    return Chips(
        names=[f"c{i}" for i in range(count)],
        pixels=pixels,
        target=target,
        latitude=random.uniform(40, 42, count),
        longitude=random.uniform(-7, -4, count),
        crs=["EPSG:32630"] * count,
        transform=np.tile([10.0, 0, 0, 0, -10.0, 0], (count, 1)),
        bands=("B04", "B03", "B02"),
        scale=0.001,
    )


def test_real_chips_are_read_in_reflectance() -> None:
    chips = read_chips(data_path("wwtp/s2_forest_chips_train.zip"), positive=(1,))
    assert len(chips) == 468
    assert chips.target.shape == (468, 201, 201)
    assert chips.prevalence == pytest.approx(0.268, abs=0.001)
    values = chips.reflectance(np.arange(3))
    assert values.max() <= 255 * TCI_SCALE + 1e-6
    assert 0.01 < values.mean() < 0.2
    assert set(chips.zones.tolist()) <= {32, 33, 34}
    with pytest.raises(InputError, match="no pixel is of the class"):
        read_chips(data_path("wwtp/s2_forest_chips_train.zip"), positive=(7,))


def test_a_file_that_is_no_zip_of_chips_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chips.zip"
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a zip of chips"):
        read_chips(path, positive=(1,))
    with pytest.raises(InputError, match="no such file"):
        read_chips(tmp_path / "absent.zip", positive=(1,))


def test_examples_are_turned_with_their_targets_and_come_again_as_they_were() -> None:
    chips = some_chips(30)
    config = TrainSection(brightness=0.0, noise=0.0, chip=32)
    source = ChipSource(chips, config)
    numbers = source.order(3, 0)
    assert sorted(numbers % 30) == list(range(30))
    x, y = source.read(numbers)
    np.testing.assert_array_equal(x, source.read(numbers)[0])
    np.testing.assert_allclose(x[..., 0], 0.04 * np.nan_to_num(y[..., 0], nan=2.0), atol=1e-7)
    other, _ = source.read(source.order(4, 0)[np.argsort(source.order(4, 0) % 30)])
    assert not np.array_equal(other, x[np.argsort(numbers % 30)])
    seen = {source.read(np.array([epoch * 30]))[0].tobytes() for epoch in range(80)}
    assert len(seen) == 8  # the symmetries of the square


def test_random_light_keeps_its_size() -> None:
    chips = some_chips(200)
    x, _ = ChipSource(chips, TrainSection(brightness=0.2, noise=0.0)).read(np.arange(200))
    ratio = np.log(x.mean((1, 2)) / chips.reflectance().mean((1, 2)))
    assert ratio.std() == pytest.approx(np.hypot(0.2, 0.2 / 3), rel=0.15)


def test_parts_are_apart_in_space(tmp_path: Path) -> None:
    chips = some_chips(400)
    parts = split_chips(chips, SplitConfig(block_km=30, buffer_km=5))
    x, y = chips.longitude * 111.2 * np.cos(np.radians(41)), chips.latitude * 111.2
    for one, other in (
        (parts.train, parts.test),
        (parts.validate, parts.test),
        (parts.train, parts.validate),
    ):
        distance = np.hypot(x[one][:, None] - x[other], y[one][:, None] - y[other])
        assert distance.min() > 4.9
    assert 0.1 < len(parts.test) / 400 < 0.3
    write_split(chips, parts, tmp_path / "split.csv")
    np.testing.assert_array_equal(new_chips(chips, tmp_path / "split.csv"), np.sort(parts.test))
    others = some_chips(7, seed=9)  # of the same names, from elsewhere
    assert len(new_chips(others, tmp_path / "split.csv")) == 7
    with pytest.raises(UsageError, match="every chip was used"):
        new_chips(chips.take(parts.train), tmp_path / "split.csv")


def test_a_zone_can_be_held_out() -> None:
    chips = some_chips(300)
    parts = split_chips(chips, SplitConfig(block_km=30, test_zone=29))
    assert set(chips.zones[parts.test]) == {29}
    assert 29 not in chips.zones[np.r_[parts.train, parts.validate]]
    with pytest.raises(UsageError, match="zones here: 29, 30"):
        split_chips(chips, SplitConfig(test_zone=31))


def test_the_classifier_agrees_with_scipy() -> None:
    random = np.random.default_rng(1)
    chips = some_chips(20)
    target = (random.random(chips.target.shape) < 0.2).astype(np.uint8)
    pixels = np.where(target[..., None] == 1, 120, 60) + random.integers(0, 50, chips.pixels.shape)
    from dataclasses import replace

    chips = replace(chips, pixels=pixels.astype(np.uint8), target=target)
    values = chips.reflectance().reshape(-1, 3).astype(float)
    prior = target.mean()
    density = []
    for value in (0, 1):
        own = values[target.ravel() == value]
        normal = multivariate_normal(own.mean(0), np.cov(own.T) + 1e-8 * np.eye(3))
        density.append(normal.pdf(values) * (prior if value else 1 - prior))
    expected = density[1] / (density[0] + density[1])
    found = Gaussian.fit(chips).predict(chips.reflectance()).ravel()
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_ignored_pixels_do_not_score() -> None:
    target = np.array([[[1, 1, 0, IGNORE]]], np.uint8)
    scores = pixel_scores(np.array([[[0.9, np.nan, 0.8, 1.0]]]), target, threshold=0.5)
    assert scores["iou"] == pytest.approx(1 / 3)
    assert scores["precision"] == scores["recall"] == 0.5
