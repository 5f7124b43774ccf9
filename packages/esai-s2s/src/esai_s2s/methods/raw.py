"""Raw counts: the fraction of members in each category of the model's own climate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esai_s2s.sample import Categories, Sample

__all__ = ["Raw", "member_counts"]


def member_counts(codes: np.ndarray, size: int) -> np.ndarray:
    """Return the fractions (n, cells, K) of members (n, members, cells) in each category.

    Members without a category (NaN) are left out; a case without any is NaN.
    """
    number = (~np.isnan(codes)).sum(axis=1)
    counts = np.stack([(codes == k).sum(axis=1) for k in range(size)], axis=-1)
    return np.where(number[..., None] > 0, counts / np.maximum(number, 1)[..., None], np.nan)


@dataclass(frozen=True, eq=False)
class Raw:
    """Nothing but the edges, which are kept apart."""

    @classmethod
    def fit(cls, train: Sample, categories: Categories, settings: object) -> Raw:
        """Take note that there is nothing to fit."""
        return cls()

    def predict(self, sample: Sample, categories: Categories) -> np.ndarray:
        """Return probabilities (n, cells, K)."""
        return member_counts(categories.member_codes(sample), categories.size)

    def importances(self) -> dict[str, float]:
        """Return nothing: there are no predictors to compare."""
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return an empty state."""
        return {}

    @classmethod
    def of_arrays(cls, kept: dict[str, np.ndarray]) -> Raw:
        """Return what `arrays` gave."""
        return cls()
