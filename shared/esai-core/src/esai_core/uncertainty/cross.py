"""Cross-conformal intervals: every case calibrates, by a model that has not seen its block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import UsageError
from esai_core.splits import Fold
from esai_core.uncertainty.interval import Interval
from esai_core.uncertainty.quantile import check_coverage

__all__ = ["CrossConformal"]

Predict = Callable[[Any], NDArray]


@dataclass(kw_only=True)
class CrossConformal:
    r"""CV+ intervals (Barber et al., 2021, Annals of Statistics, section 3.1).

    With the model :math:`f_{-k}` fitted without fold `k`, and :math:`R_i = |y_i - f_{-k(i)}(x_i)|`, the ends
    at a new `x` are the :math:`\lfloor \alpha (n + 1) \rfloor`-th smallest of :math:`f_{-k(i)}(x) - R_i` and
    the :math:`\lceil (1 - \alpha)(n + 1) \rceil`-th smallest of :math:`f_{-k(i)}(x) + R_i`. Nothing is kept
    back from the final model, which matters with 20 years of data; the guarantee is weaker than for
    `SplitConformal` (:math:`1 - 2\alpha`), what is reached is close to :math:`1 - \alpha`. Folds made of
    blocks (`esai_core.splits.k_fold` of `time_blocks`, `spatial_blocks`, `leave_one_year_out`) keep
    neighbours out of each other's calibration.

    Parameters
    ----------
    coverage : float
        Nominal share of truths inside.
    """

    coverage: float = 0.9
    models: list[Predict] = field(default_factory=list, repr=False)
    residual: NDArray[np.float64] | None = field(default=None, repr=False)
    fold: NDArray[np.int64] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_coverage(self.coverage)

    def fit(
        self, make: Callable[[Any, NDArray], Predict], x: Any, y: NDArray, *, folds: Sequence[Fold]
    ) -> Self:
        """Fit one model per fold and keep the errors for what each has not seen.

        Parameters
        ----------
        make : callable
            ``make(x, y) -> predict``, with ``predict(x) -> (n,)``: everything that is fitted, scalers
            included, is fitted in here.
        x : array (n, ...) or DataFrame
            Predictors.
        y : array (n,)
            Truth, without NaN.
        folds : sequence of Fold
            Whose test parts together hold each case once.

        Raises
        ------
        UsageError
            If a case is in no test part or in several, or the truth is missing.
        """
        truth = np.asarray(y, np.float64)
        tested = np.concatenate([one.test for one in folds]) if folds else np.empty(0, int)
        if not np.array_equal(np.sort(tested), np.arange(len(truth))):
            raise UsageError(
                "the folds do not test every case once", remedy="use k_fold or leave_one_year_out"
            )
        if np.isnan(truth).any():
            raise UsageError(f"{np.isnan(truth).sum()} missing truths", remedy="drop these cases first")
        self.models = [make(_rows(x, one.train), truth[one.train]) for one in folds]
        self.residual, self.fold = np.empty(len(truth)), np.empty(len(truth), int)
        for number, (one, model) in enumerate(zip(folds, self.models, strict=True)):
            self.fold[one.test] = number
            self.residual[one.test] = np.abs(truth[one.test] - np.asarray(model(_rows(x, one.test))))
        return self

    def interval(self, x: Any) -> Interval:
        """Give the interval of new cases.

        Parameters
        ----------
        x : array (m, ...) or DataFrame
            Predictors.

        Returns
        -------
        Interval
            Arrays (m,).
        """
        if self.residual is None or self.fold is None:
            raise UsageError("not calibrated yet", remedy="call fit first")
        n = len(self.residual)
        rank = int(np.ceil(self.coverage * (n + 1) - 1e-9))
        if rank > n:
            raise UsageError(f"{n} cases cannot calibrate a coverage of {self.coverage:g}")
        guesses = np.stack([np.asarray(model(x), np.float64) for model in self.models])
        ends = np.empty((2, guesses.shape[1]))
        step = max(1, 4_000_000 // n)  # cases at a time, to bound memory
        for start in range(0, guesses.shape[1], step):
            part = guesses[self.fold, start : start + step]
            away = self.residual[:, None]
            ends[0, start : start + step] = -np.partition(away - part, rank - 1, axis=0)[rank - 1]
            ends[1, start : start + step] = np.partition(away + part, rank - 1, axis=0)[rank - 1]
        return Interval(ends[0], ends[1])


def _rows(x: Any, numbers: NDArray[np.int64]) -> Any:
    return x.iloc[numbers] if hasattr(x, "iloc") else np.asarray(x)[numbers]
