"""Examples for training: chips with masks, with the symmetries of the square and random light."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import InputError
from esai_core.training.order import shuffled
from esai_wwtp.config import TrainSection

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["IGNORE", "TCI_SCALE", "ChipSource", "Chips", "read_chips"]

IGNORE = 2
"""Value of a target that neither trains nor scores."""

TCI_SCALE = 0.3558 / 255.0
"""Reflectance of one step of ESA's true-colour image, which ends at a reflectance of 0.3558."""


@dataclass(frozen=True)
class Chips:
    """Chips of equal size.

    Attributes
    ----------
    names : list of str
        Of each chip.
    pixels : array (chip, row, column, band)
        Digital numbers; reflectance is ``pixels * scale + offset``.
    target : array (chip, row, column), uint8
        0, 1, or `IGNORE`.
    latitude, longitude : array (chip,)
        Of the centres, degrees.
    crs : list of str
        Of each chip (``EPSG:32633``).
    transform : array (chip, 6)
        Affine transforms: ``x = a * column + b * row + c``, ``y = d * column + e * row + f``.
    bands : tuple of str
    scale, offset : float
    """

    names: list[str]
    pixels: NDArray
    target: NDArray[np.uint8]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    crs: list[str]
    transform: NDArray[np.float64]
    bands: tuple[str, ...]
    scale: float = 1.0
    offset: float = 0.0

    def __len__(self) -> int:
        return len(self.names)

    def take(self, numbers: NDArray[np.int64]) -> Chips:
        """Give some of the chips."""
        return replace(
            self,
            names=[self.names[i] for i in numbers],
            crs=[self.crs[i] for i in numbers],
            **{
                key: getattr(self, key)[numbers]
                for key in ("pixels", "target", "latitude", "longitude", "transform")
            },
        )

    def joined(self, other: Chips) -> Chips:
        """Give these chips and others of the same scenes."""

        def both(name: str) -> NDArray:
            return np.concatenate([getattr(self, name), getattr(other, name)])

        return replace(
            self,
            names=self.names + other.names,
            pixels=both("pixels"),
            target=both("target"),
            latitude=both("latitude"),
            longitude=both("longitude"),
            crs=self.crs + other.crs,
            transform=both("transform"),
        )

    def reflectance(self, numbers: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.float32]:
        """Give the reflectance of some chips, ``(chip, row, column, band)``."""
        return self.pixels[numbers].astype(np.float32) * np.float32(self.scale) + np.float32(self.offset)

    @property
    def zones(self) -> NDArray[np.int64]:
        """UTM zone of each chip, by its longitude."""
        return (np.floor((self.longitude + 180.0) / 6.0).astype(np.int64) % 60) + 1

    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give mean and spread of each band in reflectance."""
        flat = self.pixels.reshape(-1, self.pixels.shape[-1])
        step = max(1, len(flat) // 2_000_000)
        some = flat[::step].astype(np.float64) * self.scale + self.offset
        return some.mean(0), np.maximum(some.std(0), 1e-4)

    @property
    def prevalence(self) -> float:
        """Share of the class in the pixels that count, kept off 0 and 1."""
        counted = self.target != IGNORE
        share = (self.target == 1).sum() / max(counted.sum(), 1)
        return float(np.clip(share, 1e-5, 1 - 1e-5))


def read_chips(path: str | Path, *, positive: tuple[int, ...], ignore: tuple[int, ...] = ()) -> Chips:
    """Read a zip of true-colour chips: ``images/NAME.jpg``, ``masks/NAME.png``, ``transforms.csv``.

    Parameters
    ----------
    path : path
        ``transforms.csv`` has the columns ``chip, a, b, c, d, e, f, crs``.
    positive, ignore : tuple of int
        Values of the masks that are the class, and that do not count.

    Returns
    -------
    Chips
        With bands B04, B03, B02, in the units of ESA's true-colour image.

    Raises
    ------
    InputError
        If the file is no such zip, chips differ in size, or no pixel is of the class.
    """
    import pandas as pd

    from esai_core.config import missing_path

    path = Path(path)
    if not path.is_file():
        raise missing_path(path, key="data.chips")
    try:
        with zipfile.ZipFile(path) as archive:
            table = pd.read_csv(io.BytesIO(archive.read("transforms.csv")))
            images = [_picture(archive, f"images/{name}.jpg", path) for name in table["chip"]]
            masks = [_picture(archive, f"masks/{name}.png", path) for name in table["chip"]]
    except (zipfile.BadZipFile, KeyError, pd.errors.ParserError) as error:
        raise InputError(
            f"not a zip of chips: {error}", where=path, remedy="images/, masks/ and transforms.csv"
        ) from error
    shapes = {image.shape for image in images} | {(*mask.shape, 3) for mask in masks}
    if len(shapes) != 1:
        raise InputError(f"chips of different shapes {sorted(shapes)[:3]}", where=path)
    values = np.stack(masks)
    target = np.isin(values, positive).astype(np.uint8)
    target[np.isin(values, ignore)] = IGNORE
    if not (target == 1).any():
        raise InputError("no pixel is of the class", where=path, remedy=f"data.positive = {list(positive)}")
    transform = table[list("abcdef")].to_numpy(float)
    latitude, longitude = _centres(transform, table["crs"], target.shape[1:])
    return Chips(
        names=[str(name) for name in table["chip"]],
        pixels=np.stack(images),
        target=target,
        latitude=latitude,
        longitude=longitude,
        crs=[str(crs) for crs in table["crs"]],
        transform=transform,
        bands=("B04", "B03", "B02"),
        scale=TCI_SCALE,
    )


def _picture(archive: zipfile.ZipFile, name: str, path: Path) -> NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(archive.read(name))) as image:
            return np.asarray(image)
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f"cannot be read: {error}", where=f"{path}, {name}") from error


def _centres(
    transform: NDArray[np.float64], crs: pd.Series, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give latitude and longitude of the centres."""
    from pyproj import Transformer

    a, b, c, d, e, f = transform.T
    x = a * shape[1] / 2 + b * shape[0] / 2 + c
    y = d * shape[1] / 2 + e * shape[0] / 2 + f
    latitude, longitude = np.empty(len(x)), np.empty(len(x))
    for name in crs.unique():
        own = (crs == name).to_numpy()
        turn = Transformer.from_crs(str(name), "EPSG:4326", always_xy=True)
        longitude[own], latitude[own] = turn.transform(x[own], y[own])
    return latitude, longitude


