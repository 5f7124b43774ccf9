"""Layers that Keras lacks: borders without invented data, conditioning, per-pixel weights, node grids.

All use ``keras.ops`` only, keep the size of odd grids, and are saved in the ``.keras`` format (safe mode).
Shapes are channels last: ``(batch, latitude, longitude, channel)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from esai_core.errors import UsageError, unknown
from esai_core.nn._keras import keras, ops

__all__ = [
    "PADDINGS",
    "Constant",
    "CropLike",
    "FiLM",
    "LayerScale",
    "Localised",
    "MonteCarloDropout",
    "NodeCrop",
    "NodeUpsample",
    "Pad",
    "PixelShuffle",
    "all_layers",
    "node_matrix",
    "pad",
]

register = keras.saving.register_keras_serializable(package="esai")

PADDINGS = ("edge", "reflect", "zero")


def all_layers(model: keras.Model) -> Iterator[Any]:
    """Go through the layers of a model and of the models among them."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)


def pad(x: Any, size: int, mode: str) -> Any:
    """Widen the two spatial axes of a batch of fields.

    Parameters
    ----------
    x : tensor (batch, latitude, longitude, channel)
        Fields.
    size : int
        Rows and columns added at each side.
    mode : {"edge", "reflect", "zero"}
        Repeat the border, mirror the field about its border row (needs more rows than `size`), or zeros.

    Returns
    -------
    tensor (batch, latitude + 2 size, longitude + 2 size, channel)
    """
    if mode not in PADDINGS:
        raise unknown("padding", mode, PADDINGS)
    if size == 0:
        return x
    widths = [[0, 0], [size, size], [size, size], [0, 0]]
    if mode == "zero":
        return ops.pad(x, widths)
    if mode == "reflect":
        small = [n for n in x.shape[1:3] if n is not None and n <= size]
        if small:
            raise UsageError(
                f"cannot mirror {size} rows of a grid of {small[0]}",
                where="padding",
                remedy="use padding edge",
            )
        return ops.pad(x, widths, mode="reflect")
    if size == 1:
        return ops.pad(x, widths, mode="symmetric")
    x = ops.concatenate([ops.repeat(x[:, :1], size, 1), x, ops.repeat(x[:, -1:], size, 1)], axis=1)
    first, last = ops.repeat(x[:, :, :1], size, 2), ops.repeat(x[:, :, -1:], size, 2)
    return ops.concatenate([first, x, last], axis=2)


