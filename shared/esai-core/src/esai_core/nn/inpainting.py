"""Partial convolutions, which see only what is there, and a U-Net of them for filling gaps."""

from __future__ import annotations

from typing import Any

from esai_core.errors import UsageError
from esai_core.nn._keras import keras, ops
from esai_core.nn.layers import CropLike, register

__all__ = ["PartialConv", "gap_unet"]

L = keras.layers


@register
class PartialConv(keras.layers.Layer):
    r"""A convolution over valid values only (Liu et al., 2018, ECCV, eq. 1-2).

    .. math:: y = W^T (x \odot m)\, \frac{n}{\sum m} + b \quad \text{where } \sum m > 0, \text{ else } 0

    with `n` the number of values under the kernel. A place is valid afterwards where any value under its
    kernel was. Beyond the border nothing is valid, so that no data are invented there.

    Inputs ``[x, m, x, m, ...]``: fields (batch, latitude, longitude, channel), each with its mask of as many
    channels or of one; outputs ``[y, m]`` with a mask of one channel.
    """

    def __init__(self, filters: int, kernel: int = 3, stride: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters, self.kernel, self.stride = int(filters), int(kernel), int(stride)

    def build(self, shapes: list) -> None:
        """Make the weights."""
        if len(shapes) % 2 or any(
            m[-1] not in (1, x[-1]) for x, m in zip(shapes[::2], shapes[1::2], strict=True)
        ):
            raise UsageError(
                "a partial convolution takes pairs of fields and masks of as many channels, or one"
            )
        channels = sum(shape[-1] for shape in shapes[::2])
        self.values = self.kernel**2 * channels
        self.weight = self.add_weight(
            name="kernel", shape=(self.kernel, self.kernel, channels, self.filters), initializer="he_normal"
        )
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def call(self, inputs: list) -> list:
        """Give the features and their mask."""
        fields, masks = inputs[::2], inputs[1::2]
        masked = ops.concatenate([x * m for x, m in zip(fields, masks, strict=True)], axis=-1)
        there = sum(
            ops.sum(m, axis=-1, keepdims=True) * (x.shape[-1] // m.shape[-1])
            for x, m in zip(fields, masks, strict=True)
        )
        ones = ops.ones((self.kernel, self.kernel, 1, 1), dtype=masked.dtype)
        count = ops.conv(there, ones, strides=self.stride, padding="same")
        valid = ops.cast(count > 0.5, masked.dtype)
        summed = ops.conv(masked, self.weight, strides=self.stride, padding="same")
        y = (summed * (self.values / ops.maximum(count, 1.0)) + self.bias) * valid
        return [y, valid]

    def compute_output_shape(self, shapes: list) -> list:
        """Give the shapes of features and mask."""
        n, h, w, _ = shapes[0]
        h, w = (size and -(-size // self.stride) for size in (h, w))
        return [(n, h, w, self.filters), (n, h, w, 1)]

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the layer."""
        return super().get_config() | {"filters": self.filters, "kernel": self.kernel, "stride": self.stride}


def gap_unet(
    shape: tuple[int | None, int | None, int],
    *,
    outputs: int = 1,
    width: int = 16,
    depth: int = 2,
    kernel: int = 3,
    activation: str = "gelu",
) -> keras.Model:
    """Build a U-Net of partial convolutions that corrects a first guess of what is missing.

    Parameters
    ----------
    shape : tuple (latitude, longitude, channel)
        Of the inputs ``"values"`` and ``"mask"`` (1 where a value is there); None for grids of any size.
    outputs : int
        Channels of the result and of the input ``"baseline"``, to which the network adds; it starts at 0.
    width : int
        Features of the first level.
    depth : int
        Levels, each of half the size.
    kernel : int
        Odd size of the convolutions.
    activation : str
        A name of ``keras.activations``.

    Returns
    -------
    keras.Model
        From a dict of the three inputs to ``(batch, latitude, longitude, outputs)``.
    """
    if width < 1 or depth < 1 or kernel % 2 == 0:
        raise UsageError(
            f"width {width}, depth {depth}, kernel {kernel}", remedy="give positive sizes, odd kernels"
        )
    inputs = {
        "values": keras.Input(tuple(shape), name="values"),
        "mask": keras.Input(tuple(shape), name="mask"),
        "baseline": keras.Input((*shape[:2], outputs), name="baseline"),
    }

    def block(pairs: list, filters: int, stride: int = 1) -> list:
        y, m = PartialConv(filters, kernel, stride)(pairs)
        return [L.Activation(activation)(y), m]

    here = block([inputs["values"], inputs["mask"]], width)
    skips = []
    for level in range(depth):
        here = block(here, width * 2**level)
        skips.append(here)
        here = block(here, width * 2 ** (level + 1), stride=2)
    here = block(here, width * 2**depth)
    for level in reversed(range(depth)):
        up = [CropLike()([L.UpSampling2D(2)(part), skips[level][0]]) for part in here]
        here = block([*up, *skips[level]], width * 2**level)
        here = block(here, width * 2**level)
    head = L.Conv2D(outputs, 1, kernel_initializer="zeros", dtype="float32", name="head")(here[0])
    return keras.Model(inputs, L.Add(dtype="float32")([head, inputs["baseline"]]), name="gap_unet")
