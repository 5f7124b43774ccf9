"""Intervals, and how those of ensembles and of network samples are read off."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from esai_core.errors import UsageError
from esai_core.uncertainty.quantile import check_coverage

__all__ = ["Interval", "ensemble_interval"]


class Interval(NamedTuple):
    """Lower and upper ends, of the type and shape of the prediction that they belong to."""

    lower: Any
    upper: Any

    def clip(self, *, low: float | None = None, high: float | None = None) -> Interval:
        """Keep both ends within what the quantity can be (0 for a concentration); coverage cannot fall.

        Parameters
        ----------
        low, high : float, optional
            Limits, in the units of the prediction.
        """
        return Interval(self.lower.clip(low, high), self.upper.clip(low, high))


def ensemble_interval(members: ArrayLike, *, coverage: float = 0.9, axis: int = 0) -> Interval:
    r"""Read a central interval off the members of an ensemble (or off samples of Monte Carlo dropout).

    The ends are the members' quantiles at :math:`(1 \mp c)/2` with plotting positions :math:`k/(M+1)`
    (Weibull), at which `M` members exchangeable with the truth would cover `c`. They are the raw material of
    `ConformalQuantiles`, which corrects what the ensemble gets wrong.

    Parameters
    ----------
    members : array
        Members along `axis`; NaN members are left out.
    coverage : float
        Between 0 and 1; beyond ``(M - 1) / (M + 1)`` the ends are the lowest and the highest member.
    axis : int
        Axis of the members.

    Returns
    -------
    Interval
        Arrays without that axis.
    """
    check_coverage(coverage)
    values = np.asarray(members, np.float64)
    if values.ndim == 0 or values.shape[axis] < 2:
        raise UsageError("an interval of fewer than two members", remedy="give an ensemble")
    tail = (1.0 - coverage) / 2.0
    if not np.isnan(values).any():
        lower, upper = np.quantile(values, [tail, 1.0 - tail], axis=axis, method="weibull")
        return Interval(lower, upper)
    lower, upper = _nan_quantiles(np.moveaxis(values, axis, 0), (tail, 1.0 - tail))
    return Interval(lower, upper)


def _nan_quantiles(values: np.ndarray, levels: tuple[float, float]) -> list[np.ndarray]:
    ordered = np.sort(values, axis=0)
    count = (~np.isnan(ordered)).sum(0)
    found = []
    for level in levels:
        place = np.clip(level * (count + 1) - 1, 0, np.maximum(count - 1, 0))
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, np.maximum(count - 1, 0))
        first, second = (np.take_along_axis(ordered, at[None], 0)[0] for at in (below, above))
        found.append(np.where(count >= 2, first + (place - below) * (second - first), np.nan))
    return found