class ChipSource:
    """Training examples (`esai_core.training.Source`): crops, turned and flipped, in random light.

    Parameters
    ----------
    chips : Chips
        What to train on.
    config : TrainSection
        Side of the crops, strength of the random light and noise, seed.
    """

    def __init__(self, chips: Chips, config: TrainSection) -> None:
        self.chips, self.config = chips, config
        self.side = min(config.chip, *chips.target.shape[1:])

    def __len__(self) -> int:
        return len(self.chips)

    def order(self, epoch: int, seed: int) -> np.ndarray:
        """Shuffle for an epoch; the numbers hold the epoch too, so that each draws other crops."""
        return shuffled(len(self), epoch=epoch, seed=seed) + epoch * len(self)

    def read(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give reflectance ``(chip, row, column, band)`` and target, NaN to ignore."""
        pairs = [self._draw(int(number)) for number in numbers]
        return np.stack([x for x, _ in pairs]), np.stack([y for _, y in pairs])

    def _draw(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        epoch, row = divmod(number, len(self))
        random = np.random.default_rng([self.config.seed, epoch, row])
        rows, columns = self.chips.target.shape[1:]
        i, j = random.integers(0, [rows - self.side + 1, columns - self.side + 1])
        window = (row, slice(i, i + self.side), slice(j, j + self.side))
        x = self.chips.pixels[window].astype(np.float32) * np.float32(self.chips.scale)
        x, y = _turn(x + np.float32(self.chips.offset), self.chips.target[window], int(random.integers(8)))
        light = np.exp(random.normal(0, self.config.brightness) + _small(random, self.config, x.shape[-1]))
        noise = random.standard_normal(x.shape, dtype=np.float32) * np.float32(self.config.noise)
        target = np.where(y == IGNORE, np.float32(np.nan), y.astype(np.float32))
        return (x * light.astype(np.float32) + noise), target[..., None]


def _small(random: np.random.Generator, config: TrainSection, bands: int) -> np.ndarray:
    return random.normal(0, config.brightness / 3.0, bands)


def _turn(x: np.ndarray, y: np.ndarray, which: int) -> tuple[np.ndarray, np.ndarray]:
    """Apply one of the eight symmetries of the square."""
    x, y = np.rot90(x, which % 4), np.rot90(y, which % 4)
    return (x[:, ::-1], y[:, ::-1]) if which >= 4 else (x, y)
