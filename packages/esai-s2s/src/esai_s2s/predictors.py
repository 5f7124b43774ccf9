"""Predictors: ensemble mean and spread, past observations, season; anomalies and scales of the fold alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import gammaln

from esai_s2s.sample import Sample

__all__ = [
    "POWERS",
    "Predictors",
    "Seasonal",
    "debiased_spread",
    "ensemble_mean",
    "fit_predictors",
    "fit_seasonal",
    "remember",
]

POWERS = {"none": None, "sqrt": np.sqrt, "cbrt": np.cbrt}


def ensemble_mean(members: np.ndarray) -> np.ndarray:
    """Return the mean over axis 1 of (n, members, cells), leaving out NaN; NaN where no member is left."""
    there = ~np.isnan(members)
    number = there.sum(axis=1)
    total = np.where(there, members, 0.0).sum(axis=1, dtype=np.float64)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def debiased_spread(members: np.ndarray) -> np.ndarray:
    """Return the standard deviation over axis 1 of (n, members, cells), unbiased for any number of members.

    The square root of the unbiased variance is itself too small, by c4(m); divided by it, 4, 11 and 51
    members of one distribution give the same spread on average (normal members). NaN for fewer than two.
    """
    there = ~np.isnan(members)
    number = there.sum(axis=1)
    mean = ensemble_mean(members)
    squares = np.where(there, (members - mean[:, None]) ** 2, 0.0).sum(axis=1)
    m = np.maximum(number, 2).astype(np.float64)
    c4 = np.sqrt(2.0 / (m - 1.0)) * np.exp(gammaln(m / 2.0) - gammaln((m - 1.0) / 2.0))
    return np.where(number > 1, np.sqrt(squares / (m - 1.0)) / c4, np.nan)


@dataclass(frozen=True, eq=False)
class Seasonal:
    """A mean annual cycle of two harmonics (or a constant) and the spread about it.

    Attributes
    ----------
    coef : (1 or 5, cells)
        Of 1, sin t, cos t, sin 2t, cos 2t.
    scale : (cells,)
        Standard deviation of the anomalies; 1 where they do not vary.
    """

    coef: np.ndarray
    scale: np.ndarray

    def level(self, angle: np.ndarray) -> np.ndarray:
        """Return the cycle at times of the year (n,): (n, cells)."""
        return _waves(angle, len(self.coef)) @ self.coef

    def transform(self, values: np.ndarray, angle: np.ndarray) -> np.ndarray:
        """Return standardised anomalies of (n, cells)."""
        return (values - self.level(angle)) / self.scale


def _waves(angle: np.ndarray, size: int) -> np.ndarray:
    columns = [np.ones_like(angle), np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)]
    return np.stack(columns[:size], axis=1)


def fit_seasonal(values: np.ndarray, angle: np.ndarray, *, cycle: bool) -> Seasonal:
    """Fit the annual cycle of training values (n, cells) by ridge-stabilised least squares over known values.

    Parameters
    ----------
    values : (n, cells)
        NaN is left out.
    angle : (n,)
        Time of the year in radians.
    cycle : bool
        Two harmonics, or a constant alone.
    """
    waves = _waves(angle, 5 if cycle else 1)
    known = (~np.isnan(values)).astype(np.float64)
    filled = np.where(known > 0, values, 0.0)
    size = waves.shape[1]
    products = (waves[:, :, None] * waves[:, None, :]).reshape(len(waves), -1)
    normal = (known.T @ products).reshape(-1, size, size)
    # Starts in a part of the year leave the harmonics nearly dependent: a slight ridge tames them.
    ridge = np.diag([0.0] + [1e-3] * (size - 1)) * np.maximum(known.sum(0), 1.0)[:, None, None]
    empty = (known.sum(0) == 0)[:, None, None]
    normal = np.where(empty, np.eye(size), normal + ridge)
    right = filled.T @ waves
    coef = np.linalg.solve(normal, right[:, :, None])[:, :, 0].T
    squares = (known * (filled - waves @ coef) ** 2).sum(0) / np.maximum(known.sum(0), 1.0)
    scale = np.sqrt(squares)
    return Seasonal(coef, np.where(scale > 1e-12, scale, 1.0))


@dataclass(frozen=True, eq=False)
class Predictors:
    """Columns that a method reads, with the anomalies and scales of its training cases.

    Attributes
    ----------
    names : tuple of str
        ``mean``, ``spread``, ``lag0`` ..., each with a state in `states`; ``season`` makes two columns.
    power : str
        Applied to members before averaging.
    states : dict of str to Seasonal
        Fitted on training cases.
    """

    names: tuple[str, ...]
    power: str
    states: dict[str, Seasonal]

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return [c for name in self.names for c in (("sin", "cos") if name == "season" else (name,))]

    def columns_of(self, sample: Sample) -> np.ndarray:
        """Return (n, p, cells), standardised; NaN where a predictor is missing."""
        found = []
        for name in self.names:
            if name == "season":
                for wave in (np.sin(sample.angle), np.cos(sample.angle)):
                    found.append(np.broadcast_to(wave[:, None], (sample.size, sample.cells)))
            else:
                values = _values(sample, name, self.power)
                found.append(self.states[name].transform(values, sample.angle))
        return np.stack(found, axis=1)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the state as arrays."""
        kept: dict[str, Any] = {"names": np.array(self.names), "power": np.array(self.power)}
        for name, state in self.states.items():
            kept |= {f"{name}.coef": state.coef, f"{name}.scale": state.scale}
        return kept

    @classmethod
    def of_arrays(cls, kept: dict[str, np.ndarray]) -> Predictors:
        """Return what `arrays` gave."""
        names = tuple(str(name) for name in kept["names"])
        states = {n: Seasonal(kept[f"{n}.coef"], kept[f"{n}.scale"]) for n in names if n != "season"}
        return cls(names, str(kept["power"]), states)


