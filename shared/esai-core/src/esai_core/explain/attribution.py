"""The result of every method: one number per predictor, and by lead or month where it was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esai_core.errors import UsageError

__all__ = ["Attribution", "label_rows", "mean_size", "resolve_groups"]


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each predictor (or group of them) matters.

    Attributes
    ----------
    method : str
        What was done, for readers.
    names : tuple of str
        Predictors.
    values : array (predictor,)
        Importance; larger is more, what it counts is told by `units`.
    spread : array (predictor,), optional
        Standard deviation over repetitions.
    units : str
        Of the values (``"increase of mse"``).
    by : dict of str to array (predictor,)
        The same for parts of the cases (leads, months), in order.
    """

    method: str
    names: tuple[str, ...]
    values: NDArray[np.float64]
    spread: NDArray[np.float64] | None = None
    units: str = ""
    by: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def ranking(self) -> list[str]:
        """Name the predictors, the most important first; a missing value comes last."""
        order = np.argsort(-np.nan_to_num(self.values, nan=-np.inf), kind="stable")
        return [self.names[i] for i in order]

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON can hold it."""
        return {
            "method": self.method,
            "names": list(self.names),
            "values": self.values.tolist(),
            "spread": None if self.spread is None else self.spread.tolist(),
            "units": self.units,
            "by": {name: values.tolist() for name, values in self.by.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make it again from `to_dict`."""
        spread = data.get("spread")
        return cls(
            data["method"],
            tuple(data["names"]),
            np.asarray(data["values"], float),
            None if spread is None else np.asarray(spread, float),
            data.get("units", ""),
            {name: np.asarray(values, float) for name, values in data.get("by", {}).items()},
        )


def mean_size(
    values: ArrayLike, *, names: Sequence[str], method: str, by: ArrayLike | None = None, units: str = ""
) -> Attribution:
    r"""Sum up attributions of single cases (Shapley values, integrated gradients): their mean absolute size.

    Parameters
    ----------
    values : array (case, ..., predictor)
        Attribution of each case (and cell).
    names : sequence of str
        Predictors.
    method, units : str
        For the report.
    by : array (case,), optional
        Lead or month of each case: the mean is taken of each part too.
    """
    sizes = np.abs(np.asarray(values, np.float64))
    if sizes.ndim < 2 or sizes.shape[-1] != len(names):
        raise UsageError(f"attributions of shape {sizes.shape} for {len(names)} predictors")
    cases = np.nanmean(sizes.reshape(len(sizes), -1, len(names)), axis=1)
    parts = label_rows(by, len(cases))
    return Attribution(
        method,
        tuple(names),
        np.nanmean(cases, axis=0),
        None,
        units,
        {name: np.nanmean(cases[rows], axis=0) for name, rows in parts.items()},
    )


def label_rows(by: ArrayLike | None, n: int) -> dict[str, NDArray[np.int64]]:
    """Give the rows of each label, in the labels' order; none without labels."""
    if by is None:
        return {}
    labels = np.asarray(by)
    if labels.shape != (n,):
        raise UsageError(f"{labels.shape} labels for {n} cases")
    return {str(label): np.flatnonzero(labels == label) for label in np.unique(labels)}


def resolve_groups(
    columns: Sequence[str], groups: Mapping[str, Sequence[str]] | None
) -> dict[str, list[int]]:
    """Give the positions of the columns of each group; each column by itself where no groups are named."""
    if groups is None:
        return {name: [i] for i, name in enumerate(columns)}
    place = {name: i for i, name in enumerate(columns)}
    unknown = [name for members in groups.values() for name in members if name not in place]
    if unknown:
        raise UsageError(f"no predictor {unknown[0]!r}", remedy=f"there are {', '.join(list(place)[:12])}")
    return {name: [place[member] for member in members] for name, members in groups.items()}
