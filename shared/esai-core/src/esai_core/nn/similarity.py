"""Structural dissimilarity of fields."""

from __future__ import annotations

from typing import Any

import numpy as np

from esai_core.errors import UsageError
from esai_core.nn._keras import ops
from esai_core.nn._reduce import check_axes, fill

__all__ = ["MS_POWERS", "dssim", "ms_dssim"]

MS_POWERS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales (Wang et al., 2003)."""


def _gauss(size: int, sigma: float) -> np.ndarray:
    offset = np.arange(size) - (size - 1) / 2
    one = np.exp(-0.5 * (offset / sigma) ** 2)
    both = np.outer(one, one)
    return (both / both.sum()).astype("float32")


def _parts(y: Any, x: Any, *, span: float, size: int, sigma: float) -> tuple[Any, Any]:
    """Luminance times contrast, and contrast alone, averaged over the windows: (batch, channel) each."""
    small = min(n for n in y.shape[1:3])
    if small < size:
        raise UsageError(
            f"a structural similarity needs {size} rows, the grid has {small}",
            remedy="use a smaller window, fewer scales or another loss",
        )
    channels = y.shape[-1]
    kernel = np.repeat(_gauss(size, sigma)[:, :, None, None], channels, axis=2)

    def smooth(field: Any) -> Any:
        return ops.depthwise_conv(field, ops.cast(kernel, field.dtype), padding="valid")

    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    my, mx = smooth(y), smooth(x)
    product = 2 * my * mx
    squares = ops.square(my) + ops.square(mx)
    contrast = (2 * smooth(x * y) - product + c2) / (smooth(ops.square(x) + ops.square(y)) - squares + c2)
    luminance = (product + c1) / (squares + c1)
    return ops.mean(luminance * contrast, axis=(1, 2)), ops.mean(contrast, axis=(1, 2))


def dssim(
    y: Any, x: Any, *, weights: Any | None = None, span: float = 1.0, size: int = 11, sigma: float = 1.5
) -> Any:
    """Half of one minus the structural similarity (Wang et al., 2004, IEEE TIP, eq. 13) of each example.

    Parameters
    ----------
    y, x : tensor (batch, latitude, longitude, channel)
        Target and prediction. Where the target is NaN it is replaced by the prediction.
    weights : None
        Windows are weighted equally; anything else is refused.
    span : float
        Range of the values (the standardised fields of a climate variable span about 6).
    size, sigma : int, float
        Size and width of the Gaussian window in cells.

    Returns
    -------
    tensor (batch,)
    """
    y = _prepare(y, x, weights)
    return 0.5 * (1.0 - ops.mean(_parts(y, x, span=span, size=size, sigma=sigma)[0], axis=-1))


def ms_dssim(
    y: Any,
    x: Any,
    *,
    weights: Any | None = None,
    span: float = 1.0,
    size: int = 11,
    sigma: float = 1.5,
    scales: int = 5,
) -> Any:
    """Half of one minus the multi-scale structural similarity (Wang et al., 2003, Asilomar, eq. 7).

    Parameters
    ----------
    y, x, weights, span, size, sigma
        As in `dssim`.
    scales : int
        Scales, 1 to 5, each half as fine; their exponents are scaled to sum to one. The coarsest grid must
        still hold the window.

    Returns
    -------
    tensor (batch,)
    """
    if not 1 <= scales <= len(MS_POWERS):
        raise UsageError(f"scales = {scales}", remedy=f"use 1 to {len(MS_POWERS)}")
    y = _prepare(y, x, weights)
    powers = np.array(MS_POWERS[:scales]) / np.sum(MS_POWERS[:scales])
    result = 1.0
    for scale, power in enumerate(powers):
        if scale:
            y, x = (ops.average_pool(field, 2, strides=2, padding="valid") for field in (y, x))
        full, contrast = _parts(y, x, span=span, size=size, sigma=sigma)
        term = full if scale == scales - 1 else contrast
        result = result * ops.power(ops.maximum(term, 1e-6), float(power))
    return 0.5 * (1.0 - ops.mean(result, axis=-1))


def _prepare(y: Any, x: Any, weights: Any | None) -> Any:
    if weights is not None:
        raise UsageError("a structural similarity takes no weights of cells")
    check_axes(y, x)
    y, present = fill(y)
    return ops.where(present > 0, y, x)
