"""The baseline of the correction network: a climatology per start month and lead, smoothed over the year."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Climate", "Sums", "circular_smoother", "harmonic_smoother"]

HARMONICS = 4
SMOOTHING_MONTHS = 1.0


def harmonic_smoother(months: np.ndarray) -> np.ndarray:
    """Projection of values at the twelve start months on a constant and four annual harmonics.

    Parameters
    ----------
    months : ndarray
        Start months (1 to 12) in the order of the values.

    Returns
    -------
    ndarray
        ``(month, month)``, a projection; the identity where some months have no starts.
    """
    if months.size < 12:
        return np.eye(months.size)
    phase = 2 * np.pi * (months - 1) / 12
    columns = [np.ones(12)]
    for k in range(1, HARMONICS + 1):
        columns += [np.sin(k * phase), np.cos(k * phase)]
    basis = np.stack(columns, axis=1)
    return basis @ np.linalg.pinv(basis)


def circular_smoother(months: np.ndarray) -> np.ndarray:
    """Gaussian weights over the distance of start months around the year, rows summing to one."""
    distance = (months[:, None] - months[None, :]) % 12
    distance = np.minimum(distance, 12 - distance)
    weight = np.exp(-0.5 * (distance / SMOOTHING_MONTHS) ** 2)
    return weight / weight.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Climate:
    """Mean and scale of the truth per start month and lead.

    Attributes
    ----------
    mean, scale : ndarray
        ``(month, lead, latitude, longitude)``; NaN where the truth never has a value.
    """

    mean: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True)
class Sums:
    """Sums of the truth per start month, from which a climatology with or without any one start follows.

    Attributes
    ----------
    months : ndarray
        Start months, ascending.
    count, first, second : ndarray
        Number, sum and sum of squares of the departures from `origin`, ``(month, lead, latitude,
        longitude)``.
    origin : ndarray
        ``(lead, latitude, longitude)``.
    """

    months: np.ndarray
    count: np.ndarray
    first: np.ndarray
    second: np.ndarray
    origin: np.ndarray

    @classmethod
    def of(cls, truth: np.ndarray, month: np.ndarray) -> Sums:
        """Sum up ``truth (start, lead, latitude, longitude)`` by the start months `month` ``(start)``."""
        months = np.unique(month)
        present = np.isfinite(truth)
        size = np.maximum(present.sum(0), 1)
        origin = np.where(present, truth, 0.0).sum(0, dtype=float) / size
        x = np.where(present, truth - origin, 0.0)
        groups = [month == m for m in months]
        count = np.stack([present[g].sum(0) for g in groups]).astype(float)
        first = np.stack([x[g].sum(0) for g in groups])
        second = np.stack([(x[g] ** 2).sum(0) for g in groups])
        return cls(months, count, first, second, origin)

    def without(self, truth: np.ndarray, month: np.ndarray) -> Sums:
        """Take starts out again: those of one year, of which each start month has at most a few."""
        count, first, second = self.count.copy(), self.first.copy(), self.second.copy()
        for one, m in zip(truth, np.searchsorted(self.months, month), strict=True):
            present = np.isfinite(one)
            x = np.where(present, one - self.origin, 0.0)
            count[m] -= present
            first[m] -= x
            second[m] -= x**2
        return Sums(self.months, count, first, second, self.origin)

    def climate(self) -> Climate:
        """Smooth the mean with harmonics of the year and the variance with neighbouring months."""
        n = np.maximum(self.count, 1.0)
        mean = self.first / n
        variance = np.maximum(self.second - n * mean**2, 0.0) / np.maximum(n - 1.0, 1.0)
        known = self.count > 0
        smooth_mean = _smoothed(harmonic_smoother(self.months), mean, known, exact=True)
        smooth_variance = _smoothed(circular_smoother(self.months), variance, self.count > 1, exact=False)
        present = known.any(0)
        floor = (
            1e-3 * np.sqrt(np.nanmean(np.where(present, smooth_variance, np.nan))) if present.any() else 1.0
        )
        scale = np.maximum(np.sqrt(smooth_variance), max(float(floor), 1e-30))
        return Climate(np.where(present, smooth_mean + self.origin, np.nan), np.where(present, scale, np.nan))


def _smoothed(matrix: np.ndarray, values: np.ndarray, known: np.ndarray, *, exact: bool) -> np.ndarray:
    """Apply a smoother over months; where a month is unknown, the weights of the others are renormalised."""
    if known.all():
        return np.einsum("mn,n...->m...", matrix, values)
    if (
        exact
    ):  # a projection has negative weights: fill an unknown month with the mean of the known ones first
        total = np.where(known, values, 0.0).sum(0) / np.maximum(known.sum(0), 1)
        return np.einsum("mn,n...->m...", matrix, np.where(known, values, total))
    top = np.einsum("mn,n...->m...", matrix, np.where(known, values, 0.0))
    return top / np.maximum(np.einsum("mn,n...->m...", matrix, known.astype(float)), 1e-12)
