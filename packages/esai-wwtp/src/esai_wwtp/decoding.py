"""JPEG 2000 decoded once: random windows of it are some fifty times slower than of a tiled GeoTIFF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from esai_core.io import atomic_path
from esai_core.progress import track
from esai_wwtp.scenes import Scene, Window

__all__ = ["decode_once", "write_bands"]

STRIP = 1024


def decode_once(scene: Scene, folder: Path) -> Scene:
    """Give the scene with its JPEG 2000 bands in a tiled GeoTIFF of digital numbers; others as they are.

    Parameters
    ----------
    scene : Scene
    folder : Path
        Where the GeoTIFF is kept (about 0.5 GB for a tile of four bands); one that is there is used again.

    Returns
    -------
    Scene
        With the same name, scaling and classification.
    """
    if not any(str(path).lower().endswith(".jp2") for path, _ in scene.files.values()):
        return scene
    target = folder / f"{scene.name}.tif"
    if not target.exists():
        write_bands(
            target, scene.bands, scene.numbers, shape=scene.shape, crs=scene.crs, transform=scene.transform
        )
    files = {band: (target, number) for number, band in enumerate(scene.bands, 1)}
    return replace(scene, files=files)


def write_bands(
    path: Path,
    bands: Sequence[str],
    read: Callable[[str, Window], NDArray],
    *,
    shape: tuple[int, int],
    crs: Any,
    transform: Any,
    dtype: str = "uint16",
) -> None:
    """Write bands into one tiled GeoTIFF, strip by strip.

    Parameters
    ----------
    path : Path
        The file appears when it is whole.
    bands : sequence of str
    read : callable
        ``read(band, window)`` gives the numbers of a window.
    shape : tuple (rows, columns)
    crs, transform
        As rasterio has them.
    dtype : str
    """
    import rasterio

    rows, columns = shape
    profile = {
        "driver": "GTiff",
        "dtype": dtype,
        "count": len(bands),
        "height": rows,
        "width": columns,
        "crs": crs,
        "transform": transform,
        "compress": "lzw",
        "predictor": 2,
        "interleave": "band",
        "BIGTIFF": "IF_SAFER",
    }
    if min(rows, columns) >= 512:
        profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512}
    strips = range(0, rows, STRIP)
    with atomic_path(path) as partial, rasterio.open(partial, "w", **profile) as file:
        for top in track(strips, len(strips), f"decoding {path.stem}"):
            window = Window(top, min(top + STRIP, rows), 0, columns)
            for number, band in enumerate(bands, 1):
                place = ((window.top, window.bottom), (0, columns))
                file.write(read(band, window), number, window=place)
