"""Fine fields whose coarse means are exactly those of a coarse field."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from esai_core.align import aligned
from esai_core.errors import InputError, UsageError, unknown
from esai_core.grid import Grid, coarsen
from esai_core.grid.grids import coarse_grid
from esai_core.grid.regridding import separable_weights

__all__ = ["METHODS", "MeanConstraint", "conserve"]

METHODS = ("additive", "multiplicative")
SWEEPS = 60
Method = Literal["additive", "multiplicative"]


@dataclass(frozen=True, eq=False)
class MeanConstraint:
    r"""The coarse mean as a linear operator, and the way back that changes a fine field least.

    With the area weights of rows and columns the coarse mean is :math:`A(y) = W_\phi\, y\, W_\lambda^T`, and
    :math:`A^+(d) = P_\phi\, d\, P_\lambda^T` with :math:`P = W^T (W W^T)^{-1}` is the smallest field (in the
    sum of squares) whose coarse mean is `d`. On cells this repeats `d` over its block; on nodes, where a fine
    row may lie half in one and half in the next coarse cell, it parts the correction between them.

    Attributes
    ----------
    rows : array (coarse latitude, fine latitude)
    columns : array (coarse longitude, fine longitude)
        Weights that sum to 1 along each row.
    """

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]

    @classmethod
    def of(
        cls, fine: xr.DataArray | xr.Dataset | Grid, *, factor: int, kind: Literal["node", "cell"]
    ) -> Self:
        """Make the constraint of a fine grid.

        Parameters
        ----------
        fine : Grid, DataArray or Dataset
            The fine grid, in either order of latitudes.
        factor : int
            Fine steps per coarse step.
        kind : {"node", "cell"}
            How the grids share points; as in `esai_core.grid.coarsen`, whose mean this is.
        """
        grid = Grid.from_dataset(fine)
        weights = separable_weights(grid, coarse_grid(grid, factor, kind=kind), method="conservative")
        rows, columns = (
            matrix / matrix.sum(1, keepdims=True) for matrix in weights
        )  # edges are covered in part
        return cls(rows, columns)

    @property
    def fine_shape(self) -> tuple[int, int]:
        """Rows and columns of the fine grid."""
        return self.rows.shape[1], self.columns.shape[1]

    @property
    def coarse_shape(self) -> tuple[int, int]:
        """Rows and columns of the coarse grid."""
        return self.rows.shape[0], self.columns.shape[0]

    @cached_property
    def spread(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The matrices :math:`P` of rows and columns, ``(fine, coarse)``."""
        return _right_inverse(self.rows), _right_inverse(self.columns)

    @cached_property
    def shares(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Share of each fine row (column) that lies in each coarse one, ``(fine, coarse)``; rows sum to 1."""
        return _shares(self.rows), _shares(self.columns)

    @property
    def sweeps(self) -> int:
        """Rounds that the multiplicative correction takes: one where no fine cell lies in two coarse ones."""
        shared = any(((share > 0).sum(1) > 1).any() for share in self.shares)
        return SWEEPS if shared else 1

    def mean(self, fine: NDArray) -> NDArray:
        """Give the coarse mean of ``(..., latitude, longitude)``."""
        return self.rows @ fine @ self.columns.T

    def additive(self, fine: NDArray, coarse: NDArray) -> NDArray:
        """Add the smallest field that brings the coarse means to `coarse` (Harder et al., 2023, eq. 4)."""
        p, q = self.spread
        return fine + p @ (coarse - self.mean(fine)) @ q.T

    def multiplicative(self, fine: NDArray, coarse: NDArray) -> NDArray:
        """Scale so that the coarse means become `coarse` (Harder et al., 2023, eq. 5); the sign is kept."""
        p, q = self.shares
        for _ in range(self.sweeps):
            mean = self.mean(fine)
            ratio = np.divide(coarse, mean, out=np.zeros_like(mean), where=mean > 0)
            fine = fine * (p @ ratio @ q.T)
        return fine


def _right_inverse(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return weights.T @ np.linalg.inv(weights @ weights.T)


def _shares(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Split each fine row among the coarse rows it lies in, by the area that each of them has of it."""
    total = weights.sum(0, keepdims=True)
    return (weights / np.where(total > 0, total, 1)).T


def conserve(
    fine: xr.DataArray,
    coarse: xr.DataArray,
    *,
    factor: int,
    kind: Literal["node", "cell"] = "cell",
    method: Method = "additive",
) -> xr.DataArray:
    r"""Correct a fine field so that its coarse means are exactly those of a coarse field.

    ``"additive"`` adds the smallest correction (for temperature); ``"multiplicative"`` scales and so keeps
    what is not negative not negative (for precipitation and concentrations),
    :math:`y \leftarrow y \cdot S(c / A(y))`, repeated where coarse cells share fine ones (iterative
    proportional fitting, Deming & Stephan, 1940). After Harder et al. (2023, JMLR 24, "Hard-constrained deep
    learning for climate downscaling"), who treat cells; here nodes too.

    Parameters
    ----------
    fine : DataArray
        ``(..., latitude, longitude)``; a field with a missing value stays missing altogether.
    coarse : DataArray
        The means to keep, on the coarse grid that `factor` and `kind` make, in any order.
    factor, kind
        See `MeanConstraint.of`.
    method : {"additive", "multiplicative"}

    Returns
    -------
    DataArray
        Of the dims and order of `fine`; the means agree to rounding (1e-5 relative or better).

    Raises
    ------
    UsageError
        For an unknown method.
    InputError
        If the grids do not fit, or a multiplicative correction meets negative values or cannot be reached
        (a coarse mean above 0 over fine values that are all 0).
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    constraint = MeanConstraint.of(fine, factor=factor, kind=kind)
    target = coarse_grid(Grid.from_dataset(fine), factor, kind=kind)
    if not Grid.from_dataset(coarse).matches(target):
        raise InputError(
            f"a coarse field on {Grid.from_dataset(coarse).describe()}",
            where=coarse.name,
            remedy=f"the {kind} grid of factor {factor} is {target.describe()}",
        )
    given = coarse.reindex(
        latitude=target.latitude, longitude=target.longitude, method="nearest", tolerance=1e-3
    )
    fine64 = fine.transpose(..., "latitude", "longitude").astype(np.float64)
    shape = coarsen(fine64, factor, kind=kind)
    values = aligned(shape, given, names=("fine", "coarse"), units=False)
    values = values.broadcast_like(shape).transpose(*shape.dims)
    if method == "additive":
        made = constraint.additive(fine64.values, values.values)
    else:
        made = _checked_scaling(constraint, fine64.values, values.values, coarse.name)
    result = fine64.copy(data=made).astype(fine.dtype).transpose(*fine.dims)
    result.attrs = dict(fine.attrs)
    return result


def _checked_scaling(
    constraint: MeanConstraint, fine: NDArray, coarse: NDArray, name: object
) -> NDArray[np.float64]:
    lowest = min(np.nanmin(fine, initial=0.0), np.nanmin(coarse, initial=0.0))
    if lowest < 0:
        raise InputError(
            f"a multiplicative correction of values down to {lowest:g}",
            where=name,
            remedy="use method additive, or cut the values at 0 first",
        )
    made = constraint.multiplicative(fine, coarse)
    missed = np.abs(constraint.mean(made) - coarse) > 1e-5 * np.maximum(
        coarse, np.nanmax(coarse, initial=0) * 1e-3
    )
    if missed.any():
        raise UsageError(
            f"{missed.sum()} coarse means cannot be reached by scaling",
            where=name,
            remedy="fine values of 0 stay 0: give a field that is above 0 where the coarse mean is",
        )
    return made
