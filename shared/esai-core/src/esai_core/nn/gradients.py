"""Gradients of a network's output with respect to its input, and networks that have learnt nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from esai_core.errors import UsageError
from esai_core.nn._keras import keras, ops

__all__ = ["input_gradient", "randomised"]


def input_gradient(
    model: keras.Model,
    *,
    name: str | None = None,
    fixed: dict[str, Any] | None = None,
    output: Callable[[Any], Any] | None = None,
    batch_size: int = 64,
) -> Callable[[np.ndarray], np.ndarray]:
    """Make the function that `esai_core.explain.integrated_gradients` asks for.

    Parameters
    ----------
    model : keras.Model
        A trained model, of one input or a dict of them.
    name : str, optional
        The input to explain, of a model with a dict of inputs.
    fixed : dict of str to array, optional
        The other inputs, for the cases that the function will be given.
    output : callable, optional
        From the model's output to one number per case, in ``keras.ops``; the mean over all but the first axis
        by default.
    batch_size : int
        Cases at a time.

    Returns
    -------
    callable
        ``gradient(x) -> array`` of the shape of `x`.

    Raises
    ------
    UsageError
        On another backend than TensorFlow, or for an input that the model does not have.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise UsageError(
            f"no input gradients on the backend {backend}", remedy="use tensorflow, or occlusion"
        )
    if name is not None and name not in {one.name for one in model.inputs}:
        raise UsageError(f"no input {name!r}", remedy=f"there are {', '.join(i.name for i in model.inputs)}")

    def total(x: Any, others: dict[str, Any]) -> Any:
        made = model(x if name is None else {**others, name: x}, training=False)
        each = ops.reshape(made, (ops.shape(made)[0], -1)) if output is None else None
        return ops.sum(ops.mean(each, axis=1) if output is None else output(made))

    import tensorflow as tf

    def slope(x: np.ndarray, others: dict[str, np.ndarray]) -> np.ndarray:
        given = tf.convert_to_tensor(x)
        with tf.GradientTape() as tape:
            tape.watch(given)
            value = total(given, {key: tf.convert_to_tensor(one) for key, one in others.items()})
        return np.asarray(tape.gradient(value, given, unconnected_gradients="zero"))

    def gradient(x: np.ndarray) -> np.ndarray:
        cases = np.asarray(x, np.float32)
        parts = []
        for start in range(0, len(cases), batch_size):
            rows = slice(start, start + batch_size)
            others = {key: np.asarray(value, np.float32)[rows] for key, value in (fixed or {}).items()}
            parts.append(slope(cases[rows], others))
        return np.concatenate(parts)

    return gradient


def randomised(model: keras.Model, *, seed: int = 0) -> keras.Model:
    """Copy a network with its trained weights shuffled within each array, so that it has learnt nothing.

    Parameters
    ----------
    model : keras.Model
        Left as it is.
    seed : int
        Start of the shuffles.

    Returns
    -------
    keras.Model
        With the same distribution of the weights, array by array; what is not trained (fixed fields,
        statistics) is kept.
    """
    rng = np.random.default_rng(seed)
    copy = keras.models.clone_model(model)
    learnt = {id(variable) for variable in copy.trainable_variables}
    weights = [
        rng.permutation(values.ravel()).reshape(values.shape) if id(variable) in learnt else values
        for variable, values in zip(copy.weights, model.get_weights(), strict=True)
    ]
    copy.set_weights(weights)
    return copy
