"""The compiled training and validation steps: what runs on every replica."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from esai_core.errors import UsageError
from esai_core.nn._keras import keras
from esai_core.nn.layers import all_layers
from esai_core.training.config import TrainConfig

__all__ = [
    "Update",
    "apply_gradients",
    "check_batch_statistics",
    "make_train_steps",
    "make_validate_step",
    "replica_gradients",
    "supervised_update",
]

tree = keras.tree

Update = Callable[[Any, Any, Any], Any]


def check_batch_statistics(model: keras.Model, config: TrainConfig, replicas: int) -> None:
    """Refuse batch normalisation whose statistics would change with the number of replicas.

    They must be those of the whole batch, and of real examples alone: the rows that fill up the share of a
    replica weigh nothing in the loss, but a mean over the batch sees them.

    Raises
    ------
    UsageError
        If a layer is not synchronised, or replicas and parts do not divide the batch.
    """
    norms = [layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
    if replicas == 1 or not norms:
        return
    for layer in norms:
        if not layer.synchronized:
            raise UsageError(
                f"each of {replicas} replicas would have batch statistics of its own",
                where=f"layer {layer.name}",
                remedy="make it with BatchNormalization(synchronized=True), as nn.build(norm='batch') does",
            )
    shares = replicas * config.accumulate_steps
    if config.batch_size % shares:
        raise UsageError(
            f"a batch with batch normalisation in {shares} equal parts",
            where=f"batch_size = {config.batch_size}",
            remedy=f"give a multiple of {shares}, or build the model with another norm",
        )


def replica_gradients(
    model: keras.Model, loss: Callable[[Any, Any], Any], batch: tuple, *, parts: int, replicas: int
) -> tuple[Any, list]:
    """Compute a replica's part of the loss and of its gradient.

    The weights in `batch` already hold one over the global number of examples, so that the sums over replicas
    are the mean over the global batch and its gradient.
    """
    variables = model.trainable_variables
    total: Any = 0.0
    gradients: list = []
    for inputs, targets, weights in _split(batch, parts):
        with tf.GradientTape() as tape:
            values = tf.cast(loss(targets, model(inputs, training=True)), tf.float32)
            value = tf.reduce_sum(tf.ensure_shape(values, weights.shape) * weights)
            penalty = tf.add_n(model.losses) / (replicas * parts) if model.losses else 0.0
            value = value + penalty
        found = tape.gradient(value, [variable.value for variable in variables])
        found = [tf.zeros_like(v.value) if g is None else g for g, v in zip(found, variables, strict=True)]
        gradients = [a + b for a, b in zip(gradients, found, strict=True)] if gradients else found
        total = total + value
    return total, gradients


def _split(batch: tuple, parts: int) -> list[tuple]:
    if parts == 1:
        return [batch]
    leaves = [tf.split(leaf, parts) for leaf in tree.flatten(batch)]
    return [tree.pack_sequence_as(batch, [leaf[part] for leaf in leaves]) for part in range(parts)]


def apply_gradients(
    model: keras.Model, optimizer: Any, averages: list, gradients: list, config: TrainConfig, replicas: int
) -> None:
    """Clip, step, and move the averages along: inside a replica, with its part of the global gradient."""
    if config.clip_norm is not None:
        gradients = _clip_global(gradients, config.clip_norm, replicas)
    optimizer.apply(gradients, model.trainable_variables)
    momentum = config.ema or 0.0
    for average, variable in zip(averages, model.trainable_variables, strict=bool(averages)):
        average.assign(momentum * average + (1.0 - momentum) * variable.value)


def supervised_update(
    model: keras.Model,
    loss: Callable[[Any, Any], Any],
    optimizer: Any,
    averages: list,
    config: TrainConfig,
    replicas: int,
) -> Update:
    """Make the step of one replica: ``(inputs, targets, weights) -> (1,)``, its part of the loss."""

    def update(inputs: Any, targets: Any, weights: Any) -> Any:
        batch = (inputs, targets, weights)
        value, gradients = replica_gradients(
            model, loss, batch, parts=config.accumulate_steps, replicas=replicas
        )
        apply_gradients(model, optimizer, averages, gradients, config, replicas)
        return tf.stack([value])

    return update


def make_train_steps(update: Update, width: int, strategy: Any) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """Make the function ``(iterator, count, stop) -> (losses, stop)`` that trains for `count` steps.

    Parameters
    ----------
    update : callable
        The step of one replica: ``(inputs, targets, weights) -> (width,)``.
    width : int
        Losses that a step gives.
    strategy : tf.distribute.Strategy

    Returns
    -------
    callable
        The losses are the means over the global batches, float32 of shape (count, width). `stop` is 1 where
        this process was asked to stop; the result is above 0 where any of the workers was.
    """

    @tf.function(jit_compile=False)
    def run(iterator: Any, count: Any, stop: Any) -> tuple[Any, Any]:
        def step_and_stop(inputs: Any, targets: Any, weights: Any) -> Any:
            return tf.concat([update(inputs, targets, weights), [stop]], axis=0)

        sums = tf.TensorArray(tf.float32, size=count, element_shape=(width + 1,))
        for step in tf.range(count):
            values = strategy.run(step_and_stop, args=next(iterator))
            sums = sums.write(step, strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None))
        result = sums.stack()
        return result[:, :-1], result[-1, -1]

    return run


def _clip_global(gradients: list, norm: float, replicas: int) -> list:
    """Clip the gradient of the global batch; the optimizer sums over replicas again, hence the division."""
    if replicas > 1:
        gradients = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    clipped, _ = tf.clip_by_global_norm(gradients, norm)
    return [gradient / replicas for gradient in clipped] if replicas > 1 else clipped


def make_validate_step(
    model: keras.Model, scores: Mapping[str, Callable[[Any, Any], Any]], strategy: Any
) -> Callable[[Any], Any]:
    """Make the function ``iterator -> sums`` that gives the weighted sums of all `scores` over one step."""

    def replica_step(inputs: Any, targets: Any, weights: Any) -> Any:
        output = model(inputs, training=False)
        values = [tf.cast(score(targets, output), tf.float32) for score in scores.values()]
        # A row that only fills up a step has weight 0: its value must not count, NaN or not.
        return tf.stack([tf.reduce_sum(tf.where(weights > 0, v * weights, 0.0)) for v in values])

    @tf.function(jit_compile=False)
    def run(iterator: Any) -> Any:
        values = strategy.run(replica_step, args=next(iterator))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)

    return run
