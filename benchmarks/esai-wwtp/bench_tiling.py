"""Exact inference of a scene in windows: against one batch in memory, and against Keras's `predict`.

`ours_s` is the whole path: reading windows of a GeoTIFF, reflectance, the network with its margins, writing
the probabilities. The peer of the first case is the same network and runtime on one batch in memory, per
pixel of the scene (the ratio is the share of that speed that is kept); of the second it is
`keras.Model.predict` on as many pixels in batches of 256 x 256, without reading, writing and margins. Each
has one thread, and its seconds of the processor are counted: threads that wait would count as well.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import rasterio
import tensorflow as tf
from rasterio import Affine

from esai_core.nn import export_onnx, receptive_field
from esai_wwtp.network import Card, build, load_runner
from esai_wwtp.opening import open_scene
from esai_wwtp.rasters import cog_writer
from esai_wwtp.tiling import infer

SIZES = {"small": 2048, "full": 4096}
BANDS = ("B02", "B03", "B04", "B08")


def write_scene(path: Path, size: int) -> None:
    """Write seeded digital numbers as a tiled GeoTIFF."""
    random = np.random.default_rng(0)
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 4, "height": size, "width": size, "nodata": 0}
    place = {"crs": "EPSG:32630", "transform": Affine(10.0, 0.0, 300_000.0, 0.0, -10.0, 4_500_000.0)}
    tiled = {"tiled": True, "blockxsize": 512, "blockysize": 512}
    with rasterio.open(path, "w", **profile, **place, **tiled) as file:
        for number, band in enumerate(BANDS, 1):
            file.write(random.integers(1200, 4000, (size, size), dtype=np.uint16), number)
            file.set_band_description(number, band)
        file.scales, file.offsets = (1e-4,) * 4, (-0.1,) * 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=list(SIZES), default="full")
    size = SIZES[parser.parse_args().size]
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = build(mean=np.full(4, 0.15), spread=np.full(4, 0.08), prevalence=0.01, width=16, depth=3)
    field = receptive_field(model)
    card = Card(list(BANDS), [0.15] * 4, [0.08] * 4, field.halo, field.alignment, 0.5, 0.01)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_onnx(model, folder / "network.onnx")
        write_scene(folder / "scene.tif", size)
        scene = open_scene(folder / "scene.tif", bands=BANDS)
        runner = load_runner(folder, threads=1)

        def ours() -> None:
            path = folder / "probability.tif"
            with cog_writer(path, shape=scene.shape, crs=scene.crs, transform=scene.transform) as write:
                for window, probability in infer(scene, runner, card, size=1024):
                    if probability is not None:
                        write(probability, window.top, window.left)

        batch = np.random.default_rng(0).uniform(0, 0.3, (16, 256, 256, 4)).astype("float32")
        pixels = batch[..., 0].size

        def seconds(call: Callable[[], object]) -> float:
            """Processor seconds of the faster of two calls, after one to warm up where it is cheap."""
            times = []
            for _ in range(2):
                start = time.process_time()
                call()
                times.append(time.process_time() - start)
            return min(times)

        runner(batch[:1])
        model.predict(batch[:1], verbose=0)
        taken = seconds(ours)
        in_memory = seconds(lambda: runner(batch)) * size * size / pixels
        keras = seconds(lambda: model.predict(batch, batch_size=4, verbose=0)) * size * size / pixels
    for peer, other in (("one batch in memory", in_memory), ("keras predict", keras)):
        result = {
            "case": f"{size} x {size} pixels, U-Net 16 x 3",
            "ours_s": taken,
            "peer": peer,
            "peer_s": other,
        }
        print(json.dumps(result))


if __name__ == "__main__":
    main()
