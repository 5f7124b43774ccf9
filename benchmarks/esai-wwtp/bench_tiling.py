"""Exact inference of a scene: against one batch in memory, and against Keras's `predict`.

`ours_s` is the user's whole job: read windows of a GeoTIFF of digital numbers, make reflectance of them, run
the network with its margins, write the probabilities as a cloud-optimised GeoTIFF. Its peers:

- one batch in memory: the same network and runtime, without reading, writing and margins, per pixel of the
  scene. The ratio is the share of that speed that is kept.
- keras predict, same answer: the same job from the same file to the same file with `keras.Model.predict` on
  the usual windows of 256 x 256, with the margin that makes the answer exact (both are compared).
- keras predict, bare: `predict` on as many pixels in batches of 256 x 256: neither margins nor files.

Each has one thread, and its seconds of the processor are counted: threads that wait would count as well.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import rasterio
import tensorflow as tf
from rasterio import Affine

from esai_core.nn import receptive_field
from esai_core.training import TrainConfig, scope
from esai_wwtp.graph import write_graph
from esai_wwtp.network import Card, build, load_runner, sigmoid
from esai_wwtp.opening import open_scene
from esai_wwtp.rasters import cog_writer
from esai_wwtp.scenes import Scene
from esai_wwtp.tiling import Tile, infer, tiles

SIZES = {"small": 1024, "full": 4096}
BANDS = ("B02", "B03", "B04", "B08")
WINDOW, BATCH = 256, 4


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


def make_model() -> Any:
    """Build the network of the examples, with weights that say something."""
    with scope(TrainConfig()):
        model = build(mean=np.full(4, 0.15), spread=np.full(4, 0.08), prevalence=0.1, width=16, depth=3)
    random = np.random.default_rng(0)
    for weight in model.weights:
        if "head/kernel" in weight.path:
            weight.assign(random.normal(0, 1.0, weight.shape))
    return model


def run_ours(scene: Scene, runner: Any, card: Card, path: Path) -> None:
    """Do the job as the package does it."""
    with cog_writer(path, shape=scene.shape, crs=scene.crs, transform=scene.transform) as write:
        for window, probability in infer(scene, runner, card, size=768):
            if probability is not None:
                write(probability, window.top, window.left)


def run_keras(scene: Scene, model: Any, card: Card, path: Path) -> None:
    """Do the same job with `predict` on windows of 256 pixels, in batches of windows of one shape."""
    cut = tiles(scene.shape, size=WINDOW - 2 * card.halo, halo=card.halo, alignment=card.alignment)
    shapes: dict[tuple[int, int], list[Tile]] = {}
    for tile in cut:
        shapes.setdefault(tile.outer.shape, []).append(tile)
    with cog_writer(path, shape=scene.shape, crs=scene.crs, transform=scene.transform) as write:
        for alike in shapes.values():
            for start in range(0, len(alike), 8 * BATCH):
                some = alike[start : start + 8 * BATCH]
                values = np.stack([scene.read(tile.outer) for tile in some])
                logits = model.predict(values, batch_size=BATCH, verbose=0)
                for tile, field in zip(some, sigmoid(logits[..., 0]), strict=True):
                    write(field[tile.core.within(tile.outer)], tile.core.top, tile.core.left)


def seconds(call: Callable[[], object]) -> float:
    """Processor seconds of the faster of two calls."""
    times = []
    for _ in range(2):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=list(SIZES), default="full")
    size = SIZES[parser.parse_args().size]
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = make_model()
    field = receptive_field(model)
    card = Card(list(BANDS), [0.15] * 4, [0.08] * 4, field.halo, field.alignment, 0.5, 0.1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_graph(model, folder / "network.onnx")
        card.save(folder / "network.json")
        write_scene(folder / "scene.tif", size)
        scene = open_scene(folder / "scene.tif", bands=BANDS)
        runner = load_runner(folder, threads=1)
        ours, theirs = folder / "ours.tif", folder / "keras.tif"
        batch = np.random.default_rng(0).uniform(0, 0.3, (16, WINDOW, WINDOW, 4)).astype("float32")
        share = size * size / batch[..., 0].size
        runner(batch[:1])
        model.predict(batch[:BATCH], verbose=0)
        taken = seconds(lambda: run_ours(scene, runner, card, ours))
        peers = {
            "one batch in memory": share * seconds(lambda: runner(batch)),
            "keras predict, same answer": seconds(lambda: run_keras(scene, model, card, theirs)),
            "keras predict, bare": share * seconds(lambda: model.predict(batch, batch_size=BATCH, verbose=0)),
        }
        stored = [rasterio.open(path).read(1).astype(int) for path in (ours, theirs)]
    apart = int(np.abs(stored[0] - stored[1]).max())  # in steps of 1/250
    if apart > 1 or np.ptp(stored[0]) < 10:
        raise SystemExit(f"the answers differ by {apart} / 250")
    for peer, other in peers.items():
        case = f"{size} x {size} pixels, U-Net 16 x 3, margin {card.halo}"
        print(json.dumps({"case": case, "ours_s": taken, "peer": peer, "peer_s": other}))


if __name__ == "__main__":
    main()
