"""Prediction in batches: less overhead than Keras's ``predict``, and bounded memory."""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from esai_core.errors import UsageError
from esai_core.nn._keras import keras

__all__ = ["predict", "predict_batches"]

tree = keras.tree


@contextlib.contextmanager
def expect_retracing() -> Iterator[None]:
    """Keep TensorFlow from warning that functions are traced anew: each of many models and folds must be."""

    def keep(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    import tensorflow as tf

    logger = tf.get_logger()
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


_COMPILED: weakref.WeakKeyDictionary[Any, Callable[[Any], Any]] = weakref.WeakKeyDictionary()


def _compiled(model: keras.Model) -> Callable[[Any], Any]:
    """Give the model as one compiled function; made once per model."""
    import tensorflow as tf

    if model not in _COMPILED:
        reference = weakref.proxy(model)  # the cache must not keep its own keys alive

        @tf.function(jit_compile=False, reduce_retracing=True)
        def forward(inputs: Any) -> Any:
            return reference(inputs, training=False)

        _COMPILED[model] = forward
    return _COMPILED[model]


def predict_batches(model: keras.Model, batches: Iterable[Any]) -> Iterator[Any]:
    """Predict one batch after the other, for input larger than memory.

    Parameters
    ----------
    model : keras.Model
        A trained model.
    batches : iterable
        Inputs of the model, each with its examples on the first axis. Batches of one size are fastest.

    Yields
    ------
    array or structure of arrays
        The model's output for each batch.
    """
    forward = _compiled(model)
    for batch in batches:
        with expect_retracing():
            result = forward(tree.map_structure(_float32, batch))
        yield tree.map_structure(np.asarray, result)


def predict(model: keras.Model, inputs: Any, *, batch_size: int = 32) -> Any:
    """Predict all examples of arrays in memory.

    Parameters
    ----------
    model : keras.Model
        A trained model.
    inputs : array or dict of arrays
        Inputs with the examples on the first axis.
    batch_size : int
        Examples per call of the model.

    Returns
    -------
    array or structure of arrays
        The model's output for all examples.
    """
    leaves = tree.flatten(inputs)
    lengths = {len(leaf) for leaf in leaves}
    if len(lengths) != 1:
        raise UsageError(f"inputs with {sorted(lengths)} examples", remedy="give the same number of each")
    n = lengths.pop()
    size = min(batch_size, max(n, 1))

    def batches() -> Iterator[Any]:
        for start in range(0, n, size):
            rows = np.arange(start, start + size) % n if start + size > n else slice(start, start + size)
            yield tree.map_structure(lambda leaf, rows=rows: np.asarray(leaf)[rows], inputs)

    results: Any = None
    for number, part in enumerate(predict_batches(model, batches())):
        if results is None:
            results = tree.map_structure(lambda x: np.empty((n, *x.shape[1:]), x.dtype), part)
        start, stop = number * size, min((number + 1) * size, n)
        tree.map_structure(
            lambda whole, x, a=start, b=stop: whole.__setitem__(slice(a, b), x[: b - a]), results, part
        )
    if results is None:
        raise UsageError("no example to predict")
    return results


def _float32(leaf: Any) -> np.ndarray:
    array = np.asarray(leaf)
    return array.astype("float32", copy=False) if array.dtype.kind == "f" else array
