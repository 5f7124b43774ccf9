"""Intervals for series whose errors drift: the level follows what was covered lately."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esai_core.errors import UsageError
from esai_core.uncertainty.interval import Interval
from esai_core.uncertainty.quantile import check_coverage

__all__ = ["AdaptiveConformal"]


@dataclass(kw_only=True)
class AdaptiveConformal:
    r"""Adaptive conformal inference (Gibbs & Candes, 2021, NeurIPS, eq. 2).

    .. math::
        C_t = f_t \mp Q_{1 - \alpha_t}(s_{t-w}, \dots, s_{t-d}), \qquad
        \alpha_{t+1} = \alpha_t + \gamma\,(\alpha - \mathbf 1(y_t \notin C_t))

    Whatever the drift, the share left out over `T` steps is within
    :math:`(\max(\alpha_1, 1 - \alpha_1) + \gamma) / (\gamma T)` of :math:`\alpha` (their proposition 4.1,
    here for a delay of one step). Where :math:`\alpha_t \le 0` no finite interval will do, and none is given.

    Parameters
    ----------
    coverage : float
        Nominal share of truths inside.
    gamma : float
        Step of the level: large values follow drift faster and make widths less steady. 0 gives plain
        conformal intervals on a moving window.
    window : int
        Past errors that are remembered.
    delay : int
        Steps until a truth is known: the lead in steps. Nothing later is looked at.
    spin_up : int
        Truths that must be known before the first interval (NaN before it).
    """

    coverage: float = 0.9
    gamma: float = 0.01
    window: int = 365
    delay: int = 1
    spin_up: int = 30

    def __post_init__(self) -> None:
        check_coverage(self.coverage)
        for name, least in (("gamma", 0), ("window", 2), ("delay", 1), ("spin_up", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} = {getattr(self, name)}", remedy=f"give {least} or more")

    def intervals(
        self, observed: ArrayLike, predicted: ArrayLike, *, scale: ArrayLike | None = None
    ) -> tuple[Interval, NDArray[np.float64]]:
        """Go through series in time and give the interval of each step from what was known then.

        Parameters
        ----------
        observed, predicted : array (time, ...)
            In the order of time; each column is a series by itself. A missing truth changes nothing.
        scale : array, optional
            Expected size of the error, known with the prediction, broadcast to it.

        Returns
        -------
        Interval
            Arrays (time, ...); NaN in the spin-up or without a prediction, infinite where the level is spent.
        levels : array (time, ...)
            The working level alpha of each step.
        """
        truth, guess = np.asarray(observed, np.float64), np.asarray(predicted, np.float64)
        if truth.shape != guess.shape or truth.ndim == 0:
            raise UsageError(f"{truth.shape} observed values and {guess.shape} predicted ones")
        size = (
            np.ones(guess.shape) if scale is None else np.broadcast_to(np.asarray(scale, float), guess.shape)
        )
        shape, steps = guess.shape, len(guess)
        truth, guess, size = (a.reshape(steps, -1) for a in (truth, guess, size))
        score = np.abs(truth - guess) / size
        half, levels = np.full(guess.shape, np.nan), np.full(guess.shape, np.nan)
        alpha = np.full(guess.shape[1], 1.0 - self.coverage)
        for now in range(steps):
            known = now - self.delay
            if known >= 0:
                judged = ~np.isnan(half[known]) & ~np.isnan(score[known])
                missed = score[known] > half[known]
                alpha = np.where(judged, alpha + self.gamma * (1.0 - self.coverage - missed), alpha)
            levels[now] = alpha
            past = score[max(0, known + 1 - self.window) : max(0, known + 1)]
            if len(past):
                half[now] = self._quantile(past, alpha)
        half = half * size
        interval = Interval((guess - half).reshape(shape), (guess + half).reshape(shape))
        return interval, levels.reshape(shape)

    def _quantile(self, past: NDArray[np.float64], alpha: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the ``ceil((n + 1) (1 - alpha))``-th smallest past score of each column."""
        ordered = np.sort(past, axis=0)
        count = (~np.isnan(ordered)).sum(0)
        rank = np.ceil((1.0 - alpha) * (count + 1) - 1e-9).astype(int)
        found = np.take_along_axis(ordered, np.clip(rank - 1, 0, len(ordered) - 1)[None], 0)[0]
        found = np.where(rank < 1, 0.0, np.where(rank > count, np.inf, found))
        return np.where(count >= self.spin_up, found, np.nan)
