"""The steps on chips with masks."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from esai_core.progress import track
from esai_core.runs import RunFolder, read_metrics
from esai_wwtp.chips import IGNORE, Chips, read_chips
from esai_wwtp.config import WwtpConfig
from esai_wwtp.fitting import Gaussian, fit_network
from esai_wwtp.network import load_card, load_runner
from esai_wwtp.splitting import new_chips, split_chips, write_split

__all__ = ["evaluate", "predict", "report", "train"]

BATCH = 16


def open_chips(config: WwtpConfig) -> Chips:
    """Read the chips of a config."""
    data = config.data
    if data.chips is None:
        raise ValueError("called for a config without data.chips")
    return read_chips(data.chips, positive=data.positive, ignore=data.ignore)


def train(config: WwtpConfig, run: RunFolder) -> None:
    """Split, fit the network and the baseline."""
    with run.stage("read"):
        chips = open_chips(config)
    split = split_chips(chips, config.split)
    write_split(chips, split, run.path("split.csv"))
    with run.stage("fit"):
        rows = fit_network(
            chips,
            split,
            config,
            folder=run.path("model/network.keras").parent,
            checkpoints=run.checkpoints / "network",
            resume=run.resume,
            workers=run.workers,
        )
    for row in rows:
        run.add_history(row)
    with run.stage("baseline"):
        gaussian = Gaussian.fit(chips.take(split.train))
    run.path("model/maximum_likelihood.json").write_text(json.dumps(gaussian.parameters, indent=1) + "\n")


def predict(config: WwtpConfig, run: RunFolder) -> None:
    """Write ``probability/NAME.tif`` of every chip that did not train."""
    from rasterio.transform import Affine

    from esai_wwtp.rasters import write_cog

    chips = open_chips(config)
    chosen = new_chips(chips, run.find("split.csv"))
    folder = run.find("model/network.json").parent
    runner = load_runner(folder, runtime=config.model.runtime, threads=config.tiling.threads)
    batches = [chosen[i : i + BATCH] for i in range(0, len(chosen), BATCH)]
    with run.stage("inference"):
        probability = [runner(chips.reflectance(some)) for some in track(batches, len(batches), "chips")]
    with run.stage("write"):
        for number, field in zip(chosen, np.concatenate(probability), strict=True):
            write_cog(
                run.path(f"probability/{chips.names[number]}.tif"),
                field,
                crs=chips.crs[number],
                transform=Affine(*chips.transform[number]),
            )


def read_probability(chips: Chips, run: RunFolder) -> tuple[Chips, np.ndarray]:
    """Give the chips that were predicted, and their probabilities ``(chip, row, column)``."""
    import rasterio

    from esai_wwtp.rasters import as_probability

    part = chips.take(new_chips(chips, run.find("split.csv")))
    fields = []
    for name in part.names:
        with rasterio.open(run.find(f"probability/{name}.tif")) as file:
            fields.append(as_probability(file.read(1)))
    return part, np.stack(fields)


def evaluate(config: WwtpConfig, run: RunFolder) -> None:
    """Score the network and the baselines on the chips that did not train."""
    from esai_wwtp.rasters import SCALE, as_bytes
    from esai_wwtp.scoring import pixel_scores, reliability_of

    card = load_card(run.find("model/network.json"))
    chips = open_chips(config)
    part, probability = read_probability(chips, run)
    threshold = config.objects.threshold or card.threshold
    gaussian = Gaussian(json.loads(run.find("model/maximum_likelihood.json").read_text()))
    classified = np.stack([gaussian.predict(part.reflectance(np.array([i])))[0] for i in range(len(part))])
    counted = part.target != IGNORE
    methods = {
        "unet": (probability, threshold),
        "maximum_likelihood": (classified, 0.5),
        "everywhere": (np.ones_like(probability), 0.5),
    }
    scores = {name: pixel_scores(p, part.target, threshold=t) for name, (p, t) in methods.items()}
    by_zone: dict[str, dict[str, dict[str, Any]]] = {}
    for zone in sorted(set(part.zones.tolist())):
        own = part.zones == zone
        if (part.target[own] == 1).any():
            by_zone[str(zone)] = {
                name: pixel_scores(p[own], part.target[own], threshold=t) for name, (p, t) in methods.items()
            }
    stored = as_bytes(probability)
    counts = [np.bincount(stored[part.target == value], minlength=SCALE + 1)[: SCALE + 1] for value in (1, 0)]
    run.write_metrics(
        {
            "reliability": reliability_of(*counts),
            "split": {
                "by": "blocks of space",
                "block_km": config.split.block_km,
                "buffer_km": config.split.buffer_km,
                "test_chips": len(part),
                "test_pixels": int(counted.sum()),
                "prevalence": float((part.target == 1).sum() / counted.sum()),
            },
            "delivered": "unet",
            "threshold": threshold,
            "scores": scores,
            "by_zone": by_zone,
        }
    )


def report(config: WwtpConfig, run: RunFolder) -> None:
    """Draw and tell."""
    from esai_wwtp.chip_report import write_report

    part, probability = read_probability(open_chips(config), run)
    metrics = read_metrics(run.find("metrics.json").parent)
    write_report(part, probability, metrics, run)
