"""Training fields of the super-resolution: their classes of time, their climate, and how they are read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esai_core.training.order import shuffled

__all__ = ["Climate", "Fields", "classes_of", "groups_of", "period_of"]


def groups_of(times: np.ndarray, period: str) -> np.ndarray:
    """Class of each time in the residual climatology: its hour (0 to 23) or its month (0 to 11)."""
    stamps = np.asarray(times).astype("datetime64[h]")
    if period == "hour":
        return (stamps - stamps.astype("datetime64[D]")).astype(int)
    return stamps.astype("datetime64[M]").astype(int) % 12


def period_of(times: np.ndarray) -> str:
    """Give "hour" for times less than a day apart, else "month"."""
    step = np.median(np.diff(np.sort(np.asarray(times).astype("datetime64[s]")))).astype("timedelta64[s]")
    return "hour" if step < np.timedelta64(1, "D") else "month"


def classes_of(period: str) -> int:
    """Count the classes of a period."""
    return 24 if period == "hour" else 12


@dataclass(frozen=True)
class Climate:
    """Statistics of the training fields, by class of time.

    Attributes
    ----------
    residual, mean : ndarray
        Mean of fine minus bilinear, and of bilinear, ``(class, latitude, longitude)``; 0 for a class
        without fields.
    scale : ndarray
        Standard deviation of the residual about its mean, ``(latitude, longitude)``.
    count : ndarray
        Fields of each class.
    numbers : ndarray
        Standard deviation of the bilinear anomalies; mean and standard deviation of the bilinear fields.
    """

    residual: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    count: np.ndarray
    numbers: np.ndarray

    @classmethod
    def of(cls, fine: np.ndarray, smooth: np.ndarray, group: np.ndarray, classes: int) -> Climate:
        """Fit on training fields and their bilinear versions, both ``(time, latitude, longitude)``."""
        residual = fine - smooth
        count = np.bincount(group, minlength=classes)
        maps = []
        for values in (residual, smooth):
            found = np.zeros((classes, *values.shape[1:]))
            for g in np.flatnonzero(count):
                found[g] = mean_over_time(values[group == g])
            maps.append(found)
        scale = np.sqrt(mean_over_time((residual - maps[0][group]) ** 2))
        spread = np.nanstd(smooth - maps[1][group])
        numbers = np.array([spread, np.nanmean(smooth), np.nanstd(smooth)])
        return cls(maps[0], maps[1], scale, count, numbers)

    @property
    def level(self) -> float:
        """Mean of `scale` over the cells that vary; not below a twentieth of the residuals' own size."""
        present = np.isfinite(self.scale) & (self.scale > 0)
        mean = float(self.scale[present].mean()) if present.any() else 0.0
        return max(mean, 0.05 * self.size) or 1.0

    @property
    def size(self) -> float:
        """Root mean square of the residual climatology."""
        return float(np.sqrt(np.nanmean(self.residual**2)))

    def without(self, own: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Residual climatology of some fields without their own residual ``(time, latitude, longitude)``."""
        n = self.count[group][:, None, None].astype(float)
        others = (self.residual[group] * n - own) / np.maximum(n - 1, 1)
        return np.where(n > 1, others, self.residual[group])


def mean_over_time(x: np.ndarray) -> np.ndarray:
    present = np.isfinite(x)
    n = present.sum(0)
    return np.divide(
        np.where(present, x, 0.0).sum(0, dtype=float), n, out=np.full(n.shape, np.nan), where=n > 0
    )


@dataclass(frozen=True)
class Fields:
    """Training fields by number (`esai_core.training.Source`); conditions are kept once per class.

    With `noisy` they have noise too, drawn anew in each epoch (of which the numbers of `order` tell).
    """

    conditions: np.ndarray
    group: np.ndarray
    predictors: np.ndarray
    target: np.ndarray
    noisy: bool = False

    def __len__(self) -> int:
        return len(self.group)

    def order(self, epoch: int, seed: int) -> np.ndarray:
        """Shuffle the fields for an epoch."""
        return shuffled(len(self), epoch=epoch, seed=seed) + epoch * len(self)

    def read(self, numbers: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Give inputs and targets of some fields."""
        rows = numbers % len(self)
        inputs = {"conditions": self.conditions[self.group[rows]], "predictors": self.predictors[rows]}
        if self.noisy:
            from esai_seasonal.network.adversarial import noise

            inputs["noise"] = noise(numbers, self.target.shape[1:3])
        return inputs, self.target[rows]
