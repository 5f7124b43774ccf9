"""GeoTIFFs: cloud-optimised, whole or not at all, with what is needed to read them again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_core.io import atomic_path

__all__ = ["NO_DATA", "SCALE", "as_bytes", "as_probability", "cog_writer", "said", "write_cog"]

SCALE = 250
"""Probabilities are stored as whole numbers 0 ... 250 of 1/250; 255 is no data."""
NO_DATA = 255


def as_bytes(probability: NDArray) -> NDArray[np.uint8]:
    """Store probabilities in bytes; NaN becomes no data."""
    stored = np.rint(np.nan_to_num(probability) * SCALE).astype(np.uint8)
    return np.where(np.isnan(probability), np.uint8(NO_DATA), stored)


def as_probability(stored: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn stored bytes into probabilities; no data becomes NaN."""
    return np.where(stored == NO_DATA, np.float32(np.nan), stored.astype(np.float32) / np.float32(SCALE))


def said(stored: NDArray[np.uint8], threshold: float) -> NDArray[np.bool_]:
    """Mark where stored probabilities reach a threshold."""
    level = int(np.ceil(round(threshold * SCALE, 6)))
    marked = stored >= level
    return np.logical_and(marked, stored != NO_DATA, out=marked)


@contextmanager
def cog_writer(
    path: Path, *, shape: tuple[int, int], crs: Any, transform: Any, tags: Mapping[str, Any] | None = None
) -> Iterator[Any]:
    """Write a probability window by window; a cloud-optimised GeoTIFF of it appears when the block ends well.

    Parameters
    ----------
    path : Path
        Ends with ``.tif``.
    shape : tuple (rows, columns)
    crs, transform
        As rasterio has them.
    tags : mapping, optional
        Texts to store in the file.

    Yields
    ------
    callable
        ``write(probability, row, column)``.
    """
    import rasterio
    from rasterio.shutil import copy
    from rasterio.windows import Window

    rows, columns = shape
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 1,
        "height": rows,
        "width": columns,
        "crs": crs,
        "transform": transform,
        "nodata": NO_DATA,
        "compress": "deflate",
        "zlevel": 1,
        "BIGTIFF": "IF_SAFER",
    }
    if min(shape) >= 256:
        profile |= {"tiled": True, "blockxsize": 256, "blockysize": 256}
    with atomic_path(path) as partial:
        plain = partial.with_name("plain.tif")
        with rasterio.open(plain, "w", **profile) as file:
            file.scales, file.descriptions = (1.0 / SCALE,), ("probability",)
            file.update_tags(**{"units": "1", **(tags or {})})

            def write(probability: NDArray, row: int, column: int) -> None:
                window = Window(column, row, probability.shape[1], probability.shape[0])
                file.write(as_bytes(probability), 1, window=window)

            yield write
        copy(plain, partial, driver="COG", compress="DEFLATE", predictor="NO", overviews="AUTO")
        plain.unlink()


def write_cog(path: Path, probability: NDArray, *, crs: Any, transform: Any) -> None:
    """Write a whole probability ``(row, column)``; see `cog_writer`."""
    shape = (probability.shape[0], probability.shape[1])
    with cog_writer(path, shape=shape, crs=crs, transform=transform) as write:
        write(probability, 0, 0)
