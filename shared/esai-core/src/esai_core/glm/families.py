"""The families of `esai_core.glm`: links, deviances and what their responses may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax, xlogy

from esai_core.errors import InputError, UsageError, nearest

__all__ = ["FAMILIES", "Family", "unit_deviance"]


def _gaussian_deviance(y: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return (y - mean) ** 2


def _poisson_deviance(y: np.ndarray, mean: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return 2.0 * (xlogy(y, y) - xlogy(y, mean) - y + mean)


def _binomial_deviance(y: np.ndarray, mean: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        fitted = xlogy(y, mean) + xlogy(1.0 - y, 1.0 - mean)
    return 2.0 * (xlogy(y, y) + xlogy(1.0 - y, 1.0 - y) - fitted)


def _multinomial_deviance(y: np.ndarray, mean: np.ndarray) -> np.ndarray:
    known = np.isfinite(y) & (y >= 0)
    label = np.where(known, y, 0).astype(np.int64)
    picked = np.take_along_axis(mean, label[..., None], axis=-1)[..., 0]
    with np.errstate(divide="ignore"):
        return np.where(known, -2.0 * np.log(picked), np.nan)


def _exp(link: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.exp(link)


def _identity(link: np.ndarray) -> np.ndarray:
    return link


def _softmax(link: np.ndarray) -> np.ndarray:
    return softmax(link, axis=-1)


@dataclass(frozen=True)
class Family:
    """One family: its compiled code, inverse link, deviance, and the range of its responses.

    Attributes
    ----------
    code : int
        Number the kernels know it by; -1 for the multinomial, which has a kernel of its own.
    mean : callable
        Inverse link: linear predictor to mean (classes last for the multinomial).
    deviance : callable
        Unit deviance of (y, mean), both without weights.
    low, high : float
        Bounds of a response.
    """

    code: int
    mean: Callable[[np.ndarray], np.ndarray]
    deviance: Callable[[np.ndarray, np.ndarray], np.ndarray]
    low: float
    high: float


FAMILIES: dict[str, Family] = {
    "gaussian": Family(0, _identity, _gaussian_deviance, -np.inf, np.inf),
    "poisson": Family(1, _exp, _poisson_deviance, 0.0, np.inf),
    "binomial": Family(2, expit, _binomial_deviance, 0.0, 1.0),
    "multinomial": Family(-1, _softmax, _multinomial_deviance, -np.inf, np.inf),
}


def get_family(name: str) -> Family:
    """Family by name; `UsageError` with the nearest name otherwise."""
    if name not in FAMILIES:
        raise UsageError(f"unknown family {name!r}", where="family", remedy=nearest(name, list(FAMILIES)))
    return FAMILIES[name]


def check_response(name: str, y: np.ndarray) -> None:
    """Refuse responses outside the family's range; NaN is missing and allowed."""
    family = get_family(name)
    bad = (y < family.low) | (y > family.high) | np.isinf(y)
    if bad.any():
        cell, row = np.argwhere(bad)[0]
        value = y[cell, row]
        raise InputError(
            f"a {name} response cannot be {value:g}",
            where=f"y[{cell}, {row}]",
            remedy=f"give values in [{family.low:g}, {family.high:g}], NaN where missing",
        )


def unit_deviance(family: str, y: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Deviance of each response under its fitted mean, without weights.

    Parameters
    ----------
    family : str
        Key of `FAMILIES`.
    y : numpy.ndarray
        Responses; for the multinomial class numbers (NaN or negative: missing).
    mean : numpy.ndarray
        Fitted means, of the shape of `y`; for the multinomial probabilities with the classes last.

    Returns
    -------
    numpy.ndarray
        (y - m)^2; 2 (y log(y / m) - y + m); 2 (y log(y / m) + (1 - y) log((1 - y) / (1 - m))); or -2 log p_y.
    """
    return get_family(family).deviance(np.asarray(y, dtype=np.float64), np.asarray(mean, dtype=np.float64))
