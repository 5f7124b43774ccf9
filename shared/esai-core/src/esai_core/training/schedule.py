"""Learning rate and optimizer."""

from __future__ import annotations

import math
from typing import Any

from esai_core.nn._keras import keras, ops
from esai_core.training.config import TrainConfig

__all__ = ["Schedule", "make_optimizer"]


@keras.saving.register_keras_serializable(package="esai")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise over `warmup` steps, then a constant or a half cosine to 0 at step `total`."""

    def __init__(self, learning_rate: float, kind: str, warmup: int, total: int) -> None:
        self.learning_rate, self.kind, self.warmup, self.total = learning_rate, kind, warmup, total

    def __call__(self, step: Any) -> Any:
        """Give the learning rate of a step."""
        step = ops.cast(step, "float32")
        rate = self.learning_rate
        if self.kind == "cosine":
            share = ops.clip((step - self.warmup) / max(self.total - self.warmup, 1), 0.0, 1.0)
            rate = rate * 0.5 * (1.0 + ops.cos(math.pi * share))
        if self.warmup:
            rate = rate * ops.minimum((step + 1.0) / self.warmup, 1.0)
        return ops.cast(rate, "float32")

    def get_config(self) -> dict[str, Any]:
        """Give the arguments."""
        return {
            "learning_rate": self.learning_rate,
            "kind": self.kind,
            "warmup": self.warmup,
            "total": self.total,
        }


def make_optimizer(config: TrainConfig, steps: int) -> Any:
    """Make the optimizer of a run of `steps` steps: Adam, with decoupled weight decay where asked for."""
    rate: Any = config.learning_rate
    if config.schedule != "constant" or config.warmup_steps:
        rate = Schedule(config.learning_rate, config.schedule, config.warmup_steps, steps)
    if not config.weight_decay:
        return keras.optimizers.Adam(rate)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "scale"])
    return optimizer
