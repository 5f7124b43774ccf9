"""What a network has to beat: climatology, persistence and the anomaly damped towards climatology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from esai_core.tasks.scratch import Scratch, block_length, slices

__all__ = ["Damping", "lagged_pairs"]


def lagged_pairs(times: NDArray[np.int64], lead: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the steps of a part and those `lead` later that are in the same part.

    Parameters
    ----------
    times : array (n,) of int
        Steps of the part, in order.
    lead : int

    Returns
    -------
    now, later : array (m,) of int
    """
    later = times + lead
    inside = np.isin(later, times)
    return times[inside], later[inside]


@dataclass(frozen=True, eq=False)
class Damping:
    r"""The anomaly damped by its own memory, per cell and lead.

    .. math:: \hat a(t + l) = \beta_l\, a(t), \qquad \beta_l = \sum a(t)\, a(t + l) / \sum a(t)^2

    (Lorenz, 1973; the usual standard of comparison of seasonal forecasts.)

    Attributes
    ----------
    factors : array (lead, latitude, longitude)
        :math:`\beta`, cut to [0, 1]; 0 for cells that are left out.
    leads : tuple of int
    """

    factors: NDArray[np.float32]
    leads: tuple[int, ...]

    @classmethod
    def fit(cls, anomalies: NDArray | Scratch, times: NDArray[np.int64], leads: Sequence[int]) -> Self:
        """Fit on a part of the steps.

        Parameters
        ----------
        anomalies : array or Scratch (time, latitude, longitude)
            Of the whole series, finite; read in blocks.
        times : array of int
            Steps to fit on.
        leads : sequence of int
        """
        factors = []
        cells = anomalies.shape[1:]
        for lead in leads:
            now, later = lagged_pairs(times, lead)
            above, below = np.zeros(cells), np.zeros(cells)
            for at in slices(len(now), block_length(*cells)):
                first, second = (anomalies[steps[at]].astype(np.float64) for steps in (now, later))
                for one, other in zip(first, second, strict=True):
                    above += one * other
                    below += one**2
            slope = np.divide(above, below, out=np.zeros(cells), where=below > 0)
            factors.append(slope.clip(0, 1))
        return cls(np.stack(factors).astype(np.float32), tuple(leads))

    def forecast(self, anomalies: NDArray | Scratch, starts: NDArray[np.int64]) -> NDArray[np.float32]:
        """Forecast from some steps: ``(start, lead, latitude, longitude)``."""
        return anomalies[starts][:, None].astype(np.float32) * self.factors[None]
