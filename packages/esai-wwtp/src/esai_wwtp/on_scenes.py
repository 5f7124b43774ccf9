"""The steps on scenes: chips out of them, a network, exact inference, plants, and their scores."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from esai_core.errors import InputError, UsageError
from esai_core.runs import RunFolder, read_metrics
from esai_wwtp.capacity import CapacityModel
from esai_wwtp.catalogue import catalogue
from esai_wwtp.chips import Chips
from esai_wwtp.config import WwtpConfig
from esai_wwtp.decoding import decode_once
from esai_wwtp.fitting import Gaussian, fit_network
from esai_wwtp.labels import Labels, read_labels
from esai_wwtp.mining import Look, choose_threshold, find_lookalikes, smallest_plant
from esai_wwtp.network import Card, load_card, load_runner
from esai_wwtp.opening import open_scene
from esai_wwtp.plants import drop_duplicates, find_pieces, outline_labels, outline_plants
from esai_wwtp.rasters import NO_DATA, cog_writer, said
from esai_wwtp.sampling import chips_around, sample_chips
from esai_wwtp.scenes import Scene
from esai_wwtp.splitting import Parts, split_chips, write_split
from esai_wwtp.stac import join_items, open_item, read_items
from esai_wwtp.tiling import infer
from esai_wwtp.treatment import LEVELS, TreatmentModel

__all__ = ["evaluate", "open_scenes", "predict", "report", "train"]

log = logging.getLogger(__name__)


def open_scenes(
    config: WwtpConfig, *, new: bool, decoded: Path | None = None
) -> tuple[list[Scene], Labels | None]:
    """Open the scenes of a config, and the labels.

    Parameters
    ----------
    config : WwtpConfig
    new : bool
        Those to predict (``data.test_scenes``, or all where there are none), else those to train on.
    decoded : Path, optional
        Folder for JPEG 2000 bands, decoded once.
    """
    data = config.data
    if data.synthetic is not None and not (new and data.test_scenes):
        from esai_wwtp.toys import open_toys

        return open_toys(data.synthetic, new=new)
    paths = data.test_scenes if new and data.test_scenes else data.scenes
    scenes = [scene for path in paths for scene in _open(path, config, decoded)]
    for scene in scenes:
        scene.check()
    if decoded is not None:
        scenes = [decode_once(scene, decoded) for scene in scenes]
    labels = read_labels(data.labels, radius=data.point_radius_m) if data.labels else None
    return scenes, labels


def _open(path: Path, config: WwtpConfig, decoded: Path | None) -> list[Scene]:
    """Open one scene, or those of a STAC search."""
    data = config.data
    if path.suffix.lower() != ".json" or data.units == "reflectance" or not path.exists():
        return [open_scene(path, bands=data.bands, offset=data.offset, units=data.units)]
    items = read_items(path)
    if data.join and decoded is not None:
        return join_items(items, path, data.bands, data.offset, folder=decoded)
    return [open_item(item, path, data.bands, data.offset) for item in items]


def train(config: WwtpConfig, run: RunFolder) -> None:
    """Draw chips, split, fit the network and the baseline."""
    with run.stage("chips"):
        scenes, labels = open_scenes(config, new=False, decoded=run.checkpoints / "decoded")
        if labels is None:
            raise UsageError("no labels to learn from", where="data.labels", remedy="give polygons of plants")
        chips = sample_chips(
            scenes,
            labels,
            side=config.train.chip,
            per_scene=config.train.per_scene,
            seed=config.train.seed,
            clouds=config.data.clouds,
        )
    has_others = bool(config.data.test_scenes or config.data.synthetic)
    split = split_chips(chips, config.split, test_elsewhere=has_others)
    write_split(chips, split, run.path("split.csv"))
    folder = run.path("model/network.keras").parent
    with run.stage("fit"):
        rows = fit_network(
            chips,
            split,
            config,
            folder=folder,
            checkpoints=run.checkpoints / "network",
            resume=run.resume,
            workers=run.workers,
        )
    if config.train.mining_epochs:
        rows = followed(rows, mine(scenes, labels, chips, split, config, run))
    with run.stage("threshold"):
        settle(scenes, labels, chips, split, config, folder)
    shutil.rmtree(run.checkpoints / "network", ignore_errors=True)
    for row in rows:
        run.add_history(row)
    if config.capacity is not None:
        with run.stage("capacity"):
            characterise(scenes, labels, config, folder)
    gaussian = Gaussian.fit(chips.take(split.train))
    run.path("model/maximum_likelihood.json").write_text(json.dumps(gaussian.parameters, indent=1) + "\n")


def mine(
    scenes: list[Scene], labels: Labels, chips: Chips, split: Parts, config: WwtpConfig, run: RunFolder
) -> list[dict[str, float]]:
    """Train on with chips of what the network takes for a plant in the training scenes; the history."""
    folder = run.find("model/network.json").parent
    card = load_card(folder / "network.json")
    with run.stage("mining"):
        runner = load_runner(folder, runtime=config.model.runtime, threads=config.tiling.threads)
        finds = find_lookalikes(Look(scenes, labels, chips, split, runner, card, config))
        log.info("%d finds in the training scenes are no plant", sum(map(len, finds)))
        hard = chips_around(
            scenes,
            labels,
            finds,
            side=config.train.chip,
            per_scene=config.train.per_scene // 4,
            seed=config.train.seed,
            clouds=config.data.clouds,
        )
    if hard is None:
        return []
    more = np.arange(len(chips), len(chips) + len(hard), dtype=np.int64)
    with run.stage("fit"):
        return fit_network(
            chips.joined(hard),
            replace(split, train=np.concatenate([split.train, more])),
            config,
            folder=folder,
            checkpoints=run.checkpoints / "network" / "again",
            resume=run.resume,
            workers=run.workers,
            again=True,
        )


def followed(first: list[dict[str, float]], second: list[dict[str, float]]) -> list[dict[str, float]]:
    """Put the history of the second training after that of the first, counting on."""
    last = first[-1]
    more = [row | {key: row[key] + last[key] for key in ("epoch", "step")} for row in second[1:]]
    return first + more


def settle(
    scenes: list[Scene], labels: Labels, chips: Chips, split: Parts, config: WwtpConfig, folder: Path
) -> None:
    """Choose the threshold and the smallest size of plants, where the config does not give them."""
    card = load_card(folder / "network.json")
    card = replace(card, min_pixels=config.objects.min_pixels or smallest_plant(labels, scenes))
    if config.objects.threshold is None:
        runner = load_runner(folder, runtime=config.model.runtime, threads=config.tiling.threads)
        look = Look(scenes, labels, chips, split, runner, card, config)
        card = replace(card, threshold=choose_threshold(look))
    card.save(folder / "network.json")


def characterise(scenes: list[Scene], labels: Labels, config: WwtpConfig, folder: Path) -> None:
    """Fit load and treatment on the labelled outlines of the training scenes, and write the models."""
    import pandas as pd

    if config.capacity is None:
        raise ValueError("called for a config without [capacity]")
    tables = []
    for scene in scenes:
        truth = labels.on(scene)
        tables.append(outline_labels(truth, crs=config.objects.crs, clouds=config.data.clouds))
    plants = pd.concat(tables, ignore_index=True)
    middle = plants.geometry.centroid.to_crs(4326)
    settings: dict[str, Any] = {
        "latitude": middle.y.to_numpy(),
        "longitude": middle.x.to_numpy(),
        "block_km": config.capacity.block_km,
        "seed": config.train.seed,
    }
    CapacityModel.fit(plants, **settings).save(folder)
    if plants["level"].isin(LEVELS).any():
        TreatmentModel.fit(plants, **settings).save(folder)


def predict(config: WwtpConfig, run: RunFolder) -> None:
    """Write ``probability/SCENE.tif``, ``plants.gpkg``, ``plants.parquet`` and ``scenes.parquet``."""
    import pandas as pd

    from esai_wwtp.vectors import write_vectors

    folder = run.find("model/network.json").parent
    card = load_card(folder / "network.json")
    runner = load_runner(folder, runtime=config.model.runtime, threads=config.tiling.threads)
    scenes, _ = open_scenes(config, new=True, decoded=run.checkpoints / "decoded")
    found, seen = [], False
    for scene in scenes:
        path = run.path(f"probability/{scene.name}.tif")
        with run.stage("inference"):
            stored = write_probability(scene, runner, card, config, path)
        seen = seen or bool((stored != NO_DATA).any())
        with run.stage("plants"):
            pieces = find_pieces(
                said(stored, config.objects.threshold or card.threshold),
                close=config.objects.close_pixels,
                min_pixels=config.objects.min_pixels or card.min_pixels,
            )
            found.append(
                outline_plants(pieces, stored, scene, crs=config.objects.crs, clouds=config.data.clouds)
            )
    if not seen:
        raise InputError(
            "no pixel is free of clouds",
            where=", ".join(scene.name for scene in scenes),
            remedy="choose other dates, or set data.clouds = false to ignore the scene classification",
        )
    plants = drop_duplicates(pd.concat(found, ignore_index=True))
    if run.has("model/capacity.json"):
        plants = CapacityModel.load(folder).predict(plants)
    if run.has("model/treatment.json"):
        plants = TreatmentModel.load(folder).predict(plants)
    log.info("%d plants in %d scenes", len(plants), len(scenes))
    write_vectors(catalogue(scenes, clouds=config.data.clouds), run.path("scenes.parquet"))
    write_vectors(plants, run.path("plants.gpkg"))
    write_vectors(plants, run.path("plants.parquet"))
    run.varies("plants.gpkg")  # GeoPackage holds the time of writing


def write_probability(scene: Scene, runner: Any, card: Card, config: WwtpConfig, path: Path) -> np.ndarray:
    """Infer a scene and write its probabilities; they are given back as the file holds them."""
    import rasterio

    tags = {"threshold": card.threshold, "bands": ",".join(card.bands), "sensed": scene.sensed}
    seen = False
    with cog_writer(path, shape=scene.shape, crs=scene.crs, transform=scene.transform, tags=tags) as write:
        windows = infer(
            scene,
            runner,
            card,
            size=config.tiling.size,
            clouds=config.data.clouds,
            skip_sea=config.tiling.skip_sea,
        )
        for window, probability in windows:
            values = np.full(window.shape, np.nan, np.float32) if probability is None else probability
            seen = seen or probability is not None
            write(values, window.top, window.left)
    if not seen:
        log.warning("%s: no pixel is free of clouds, nothing was classified", scene.name)
    with rasterio.open(path) as file:
        return file.read(1)


def evaluate(config: WwtpConfig, run: RunFolder) -> None:
    """Score network and baseline on the scenes that were predicted."""
    from esai_wwtp.scene_scoring import score_scenes

    scenes, labels = open_scenes(config, new=True, decoded=run.checkpoints / "decoded")
    metrics = score_scenes(scenes, labels, config, run)
    run.write_metrics(metrics)


def report(config: WwtpConfig, run: RunFolder) -> None:
    """Draw and tell."""
    from esai_wwtp.scene_report import write_report

    scenes, labels = open_scenes(config, new=True, decoded=run.checkpoints / "decoded")
    write_report(scenes, labels, read_metrics(run.find("metrics.json").parent), config, run)
