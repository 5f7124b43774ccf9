"""Models for inference without TensorFlow: written as ONNX, run by onnxruntime."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from esai_core.errors import EsaiError, InputError, UsageError
from esai_core.io.atomic import atomic_path

__all__ = ["OnnxModel", "export_onnx"]


def export_onnx(model: Any, path: str | Path) -> Path:
    """Write a Keras model as ONNX and check that it can be run.

    Parameters
    ----------
    model : keras.Model
        A model in float32, on the TensorFlow backend.
    path : path
        Ends with ``.onnx``; an earlier file is replaced once the new one is whole.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    UsageError
        For another ending, or a model in mixed precision.
    EsaiError
        If an operation of the model has no counterpart in ONNX.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise UsageError("an ONNX model is written to a .onnx file", where=path)
    if any(layer.compute_dtype != "float32" for layer in model.layers):
        raise UsageError(
            "a model in mixed precision cannot be exported",
            where=model.name,
            remedy="load its weights into one built in float32",
        )
    from esai_core.nn._keras import keras

    def blank(tensor: Any) -> Any:
        return keras.Input(tensor.shape[1:], dtype=tensor.dtype)

    model(keras.tree.map_structure(blank, model.input))  # Keras exports only a model that was called
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tf2onnx and Keras's patches of it, about their use of NumPy
        _teach_tf2onnx()
        with atomic_path(path) as partial:
            model.export(str(partial), format="onnx", verbose=False)
            try:
                OnnxModel(partial)
            except InputError as error:
                raise EsaiError(
                    f"the model cannot be written as ONNX: {error.message}", where=path
                ) from error
    return path


def _teach_tf2onnx() -> None:
    """Tell tf2onnx what the complementary error function (in gelu) is, and that ONNX can choose.

    It writes a choice as ``mask * a + (1 - mask) * b``, which is NaN where the value that is not chosen is.
    """
    from tf2onnx.handler import tf_op

    def replace(context: Any, node: Any, kind: str, inputs: list[str]) -> None:
        name, outputs = node.name, list(node.output)
        shapes, dtypes = [context.get_shape(outputs[0])], [context.get_dtype(outputs[0])]
        context.remove_node(name)
        context.make_node(kind, inputs, name=name, outputs=outputs, shapes=shapes, dtypes=dtypes)

    @tf_op("Erfc")
    class Erfc:
        @classmethod
        def version_9(cls, context: Any, node: Any, **options: Any) -> None:
            one = context.make_const(f"{node.name}_one", np.array(1, "float32")).output[0]
            erf = context.make_node("Erf", list(node.input)).output[0]
            replace(context, node, "Sub", [one, erf])

    @tf_op("SelectV2")
    class SelectV2:
        @classmethod
        def version_9(cls, context: Any, node: Any, **options: Any) -> None:
            replace(context, node, "Where", list(node.input))


class OnnxModel:
    """An ONNX model, run by onnxruntime; needs neither Keras nor TensorFlow.

    Parameters
    ----------
    path : path
        A file that `export_onnx` wrote.
    threads : int, optional
        Processor threads; those of the machine by default.

    Raises
    ------
    InputError
        If the file is missing or no ONNX model.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        import onnxruntime

        path = Path(path)
        if not path.is_file():
            raise InputError("no such model", where=path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.enable_mem_pattern = False  # it plans, and keeps, memory for every shape of input anew
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        providers = [
            name
            for name in ("CUDAExecutionProvider", "CPUExecutionProvider")
            if name in onnxruntime.get_available_providers()
        ]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's own classes share no base but this
            raise InputError(f"not an ONNX model: {str(error)[:200]}", where=path) from error
        self.names = [given.name for given in self._session.get_inputs()]

    def predict_batches(self, batches: Iterable[Any]) -> Iterator[np.ndarray]:
        """Predict one batch after the other, for input larger than memory.

        Parameters
        ----------
        batches : iterable
            Arrays, or dicts of arrays by the names of the inputs, with the examples on the first axis.

        Yields
        ------
        array
            The output for each batch.
        """
        for batch in batches:
            given = batch if isinstance(batch, dict) else {self.names[0]: batch}
            if set(self.names) - set(given):
                raise UsageError(f"inputs {', '.join(given)}", remedy=f"give {', '.join(self.names)}")
            yield self._session.run(None, {name: np.asarray(given[name], "float32") for name in self.names})[
                0
            ]

    def predict(self, inputs: Any, *, batch_size: int = 32) -> np.ndarray:
        """Predict all examples of arrays in memory.

        Parameters
        ----------
        inputs : array or dict of arrays
            Inputs with the examples on the first axis.
        batch_size : int
            Examples per call.

        Returns
        -------
        array
            The output for all examples.
        """
        given = inputs if isinstance(inputs, dict) else {self.names[0]: inputs}
        n = len(next(iter(given.values())))
        if n == 0:
            raise UsageError("no example to predict")
        batches = ({k: v[i : i + batch_size] for k, v in given.items()} for i in range(0, n, batch_size))
        return np.concatenate(list(self.predict_batches(batches)))
