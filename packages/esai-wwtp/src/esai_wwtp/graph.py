"""The network as an ONNX graph that onnxruntime runs without changing the order of the data in between.

A general converter keeps the channels last, cuts after every enlargement and writes it as copies and
reshapes: half of the time then goes into moving data. Here the convolutions are written with the channels
first and batch norms folded into them, so that onnxruntime keeps its own blocked order from the first
convolution to the last; it does so where channels come in multiples of its blocks, and others are filled up
with channels of zeros. The price: rows and columns must be multiples of the strides' product (the windows of
exact tiling are; `esai_wwtp.network.load_runner` fills up others).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import EsaiError
from esai_core.io import atomic_path

__all__ = ["write_graph"]

OPSET, IR_VERSION = 18, 9
BLOCK = 16
"""Channels of a block of onnxruntime with AVX-512 (8 with AVX2)."""


@dataclass(frozen=True)
class _Tensor:
    """A tensor of the graph: its name, and which of its channels are those of the model."""

    name: str
    places: NDArray[np.int64]
    channels: int


def write_graph(model: Any, path: Path) -> None:
    """Write a network that `esai_wwtp.network.build` made.

    Parameters
    ----------
    model : keras.Model
        ``(batch, row, column, band)`` to ``(batch, row, column, 1)``.
    path : Path
        Replaced once the new file is whole. Equal weights give equal files.

    Raises
    ------
    EsaiError
        If the model has a layer that `build` does not use.
    """
    import onnx

    graph = _Graph()
    for layer in model.layers:
        graph.add(layer)
    bands = model.input.shape[-1]
    result = graph.node("Transpose", [graph.tensor(model.output).name], perm=[0, 2, 3, 1])
    kind = onnx.TensorProto.FLOAT
    value = onnx.helper.make_tensor_value_info
    made = onnx.helper.make_graph(
        graph.nodes,
        "unet",
        [value("fields", kind, ["batch", "row", "column", bands])],
        [value(result, kind, ["batch", "row", "column", 1])],
        graph.constants(),
    )
    written = onnx.helper.make_model(
        made, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    onnx.checker.check_model(written)
    with atomic_path(path) as partial:
        partial.write_bytes(written.SerializeToString(deterministic=True))


class _Graph:
    """Nodes and constants, grown layer by layer."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self._values: dict[str, np.ndarray] = {}
        self._tensors: dict[int, _Tensor] = {}
        self._made = 0

    def tensor(self, symbolic: Any) -> _Tensor:
        """Give what stands for a symbolic tensor of the model."""
        return self._tensors[id(symbolic)]

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Add a node; the name of its output."""
        import onnx

        self._made += 1
        name = f"{kind.lower()}_{self._made}"
        self.nodes.append(onnx.helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, values: Any, dtype: str = "float32") -> str:
        """Add a constant; its name."""
        name = f"constant_{len(self._values)}"
        self._values[name] = np.ascontiguousarray(values, dtype=dtype)
        return name

    def constants(self) -> list[Any]:
        """Give the constants as ONNX has them."""
        import onnx

        return [onnx.numpy_helper.from_array(values, name) for name, values in self._values.items()]

    def add(self, layer: Any) -> None:
        """Add what a Keras layer does."""
        kind = type(layer).__name__
        given = layer.input if isinstance(layer.input, (list, tuple)) else [layer.input]
        if kind == "InputLayer":
            bands = layer.output.shape[-1]
            name = self.node("Transpose", ["fields"], perm=[0, 3, 1, 2])
            self._tensors[id(layer.output)] = _Tensor(name, np.arange(bands), bands)
            return
        self._tensors[id(layer.output)] = self._translate(kind, layer, [self.tensor(one) for one in given])

    def _translate(self, kind: str, layer: Any, inputs: list[_Tensor]) -> _Tensor:
        x = inputs[0]
        same = kind == "Conv2D" and (layer.padding == "same" or tuple(layer.kernel_size) == (1, 1))
        if same and tuple(layer.strides) == (1, 1):
            return self._convolution(layer, x)
        if kind == "Rescaling":
            scale, offset = (np.reshape(one, (1, -1, 1, 1)) for one in (layer.scale, layer.offset))
            scaled = self.node("Mul", [x.name, self.constant(scale)])
            return replace(x, name=self.node("Add", [scaled, self.constant(offset)]))
        if kind == "BatchNormalization":
            return self._fold(layer, x)
        if kind == "Activation" and layer.activation.__name__ == "relu":
            return replace(x, name=self.node("Relu", [x.name]))
        if kind == "MaxPooling2D":
            shape = {"kernel_shape": list(layer.pool_size), "strides": list(layer.strides)}
            return replace(x, name=self.node("MaxPool", [x.name], **shape))
        if kind == "UpSampling2D" and layer.interpolation == "nearest":
            scales = self.constant([1, 1, *layer.size])
            how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            return replace(x, name=self.node("Resize", [x.name, "", scales], mode="nearest", **how))
        if kind == "CropLike":  # nothing is left to cut where the sizes are multiples of the strides
            return x
        if kind == "Concatenate":
            starts = np.cumsum([0, *(one.channels for one in inputs)])
            places = [one.places + start for one, start in zip(inputs, starts[:-1], strict=True)]
            name = self.node("Concat", [one.name for one in inputs], axis=1)
            return _Tensor(name, np.concatenate(places), int(starts[-1]))
        raise EsaiError(f"no way to write a layer {kind}", where=f"layer {layer.name}")

    def _convolution(self, layer: Any, x: _Tensor) -> _Tensor:
        given = np.transpose(np.asarray(layer.kernel), (3, 2, 0, 1))
        count = len(given)
        channels = count if count == 1 else -(-count // BLOCK) * BLOCK
        kernel = np.zeros((channels, x.channels, *layer.kernel_size))
        kernel[:count, x.places] = given
        bias = np.zeros(channels)
        if layer.use_bias:
            bias[:count] = np.asarray(layer.bias)
        half = [size // 2 for size in layer.kernel_size]
        weights = [self.constant(kernel), self.constant(bias)]
        shape = {"kernel_shape": list(layer.kernel_size), "pads": [*half, *half]}
        return _Tensor(self.node("Conv", [x.name, *weights], **shape), np.arange(count), channels)

    def _fold(self, layer: Any, x: _Tensor) -> _Tensor:
        """Put a batch norm into the convolution before it, whose result nothing else reads."""
        convolution = self.nodes[-1]
        if convolution.op_type != "Conv" or convolution.output[0] != x.name:
            raise EsaiError("a batch norm that follows no convolution", where=f"layer {layer.name}")
        mean, variance, gamma, beta = (
            np.asarray(one, dtype=np.float64)
            for one in (layer.moving_mean, layer.moving_variance, layer.gamma, layer.beta)
        )
        factor = gamma / np.sqrt(variance + layer.epsilon)
        _, kernel, bias = (self._values.get(name) for name in convolution.input)
        if kernel is None or bias is None:
            raise EsaiError("a convolution without constants", where=f"layer {layer.name}")
        kernel[x.places] *= factor[:, None, None, None]
        bias[x.places] = (bias[x.places] - mean) * factor + beta
        return x


def shuffle_graph(source: Path, target: Path, *, seed: int) -> None:
    """Write a network with the weights of another in random order: of the same sizes, and knowing nothing.

    Parameters
    ----------
    source, target : Path
        What `write_graph` wrote, and the new file.
    seed : int
    """
    import onnx

    random = np.random.default_rng(seed)
    model = onnx.load(source)
    for constant in model.graph.initializer:
        values = onnx.numpy_helper.to_array(constant)
        if values.size > BLOCK:  # the scaling of the bands stays
            mixed = random.permutation(values.ravel()).reshape(values.shape)
            constant.CopyFrom(onnx.numpy_helper.from_array(mixed, constant.name))
    target.write_bytes(model.SerializeToString(deterministic=True))
