"""How far a network sees: what exact tiling needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from esai_core.errors import EsaiError
from esai_core.nn import layers
from esai_core.nn._keras import keras

__all__ = ["ReceptiveField", "receptive_field"]

L = keras.layers


@dataclass(frozen=True)
class ReceptiveField:
    """What an output pixel depends on.

    Attributes
    ----------
    radius : int
        Input pixels at each side that an output pixel may depend on.
    alignment : int
        Windows must start at multiples of this.
    """

    radius: int
    alignment: int

    @property
    def halo(self) -> int:
        """Margin of a window: the radius, rounded up to the alignment."""
        return -(-self.radius // self.alignment) * self.alignment


@dataclass(frozen=True)
class _Reach:
    """Pixel i of a tensor with stride s depends on input i*s - before ... i*s + s - 1 + after."""

    stride: int
    before: int
    after: int


_POINTWISE = (
    L.Activation,
    L.Add,
    L.BatchNormalization,
    L.Concatenate,
    L.Dropout,
    L.Identity,
    L.LayerNormalization,
    L.LeakyReLU,
    L.Multiply,
    L.ReLU,
    L.Rescaling,
    L.SpatialDropout2D,
    layers.Constant,
    layers.CropLike,
    layers.FiLM,
    layers.LayerScale,
    layers.Localised,
    layers.MonteCarloDropout,
    layers.Pad,
)


def receptive_field(model: keras.Model, *, source: str = "fields") -> ReceptiveField:
    """Compute how far every output pixel of a network sees, and how its strides lie.

    Parameters
    ----------
    model : keras.Model
        A functional model from fields to fields on the same grid, as `esai_core.nn.build` gives.
    source : str
        The input that is asked about; layers that other inputs alone reach are left out.

    Returns
    -------
    ReceptiveField

    Raises
    ------
    EsaiError
        If a layer sees the whole grid (a mean over it, a norm over it) or is not known.
    """
    reach: dict[int, _Reach | None] = {}
    stride = 1
    for layer in model.layers:
        if isinstance(layer, L.InputLayer):
            tensor = layer.output if not isinstance(layer.output, (list, tuple)) else layer.output[0]
            reach[id(tensor)] = _Reach(1, 0, 0) if layer.name == source else None
            continue
        given = layer.input if isinstance(layer.input, (list, tuple)) else [layer.input]
        seen = [one for tensor in given if (one := reach[id(tensor)]) is not None]
        result = _merge(layer, [_through(layer, one) for one in seen]) if seen else None
        reach[id(layer.output)] = result
        stride = max(stride, result.stride if result else 1)
    end = reach[id(model.outputs[0])]
    if end is None or end.stride != 1:
        raise EsaiError(
            "the output is not on the grid of the input", where=f"model {model.name}, input {source}"
        )
    return ReceptiveField(max(end.before, end.after), stride)


def _merge(layer: Any, reaches: list[_Reach]) -> _Reach:
    strides = {one.stride for one in reaches}
    if len(strides) > 1:
        raise EsaiError(f"inputs of different strides {sorted(strides)}", where=f"layer {layer.name}")
    return _Reach(reaches[0].stride, max(r.before for r in reaches), max(r.after for r in reaches))


def _through(layer: Any, reach: _Reach) -> _Reach:
    s, before, after = reach.stride, reach.before, reach.after
    if isinstance(layer, L.Conv2DTranspose):
        factor = layer.strides[0]
        extra = -(-(layer.kernel_size[0] - factor) // factor) * s if layer.kernel_size[0] > factor else 0
        return _finer(s, before + extra, after + extra, factor, layer)
    if isinstance(layer, (L.Conv2D, L.DepthwiseConv2D, L.SeparableConv2D)):
        if layer.strides[0] != 1:
            raise EsaiError("a convolution with a stride is not supported here", where=f"layer {layer.name}")
        wide = (layer.kernel_size[0] // 2) * layer.dilation_rate[0] * s
        return _Reach(s, before + wide, after + wide)
    if isinstance(layer, (L.MaxPooling2D, L.AveragePooling2D)):
        if layer.pool_size[0] != layer.strides[0]:
            raise EsaiError("pools that overlap are not supported here", where=f"layer {layer.name}")
        return _Reach(s * layer.pool_size[0], before, after)
    if isinstance(layer, L.UpSampling2D):
        extra = 0 if layer.interpolation == "nearest" else s
        return _finer(s, before + extra, after + extra, layer.size[0], layer)
    if isinstance(layer, layers.PixelShuffle):
        return _finer(s, before, after, layer.factor, layer)
    if isinstance(layer, _POINTWISE):
        return reach
    raise EsaiError(
        f"{type(layer).__name__} sees the whole grid, or is not known",
        where=f"layer {layer.name}",
        remedy="exact tiling needs a network without it",
    )


def _finer(stride: int, before: int, after: int, factor: int, layer: Any) -> _Reach:
    if stride % factor:
        raise EsaiError("the network gets finer than its input", where=f"layer {layer.name}")
    fine = stride // factor
    return _Reach(fine, before + stride - fine, after + stride - fine)
