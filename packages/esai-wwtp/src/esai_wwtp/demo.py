"""The embedded example: seeded scenes with known plants, as files, small enough for a minute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esai_wwtp.synthetic import ToyScene

__all__ = ["prepare", "write_toy"]

CONFIG = """\
# Made-up scenes with known plants: they show the chain, and say nothing about real plants.
schema_version = 1

[data]
scenes = ["toy_3_0.tif", "toy_3_1.tif", "toy_3_2.tif"]
test_scenes = ["toy_4_3.tif"]
labels = ["plants.geojson"]

[split]
block_km = 2.5
buffer_km = 1.0

[model]
width = 8
depth = 3

[train]
seed = 0
epochs = 8
mining_epochs = 0
chip = 96
per_scene = 72
learning_rate = 4e-3

[tiling]
size = 256
"""


def prepare(folder: Path) -> Path:
    """Write four scenes as cloud-optimised GeoTIFF, the outlines of their plants, and a config.

    Parameters
    ----------
    folder : Path
        An empty folder.

    Returns
    -------
    Path
        The config.
    """
    import pandas as pd

    from esai_wwtp.synthetic import toy_scene

    toys = [toy_scene(seed=3, size=512, plants=8, number=i) for i in range(3)]
    toys.append(toy_scene(seed=4, size=768, plants=4, number=3))
    for toy in toys:
        write_toy(toy, folder / f"{toy.scene.name}.tif")
    outlines = pd.concat([toy.outlines.to_crs(4326) for toy in toys], ignore_index=True)
    outlines.to_file(folder / "plants.geojson", driver="GeoJSON")
    path = folder / "demo.toml"
    path.write_text(CONFIG)
    return path


def write_toy(toy: ToyScene, path: Path) -> None:
    """Write a scene in memory as a GeoTIFF that tells its bands, scale and offset."""
    import rasterio
    from rasterio.shutil import copy

    scene = toy.scene
    if scene.values is None:
        raise ValueError("the scene is not in memory")
    plain = path.with_suffix(".plain.tif")
    rows, columns = scene.shape
    with rasterio.open(
        plain,
        "w",
        driver="GTiff",
        dtype="uint16",
        count=len(scene.bands),
        height=rows,
        width=columns,
        crs=scene.crs,
        transform=scene.transform,
        nodata=0,
    ) as file:
        for number, band in enumerate(scene.bands, 1):
            file.write(scene.values[..., number - 1], number)
            file.set_band_description(number, band)
        factor = scene.scaling.quantification
        file.scales = (1.0 / factor,) * len(scene.bands)
        file.offsets = tuple(scene.scaling.offset(band) / factor for band in scene.bands)
    copy(plain, path, driver="COG", compress="DEFLATE")
    plain.unlink()
