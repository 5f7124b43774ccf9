"""A convolutional LSTM over a short window of fields."""

from __future__ import annotations

from typing import Any

from esai_core.errors import UsageError
from esai_core.nn._keras import keras, ops
from esai_core.nn.layers import pad, register

__all__ = ["ConvLSTM"]


@register
class ConvLSTM(keras.layers.Layer):
    r"""The last state of a convolutional LSTM (Shi et al., 2015, NeurIPS, eq. 3 without peepholes).

    .. math::
        (i, f, c', o) = W * [x_t, h_{t-1}] + b, \quad
        c_t = \sigma(f) c_{t-1} + \sigma(i) \tanh c', \quad
        h_t = \sigma(o) \tanh c_t

    Input ``(batch, window, latitude, longitude, channel)`` with a fixed window, output
    ``(batch, latitude, longitude, filters)``. Unlike Keras's ConvLSTM2D it can repeat or mirror the border.
    """

    def __init__(self, filters: int, kernel: int = 3, padding: str = "edge", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = int(filters)
        self.kernel = int(kernel)
        self.padding = padding

    def build(self, shape: tuple) -> None:
        """Make the weights; the forget gate starts open (bias 1)."""
        if shape[1] is None:
            raise UsageError(
                "a ConvLSTM needs a fixed window", remedy="give the number of times of the fields"
            )
        k, f = self.kernel, self.filters
        self.weight = self.add_weight(
            name="kernel", shape=(k, k, shape[-1] + f, 4 * f), initializer="glorot_uniform"
        )
        self.bias = self.add_weight(name="bias", shape=(4 * f,), initializer=_open_forget_gate)

    def call(self, x: Any) -> Any:
        """Give the state after the last time."""
        first = x[:, 0, ..., :1]
        state = ops.repeat(ops.zeros_like(first), self.filters, axis=-1)
        cell = state
        for time in range(x.shape[1]):
            seen = pad(ops.concatenate([x[:, time], state], axis=-1), self.kernel // 2, self.padding)
            gates = ops.conv(seen, self.weight, padding="valid") + self.bias
            enter, forget, new, leave = ops.split(gates, 4, axis=-1)
            cell = ops.sigmoid(forget) * cell + ops.sigmoid(enter) * ops.tanh(new)
            state = ops.sigmoid(leave) * ops.tanh(cell)
        return state

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Give the shape of the state."""
        return (shape[0], *shape[2:4], self.filters)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the layer."""
        return super().get_config() | {
            "filters": self.filters,
            "kernel": self.kernel,
            "padding": self.padding,
        }


def _open_forget_gate(shape: tuple, dtype: Any = None) -> Any:
    filters = shape[0] // 4
    gates = [0.0] * filters + [1.0] * filters + [0.0] * (2 * filters)
    return ops.convert_to_tensor(gates, dtype=dtype)