def _values(sample: Sample, name: str, power: str) -> np.ndarray:
    if name.startswith("lag"):
        if sample.lags is None:
            raise ValueError("there are no past observations")
        return sample.lags[:, int(name[3:])]
    if sample.forecast is None:
        raise ValueError("there is no forecast")
    change = POWERS[power]
    if (name, power) in sample.statistics:
        return sample.statistics[name, power]
    members = sample.forecast if change is None else change(np.maximum(sample.forecast, 0.0))
    return ensemble_mean(members) if name == "mean" else debiased_spread(members)


def remember(sample: Sample, wanted: Iterable[tuple[str, str]]) -> Sample:
    """Return the sample with statistics of its members worked out once, for all fits on parts of its cases.

    Parameters
    ----------
    sample : Sample
        Of one forecast model; another is given back as it is.
    wanted : iterable of (str, str)
        ``mean`` or ``spread``, and the power that members are changed by.
    """
    if sample.forecast is None or sample.sources:
        return sample
    names = {key for key in wanted if key[0] == "mean" or sample.forecast.shape[1] > 1}
    return replace(sample, statistics={key: _values(sample, *key) for key in sorted(names)})


def fit_predictors(train: Sample, names: tuple[str, ...], *, power: str, cycle: bool) -> Predictors:
    """Fit anomalies and scales of the named predictors on training cases.

    Parameters
    ----------
    train : Sample
        Training cases alone.
    names : tuple of str
        ``mean``, ``spread``, ``season``; without a forecast the past observations stand in for the first two,
        and with a single member the spread is left out.
    power : {"none", "sqrt", "cbrt"}
        Applied to members before averaging.
    cycle : bool
        Whether means and past observations are anomalies from an annual cycle.
    """
    wanted = list(names)
    if train.forecast is None:
        lags = 0 if train.lags is None else train.lags.shape[1]
        wanted = [f"lag{i}" for i in range(lags)] + [n for n in names if n == "season"]
    elif train.forecast.shape[1] < 2:
        wanted = [n for n in names if n != "spread"]
    states = {}
    for name in wanted:
        if name != "season":
            values = _values(train, name, power)
            states[name] = fit_seasonal(values, train.angle, cycle=cycle and name != "spread")
    return Predictors(tuple(wanted), power, states)
