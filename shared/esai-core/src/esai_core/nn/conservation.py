"""Constraints inside a network: the coarse mean kept exactly, or a penalty on what misses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from esai_core.errors import UsageError, unknown
from esai_core.nn._keras import keras, ops
from esai_core.nn.layers import register
from esai_core.physics.conservation import METHODS, MeanConstraint

__all__ = ["ConserveMean", "NonNegative", "with_mean_penalty"]


def _apply(rows: Any, x: Any, columns: Any) -> Any:
    """Multiply rows and columns of ``(batch, latitude, longitude, channel)`` by a matrix each."""
    return ops.einsum("Jj,njic->nJic", rows, ops.einsum("Ii,njic->njIc", columns, x))


@register
class ConserveMean(keras.layers.Layer):
    r"""The last layer of a network whose coarse means are given: a hard constraint.

    Inputs ``[y (batch, fine latitude, fine longitude, channel), c (batch, coarse latitude, coarse longitude,
    channel)]``, output like `y` with :math:`A(y) = c`, and gradients that run through the correction; see
    `esai_core.physics.conserve`. It computes in float32, so the means agree to about 1e-6 of the values'
    size.

    Parameters
    ----------
    rows, columns : array (coarse, fine)
        Weights of `esai_core.physics.MeanConstraint`; saved with the model.
    method : {"additive", "multiplicative"}
        "multiplicative" cuts `y` at a small positive value first, so that every mean above 0 can be reached.
    """

    FLOOR = 1e-6

    def __init__(self, rows: Any, columns: Any, method: str = "additive", **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32"} | kwargs)
        if method not in METHODS:
            raise unknown("method", method, METHODS)
        self.constraint = MeanConstraint(np.asarray(rows, np.float64), np.asarray(columns, np.float64))
        self.method = method

    @classmethod
    def of(cls, constraint: MeanConstraint, method: str = "additive", **kwargs: Any) -> ConserveMean:
        """Make the layer of a constraint."""
        return cls(constraint.rows, constraint.columns, method, **kwargs)

    def build(self, shapes: list) -> None:
        """Check the sizes."""
        fine, coarse = shapes
        wanted = (self.constraint.fine_shape, self.constraint.coarse_shape)
        if (tuple(fine[1:3]), tuple(coarse[1:3])) != wanted:
            raise UsageError(
                f"grids of {tuple(fine[1:3])} and {tuple(coarse[1:3])} under a constraint between "
                f"{wanted[0]} and {wanted[1]}"
            )
        back = self.constraint.spread if self.method == "additive" else self.constraint.shares
        self._rows, self._columns, self._up, self._across = (
            matrix.astype("float32") for matrix in (self.constraint.rows, self.constraint.columns, *back)
        )

    def call(self, inputs: list) -> Any:
        """Give the corrected fields."""
        y, coarse = inputs
        if self.method == "additive":
            missed = coarse - _apply(self._rows, y, self._columns)
            return y + _apply(self._up, missed, self._across)
        y = ops.maximum(y, self.FLOOR)
        for _ in range(self.constraint.sweeps):
            mean = _apply(self._rows, y, self._columns)
            ratio = coarse / ops.maximum(mean, 1e-30)
            y = y * _apply(self._up, ratio, self._across)
        return y

    def compute_output_shape(self, shapes: list) -> tuple:
        """Give the shape of the fine fields."""
        return tuple(shapes[0])

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the layer."""
        weights = {"rows": self.constraint.rows.tolist(), "columns": self.constraint.columns.tolist()}
        return super().get_config() | weights | {"method": self.method}


@register
class NonNegative(keras.layers.Layer):
    r"""A smooth map to values that are not negative: :math:`\beta^{-1} \log(1 + e^{\beta x})`.

    Unlike a cut at 0 it has a gradient everywhere, so that no cell is stuck at 0 (Dugas et al., 2001).

    Parameters
    ----------
    sharpness : float
        :math:`\beta`, per unit of the values: at 0 the result is ``0.69 / sharpness``.
    """

    def __init__(self, sharpness: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not sharpness > 0:
            raise UsageError(f"sharpness = {sharpness}", remedy="give a value above 0")
        self.sharpness = float(sharpness)

    def call(self, x: Any) -> Any:
        """Give the mapped values."""
        return ops.softplus(x * self.sharpness) / self.sharpness

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Give the shape of the input."""
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the layer."""
        return super().get_config() | {"sharpness": self.sharpness}


def with_mean_penalty(
    loss: Callable[[Any, Any], Any], constraint: MeanConstraint, *, weight: float
) -> Callable[[Any, Any], Any]:
    r"""Add a soft penalty on coarse means that differ from those of the target.

    .. math:: L' = L + w\, \overline{(A(\hat y) - A(y))^2}

    Parameters
    ----------
    loss : callable
        ``loss(target, prediction) -> (batch,)``, of `esai_core.nn.make_loss`.
    constraint : MeanConstraint
    weight : float
        :math:`w`, 0 or more.

    Returns
    -------
    callable
        Of the same form; the target must be complete (a missing value gives NaN, not a silent 0).
    """
    if weight < 0:
        raise UsageError(f"weight = {weight}", remedy="give 0 or more")
    rows, columns = (matrix.astype("float32") for matrix in (constraint.rows, constraint.columns))

    def penalised(y: Any, x: Any) -> Any:
        missed = _apply(rows, x, columns) - _apply(rows, ops.cast(y, x.dtype), columns)
        return loss(y, x) + weight * ops.mean(ops.square(missed), axis=(1, 2, 3))

    return penalised
