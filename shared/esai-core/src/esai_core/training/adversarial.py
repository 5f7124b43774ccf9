"""Adversarial training: the steps of a generator and of the discriminator that judges it, in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from esai_core.errors import UsageError
from esai_core.nn._keras import keras
from esai_core.training.config import TrainConfig
from esai_core.training.steps import Update, apply_gradients

__all__ = ["Adversary", "adversarial_update"]

tree = keras.tree


@dataclass(frozen=True, kw_only=True)
class Adversary:
    """Who judges the model, and how much that counts.

    Attributes
    ----------
    discriminator : keras.Model or callable
        As `esai_core.nn.discriminator` builds: input ``"sample"`` (a target or an output of the model) and
        any of the model's inputs by their names (what it is conditioned on); output logits of "real". A
        callable is called inside `esai_core.training.scope`.
    weight : float
        Weight of the adversarial loss; the loss of the model has 1.
    learning_rate : float
        Step size of the discriminator's Adam (with beta 1 = 0.5).
    sample : callable, optional
        ``sample(targets, output) -> (real, made)``: what is judged, where that is not the targets and the
        outputs themselves (an output that holds the parameters of a distribution, say).
    """

    discriminator: Any
    weight: float = 1e-2
    learning_rate: float = 1e-4
    sample: Callable[[Any, Any], tuple[Any, Any]] | None = None

    def __post_init__(self) -> None:
        if not (self.weight > 0 and self.learning_rate > 0):
            raise UsageError("an adversary needs a positive weight and learning rate", where=repr(self))


def check_adversary(model: keras.Model, discriminator: keras.Model, config: TrainConfig) -> None:
    """Refuse what does not fit together.

    Raises
    ------
    UsageError
        If the discriminator has inputs that nobody gives, or the config asks for what has no meaning here.
    """
    given = {tensor.name.split(":")[0] for tensor in model.inputs} | {"sample"}
    wanted = {tensor.name.split(":")[0] for tensor in discriminator.inputs}
    if "sample" not in wanted or wanted - given:
        raise UsageError(
            f"the discriminator has inputs {', '.join(sorted(wanted))}",
            remedy=f"give it 'sample' and any of {', '.join(sorted(given - {'sample'}))}",
        )
    for key, value in (
        ("patience", config.patience),
        ("accumulate_steps", config.accumulate_steps - 1 or None),
    ):
        if value is not None:
            raise UsageError("not possible in adversarial training", where=f"{key} = {getattr(config, key)}")


def make_discriminator_optimizer(adversary: Adversary) -> Any:
    """Make the discriminator's optimizer."""
    return keras.optimizers.Adam(adversary.learning_rate, beta_1=0.5)


def adversarial_update(
    model: keras.Model,
    loss: Callable[[Any, Any], Any],
    optimizer: Any,
    averages: list,
    config: TrainConfig,
    adversary: Adversary,
    discriminator: keras.Model,
    judge: Any,
    replicas: int,
) -> Update:
    r"""Make the step of one replica: the discriminator first, then the model against the new discriminator.

    With targets :math:`y`, outputs :math:`x`, conditions :math:`c`, and logits :math:`D` (Goodfellow et al.,
    2014, the non-saturating form; patches as in Isola et al., 2017):

    .. math::
        L_D = \overline{\log(1 + e^{-D(y, c)})} + \overline{\log(1 + e^{D(x, c)})}, \quad
        L_G = L(y, x) + w\,\overline{\log(1 + e^{-D(x, c)})}

    Cells without a target are 0 for the discriminator in both. Members of an ensemble are judged one by one,
    and missing ones are left out.

    Returns
    -------
    callable
        ``(inputs, targets, weights) -> (3,)``: the model's loss, its loss without the adversary's part, and
        the discriminator's.
    """
    names = [tensor.name.split(":")[0] for tensor in discriminator.inputs]

    def logits(inputs: Any, samples: Any, members: int) -> Any:
        given = {name: _fold(inputs[name], len(samples.shape), members) for name in names if name != "sample"}
        values = tf.cast(discriminator(given | {"sample": samples}, training=True), tf.float32)
        return tf.reshape(values, (tf.shape(values)[0], -1))

    def update(inputs: Any, targets: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            output = model(inputs, training=True)
            pixel = tf.reduce_sum(tf.cast(loss(targets, output), tf.float32) * weights)
            penalty = tf.add_n(model.losses) / replicas if model.losses else 0.0
            judged_of = (targets, output) if adversary.sample is None else adversary.sample(targets, output)
            real, fake, counts, members = _samples(*judged_of, weights)
            with tape.stop_recording():
                judged = judge_update(inputs, real, tf.stop_gradient(fake), counts, members)
            against = tf.reduce_mean(tf.nn.softplus(-logits(inputs, fake, members)), axis=1)
            value = pixel + penalty + adversary.weight * tf.reduce_sum(against * counts)
        gradients = tape.gradient(value, [variable.value for variable in model.trainable_variables])
        apply_gradients(model, optimizer, averages, gradients, config, replicas)
        return tf.stack([value, pixel, judged])

    def judge_update(inputs: Any, real: Any, fake: Any, counts: Any, members: int) -> Any:
        variables = discriminator.trainable_variables
        with tf.GradientTape() as tape:
            wrong = tf.nn.softplus(-logits(inputs, real, members)) + tf.nn.softplus(
                logits(inputs, fake, members)
            )
            value = tf.reduce_sum(tf.reduce_mean(wrong, axis=1) * counts)
        judge.apply(tape.gradient(value, [variable.value for variable in variables]), variables)
        return value

    return update


def _samples(targets: Any, output: Any, weights: Any) -> tuple[Any, Any, Any, int]:
    """Give real and made samples, their weights, and how many members each example has."""
    present = tf.math.is_finite(targets)
    real = tf.where(present, targets, 0.0)
    if len(output.shape) == len(targets.shape):
        return real, tf.where(present, tf.cast(output, targets.dtype), 0.0), weights, 1
    members = output.shape[1]
    present, real = (tf.repeat(x, members, axis=0) for x in (present, real))
    folded = tf.reshape(output, (-1, *output.shape[2:]))
    there = tf.reduce_any(tf.math.is_finite(folded), axis=list(range(1, len(folded.shape))))
    counts = tf.reshape(tf.cast(there, weights.dtype), (-1, members))
    counts = counts / tf.maximum(tf.reduce_sum(counts, axis=1, keepdims=True), 1.0) * weights[:, None]
    fake = tf.where(present & tf.math.is_finite(folded), folded, 0.0)
    return real, fake, tf.reshape(counts, (-1,)), members


def _fold(condition: Any, rank: int, members: int) -> Any:
    """Bring a condition to the samples: members into the batch, or repeated where all members share it."""
    if members == 1:
        return condition
    if len(condition.shape) > rank:
        condition = tf.reshape(condition, (-1, *condition.shape[2:]))
        return tf.where(tf.math.is_finite(condition), condition, 0.0)
    return tf.repeat(condition, members, axis=0)
