"""A U-Net that refines what the EOFs fill, trained on gaps that are made for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_core.tasks.gapfill.blobs import draw_blobs
from esai_core.tasks.gapfill.config import GapfillConfig
from esai_core.tasks.gapfill.eof import fill_eof

__all__ = ["Examples", "make_examples", "refine", "train_network"]


@dataclass(frozen=True)
class Examples:
    """Inputs of the network, in standard deviations.

    Attributes
    ----------
    values, mask : array (time, latitude, longitude, 2 (2 window + 1))
        Anomalies that are seen, and the EOF filling, of each time of the window; and whether they are there.
    baseline : array (time, latitude, longitude, 1)
        The EOF filling of the time itself.
    """

    values: NDArray[np.float32]
    mask: NDArray[np.float32]
    baseline: NDArray[np.float32]

    def inputs(self) -> dict[str, NDArray[np.float32]]:
        """Give what the model takes."""
        return {"values": self.values, "mask": self.mask, "baseline": self.baseline}


def make_examples(seen: NDArray, filled: NDArray, land: NDArray[np.bool_], *, window: int) -> Examples:
    """Stack what is seen around each time.

    Parameters
    ----------
    seen : array (time, latitude, longitude)
        Standardised anomalies, NaN where not seen.
    filled : array (time, latitude, longitude)
        The EOF filling from the same cells.
    land : array (latitude, longitude) of bool
        Cells that are never observed.
    window : int
        Times before and after.
    """
    there = ~np.isnan(seen)
    plain = np.where(there, seen, 0).astype(np.float32)
    sea = np.broadcast_to(~land, seen.shape)
    values, mask = [], []
    for offset in range(-window, window + 1):
        for field, known in ((plain, there), (filled, sea)):
            moved, valid = _shifted(field, offset), _shifted(known, offset)
            values.append(np.where(valid, moved, 0))
            mask.append(valid)
    stacks = [np.stack(part, axis=-1).astype(np.float32) for part in (values, mask)]
    return Examples(stacks[0], stacks[1], np.where(sea, filled, 0).astype(np.float32)[..., None])


def _shifted(values: NDArray, offset: int) -> NDArray:
    """Give the values `offset` times later; zeros (not there) beyond the ends."""
    moved = np.zeros_like(values)
    n = len(values)
    if abs(offset) < n:
        moved[max(0, -offset) : n - max(0, offset)] = values[max(0, offset) : n - max(0, -offset)]
    return moved


def _filled(
    anomalies: NDArray, land: NDArray[np.bool_], modes: int, config: GapfillConfig
) -> NDArray[np.float32]:
    """Fill by EOFs on the cells that are ever observed; 0 over land."""
    result = np.zeros(anomalies.shape, np.float32)
    result[:, ~land] = fill_eof(
        anomalies[:, ~land], modes=modes, tolerance=config.eof.tolerance, iterations=config.eof.iterations
    )
    return result


def train_network(
    learn: NDArray,
    held: NDArray[np.bool_],
    truth: NDArray,
    *,
    land: NDArray[np.bool_],
    modes: int,
    weights: NDArray,
    config: GapfillConfig,
    folder: Path,
    resume: bool,
    workers: int | None,
) -> Any:
    """Train on gaps made in what may be learnt from; validate on the cells kept back to choose by.

    Each draw hides other blobs, of the size of the test's, fills them by EOFs that have not seen them, and
    asks the network for the truth there.

    Parameters
    ----------
    learn : array (time, latitude, longitude)
        Standardised anomalies to learn from, NaN elsewhere.
    held : array of bool
        The cells kept back to choose by.
    truth : array
        Standardised anomalies, at least there.
    land : array (latitude, longitude) of bool
    modes : int
        Of the EOFs.
    weights : array (latitude, 1, 1)
        Of the cells in the loss.
    config : GapfillConfig
    folder, resume, workers
        As of `esai_core.training.fit`.

    Returns
    -------
    esai_core.training.History
        With the model.
    """
    from esai_core import nn, training

    there = ~np.isnan(learn)
    hide, window = config.hide, config.network.window
    rng = np.random.default_rng(hide.seed + 1)
    inputs, targets = [], []
    for _ in range(config.network.draws):
        gone = draw_blobs(rng, there, share=hide.share, length=hide.length, duration=hide.duration)
        seen = np.where(gone, np.nan, learn)
        inputs.append(make_examples(seen, _filled(seen, land, modes, config), land, window=window).inputs())
        targets.append(np.where(gone, learn, np.nan).astype(np.float32)[..., None])
    joined = {name: np.concatenate([one[name] for one in inputs]) for name in inputs[0]}
    check = make_examples(learn, _filled(learn, land, modes, config), land, window=window).inputs()
    wanted = np.where(held, truth, np.nan).astype(np.float32)[..., None]
    some = held.any((1, 2))

    def build() -> Any:
        return nn.gap_unet(joined["values"].shape[1:], width=config.network.width, depth=config.network.depth)

    return training.fit(
        build,
        (joined, np.concatenate(targets)),
        ({name: part[some] for name, part in check.items()}, wanted[some]),
        loss=nn.make_loss("mse", weights=weights),
        config=config.train,
        folder=folder,
        resume=resume,
        workers=workers,
    )


def refine(
    model: Any, seen: NDArray, *, land: NDArray[np.bool_], modes: int, config: GapfillConfig
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fill by EOFs and refine by the network.

    Parameters
    ----------
    model : keras.Model
    seen : array (time, latitude, longitude)
        Standardised anomalies, NaN in the gaps.
    land, modes, config
        As in `train_network`.

    Returns
    -------
    eof, refined : array (time, latitude, longitude)
        Standardised anomalies.
    """
    from esai_core import training

    filled = _filled(seen, land, modes, config)
    examples = make_examples(seen, filled, land, window=config.network.window)
    made = training.predict(model, examples.inputs(), batch_size=config.train.batch_size)
    return filled, made[..., 0]
