"""Ordinary and simple kriging with an exponential covariance and a nugget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

__all__ = ["Covariance", "fit_covariance", "great_circle", "krige"]

Array = NDArray[np.float64]
EARTH_KM = 6371.0088
RANGES_KM = (25.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1600.0)
NUGGETS = (0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.98)


@dataclass(frozen=True)
class Covariance:
    r"""Covariance at a distance d: :math:`C(d) = s\, e^{-d/L}`, and :math:`s + n` at the same place.

    Attributes
    ----------
    sill : float
        s, variance of what varies in space.
    nugget : float
        n, variance of what does not: errors of measurement and representativity.
    length : float
        L in km; at 3 L next to nothing is left (the "range" of a variogram).
    """

    sill: float
    nugget: float
    length: float

    def between(self, distance: Array) -> Array:
        """Give the covariance of different places."""
        return self.sill * np.exp(-distance / self.length)


def great_circle(latitude: Array, longitude: Array, other_latitude: Array, other_longitude: Array) -> Array:
    """Give distances in km.

    Parameters
    ----------
    latitude, longitude : array (n,)
        Degrees.
    other_latitude, other_longitude : array (m,)
        Degrees.

    Returns
    -------
    array (n, m)
    """
    lat, lon, lat2, lon2 = (
        np.radians(np.asarray(a, np.float64)) for a in (latitude, longitude, other_latitude, other_longitude)
    )
    half = np.sin((lat[:, None] - lat2) / 2) ** 2
    half = half + np.cos(lat)[:, None] * np.cos(lat2) * np.sin((lon[:, None] - lon2) / 2) ** 2
    return 2 * EARTH_KM * np.arcsin(np.sqrt(np.clip(half, 0, 1)))


def fit_covariance(samples: Sequence[tuple[Array, Array]]) -> Covariance:
    r"""Find the covariance of the highest likelihood over samples of one field, the variance profiled out.

    Parameters
    ----------
    samples : sequence of (array (n, n), array (n,))
        Distances (km) and values about a mean of 0; one pair for each period.

    Returns
    -------
    Covariance
        The best of `RANGES_KM` and `NUGGETS`.
    """
    cases = sum(len(values) for _, values in samples)
    best, found = np.inf, Covariance(0.0, 1e-12, RANGES_KM[0])
    if cases < 3:
        return found
    shares = np.array(NUGGETS)
    for length in RANGES_KM:
        squares, determinant = np.zeros(len(shares)), np.zeros(len(shares))
        for distance, values in samples:
            own, vectors = np.linalg.eigh(np.exp(-distance / length))
            spectrum = (1 - shares)[:, None] * np.maximum(own, 0.0) + shares[:, None]
            squares += ((vectors.T @ values) ** 2 / spectrum).sum(axis=1)
            determinant += np.log(spectrum).sum(axis=1)
        cost = cases * np.log(np.maximum(squares / cases, 1e-300)) + determinant
        place = int(np.argmin(cost))
        if cost[place] < best:
            variance = max(float(squares[place]) / cases, 1e-12)
            best = float(cost[place])
            found = Covariance(variance * (1 - NUGGETS[place]), variance * NUGGETS[place], length)
    return found


def krige(
    covariance: Covariance, among: Array, to: Array, values: Array, *, ordinary: bool
) -> tuple[Array, Array]:
    r"""Krige values at stations to other places (Cressie 1993, sections 3.2 and 3.4.5).

    Parameters
    ----------
    covariance : Covariance
        Of the values.
    among : array (n, n)
        Distances among the stations, km.
    to : array (m, n)
        Distances from the places to the stations.
    values : array (n,)
        At the stations.
    ordinary : bool
        With an unknown mean (ordinary kriging), or one of 0 (simple kriging).

    Returns
    -------
    two arrays (m,)
        Estimate, and variance of a new observation there: :math:`s + n - c^T K^{-1} c`, with the ordinary
        one's :math:`(1 - 1^T K^{-1} c)^2 / 1^T K^{-1} 1` added. At the place of a station the field is
        estimated, not the observation repeated.
    """
    matrix = covariance.between(among) + covariance.nugget * np.eye(len(values))
    factor = cho_factor(matrix, lower=True)
    cross = covariance.between(to)
    weights = cho_solve(factor, cross.T)  # (n, m)
    variance = covariance.sill + covariance.nugget - (cross.T * weights).sum(axis=0)
    if not ordinary:
        return weights.T @ values, variance
    ones = cho_solve(factor, np.ones(len(values)))
    mean = float(ones @ values) / float(ones.sum())
    short = 1.0 - weights.sum(axis=0)
    return mean * short + weights.T @ values, variance + short**2 / float(ones.sum())
