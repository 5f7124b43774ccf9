"""Training: the network, its threshold, and the baseline without context."""

from __future__ import annotations

import functools
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_wwtp.chips import IGNORE, Chips, ChipSource
from esai_wwtp.config import WwtpConfig
from esai_wwtp.network import Card, build, load_card, load_runner, sigmoid
from esai_wwtp.splitting import Parts

__all__ = ["Gaussian", "best_threshold", "fit_network"]

log = logging.getLogger(__name__)

BATCH = 8
"""Validation chips per call of the network."""


def fit_network(
    chips: Chips,
    split: Parts,
    config: WwtpConfig,
    *,
    folder: Path,
    checkpoints: Path,
    resume: bool = False,
    workers: int | None = None,
    again: bool = False,
) -> list[dict[str, float]]:
    """Train the U-Net on the training part; validation chooses the epoch and the threshold.

    Parameters
    ----------
    chips : Chips
    split : Parts
        The test part is not looked at.
    config : WwtpConfig
        Its tables ``[model]`` and ``[train]``.
    folder : Path
        Where ``network.keras``, ``network.onnx`` and ``network.json`` are written.
    checkpoints : Path
        For the training.
    resume : bool
        Go on from them.
    workers : int, optional
        Worker processes.
    again : bool
        Go on with the network in `folder`, for ``train.mining_epochs`` at half the learning rate.

    Returns
    -------
    list of dict
        History, epoch by epoch.
    """
    from esai_core.nn import load, make_loss, receptive_field, save
    from esai_core.training import fit
    from esai_wwtp.graph import write_graph

    part, held = chips.take(split.train), chips.take(split.validate)
    settings = config.train
    if again:
        card, rate = load_card(folder / "network.json"), 0.5 * settings.learning_rate
        settings = settings.model_copy(update={"epochs": settings.mining_epochs, "learning_rate": rate})
        start = functools.partial(load, folder / "network.keras")
    else:
        mean, spread = part.moments()
        card = Card(list(chips.bands), mean.tolist(), spread.tolist(), 0, 1, 0.5, part.prevalence)
        shape = {"width": config.model.width, "depth": config.model.depth}
        start = functools.partial(build, mean=mean, spread=spread, prevalence=part.prevalence, **shape)
    options = {"dice": 0.5} if config.model.loss == "bce_dice" else {}
    target = np.where(held.target == IGNORE, np.nan, held.target).astype("float32")[..., None]
    found = fit(
        start,
        ChipSource(part, settings),
        (held.reflectance(), target),
        loss=make_loss(config.model.loss, **options),
        config=settings,
        folder=checkpoints,
        resume=resume,
        workers=workers,
    )
    model = found.model
    field = receptive_field(model)
    card = replace(card, halo=field.halo, alignment=field.alignment)
    folder.mkdir(parents=True, exist_ok=True)
    save(model, folder / "network.keras")
    write_graph(model, folder / "network.onnx")
    card.save(folder / "network.json")
    runner = load_runner(folder, runtime=config.model.runtime, threads=config.tiling.threads)
    batches = np.array_split(np.arange(len(held)), -(-len(held) // BATCH))
    probability = np.concatenate([runner(held.reflectance(some)) for some in batches])
    replace(card, threshold=best_threshold(probability, held.target)).save(folder / "network.json")
    return found.rows


def best_threshold(probability: NDArray, target: NDArray[np.uint8]) -> float:
    """Give the threshold with the best IoU, of 0.05, 0.06 ... 0.95; ties go to the one nearest 0.5.

    Parameters
    ----------
    probability : array
    target : array
        0, 1 or `IGNORE`; same shape.
    """
    counted = target != IGNORE
    p, y = probability[counted], target[counted] == 1
    edges = np.arange(5, 96) / 100.0
    level = np.searchsorted(edges, p, side="right")  # above so many thresholds, or at them
    hits = np.bincount(level[y], minlength=len(edges) + 1)[::-1].cumsum()[::-1][1:]
    said = np.bincount(level, minlength=len(edges) + 1)[::-1].cumsum()[::-1][1:]
    iou = hits / np.maximum(said + y.sum() - hits, 1)
    if not hits.any():
        log.warning("no threshold finds anything in the validation examples; 0.5 is used")
        return 0.5
    best = np.flatnonzero(iou >= iou.max() - 1e-12)
    return float(edges[best[np.argmin(np.abs(edges[best] - 0.5))]])


class Gaussian:
    r"""The maximum-likelihood classifier: each pixel alone, one normal distribution per class.

    .. math:: \log\frac{P(1|x)}{P(0|x)}
              = \log\frac{\pi}{1-\pi} + \log N(x; \mu_1, \Sigma_1) - \log N(x; \mu_0, \Sigma_0)

    (Richards, 2013, Remote Sensing Digital Image Analysis, chapter 8.) It knows colours and no shapes: what
    the network adds to it is context.
    """

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = parameters

    @classmethod
    def fit(cls, chips: Chips) -> Gaussian:
        """Fit both distributions on the pixels of chips (at most a million)."""
        target = chips.target.ravel()
        pixels = chips.pixels.reshape(len(target), -1)
        step = max(1, len(target) // 1_000_000)
        x = pixels[::step].astype(np.float64) * chips.scale + chips.offset
        y = target[::step]
        classes = []
        for value in (0, 1):
            own = x[y == value]
            if len(own) <= x.shape[1]:  # too few pixels for a covariance
                own = pixels[target == value].astype(np.float64) * chips.scale + chips.offset
            spread = np.cov(own.T).reshape(x.shape[1], x.shape[1]) + 1e-8 * np.eye(x.shape[1])
            classes.append({"mean": own.mean(0).tolist(), "covariance": spread.tolist()})
        return cls({"prevalence": chips.prevalence, "classes": classes})

    def predict(self, reflectance: NDArray) -> NDArray[np.float32]:
        """Give probabilities ``(...)`` of reflectance ``(..., band)``."""
        prior = self.parameters["prevalence"]
        logits = np.full(reflectance.shape[:-1], np.log(prior / (1 - prior)))
        for sign, one in zip((-1.0, 1.0), self.parameters["classes"], strict=True):
            covariance = np.asarray(one["covariance"])
            away = reflectance.astype(np.float64) - np.asarray(one["mean"])
            distance = np.square(away @ np.linalg.cholesky(np.linalg.inv(covariance))).sum(-1)
            logits -= sign * 0.5 * (distance + np.linalg.slogdet(covariance)[1])
        return sigmoid(np.clip(logits, -60, 60))
