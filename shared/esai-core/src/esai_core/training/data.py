"""Examples for training: arrays in memory, or anything that can read a list of examples by number.

The order of the examples, the cut into steps and the share of each worker come from the numbers alone. So
every number of workers sees the same global batches, and a run resumed at a step goes on with the same data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from esai_core.errors import UsageError
from esai_core.nn._keras import keras
from esai_core.training.order import shuffled

__all__ = ["Arrays", "Plan", "Source", "as_source", "make_dataset"]

tree = keras.tree


@runtime_checkable
class Source(Protocol):
    """Examples that are read on demand (from Zarr, from scenes).

    Methods
    -------
    __len__()
        Number of examples.
    order(epoch, seed)
        The numbers of all examples in the order of an epoch (int64); a source in chunks shuffles the chunks.
    read(numbers)
        ``(inputs, targets)`` or ``(inputs, targets, weights)``: arrays, or dicts of arrays, of as many
        examples as numbers. Called in the order of the steps, from one thread at a time.
    """

    def __len__(self) -> int: ...

    def order(self, epoch: int, seed: int) -> np.ndarray:
        """Give the numbers of all examples in the order of an epoch."""
        ...

    def read(self, numbers: np.ndarray) -> tuple:
        """Give the examples of these numbers."""
        ...


@dataclass(frozen=True)
class Arrays:
    """Examples in memory.

    Attributes
    ----------
    examples : tuple
        ``(inputs, targets)`` or ``(inputs, targets, weights)``: arrays, or dicts of arrays, with the examples
        on their first axis; weights are one per example.
    """

    examples: tuple

    def __post_init__(self) -> None:
        if not 2 <= len(self.examples) <= 3:
            raise UsageError(f"{len(self.examples)} arrays to train on", remedy="give (inputs, targets)")
        lengths = {len(leaf) for leaf in tree.flatten(self.examples)}
        if len(lengths) != 1 or 0 in lengths:
            raise UsageError(
                f"arrays with {sorted(lengths)} examples", remedy="give the same number, at least one"
            )

    def __len__(self) -> int:
        return len(tree.flatten(self.examples)[0])

    def order(self, epoch: int, seed: int) -> np.ndarray:
        """Shuffle the examples for an epoch."""
        return shuffled(len(self), epoch=epoch, seed=seed)

    def read(self, numbers: np.ndarray) -> tuple:
        """Give the examples of these numbers."""
        return tree.map_structure(lambda leaf: np.asarray(leaf)[numbers], self.examples)


def as_source(data: Any) -> Source:
    """Take arrays as they are given to Keras, or a `Source`.

    Raises
    ------
    UsageError
        If it is neither.
    """
    if isinstance(data, (tuple, list)):
        return Arrays(tuple(data))
    if isinstance(data, Source):
        return data
    raise UsageError(
        f"cannot train on {type(data).__name__}",
        remedy="give (inputs, targets) or an object with order and read",
    )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How examples become steps.

    Attributes
    ----------
    batch_size : int
        Examples per step over all replicas.
    replicas : int
        Devices of all workers.
    parts : int
        A replica's share is rounded up to a multiple of this.
    first, count : int
        First replica of this worker, and how many it has.
    """

    batch_size: int
    replicas: int = 1
    parts: int = 1
    first: int = 0
    count: int = 1

    def steps(self, examples: int) -> int:
        """Count the steps that `examples` take; the last one may be partly empty."""
        return -(-examples // self.batch_size)

    @property
    def share(self) -> int:
        """Rows of one replica in one step."""
        share = -(-self.batch_size // self.replicas)
        return -(-share // self.parts) * self.parts

    def cut(self, order: np.ndarray, *, mean_over_all: bool) -> tuple[np.ndarray, np.ndarray]:
        """Cut an order into the rows of this worker.

        Parameters
        ----------
        order : array (example,)
            Numbers of the examples.
        mean_over_all : bool
            Whether the weights of all steps together sum to 1, or those of each step.

        Returns
        -------
        numbers, weights : array (step, replica, row), int64 and float32
            Rows that fill up a step have weight 0 (and the numbers of other examples).
        """
        n, steps, rows = len(order), self.steps(len(order)), self.replicas * self.share
        place = np.arange(steps)[:, None] * self.batch_size + np.arange(rows)[None]
        real = (np.arange(rows) < self.batch_size)[None] & (place < n)
        weights = real / (n if mean_over_all else real.sum(1, keepdims=True))
        # Row p goes to replica p % replicas: a source that takes turns between its chunks can rely on it.
        shape = (steps, self.share, self.replicas)
        mine = slice(self.first, self.first + self.count)
        numbers, weights = (x.reshape(shape).swapaxes(1, 2)[:, mine] for x in (order[place % n], weights))
        return numbers.astype("int64"), weights.astype("float32")


def make_dataset(
    source: Source,
    plan: Plan,
    *,
    seed: int = 0,
    epochs: int = 1,
    first_step: int = 0,
    shuffle: bool = True,
    augment: Callable[..., tuple] | None = None,
) -> Any:
    """Make the pipeline of one worker: ``(inputs, targets, weights)`` for each step and local replica.

    Parameters
    ----------
    source : Source
        The examples.
    plan : Plan
        How they become steps.
    seed, epochs, first_step : int
        The pipeline goes through `epochs` epochs, from step `first_step` of them all.
    shuffle : bool
        Whether in the source's order of the epoch, with weights that sum to 1 in each step; else as numbered,
        with weights that sum to 1 over all steps (for validation).
    augment : callable, optional
        ``augment(inputs, targets, seed)`` on one example with TensorFlow operations; `seed` (two int32)
        depends on the example's place in the run alone.

    Returns
    -------
    tf.data.Dataset
    """
    import tensorflow as tf

    per_epoch = plan.steps(len(source))

    def cut(epoch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        order = source.order(int(epoch), seed) if shuffle else np.arange(len(source))
        return plan.cut(np.asarray(order), mean_over_all=not shuffle)

    def steps(epoch: Any) -> Any:
        numbers, weights = tf.numpy_function(cut, [epoch], (tf.int64, tf.float32), stateful=False)
        shape = (per_epoch, plan.count, plan.share)
        numbers, weights = tf.ensure_shape(numbers, shape), tf.ensure_shape(weights, shape)
        return tf.data.Dataset.from_tensor_slices((numbers, weights))

    indices = tf.data.Dataset.range(first_step // per_epoch, epochs).flat_map(steps)
    indices = indices.skip(first_step % per_epoch).unbatch()
    read, parallel = _reader(source)

    def load(numbers: Any, weights: Any) -> tuple:
        inputs, targets, *given = read(numbers)
        return inputs, targets, weights * tf.cast(given[0], tf.float32) if given else weights

    dataset = indices.map(load, num_parallel_calls=parallel, deterministic=None if parallel is None else True)
    if augment is not None:
        dataset = _augmented(dataset, augment, seed, first_step * plan.count)
    return dataset.prefetch((2 if parallel else 6) * plan.count)


def _reader(source: Source) -> tuple[Callable[[Any], Any], int | None]:
    """Make the function that reads a batch inside the pipeline, and how many may run at once."""
    import tensorflow as tf

    sample = tree.map_structure(_plain, source.read(np.zeros(1, "int64")))
    if isinstance(source, Arrays) and not any(
        isinstance(x, np.memmap) for x in tree.flatten(source.examples)
    ):
        with tf.device("CPU:0"):
            tensors = tree.map_structure(lambda leaf: tf.convert_to_tensor(_plain(leaf)), source.examples)
        return lambda numbers: tree.map_structure(lambda leaf: tf.gather(leaf, numbers), tensors), 2
    dtypes = [tf.as_dtype(leaf.dtype) for leaf in tree.flatten(sample)]

    def read(numbers: np.ndarray) -> list[np.ndarray]:
        return [_plain(leaf) for leaf in tree.flatten(source.read(numbers))]

    def in_graph(numbers: Any) -> Any:
        leaves = tf.numpy_function(read, [numbers], dtypes)
        shapes = [(numbers.shape[0], *leaf.shape[1:]) for leaf in tree.flatten(sample)]
        return tree.pack_sequence_as(
            sample, [tf.ensure_shape(x, s) for x, s in zip(leaves, shapes, strict=True)]
        )

    return in_graph, None


def _plain(leaf: Any) -> np.ndarray:
    array = np.asarray(leaf)
    return array.astype("float32", copy=False) if array.dtype.kind == "f" else array


def _augmented(dataset: Any, augment: Callable[..., tuple], seed: int, first: int) -> Any:
    import tensorflow as tf

    def change(number: Any, batch: tuple) -> tuple:
        inputs, targets, weights = batch
        rows = tf.shape(weights)[0]
        place = tf.cast(number, tf.int32) * rows + tf.range(rows)
        seeds = tf.stack([tf.fill([rows], seed), place], axis=1)
        inputs, targets = tf.map_fn(
            lambda one: augment(*one),
            (inputs, targets, seeds),
            fn_output_signature=tree.map_structure(
                lambda x: tf.TensorSpec(x.shape[1:], x.dtype), (inputs, targets)
            ),
        )
        return inputs, targets, weights

    return dataset.enumerate(first).map(change, num_parallel_calls=2, deterministic=True)
