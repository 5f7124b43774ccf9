"""Blocks of the backbones, as functions from symbolic features to symbolic features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from esai_core.errors import unknown
from esai_core.nn import layers
from esai_core.nn._keras import keras

__all__ = [
    "NORMS",
    "UPSAMPLINGS",
    "Style",
    "channel_attention",
    "conv",
    "conv_block",
    "convnext_block",
    "dense_block",
    "residual_block",
    "upsample",
]

L = keras.layers


@dataclass(frozen=True, kw_only=True)
class Style:
    """What all blocks of a network share.

    Attributes
    ----------
    kernel : int
        Odd size of the convolutions.
    padding : {"edge", "reflect", "zero"}
        What stands beyond the border; see `esai_core.nn.layers.pad`.
    norm : {"none", "batch", "layer", "group"}
        Batch norm has momentum 0.9 and, on TensorFlow, statistics over all workers.
    activation : str
        A name of ``keras.activations``.
    dropout : float
        Share of channels dropped after each block.
    monte_carlo : bool
        Drop in prediction too.
    attention : bool
        Channel attention at the end of each block.
    """

    kernel: int = 3
    padding: str = "edge"
    norm: str = "none"
    activation: str = "gelu"
    dropout: float = 0.0
    monte_carlo: bool = False
    attention: bool = False


def _batch(channels: int) -> Any:
    return L.BatchNormalization(momentum=0.9, synchronized=keras.backend.backend() == "tensorflow")


def _layer(channels: int) -> Any:
    return L.LayerNormalization(axis=-1, epsilon=1e-6)


def _group(channels: int) -> Any:
    return L.GroupNormalization(groups=next(groups for groups in (8, 4, 2, 1) if channels % groups == 0))


NORMS = {"none": None, "batch": _batch, "layer": _layer, "group": _group}


def _norm(x: Any, name: str) -> Any:
    if name not in NORMS:
        raise unknown("norm", name, NORMS)
    make = NORMS[name]
    return x if make is None else make(x.shape[-1])(x)


def conv(
    x: Any, filters: int, *, kernel: int = 3, padding: str = "edge", depthwise: bool = False, **options: Any
) -> Any:
    """Convolve without changing the grid.

    Parameters
    ----------
    x : tensor (batch, latitude, longitude, channel)
    filters : int
        Channels of the result (those of `x` if `depthwise`).
    kernel : int
        Odd size.
    padding : {"edge", "reflect", "zero"}
    depthwise : bool
        One filter per channel.
    **options
        Further arguments of the Keras layer.

    Returns
    -------
    tensor (batch, latitude, longitude, filters)
    """
    same = padding == "zero" or kernel == 1
    if not same:
        x = layers.Pad(kernel // 2, padding)(x)
    mode = "same" if same else "valid"
    if depthwise:
        return L.DepthwiseConv2D(kernel, padding=mode, **options)(x)
    return L.Conv2D(filters, kernel, padding=mode, **options)(x)


def _conv_norm(x: Any, filters: int, style: Style) -> Any:
    """Convolve and normalise; a bias before a batch norm would have no gradient but rounding errors."""
    bias = style.norm != "batch"
    return _norm(conv(x, filters, kernel=style.kernel, padding=style.padding, use_bias=bias), style.norm)


def _end(x: Any, vector: Any | None, style: Style) -> Any:
    """Condition, attend and drop at the end of a block."""
    if vector is not None:
        x = layers.FiLM()([x, vector])
    if style.attention:
        x = channel_attention(x)
    if style.dropout:
        drop = layers.MonteCarloDropout if style.monte_carlo else L.SpatialDropout2D
        x = drop(style.dropout)(x)
    return x


def conv_block(x: Any, filters: int, vector: Any | None = None, *, style: Style) -> Any:
    """Convolution, norm, activation; conditioned on `vector` (batch, n) where one is given."""
    x = _conv_norm(x, filters, style)
    x = L.Activation(style.activation)(x)
    return _end(x, vector, style)


def residual_block(x: Any, filters: int, vector: Any | None = None, *, style: Style) -> Any:
    """Two convolutions added to the input (He et al., 2016; without norm: EDSR, Lim et al., 2017)."""
    skip = x if x.shape[-1] == filters else conv(x, filters, kernel=1)
    y = L.Activation(style.activation)(_conv_norm(x, filters, style))
    y = _conv_norm(y, filters, style)
    return L.Add()([skip, _end(y, vector, style)])


def dense_block(x: Any, filters: int, vector: Any | None = None, *, style: Style, growth: int = 3) -> Any:
    """`growth` convolutions, each seeing all before it, then a map to `filters` (Huang et al., 2017)."""
    features = [x]
    for _ in range(growth):
        seen = L.Concatenate()(features) if len(features) > 1 else features[0]
        y = _conv_norm(seen, max(filters // growth, 1), style)
        features.append(L.Activation(style.activation)(y))
    y = conv(L.Concatenate()(features), filters, kernel=1)
    return _end(y, vector, style)


def convnext_block(x: Any, filters: int, vector: Any | None = None, *, style: Style) -> Any:
    """Depthwise convolution, layer norm, expansion by 4, small layer scale, skip (Liu et al., 2022)."""
    x = x if x.shape[-1] == filters else conv(x, filters, kernel=1)
    y = conv(x, filters, kernel=max(style.kernel, 5), padding=style.padding, depthwise=True)
    y = _norm(y, "layer" if style.norm == "none" else style.norm)
    y = L.Activation(style.activation)(conv(y, 4 * filters, kernel=1))
    y = layers.LayerScale()(conv(y, filters, kernel=1))
    return L.Add()([x, _end(y, vector, style)])


def channel_attention(x: Any, *, ratio: int = 4) -> Any:
    """Weigh the channels by a function of their grid means (squeeze and excitation, Hu et al., 2018)."""
    channels = x.shape[-1]
    y = L.GlobalAveragePooling2D(keepdims=True)(x)
    y = L.Dense(max(channels // ratio, 1), activation="relu")(y)
    return L.Multiply()([x, L.Dense(channels, activation="sigmoid")(y)])


def _resize(x: Any, filters: int, factor: int, node: bool, style: Style) -> Any:
    x = layers.NodeUpsample(factor)(x) if node else L.UpSampling2D(factor, interpolation="bilinear")(x)
    return conv(x, filters, kernel=style.kernel, padding=style.padding)


def _subpixel(x: Any, filters: int, factor: int, node: bool, style: Style) -> Any:
    x = layers.PixelShuffle(factor)(conv(x, filters * factor**2, kernel=style.kernel, padding=style.padding))
    return layers.NodeCrop(factor)(x) if node else x


def _transposed(x: Any, filters: int, factor: int, node: bool, style: Style) -> Any:
    x = L.Conv2DTranspose(filters, factor, strides=factor)(x)
    return layers.NodeCrop(factor)(x) if node else x


UPSAMPLINGS = {"resize": _resize, "subpixel": _subpixel, "transposed": _transposed}


def upsample(
    x: Any, filters: int, *, factor: int, method: str = "resize", node: bool = False, style: Style
) -> Any:
    """Bring features to a finer grid.

    Parameters
    ----------
    x : tensor (batch, latitude, longitude, channel)
    filters : int
        Channels of the result.
    factor : int
        Ratio of the spacings.
    method : {"resize", "subpixel", "transposed"}
        Bilinear and a convolution; a convolution and a pixel shuffle; a transposed convolution.
    node : bool
        The grids share nodes (``n`` rows become ``(n - 1) * factor + 1``), else cells (``n * factor``).
    style : Style

    Returns
    -------
    tensor (batch, fine latitude, fine longitude, filters)
    """
    if method not in UPSAMPLINGS:
        raise unknown("upsampling", method, UPSAMPLINGS)
    if factor == 1:
        return conv(x, filters, kernel=style.kernel, padding=style.padding)
    return L.Activation(style.activation)(UPSAMPLINGS[method](x, filters, factor, node, style))
