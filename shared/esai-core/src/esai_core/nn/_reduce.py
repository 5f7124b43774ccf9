"""Weighted means over the cells of an example that leave missing values out."""

from __future__ import annotations

from typing import Any

from esai_core.errors import UsageError
from esai_core.nn._keras import ops

__all__ = ["cell_mean", "check_axes", "fill"]


def check_axes(y: Any, x: Any, extra: int = 0) -> None:
    """Refuse a target and a prediction that would only fit by broadcasting a missing axis.

    Raises
    ------
    UsageError
        If the prediction does not have `extra` axes more than the target.
    """
    if len(x.shape) != len(y.shape) + extra:
        raise UsageError(
            f"a target of shape {tuple(y.shape)} and a prediction of shape {tuple(x.shape)}",
            where="loss",
            remedy="give the prediction a member axis, and the target none"
            if extra
            else "give them the same axes",
        )


def fill(y: Any) -> tuple[Any, Any]:
    """Give values with 0 where they are missing, and where they are present (1 or 0, of the same dtype)."""
    present = ops.isfinite(y)
    return ops.where(present, y, ops.zeros_like(y)), ops.cast(present, y.dtype)


def cell_mean(values: Any, present: Any, weights: Any | None = None) -> Any:
    """Mean of each example over all its cells and channels.

    Parameters
    ----------
    values : tensor (batch, ...)
        Finite everywhere.
    present : tensor (batch, ...)
        1 where a value counts, else 0.
    weights : array, optional
        Weights of the cells, to be broadcast to `values` (``(latitude, longitude, 1)``).

    Returns
    -------
    tensor (batch,)
        0 for an example without any value.
    """
    if weights is not None:
        present = present * ops.cast(weights, present.dtype)
    axes = tuple(range(1, len(values.shape)))
    total = ops.sum(present, axis=axes)
    summed = ops.sum(values * present, axis=axes)
    return summed / ops.where(total > 0, total, ops.ones_like(total))