@register
class Pad(keras.layers.Layer):
    """Widen fields by `size` at every side; see `pad`."""

    def __init__(self, size: int, mode: str = "edge", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if mode not in PADDINGS:
            raise unknown("padding", mode, PADDINGS)
        self.size = int(size)
        self.mode = mode

    def call(self, x: Any) -> Any:
        """Give the widened fields."""
        return pad(x, self.size, self.mode)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Give the widened shape."""
        n, h, w, c = shape
        return (n, h and h + 2 * self.size, w and w + 2 * self.size, c)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the layer."""
        return super().get_config() | {"size": self.size, "mode": self.mode}


@register
class CropLike(keras.layers.Layer):
    """Cut the first input to the rows and columns of the second (from the lower right end)."""

    def call(self, inputs: list) -> Any:
        """Give the first input in the size of the second."""
        x, like = inputs
        shape = ops.shape(like)
        return x[:, : shape[1], : shape[2]]

    def compute_output_shape(self, shapes: list) -> tuple:
        """Give the cut shape."""
        x, like = shapes
        return (x[0], like[1], like[2], x[3])


@register
class FiLM(keras.layers.Layer):
    r"""Scale and shift every channel as a linear function of a vector.

    .. math:: y = (1 + \gamma(v))\, x + \beta(v)

    The weights start at zero, so that the layer starts as the identity (Perez et al., 2018, AAAI, eq. 1-2).
    Inputs are ``[x (batch, latitude, longitude, channel), v (batch, vector)]``.
    """

    def build(self, shapes: list) -> None:
        """Make the weights."""
        x, vector = shapes
        self.kernel = self.add_weight(name="kernel", shape=(vector[-1], 2 * x[-1]), initializer="zeros")
        self.bias = self.add_weight(name="bias", shape=(2 * x[-1],), initializer="zeros")

    def call(self, inputs: list) -> Any:
        """Give the modulated fields."""
        x, vector = inputs
        scale, shift = ops.split(ops.matmul(vector, self.kernel) + self.bias, 2, axis=-1)
        return x * (1.0 + scale[:, None, None, :]) + shift[:, None, None, :]

    def compute_output_shape(self, shapes: list) -> tuple:
        """Give the shape of the fields."""
        return tuple(shapes[0])


@register
class LayerScale(keras.layers.Layer):
    """Scale every channel by a weight that starts small (Touvron et al., 2021, ICCV)."""

    def __init__(self, initial: float = 1e-2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial = float(initial)

    def build(self, shape: tuple) -> None:
        """Make the weights."""
        start = keras.initializers.Constant(self.initial)
        self.scale = self.add_weight(name="scale", shape=(shape[-1],), initializer=start)

    def call(self, x: Any) -> Any:
        """Give the scaled fields."""
        return x * self.scale

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Give the shape of the fields."""
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the layer."""
        return super().get_config() | {"initial": self.initial}


@register
class Localised(keras.layers.Layer):
    r"""A linear map of the channels with weights of its own in every pixel.

    .. math:: y_{ijo} = \sum_c W_{ijco}\, x_{ijc} + b_{ijo}

    The grid must be fixed. `zero` starts at zero output (to be added to a shared map).
    """

    def __init__(self, filters: int, zero: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = int(filters)
        self.zero = bool(zero)

    def build(self, shape: tuple) -> None:
        """Make the weights."""
        h, w, c = shape[1:]
        if h is None or w is None:
            raise UsageError(
                "a localised layer needs a fixed grid", remedy="give the rows and columns of the fields"
            )
        start = "zeros" if self.zero else keras.initializers.RandomNormal(stddev=c**-0.5)
        self.kernel = self.add_weight(name="kernel", shape=(h, w, c, self.filters), initializer=start)
        self.bias = self.add_weight(name="bias", shape=(h, w, self.filters), initializer="zeros")

    def call(self, x: Any) -> Any:
        """Give the mapped fields."""
        return ops.einsum("nijc,ijco->nijo", x, self.kernel) + self.bias

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Give the shape with the new channels."""
        return (*shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the layer."""
        return super().get_config() | {"filters": self.filters, "zero": self.zero}


@register
class PixelShuffle(keras.layers.Layer):
    """Spread ``factor**2`` groups of channels over a ``factor`` times finer grid (Shi et al., 2016, CVPR)."""

    def __init__(self, factor: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = int(factor)

    def call(self, x: Any) -> Any:
        """Give the finer fields."""
        f = self.factor
        n, h, w = ops.shape(x)[:3]
        c = x.shape[-1] // f**2
        x = ops.transpose(ops.reshape(x, (n, h, w, f, f, c)), (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (n, h * f, w * f, c))

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Give the finer shape."""
        n, h, w, c = shape
        return (n, h and h * self.factor, w and w * self.factor, c // self.factor**2)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the layer."""
        return super().get_config() | {"factor": self.factor}


def node_matrix(nodes: int, factor: int) -> np.ndarray:
    """Weights of linear interpolation from nodes to the ``(nodes - 1) * factor + 1`` nodes of a finer grid.

    Parameters
    ----------
    nodes : int
        Nodes of the coarse axis; coarse node ``i`` is fine node ``i * factor``.
    factor : int
        Ratio of the spacings.

    Returns
    -------
    array (fine, coarse), float32
    """
    fine = np.arange((nodes - 1) * factor + 1) / factor
    return np.maximum(0.0, 1.0 - np.abs(fine[:, None] - np.arange(nodes)[None])).astype("float32")


@register
class NodeUpsample(keras.layers.Layer):
    """Interpolate linearly between nodes: ``n`` rows of a fixed grid become ``(n - 1) * factor + 1``."""

    def __init__(self, factor: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = int(factor)

    def call(self, x: Any) -> Any:
        """Give the fields on the finer nodes."""
        h, w = x.shape[1:3]
        rows, columns = (ops.cast(node_matrix(n, self.factor), x.dtype) for n in (h, w))
        return ops.einsum("njwc,Jj->nJwc", ops.einsum("njic,Ii->njIc", x, columns), rows)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Give the finer shape."""
        n, h, w, c = shape
        if h is None or w is None:
            raise UsageError(
                "node upsampling needs a fixed grid", remedy="give the rows and columns of the fields"
            )
        return (n, (h - 1) * self.factor + 1, (w - 1) * self.factor + 1, c)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the layer."""
        return super().get_config() | {"factor": self.factor}


@register
class NodeCrop(keras.layers.Layer):
    """Cut blocks of ``factor`` pixels per coarse node to the nodes between the first and the last.

    Block ``i`` is then centred on fine node ``i * factor``, and ``n * factor`` rows become
    ``(n - 1) * factor + 1``.
    """

    def __init__(self, factor: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = int(factor)

    def call(self, x: Any) -> Any:
        """Give the cut fields."""
        h, w = ops.shape(x)[1:3]
        first = self.factor // 2
        last = self.factor - 1 - first
        return x[:, first : h - last, first : w - last]

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Give the cut shape."""
        n, h, w, c = shape
        return (n, h and h - self.factor + 1, w and w - self.factor + 1, c)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the layer."""
        return super().get_config() | {"factor": self.factor}


@register
class Constant(keras.layers.Layer):
    """Append fixed fields (topography, land-sea mask) to the channels; they are saved with the model.

    Parameters
    ----------
    shape : tuple (latitude, longitude, channel)
        Shape of the fixed fields, set with `set_fields`.
    """

    def __init__(self, shape: tuple[int, int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = tuple(int(n) for n in shape)

    def build(self, shape: tuple) -> None:
        """Make the place for the fields."""
        if None not in shape[1:3] and tuple(shape[1:3]) != self.shape[:2]:
            raise UsageError(
                f"the fixed fields have {self.shape[:2]} rows and columns, the features {tuple(shape[1:3])}"
            )
        self.fields = self.add_weight(name="fields", shape=self.shape, initializer="zeros", trainable=False)

    def set_fields(self, fields: np.ndarray) -> None:
        """Store the fixed fields; they must be finite."""
        fields = np.asarray(fields, "float32")
        missing = np.count_nonzero(~np.isfinite(fields))
        if fields.shape != self.shape or missing:
            raise UsageError(
                f"fixed fields of shape {fields.shape} with {missing} missing values",
                remedy=f"give finite values of shape {self.shape}",
            )
        self.fields.assign(fields)

    def call(self, x: Any) -> Any:
        """Give the features with the fixed fields as further channels."""
        fields = ops.cast(self.fields, x.dtype)[None]
        return ops.concatenate([x, ops.broadcast_to(fields, (ops.shape(x)[0], *self.shape))], axis=-1)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Give the shape with the further channels."""
        return (*shape[:-1], shape[-1] + self.shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the layer."""
        return super().get_config() | {"shape": self.shape}


@register
class MonteCarloDropout(keras.layers.SpatialDropout2D):
    """Drop whole channels in prediction too, so that repeated predictions sample (Gal & Ghahramani, 2016)."""

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Give the fields with channels dropped, whatever `training` says."""
        return super().call(x, training=True)
