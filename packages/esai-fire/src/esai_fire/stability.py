"""Stability selection: how often a predictor enters the path on half of the years."""

from __future__ import annotations

import numpy as np

from esai_core import glm
from esai_core.errors import UsageError

__all__ = ["half_samples", "selection_frequency"]


def half_samples(years: np.ndarray, train: np.ndarray, *, pairs: int, seed: int) -> np.ndarray:
    """Draw complementary halves of the training years (Shah and Samworth 2013, J. R. Stat. Soc. B 75).

    Parameters
    ----------
    years : (n,) array
        Year of each row.
    train : (n,) bool array
        Rows that may be drawn.
    pairs : int
        Pairs of halves.
    seed : int

    Returns
    -------
    numpy.ndarray
        (2 pairs, n) of 0 and 1.
    """
    names = np.unique(years[train])
    if names.size < 4:
        raise UsageError(f"{names.size} years cannot be halved", where="model.stability")
    random = np.random.default_rng(seed)
    made = []
    for _ in range(pairs):
        drawn = random.permutation(names)[: names.size // 2]
        half = np.isin(years, drawn)
        made += [train & half, train & ~half]
    return np.array(made, dtype=np.float64).reshape(2 * pairs, years.size)


def selection_frequency(
    x: np.ndarray, y: np.ndarray, design: np.ndarray, halves: np.ndarray, *,
    offset: np.ndarray | None = None, depth: float = 0.5, alpha: float = 1.0, threads: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Share of half samples in which a coefficient is not 0 anywhere down to `depth` times lambda max.

    Meinshausen and Bühlmann (2010, J. R. Stat. Soc. B 72).

    Parameters
    ----------
    x : (D, n, p) array
        Designs.
    y : (C, n) array
        Targets, NaN where unknown.
    design : (C,) array
        Design of each target.
    halves : (H, n) array
        From `half_samples`.
    offset : (C, n) array, optional
        Added to the linear predictor.
    depth : float
        End of the path, as a share of its beginning: less lets more columns in.
    alpha : float
        Share of the l1 penalty.
    threads : int, optional

    Returns
    -------
    numpy.ndarray
        (C, p) between 0 and 1.
    """
    known = np.isfinite(y)
    count = halves.shape[0]
    tiled = np.repeat(np.nan_to_num(y), count, axis=0)
    weights = (halves[None] * known[:, None]).reshape(-1, y.shape[1])
    path = glm.fit_path(
        x, tiled, groups=np.repeat(design, count), family="poisson", weights=weights,
        offset=None if offset is None else np.repeat(offset, count, axis=0),
        alpha=alpha, n_lambdas=6, lambda_ratio=depth, tolerance=1e-4, threads=threads,
    )  # fmt: skip
    entered = (np.nan_to_num(path.coef) != 0.0).any(axis=1)
    return np.asarray(entered.reshape(y.shape[0], count, -1).mean(axis=1))
