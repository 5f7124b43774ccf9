"""Conformal intervals around a prediction, and corrected quantiles, calibrated on cases kept back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esai_core.errors import UsageError
from esai_core.uncertainty.interval import Interval
from esai_core.uncertainty.quantile import check_coverage, conformal_quantile

__all__ = ["ConformalQuantiles", "SplitConformal"]


@dataclass(kw_only=True)
class _Calibrated:
    """What both kinds share: how far the two ends are moved, and the way to and from a file."""

    coverage: float = 0.9
    pooled: bool = False
    symmetric: bool = True
    strict: bool = False
    below: NDArray[np.float64] | None = field(default=None, repr=False)
    above: NDArray[np.float64] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_coverage(self.coverage)

    def _calibrate(self, low: NDArray, high: NDArray, blocks: ArrayLike | None) -> Self:
        """Take the scores of the two ends: how far each would have had to be moved outwards."""
        if self.symmetric:
            joint = np.where(np.isnan(low) | np.isnan(high), np.nan, np.fmax(low, high))
            self.below = self.above = self._quantile(joint, self.coverage, blocks)
        else:
            level = (1.0 + self.coverage) / 2.0
            self.below = self._quantile(low, level, blocks)
            self.above = self._quantile(high, level, blocks)
        return self

    def _quantile(self, scores: NDArray, level: float, blocks: ArrayLike | None) -> NDArray[np.float64]:
        if self.pooled and scores.ndim > 1:
            width = scores[0].size
            labels = np.arange(len(scores)) if blocks is None else np.asarray(blocks)
            scores, blocks = scores.reshape(-1), np.repeat(labels, width)
        return conformal_quantile(scores, coverage=level, blocks=blocks, strict=self.strict)

    def _ends(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self.below is None or self.above is None:
            raise UsageError("not calibrated yet", remedy="call fit first")
        return self.below, self.above

    def to_dict(self) -> dict[str, Any]:
        """Give what a file must hold (JSON) to make the same intervals again."""
        below, above = self._ends()
        settings = {name: getattr(self, name) for name in ("coverage", "pooled", "symmetric", "strict")}
        return settings | {"below": below.tolist(), "above": above.tolist()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make it again from `to_dict`."""
        ends = {name: np.asarray(data[name], np.float64) for name in ("below", "above")}
        return cls(**{**data, **ends})


@dataclass(kw_only=True)
class SplitConformal(_Calibrated):
    r"""Split conformal intervals around a point prediction (Lei et al., 2018, JASA).

    .. math:: C(x) = f(x) \mp \sigma(x)\, q, \qquad s_i = |y_i - f(x_i)| / \sigma(x_i)

    with `q` the `conformal_quantile` of the calibration scores. A scale :math:`\sigma` (an ensemble's spread,
    a fitted error model) makes intervals wide where errors are large; 1 by default. Exact for exchangeable
    cases whatever the model; give `blocks` where neighbours share their errors.

    Parameters
    ----------
    coverage : float
        Nominal share of truths inside.
    pooled : bool
        One width for all columns (cells, leads) instead of one for each. The cases of one row are then one
        block at least.
    symmetric : bool
        The same width on both sides; else each end leaves out half of the rest.
    strict : bool
        See `conformal_quantile`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> f = rng.normal(size=(4000, 2))
    >>> y = f + rng.normal(size=(4000, 2)) * [1.0, 3.0]
    >>> conformal = SplitConformal(coverage=0.9).fit(y[:2000], f[:2000])
    >>> lower, upper = conformal.interval(f[2000:])
    >>> [bool(0.88 < share < 0.92) for share in ((lower <= y[2000:]) & (y[2000:] <= upper)).mean(0)]
    [True, True]
    """

    def fit(
        self,
        observed: ArrayLike,
        predicted: ArrayLike,
        *,
        scale: ArrayLike | None = None,
        blocks: ArrayLike | None = None,
    ) -> Self:
        """Calibrate on cases that the model has not seen.

        Parameters
        ----------
        observed, predicted : array (n, ...)
            Cases on the first axis; NaN pairs are left out.
        scale : array, optional
            Expected size of the error, above 0, broadcast to the cases; the same kind must be given to
            `interval`.
        blocks : array (n,), optional
            Label of the block of each case: see `time_blocks`.
        """
        error = _error(observed, predicted, scale)
        return self._calibrate(-error, error, blocks)

    def interval(self, predicted: Any, *, scale: Any = 1.0) -> Interval:
        """Give the interval of new predictions.

        Parameters
        ----------
        predicted : array or DataArray (m, ...)
            The other axes as those of `fit`.
        scale : array, optional
            Of the new cases, where `fit` was given one.
        """
        below, above = self._ends()
        return Interval(predicted - scale * below, predicted + scale * above)


@dataclass(kw_only=True)
class ConformalQuantiles(_Calibrated):
    r"""Conformalised quantile regression (Romano et al., 2019, NeurIPS, eq. 6-8).

    .. math::
        C(x) = [\hat q_l(x) - q,\ \hat q_u(x) + q], \qquad
        s_i = \max(\hat q_l(x_i) - y_i,\ y_i - \hat q_u(x_i))

    Corrects the interval of any quantile model or ensemble, keeping its shape; `q` may be negative.
    Parameters as for `SplitConformal`; with ``symmetric=False`` the two ends are corrected apart (their
    theorem 2).
    """

    def fit(
        self, observed: ArrayLike, lower: ArrayLike, upper: ArrayLike, *, blocks: ArrayLike | None = None
    ) -> Self:
        """Calibrate on cases that the model has not seen.

        Parameters
        ----------
        observed, lower, upper : array (n, ...)
            Truth and predicted quantiles; NaN cases are left out.
        blocks : array (n,), optional
            Label of the block of each case.
        """
        return self._calibrate(-_error(observed, lower), _error(observed, upper), blocks)

    def interval(self, lower: Any, upper: Any) -> Interval:
        """Give the corrected interval of new cases; where the ends would cross, both are their middle."""
        below, above = self._ends()
        low, high = lower - below, upper + above
        middle = (low + high) / 2
        return Interval(_minimum(low, middle), _maximum(high, middle))


def _error(observed: ArrayLike, predicted: ArrayLike, scale: ArrayLike | None = None) -> NDArray[np.float64]:
    truth, guess = np.asarray(observed, np.float64), np.asarray(predicted, np.float64)
    if truth.shape != guess.shape:
        raise UsageError(f"{truth.shape} observed values and {guess.shape} predicted ones")
    error = truth - guess
    if scale is None:
        return error
    size = np.broadcast_to(np.asarray(scale, np.float64), error.shape)
    wrong = np.count_nonzero(size <= 0)
    if wrong:
        raise UsageError(f"{wrong} scales of 0 or less", remedy="give the expected size of the error")
    return error / size


def _minimum(first: Any, second: Any) -> Any:
    return first.where(first <= second, second) if hasattr(first, "where") else np.minimum(first, second)


def _maximum(first: Any, second: Any) -> Any:
    return first.where(first >= second, second) if hasattr(first, "where") else np.maximum(first, second)
