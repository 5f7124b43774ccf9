"""A check that an explanation depends on what the model has learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from esai_core.errors import UsageError

__all__ = ["RandomisationCheck", "randomisation_check"]


@dataclass(frozen=True)
class RandomisationCheck:
    """What became of an attribution when the model had learnt nothing.

    Attributes
    ----------
    correlations : tuple of float
        Rank correlation of each random model's attribution with the true one.
    ratio : float
        Median size of the random models' attributions over that of the true one.
    limit : float
        Mean correlation up to which the check is passed.
    """

    correlations: tuple[float, ...]
    ratio: float
    limit: float

    @property
    def correlation(self) -> float:
        """Mean rank correlation over the random models."""
        return float(np.mean(self.correlations))

    @property
    def passed(self) -> bool:
        """Whether randomising the model destroyed the attribution: its pattern, or its size."""
        return self.correlation <= self.limit or self.ratio <= 0.1

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON can hold it."""
        return {"correlations": list(self.correlations), "ratio": self.ratio, "limit": self.limit}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make it again from `to_dict`."""
        return cls(tuple(data["correlations"]), data["ratio"], data["limit"])

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED: the attribution hardly depends on what was learnt"
        return (
            f"Randomisation check {verdict}: {len(self.correlations)} models that learnt nothing "
            f"give attributions with a rank correlation of {self.correlation:.2f} to this one (limit "
            f"{self.limit:g}) and {100 * self.ratio:.0f} % of its size."
        )


def randomisation_check(
    attribution: ArrayLike,
    randomised: Sequence[ArrayLike] | Callable[[int], ArrayLike],
    *,
    count: int = 10,
    limit: float = 0.5,
) -> RandomisationCheck:
    """Compare an attribution with those of models that have learnt nothing (Adebayo et al., 2018, NeurIPS).

    Such a model is a network with random weights (their section 3.1, `esai_core.nn.randomised`), or any model
    fitted to shuffled truths (their section 3.2). An explanation that stays the same explains the input, not
    the model.

    Parameters
    ----------
    attribution : array
        Of the model: per predictor, or per case and predictor (its pattern is compared, signs included).
    randomised : sequence of array, or callable
        Attributions of random models, or ``randomised(seed)`` that makes one.
    count : int
        Random models to make, with a callable; single ones agree by chance.
    limit : float
        Largest mean rank correlation that passes.

    Raises
    ------
    UsageError
        If shapes differ or fewer than three values are given.
    """
    true = np.asarray(attribution, np.float64)
    others = [randomised(seed) for seed in range(count)] if callable(randomised) else list(randomised)
    arrays = [np.asarray(other, np.float64) for other in others]
    if not arrays or true.size < 3 or any(other.shape != true.shape for other in arrays):
        raise UsageError(
            f"attributions of shapes {true.shape} and {sorted({other.shape for other in arrays})}",
            remedy="give the same shape for all, with at least three values",
        )
    size = np.abs(true).sum()
    if not size > 0:
        raise UsageError("an attribution of zeros cannot be checked")
    correlations = tuple(_rank_correlation(true.ravel(), other.ravel()) for other in arrays)
    ratio = float(np.median([np.abs(other).sum() / size for other in arrays]))
    return RandomisationCheck(correlations, ratio, limit)


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    if np.ptp(second) == 0 or np.ptp(first) == 0:
        return 0.0
    return float(stats.spearmanr(first, second).statistic)
