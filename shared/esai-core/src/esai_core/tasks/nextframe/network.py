"""ConvLSTM and residual U-Net that correct the damped anomaly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_core.tasks.nextframe.baselines import Damping
from esai_core.tasks.nextframe.config import NextframeConfig
from esai_core.tasks.nextframe.work import Work
from esai_core.tasks.scratch import Scratch
from esai_core.training.order import shuffled

__all__ = ["DAMPED", "Windows", "examples", "places", "targets", "train_network"]

DAMPED = "damped anomaly"
"""Name of the first guess among the inputs."""


def examples(
    anomalies: NDArray | Scratch,
    land: NDArray[np.bool_],
    phases: NDArray,
    starts: NDArray[np.int64],
    damping: Damping,
    *,
    kind: str,
    window: int,
) -> dict[str, NDArray[np.float32]]:
    """Make the inputs of a network from what is known at each start.

    Parameters
    ----------
    anomalies : array or Scratch (time, latitude, longitude)
        Standardised, 0 where left out.
    land : array (latitude, longitude) of bool
        Cells that are left out: a channel tells them.
    phases : array (time, 2)
        Cosine and sine of the cycle.
    starts : array of int
        Steps to forecast from, at least ``window - 1``.
    damping : Damping
        The first guess.
    kind : {"convlstm", "unet"}
        Fields on a time axis, or as channels.
    window : int
        Past fields.

    Returns
    -------
    dict
        ``fields``, ``condition`` and ``baseline`` of `esai_core.nn.build`.
    """
    past = np.stack([anomalies[starts - back] for back in reversed(range(window))], axis=1)
    sea = np.broadcast_to(~land, past.shape)
    if kind == "convlstm":
        fields = np.stack([past, sea], axis=-1)
    else:
        fields = np.moveaxis(np.concatenate([past, sea[:, :1]], axis=1), 1, -1)
    baseline = np.moveaxis(damping.forecast(anomalies, starts), 1, -1)
    made = {"fields": fields, "condition": phases[starts], "baseline": baseline}
    return {name: np.ascontiguousarray(part, np.float32) for name, part in made.items()}


def places(kind: str, window: int) -> dict[str, list[tuple[str, Any]]]:
    """Name the inputs, and tell where each stands in `examples`."""
    along = (lambda step: (slice(None), step, ..., 0)) if kind == "convlstm" else (lambda step: (..., step))
    past = {
        f"field {window - 1 - step} steps ago": [("fields", along(step))] for step in reversed(range(window))
    }
    return past | {"time of the cycle": [("condition", ...)], DAMPED: [("baseline", ...)]}


def targets(
    anomalies: NDArray | Scratch, land: NDArray[np.bool_], starts: NDArray[np.int64], leads: Sequence[int]
) -> NDArray[np.float32]:
    """Give the truth, ``(start, latitude, longitude, lead)``, NaN where left out."""
    later = np.stack([anomalies[starts + lead] for lead in leads], axis=-1).astype(np.float32)
    later[:, land] = np.nan
    return later


@dataclass(frozen=True)
class Windows:
    """A `esai_core.training.data.Source` that reads the examples of a batch from the file of anomalies.

    Attributes
    ----------
    anomalies, land, phases, damping, kind, window
        As for `examples`.
    starts : array of int
        Steps to forecast from.
    """

    anomalies: Scratch
    land: NDArray[np.bool_]
    phases: NDArray
    starts: NDArray[np.int64]
    damping: Damping
    kind: str
    window: int

    def __len__(self) -> int:
        return len(self.starts)

    def order(self, epoch: int, seed: int) -> NDArray[np.int64]:
        """Shuffle the examples for an epoch."""
        return shuffled(len(self), epoch=epoch, seed=seed)

    def read(self, numbers: NDArray[np.int64]) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
        """Give inputs and targets of some examples."""
        starts = self.starts[numbers]
        return (
            examples(
                self.anomalies,
                self.land,
                self.phases,
                starts,
                self.damping,
                kind=self.kind,
                window=self.window,
            ),
            targets(self.anomalies, self.land, starts, self.damping.leads),
        )


def train_network(
    kind: str,
    work: Work,
    damping: Damping,
    *,
    weights: NDArray,
    config: NextframeConfig,
    folder: Path,
    resume: bool,
    workers: int | None,
) -> Any:
    """Train one network on the first part, keeping the weights that serve the second best.

    Parameters
    ----------
    kind : {"convlstm", "unet"}
    work : Work
    damping : Damping
        The first guess.
    weights : array (latitude, 1, 1)
        Of the cells in the loss.
    config : NextframeConfig
    folder, resume, workers
        As of `esai_core.training.fit`.

    Returns
    -------
    esai_core.training.History
        With the model.
    """
    from esai_core import nn, training

    network = config.network
    train, check = (
        Windows(work.anomalies, work.land, work.phases, starts, damping, kind, network.window)
        for starts in (work.train, work.choose)
    )

    def build() -> Any:
        options = {
            "outputs": len(config.leads),
            "width": network.width,
            "depth": network.depth,
            "condition": 2,
        }
        if kind == "convlstm":
            return nn.build("resnet", fields=(*work.land.shape, 2), window=network.window, **options)
        return nn.build("unet", fields=(*work.land.shape, network.window + 1), **options)

    return training.fit(
        build,
        train,
        check,
        loss=nn.make_loss("mse", weights=weights),
        config=config.train,
        folder=folder,
        resume=resume,
        workers=workers,
    )
