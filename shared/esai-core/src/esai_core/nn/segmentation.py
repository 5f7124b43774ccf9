"""Losses of rare classes. Predictions are logits; a target is 0, 1, or NaN where it must be ignored."""

from __future__ import annotations

from typing import Any

from esai_core.nn._keras import ops
from esai_core.nn._reduce import cell_mean, check_axes, fill

__all__ = ["bce_dice", "focal_tversky"]


def _sums(y: Any, x: Any, weights: Any | None) -> tuple[Any, Any, Any]:
    """Count soft true positives, false positives and false negatives of each example."""
    check_axes(y, x)
    y, present = fill(y)
    if weights is not None:
        present = present * ops.cast(weights, present.dtype)
    p = ops.sigmoid(x)
    axes = tuple(range(1, len(x.shape)))
    return (
        ops.sum(p * y * present, axis=axes),
        ops.sum(p * (1 - y) * present, axis=axes),
        ops.sum((1 - p) * y * present, axis=axes),
    )


def focal_tversky(
    y: Any,
    x: Any,
    *,
    weights: Any | None = None,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 0.75,
    smooth: float = 1.0,
) -> Any:
    r"""Focal Tversky loss (Abraham & Khan, 2019, ISBI, eq. 3-4).

    .. math:: (1 - T)^\gamma,\quad T = \frac{TP + s}{TP + \alpha\, FP + \beta\, FN + s}

    Parameters
    ----------
    y, x : tensor (batch, latitude, longitude, channel)
        Target (0, 1 or NaN) and logits.
    weights : array, optional
        Weights of the cells.
    alpha, beta : float
        Weights of false positives and of false negatives.
    gamma : float
        Exponent; below 1 it sharpens the gradient of examples that are nearly right.
    smooth : float
        Pixels added to both sides, so that an empty target is well defined.

    Returns
    -------
    tensor (batch,)
    """
    tp, fp, fn = _sums(y, x, weights)
    index = (tp + smooth) / (tp + alpha * fp + beta * fn + smooth)
    return ops.power(ops.maximum(1.0 - index, 1e-7), gamma)


def bce_dice(
    y: Any,
    x: Any,
    *,
    weights: Any | None = None,
    dice: float = 0.5,
    positive: float = 1.0,
    smooth: float = 1.0,
) -> Any:
    r"""Binary cross-entropy and Dice loss.

    .. math:: (1 - d)\,\mathrm{BCE} + d\left(1 - \frac{2TP + s}{2TP + FP + FN + s}\right)

    Parameters
    ----------
    y, x : tensor (batch, latitude, longitude, channel)
        Target (0, 1 or NaN) and logits.
    weights : array, optional
        Weights of the cells.
    dice : float
        Share :math:`d` of the Dice loss, 0 to 1.
    positive : float
        Weight of the positive pixels in the cross-entropy.
    smooth : float
        Pixels added to both sides.

    Returns
    -------
    tensor (batch,)
    """
    target, present = fill(y)
    entropy = ops.softplus(x) - x * target
    entropy = cell_mean(entropy * (1.0 + (positive - 1.0) * target), present, weights)
    tp, fp, fn = _sums(y, x, weights)
    overlap = (2 * tp + smooth) / (2 * tp + fp + fn + smooth)
    return (1.0 - dice) * entropy + dice * (1.0 - overlap)
