"""Scenes: where their bands are, and windows of reflectance out of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import InputError
from esai_wwtp.reflectance import Scaling, check_dark, check_reflectance, to_reflectance

__all__ = ["MASKED_CLASSES", "Scene", "Window"]

MASKED_CLASSES = (0, 1, 3, 8, 9, 10, 11)
"""Scene classes that are masked: no data, defective, cloud shadow, clouds, cirrus, snow. Basins are often
classed as dark area, water or unclassified (2, 6, 7), which are kept."""


@dataclass(frozen=True)
class Window:
    """Rows and columns of a scene, half-open."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    def within(self, outer: Window) -> tuple[slice, slice]:
        """Give where this window lies in an array of `outer`."""
        return (
            slice(self.top - outer.top, self.bottom - outer.top),
            slice(self.left - outer.left, self.right - outer.left),
        )


@dataclass(frozen=True)
class Scene:
    """A scene: files that are read window by window, or an array.

    Attributes
    ----------
    name : str
    bands : tuple of str
        In the order of the channels.
    files : mapping
        Band to (path, number of the band in the file).
    scaling : Scaling
    classes : Path, optional
        The scene classification (SCL).
    values : array (row, column, band), optional
        Digital numbers in memory, instead of files.
    place : tuple (crs, transform), optional
        Of `values`.
    sensed : str
        Date of the picture (ISO), where it is known.
    units : {"auto", "reflectance"}
        Whether the files hold digital numbers, or reflectance as floats.
    """

    name: str
    bands: tuple[str, ...]
    scaling: Scaling
    files: Mapping[str, tuple[Path, int]] = field(default_factory=dict)
    classes: Path | None = None
    values: NDArray | None = None
    place: tuple[Any, Any] | None = None
    sensed: str = ""
    units: str = "auto"

    @cached_property
    def _open(self) -> dict[str, Any]:
        """Open each file once, and check that all bands share one grid."""
        handles = {path: _open_raster(path) for path, _ in self.files.values()}
        first = handles[self.files[self.bands[0]][0]]
        for band in self.bands:
            path, number = self.files[band]
            other = handles[path]
            if number > other.count:
                raise InputError(f"no band {number} in the file", where=path)
            if other.crs != first.crs:
                raise InputError(
                    f"{band} is in {other.crs}, {self.bands[0]} in {first.crs}",
                    where=path,
                    remedy="give bands of one tile",
                )
            if other.transform != first.transform or other.shape != first.shape:
                raise InputError(
                    f"{band} has pixels of {other.res[0]:g} m in {other.shape[0]} rows, {self.bands[0]} of "
                    f"{first.res[0]:g} m in {first.shape[0]}",
                    where=path,
                    remedy="give bands of one resolution (B02, B03, B04, B08 at 10 m)",
                )
        if first.crs is None:
            raise InputError("no coordinate reference system", where=self.files[self.bands[0]][0])
        return {band: (handles[path], number) for band, (path, number) in self.files.items()}

    @property
    def crs(self) -> Any:
        """Coordinate reference system, as rasterio has it."""
        return self.place[0] if self.place else self._open[self.bands[0]][0].crs

    @property
    def transform(self) -> Any:
        """Affine transform of the pixels."""
        return self.place[1] if self.place else self._open[self.bands[0]][0].transform

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        if self.values is not None:
            return self.values.shape[0], self.values.shape[1]
        return tuple(self._open[self.bands[0]][0].shape)

    @property
    def whole(self) -> Window:
        """The window of all."""
        return Window(0, self.shape[0], 0, self.shape[1])

    @property
    def paths(self) -> list[Path]:
        """The files of the scene."""
        listed = [path for path, _ in self.files.values()] + ([self.classes] if self.classes else [])
        return list(dict.fromkeys(listed))

    def numbers(self, band: str, window: Window, *, step: int = 1) -> NDArray:
        """Read digital numbers of a window; with `step`, every so many pixels."""
        if self.values is not None:
            part = self.values[window.top : window.bottom, window.left : window.right, self.bands.index(band)]
            return part[::step, ::step]
        file, number = self._open[band]
        return _read(file, number, window, step)

    def read(self, window: Window, *, step: int = 1, clouds: bool = True) -> NDArray[np.float32]:
        """Read reflectance.

        Parameters
        ----------
        window : Window
            Within the scene.
        step : int
            Take every so many pixels (an overview, where the file has one).
        clouds : bool
            Mask the classes of `MASKED_CLASSES`.

        Returns
        -------
        array (row, column, band), float32
            NaN where there is no data, or a cloud.
        """
        values = np.stack([self._reflectance(band, window, step) for band in self.bands], axis=-1)
        if clouds and self.classes is not None:
            values[self._masked(window, step)] = np.nan
        return values

    def _reflectance(self, band: str, window: Window, step: int) -> NDArray[np.float32]:
        numbers = self.numbers(band, window, step=step)
        if self.units == "reflectance":
            return numbers.astype(np.float32)
        return to_reflectance(numbers, self.scaling, band)

    @cached_property
    def _classification(self) -> tuple[Any, int]:
        """Open the scene classification; with the number of pixels per class pixel."""
        if self.classes is None:
            raise ValueError("no scene classification")
        file = _open_raster(self.classes)
        ratio = file.res[0] / abs(self.transform.a)
        factor = round(ratio)
        same = np.allclose((file.transform.c, file.transform.f), (self.transform.c, self.transform.f))
        if factor < 1 or abs(ratio - factor) > 1e-6 or file.crs != self.crs or not same:
            raise InputError("the scene classification is not on the grid of the bands", where=self.classes)
        return file, factor

    def _masked(self, window: Window, step: int) -> NDArray[np.bool_]:
        file, factor = self._classification
        coarse = Window(
            window.top // factor,
            -(-window.bottom // factor),
            window.left // factor,
            -(-window.right // factor),
        )
        masked = np.isin(_read(file, 1, coarse, 1), MASKED_CLASSES)
        rows = np.arange(window.top, window.bottom, step) // factor - coarse.top
        columns = np.arange(window.left, window.right, step) // factor - coarse.left
        return masked[np.ix_(rows, columns)]

    def check(self) -> None:
        """Open the bands, check that they fit together, and look at the darkest pixels of an overview.

        Raises
        ------
        InputError
            If a band is missing or truncated, grids differ, the units are others, or the offset cannot be
            right.
        """
        step = max(1, max(self.shape) // 1024)
        for band in self.bands:
            numbers, where = self.numbers(band, self.whole, step=step), f"{self.name}, {band}"
            if self.units == "reflectance":
                check_reflectance(numbers, where=where)
            else:
                to_reflectance(numbers[:1, :1], self.scaling, band)  # refuses what are no digital numbers
                check_dark(numbers, self.scaling, band, where=where)


def _open_raster(path: Path) -> Any:
    # GDAL keeps 5 % of the memory of the machine for blocks by default, which is gigabytes on a large one.
    os.environ.setdefault("GDAL_CACHEMAX", "256")
    import rasterio
    from rasterio.errors import RasterioIOError

    try:
        return rasterio.open(path)
    except RasterioIOError as error:
        what = "cannot be opened as a raster" if Path(path).exists() else "no such file"
        raise InputError(f"{what}: {str(error)[:150]}", where=path) from error


def _read(file: Any, number: int, window: Window, step: int) -> NDArray:
    from rasterio.errors import RasterioIOError

    rows, columns = -(-window.shape[0] // step), -(-window.shape[1] // step)
    bounds = ((window.top, window.bottom), (window.left, window.right))
    try:
        if step == 1:
            return file.read(number, window=bounds)
        return file.read(number, window=bounds, out_shape=(rows, columns))
    except RasterioIOError as error:
        raise InputError(
            f"cannot be read to its end: {str(error)[:150]}",
            where=file.name,
            remedy="the file is truncated or damaged: fetch it again",
        ) from error
