"""Going through the epochs: training steps, validation, checkpoints, and requests to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from esai_core.errors import EsaiError
from esai_core.progress import track
from esai_core.training.config import TrainConfig
from esai_core.training.data import Plan, Source, make_dataset
from esai_core.training.signals import Interrupted, StopRequest
from esai_core.training.state import State
from esai_core.training.steps import Update, make_train_steps, make_validate_step

__all__ = ["Epochs", "plan_for"]

_CHUNK_SECONDS = 0.5  # how long the loop may run without looking up (for signals, for a loss that is NaN)


def plan_for(strategy: Any, config: TrainConfig, context: Any | None = None) -> Plan:
    """Give the plan of this process (its share needs the context of its input pipeline)."""
    replicas = strategy.num_replicas_in_sync
    count = replicas // (context.num_input_pipelines if context else 1)
    first = count * context.input_pipeline_id if context else 0
    return Plan(
        batch_size=config.batch_size,
        replicas=replicas,
        parts=config.accumulate_steps,
        first=first,
        count=count,
    )


class Epochs:
    """The loop over epochs, and what it needs at hand."""

    def __init__(
        self,
        state: State,
        strategy: Any,
        update: Update,
        scores: Mapping[str, Callable[[Any, Any], Any]],
        source: Source,
        held_out: Source | None,
        augment: Callable[..., tuple] | None,
    ) -> None:
        self.state, self.strategy, self.scores = state, strategy, scores
        self.source, self.held_out, self.augment = source, held_out, augment
        self.plan = plan_for(strategy, state.config)
        self.steps = make_train_steps(update, len(state.names), strategy)
        if held_out is not None:
            self.validate_step = make_validate_step(state.model, scores, strategy)
            self.validation = self._distribute(held_out, shuffle=False)

    def _distribute(self, source: Source, **options: Any) -> Any:
        def pipeline(context: Any) -> Any:
            return make_dataset(source, plan_for(self.strategy, self.state.config, context), **options)

        return self.strategy.distribute_datasets_from_function(pipeline)

    def train(self, stop: StopRequest) -> None:
        """Train until the last epoch, or until patience or a signal ends it."""
        state = self.state
        config = state.config
        if state.finished:
            return
        if not state.rows:
            state.end_epoch(self.validate(), 0.0)
        data = iter(
            self._distribute(
                self.source,
                seed=config.seed,
                epochs=config.epochs,
                first_step=state.step,
                augment=self.augment,
            )
        )
        for _ in track(range(state.epoch, config.epochs), config.epochs - state.epoch, "training"):
            start = time.perf_counter()
            for losses, stopped in self._epoch(data, stop):
                state.take(losses)
                if stopped:
                    state.save()
                    why = stop.name or "a signal to another worker"
                    told = "a checkpoint was written: go on with --resume"
                    raise Interrupted(f"{why} at step {state.step}; {told}")
                if config.checkpoint_every and state.due():
                    state.save()
            state.end_epoch(self.validate(), time.perf_counter() - start)
            if not config.checkpoint_every:
                state.save()
            if state.stopped:
                return

    def _epoch(self, data: Any, stop: StopRequest) -> Iterator[tuple[np.ndarray, bool]]:
        """Go through the rest of an epoch in chunks of steps: losses, and whether a worker was told to stop.

        A chunk takes about half a second; with several workers it is one step, as all must do the same.
        """
        state = self.state
        end = (state.epoch + 1) * state.per_epoch
        alone = not isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy)
        chunk = 1
        while state.step < end:
            count = min(chunk, end - state.step, state.until_due())
            start = time.perf_counter()
            asked = tf.constant(float(stop.name is not None))
            losses, stopped = self.steps(data, tf.constant(count), asked)
            yield np.asarray(losses), float(stopped) > 0 or (alone and stop.name is not None)
            seconds = time.perf_counter() - start
            if alone:
                chunk = max(1, min(2 * count, int(count * _CHUNK_SECONDS / max(seconds, 1e-6))))

    def validate(self) -> dict[str, float]:
        """Score the validation data with the weights that would be kept."""
        if self.held_out is None:
            return {"val_loss": math.nan}
        with self.state.averaged():
            data = iter(self.validation)
            sums = np.sum(
                [self.validate_step(data) for _ in range(self.plan.steps(len(self.held_out)))], axis=0
            )
        values = dict(zip(self.scores, map(float, sums), strict=True))
        if not math.isfinite(values["val_loss"]):
            raise EsaiError(
                f"the validation loss is {values['val_loss']}",
                where=f"epoch {self.state.epoch}",
                remedy="look for missing or huge values in the validation data, or lower learning_rate",
            )
        return values
