"""Reliability and ROC curves from counts, with intervals from drawing whole blocks (seasons, years)."""

from __future__ import annotations

import numpy as np
import xarray as xr

__all__ = ["auc", "brier_parts", "drawn_blocks", "reliability_curve", "roc_curve"]


def drawn_blocks(number: int, *, samples: int = 1000, seed: int = 0) -> np.ndarray:
    """Return how often each block is drawn, (1 + samples, number); in the first row each is there once."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(number, np.full(number, 1.0 / number), size=samples)
    return np.vstack([np.ones(number), drawn])


def _bounds(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the interval of samples along axis 0; NaN where fewer than nine in ten are known."""
    known = ~np.isnan(values)
    enough = known.mean(axis=0) >= 0.9
    filled = np.where(enough, values, 0.0)
    tails = [(1 - level) / 2, (1 + level) / 2]
    lower, upper = np.nanquantile(filled, tails, axis=0)
    return np.where(enough, lower, np.nan), np.where(enough, upper, np.nan)


def reliability_curve(
    counts: xr.Dataset, draws: np.ndarray, *, bins: int = 10, level: float = 0.9
) -> xr.Dataset:
    """Return the reliability curve of one category.

    Parameters
    ----------
    counts : Dataset
        ``known``, ``chance``, ``happened``, ``number`` (block, bin).
    draws : (1 + samples, blocks)
        Of `drawn_blocks`.
    bins : int
        Of the curve; the counts' bins are a multiple.
    level : float
        Of the interval.

    Returns
    -------
    Dataset
        ``forecast`` (mean probability), ``observed`` (frequency) with ``lower``, ``upper``, ``count`` (bin).
    """

    def coarse(name: str) -> np.ndarray:
        values = counts[name].values
        return values.reshape(values.shape[0], bins, -1).sum(axis=-1)

    known, chance, happened = (draws @ coarse(name) for name in ("known", "chance", "happened"))
    safe = np.where(known > 0, known, np.nan)
    observed = happened / safe
    lower, upper = _bounds(observed[1:], level)
    return xr.Dataset(
        {
            "forecast": ("bin", (chance / safe)[0]),
            "observed": ("bin", observed[0]),
            "lower": ("bin", lower),
            "upper": ("bin", upper),
            "count": ("bin", coarse("number").sum(axis=0)),
        }
    )


def auc(known: np.ndarray, happened: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve from weights by rising probability, (..., bins).

    The chance that a case with the event has a higher probability than one without, ties counted half
    (Mason and Graham 2002, Q. J. R. Meteorol. Soc. 128, 2145).
    """
    without = known - happened
    below = np.cumsum(without, axis=-1) - without
    pairs = happened.sum(axis=-1) * without.sum(axis=-1)
    won = (happened * (below + 0.5 * without)).sum(axis=-1)
    return np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1.0), np.nan)


def roc_curve(counts: xr.Dataset, draws: np.ndarray, *, level: float = 0.9) -> xr.Dataset:
    """Return the ROC curve of one category: rates of hits and false alarms of warning above each probability.

    Parameters
    ----------
    counts, draws, level
        As in `reliability_curve`.

    Returns
    -------
    Dataset
        ``hits`` with ``lower`` and ``upper`` at the rates of ``false_alarms`` (point), and the area ``auc``
        with ``auc_lower``, ``auc_upper``.
    """
    known, happened = (draws @ counts[name].values for name in ("known", "happened"))

    def rates(values: np.ndarray) -> np.ndarray:
        above = np.cumsum(values[:, ::-1], axis=-1)
        total = np.where(above[:, -1:] > 0, above[:, -1:], np.nan)
        return np.concatenate([np.zeros((len(values), 1)), above / total], axis=-1)

    hits, alarms = rates(happened), rates(known - happened)
    grid = np.linspace(0.0, 1.0, 51)
    curves = np.stack(
        [
            np.interp(grid, a, h) if np.isfinite(a).all() else grid * np.nan
            for a, h in zip(alarms, hits, strict=True)
        ]
    )
    lower, upper = _bounds(curves[1:], level)
    area = auc(known, happened)
    ends = _bounds(area[1:], level)
    return xr.Dataset(
        {
            "hits": ("point", curves[0]),
            "lower": ("point", lower),
            "upper": ("point", upper),
            "auc": area[0],
            "auc_lower": float(ends[0]),
            "auc_upper": float(ends[1]),
        },
        {"false_alarms": ("point", grid)},
    )


def brier_parts(counts: xr.Dataset, *, bins: int = 10) -> dict[str, float]:
    """Return reliability, resolution and uncertainty of the Brier score of one category.

    Murphy 1973 (J. Appl. Meteorol. 12, 595), eq. 12, with the mean probability of each bin.

    Parameters
    ----------
    counts : Dataset
        ``known``, ``chance``, ``happened`` (block, bin), as in `reliability_curve`.
    bins : int
        Of the decomposition; the counts' bins are a multiple.
    """
    known, chance, happened = (
        counts[name].values.sum(axis=0).reshape(bins, -1).sum(axis=-1)
        for name in ("known", "chance", "happened")
    )
    some = known > 0
    share = known[some] / known.sum()
    forecast, observed = chance[some] / known[some], happened[some] / known[some]
    base = float(happened.sum() / known.sum())
    return {
        "reliability": float(share @ (forecast - observed) ** 2),
        "resolution": float(share @ (observed - base) ** 2),
        "uncertainty": base * (1.0 - base),
    }
