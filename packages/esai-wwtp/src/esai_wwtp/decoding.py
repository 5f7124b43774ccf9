"""JPEG 2000 decoded once: random windows of it are some fifty times slower than of a tiled GeoTIFF."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from esai_core.io import atomic_path
from esai_core.progress import track
from esai_wwtp.scenes import Scene, Window

__all__ = ["decode_once"]

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
    import rasterio

    if not any(str(path).lower().endswith(".jp2") for path, _ in scene.files.values()):
        return scene
    target = folder / f"{scene.name}.tif"
    if not target.exists():
        rows, columns = scene.shape
        profile = {
            "driver": "GTiff",
            "dtype": "uint16",
            "count": len(scene.bands),
            "height": rows,
            "width": columns,
            "crs": scene.crs,
            "transform": scene.transform,
            "compress": "lzw",
            "predictor": 2,
            "interleave": "band",
            "BIGTIFF": "IF_SAFER",
        }
        if min(rows, columns) >= 512:
            profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512}
        strips = range(0, rows, STRIP)
        with atomic_path(target) as partial, rasterio.open(partial, "w", **profile) as file:
            for top in track(strips, len(strips), f"decoding {scene.name}"):
                window = Window(top, min(top + STRIP, rows), 0, columns)
                for number, band in enumerate(scene.bands, 1):
                    file.write(
                        scene.numbers(band, window),
                        number,
                        window=((window.top, window.bottom), (0, columns)),
                    )
    files = {band: (target, number) for number, band in enumerate(scene.bands, 1)}
    return replace(scene, files=files)
