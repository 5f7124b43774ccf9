"""Whole networks: a registry of trunks and the one function that builds a model around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from esai_core.errors import UsageError, unknown
from esai_core.nn import blocks, layers
from esai_core.nn._keras import keras
from esai_core.nn.blocks import Style
from esai_core.nn.recurrent import ConvLSTM

__all__ = ["BACKBONES", "append_fixed", "build"]

L = keras.layers

Block = Callable[..., Any]


def _chain(block: Block) -> Callable[..., Any]:
    """Make a trunk of a convolution and `depth` equal blocks."""

    def trunk(x: Any, vector: Any | None, *, width: int, depth: int, style: Style) -> Any:
        bias = style.norm != "batch"  # which would take it out again
        x = blocks.conv(x, width, kernel=style.kernel, padding=style.padding, use_bias=bias)
        for _ in range(depth):
            x = block(x, width, vector, style=style)
        return x

    return trunk


def _unet(x: Any, vector: Any | None, *, width: int, depth: int, style: Style) -> Any:
    """Contract `depth` times by 2, expand with skips (Ronneberger et al., 2015); odd sizes are kept."""
    skips = []
    for level in range(depth):
        x = _pair(x, width * 2**level, vector, style)
        skips.append(x)
        x = L.MaxPooling2D(2, padding="same")(x)
    x = _pair(x, width * 2**depth, vector, style)
    for level in reversed(range(depth)):
        skip = skips[level]
        x = layers.CropLike()([L.UpSampling2D(2)(x), skip])
        x = _pair(L.Concatenate()([x, skip]), width * 2**level, vector, style)
    return x


def _pair(x: Any, filters: int, vector: Any | None, style: Style) -> Any:
    return blocks.conv_block(blocks.conv_block(x, filters, vector, style=style), filters, vector, style=style)


BACKBONES: dict[str, Callable[..., Any]] = {
    "convnet": _chain(blocks.conv_block),
    "convnext": _chain(blocks.convnext_block),
    "densenet": _chain(blocks.dense_block),
    "resnet": _chain(blocks.residual_block),
    "unet": _unet,
}


def build(
    name: str,
    *,
    fields: tuple[int | None, int | None, int],
    outputs: int = 1,
    width: int = 32,
    depth: int = 4,
    condition: int = 0,
    window: int = 0,
    factor: int = 1,
    node: bool = False,
    upsampling: str = "resize",
    fine: tuple[int | None, int | None, int] | None = None,
    static: np.ndarray | None = None,
    static_coarse: np.ndarray | None = None,
    baseline: bool = True,
    localised: bool = False,
    kernel: int = 3,
    padding: str = "edge",
    norm: str = "none",
    activation: str = "gelu",
    dropout: float = 0.0,
    monte_carlo: bool = False,
    attention: bool = False,
    bias: float = 0.0,
) -> keras.Model:
    r"""Build a network from fields to fields.

    .. math:: y = b + h(u(t(x, s_c; v)), x_f, s_f; v)

    with the baseline :math:`b`, the trunk :math:`t`, the upsampling :math:`u` and a head :math:`h` whose last
    map starts at zero: before training the network gives its baseline exactly.

    Parameters
    ----------
    name : {"convnet", "convnext", "densenet", "resnet", "unet"}
        Trunk, of `BACKBONES`.
    fields : tuple (latitude, longitude, channel)
        Shape of the input ``"fields"``; None for grids of any size.
    outputs : int
        Channels of the result.
    width : int
        Channels of the features (of the first level of a U-Net).
    depth : int
        Blocks of the trunk; levels of a U-Net.
    condition : int
        Length of the input ``"condition"`` (lead, month, trend), which every block is conditioned on; or 0.
    window : int
        Times in ``"fields"``, then ``(window, latitude, longitude, channel)``, read by a ConvLSTM; or 0.
    factor : int
        Ratio of the grid of ``"fields"`` to the grid of the result.
    node : bool
        The two grids share nodes (``(n - 1) * factor + 1`` rows), else cells (``n * factor``).
    upsampling : {"resize", "subpixel", "transposed"}
        See `esai_core.nn.blocks.upsample`.
    fine : tuple (latitude, longitude, channel), optional
        Shape of a further input ``"fine"`` on the grid of the result.
    static, static_coarse : array (latitude, longitude, channel), optional
        Fixed fields on the grid of the result and of ``"fields"``, saved with the model; finite.
    baseline : bool
        Add the input ``"baseline"``, of the shape of the result.
    localised : bool
        Add a map with weights of its own in every pixel to the head.
    kernel, padding, norm, activation, dropout, monte_carlo, attention
        See `esai_core.nn.blocks.Style`.
    bias : float
        Where the head's bias starts (the logarithm of the odds, for a rare class).

    Returns
    -------
    keras.Model
        Inputs: a dict of ``"fields"`` and, where asked for, ``"condition"``, ``"fine"``, ``"baseline"``;
        output ``(batch, latitude, longitude, outputs)`` in float32.

    Raises
    ------
    UsageError
        For an unknown name or sizes that do not fit.
    """
    if name not in BACKBONES:
        raise unknown("backbone", name, BACKBONES)
    _check_sizes(width=width, depth=depth, outputs=outputs, factor=factor)
    if kernel % 2 == 0:
        raise UsageError("a convolution needs an odd kernel", where=f"kernel = {kernel}")
    style = Style(
        kernel=kernel,
        padding=padding,
        norm=norm,
        activation=activation,
        dropout=dropout,
        monte_carlo=monte_carlo,
        attention=attention,
    )
    shape = (window, *fields) if window else tuple(fields)
    inputs = {"fields": keras.Input(shape, name="fields")}
    vector = None
    if condition:
        vector = inputs["condition"] = keras.Input((condition,), name="condition")
    x = inputs["fields"]
    if window:
        x = ConvLSTM(width, kernel=kernel, padding=padding)(x)
    x = append_fixed(x, static_coarse)
    x = BACKBONES[name](x, vector, width=width, depth=depth, style=style)
    if factor > 1:
        x = blocks.upsample(x, width, factor=factor, method=upsampling, node=node, style=style)
    if fine is not None or static is not None:
        if fine is not None:
            inputs["fine"] = keras.Input(tuple(fine), name="fine")
            x = L.Concatenate()([x, inputs["fine"]])
        x = blocks.conv_block(append_fixed(x, static), width, vector, style=style)
    y = _head(x, outputs, localised=localised, bias=bias)
    if baseline:
        inputs["baseline"] = keras.Input(tuple(y.shape[1:]), name="baseline")
        y = L.Add(dtype="float32")([y, inputs["baseline"]])
    return keras.Model(inputs, y, name=name)


def _check_sizes(**sizes: int) -> None:
    for key, value in sizes.items():
        if value < 1:
            raise UsageError("a network needs a positive size", where=f"{key} = {value}")


def append_fixed(x: Any, fixed: np.ndarray | None) -> Any:
    """Append fixed fields to the channels of features, where there are any."""
    if fixed is None:
        return x
    layer = layers.Constant(np.shape(fixed))
    y = layer(x)
    layer.set_fields(fixed)
    return y


def _head(x: Any, outputs: int, *, localised: bool, bias: float) -> Any:
    start = keras.initializers.Constant(bias)
    y = L.Conv2D(
        outputs, 1, kernel_initializer="zeros", bias_initializer=start, dtype="float32", name="head"
    )(x)
    if localised:
        y = L.Add(dtype="float32")([y, layers.Localised(outputs, dtype="float32", name="localised")(x)])
    return y
