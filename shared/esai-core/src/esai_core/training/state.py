"""Where a training run stands: everything a checkpoint holds."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from esai_core.errors import EsaiError, UsageError
from esai_core.nn._keras import keras
from esai_core.training.config import TrainConfig
from esai_core.training.files import collect, read_checkpoint, restore, spread, value_of, write_checkpoint

__all__ = ["CHECKPOINT", "State"]

CHECKPOINT = "checkpoint.npz"
HISTORY = "history.csv"

_MAY_CHANGE = {"patience", "checkpoint_every", "min_delta"}


class State:
    """Position, weights and history of a run, saved and loaded together.

    Attributes
    ----------
    step, epoch : int
        Steps and whole epochs done.
    losses : list of list of float
        Losses (`names`) of the steps of the epoch that is going on.
    rows : list of dict
        The history so far.
    """

    def __init__(
        self,
        *,
        model: keras.Model,
        optimizer: Any,
        averages: list,
        config: TrainConfig,
        path: Path,
        examples: int,
        per_epoch: int,
        opposed: list,
        names: tuple[str, ...] = ("loss",),
        chief: bool = True,
        keep_best: bool = True,
    ) -> None:
        self.model, self.optimizer, self.averages = model, optimizer, averages
        self.config, self.path, self.examples, self.per_epoch = config, path, examples, per_epoch
        self.opposed, self.names, self.chief, self.keep_best = opposed, names, chief, keep_best
        self.step = 0
        self.losses: list[list[float]] = []
        self.rows: list[dict[str, float]] = []
        self.best: list[np.ndarray] = []
        self.best_epoch: int | None = None
        self.stopped = False
        self.saved_step = 0

    @property
    def epoch(self) -> int:
        """Epochs that are over (row 0 of the history is the untrained model)."""
        return max(len(self.rows) - 1, 0)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.stopped or self.epoch >= self.config.epochs

    def until_due(self) -> int:
        """Count the steps until the next checkpoint is due."""
        every = self.config.checkpoint_every or self.per_epoch
        return max(self.saved_step + every - self.step, 1)

    def due(self) -> bool:
        """Whether a checkpoint is due."""
        return self.step - self.saved_step >= (self.config.checkpoint_every or self.per_epoch)

    def take(self, losses: np.ndarray) -> None:
        """Note the losses of further steps.

        Raises
        ------
        EsaiError
            If one is not finite.
        """
        bad = np.flatnonzero(~np.isfinite(losses).all(axis=1))
        if len(bad):
            raise EsaiError(
                f"the training loss became {losses[bad[0]][~np.isfinite(losses[bad[0]])][0]}",
                where=f"epoch {self.epoch + 1}, step {self.step + int(bad[0]) + 1}",
                remedy="look for missing or huge values in the inputs, lower learning_rate, or set clip_norm",
            )
        self.losses += losses.astype(float).tolist()
        self.step += len(losses)

    def end_epoch(self, scores: dict[str, float], seconds: float) -> None:
        """Add a row to the history, keep the weights if they are the best, see whether patience is over."""
        means = self._mean_losses() if self.losses else [math.nan] * len(self.names)
        loss, *more = zip(self.names, means, strict=True)
        number = len(self.rows)
        rate = float(value_of(self.optimizer.learning_rate))
        row = {"epoch": number, "step": self.step, **dict([loss]), **scores, **dict(more), "lr": rate}
        self.rows.append({**row, "seconds": seconds})
        self.losses = []
        if self.keep_best and not math.isnan(scores["val_loss"]):
            best = math.inf if self.best_epoch is None else self.rows[self.best_epoch]["val_loss"]
            if scores["val_loss"] < best - (self.config.min_delta if self.best_epoch is not None else 0.0):
                self.best_epoch = number
                self.best = self._kept()
            patience = self.config.patience
            self.stopped = patience is not None and number - (self.best_epoch or 0) >= patience
        if self.chief:
            self._history().write(self.path.with_name(HISTORY))

    def _mean_losses(self) -> list[float]:
        """Average over the examples of the epoch; its last step may hold fewer."""
        counts = np.full(self.per_epoch, float(self.config.batch_size))
        counts[-1] = self.examples - counts[:-1].sum()
        return [float(mean) for mean in np.average(np.array(self.losses), axis=0, weights=counts)]

    def _history(self) -> Any:
        from esai_core.training.history import History

        return History(self.rows)

    def _kept(self) -> list[np.ndarray]:
        """Give the weights that would be kept now: the moving averages where there are any."""
        with self.averaged():
            return [value_of(weight) for weight in self.model.weights]

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the moving averages in place of the trainable weights for a while."""
        if not self.averages:
            yield
            return
        variables = self.model.trainable_variables
        raw = [value_of(variable) for variable in variables]
        for variable, average in zip(variables, self.averages, strict=True):
            variable.assign(value_of(average))
        try:
            yield
        finally:
            for variable, value in zip(variables, raw, strict=True):
                variable.assign(value)

    def finish(self) -> None:
        """Give the model the weights that are kept."""
        if self.best:
            self.model.set_weights(self.best)
        elif self.averages:
            for variable, average in zip(self.model.trainable_variables, self.averages, strict=True):
                variable.assign(value_of(average))

    def save(self) -> None:
        """Write the checkpoint (the chief only)."""
        self.saved_step = self.step
        if not self.chief:
            return
        arrays = (
            spread(self.model.variables, "model")
            | spread(self.optimizer.variables, "optimizer")
            | spread(self.averages, "average")
            | spread(self.best, "best")
            | spread(self.opposed, "opposed")
        )
        meta = {
            "version": 1,
            "config": self.config.model_dump(mode="json"),
            "examples": self.examples,
            "step": self.step,
            "losses": self.losses,
            "rows": self.rows,
            "best_epoch": self.best_epoch,
            "stopped": self.stopped,
        }
        write_checkpoint(self.path, arrays, meta)

    def load(self) -> None:
        """Go on where the checkpoint was written.

        Raises
        ------
        UsageError
            If it belongs to another config or other data.
        """
        arrays, meta = read_checkpoint(self.path)
        self._check(meta)
        restore(self.model.variables, arrays, "model", where=self.path)
        restore(self.optimizer.variables, arrays, "optimizer", where=self.path)
        restore(self.averages, arrays, "average", where=self.path)
        restore(self.opposed, arrays, "opposed", where=self.path)
        self.best = collect(arrays, "best")
        self.step = self.saved_step = meta["step"]
        self.losses, self.rows = meta["losses"], meta["rows"]
        self.best_epoch, self.stopped = meta["best_epoch"], meta["stopped"]

    def _check(self, meta: dict[str, Any]) -> None:
        now = self.config.model_dump(mode="json")
        may_change = _MAY_CHANGE | ({"epochs"} if self.config.schedule == "constant" else set())
        changed = [
            f"{key} = {old} then, {now.get(key)} now"
            for key, old in meta["config"].items()
            if key not in may_change and now.get(key) != old
        ]
        if meta["examples"] != self.examples:
            changed.append(f"{meta['examples']} examples then, {self.examples} now")
        if changed:
            raise UsageError(
                f"the checkpoint belongs to another run: {', '.join(changed)}",
                where=self.path,
                remedy="restore these, or train without --resume",
            )
