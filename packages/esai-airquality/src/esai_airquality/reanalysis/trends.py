"""What of the residual follows from predictors: a ridge regression, or a forest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_airquality.reanalysis.sample import Sample

__all__ = ["PENALTIES", "Columns", "Trend", "fit_columns", "fit_trend"]

Array = NDArray[np.float64]
PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


@dataclass(frozen=True)
class Columns:
    """How predictors become the columns of a regression, as learnt from the training cases.

    Attributes
    ----------
    scale : array (predictor,)
        Median of the positive values, for logarithms.
    middle : array (predictor,)
        Median, for missing values.
    level : float
        Median of what is modelled.
    """

    scale: Array
    middle: Array
    level: float

    def make(self, sample: Sample) -> Array:
        """Give the columns (case, column): predictors, what is modelled and its logarithm, the season."""
        log = np.array([name.startswith("log:") for name in sample.names], bool)
        values = np.where(log, np.log1p(np.maximum(sample.predictors, 0) / self.scale), sample.predictors)
        columns = [np.where(np.isfinite(values), values, self.middle)[sample.place]]
        if sample.has_model:
            modelled = np.maximum(sample.modelled, 0)
            columns.append(np.stack([sample.modelled, np.log1p(modelled / self.level)], axis=1))
        if len(sample.periods) > 1:
            turn = 2 * np.pi * sample.months[sample.period] / 12
            columns.append(np.stack([np.sin(turn), np.cos(turn)], axis=1))
        return np.concatenate(columns, axis=1)


def fit_columns(sample: Sample) -> Columns:
    """Learn scales and medians from training cases."""
    places = np.unique(sample.place)
    known = sample.predictors[places]
    log = np.array([name.startswith("log:") for name in sample.names], bool)
    scale, middle = np.ones(known.shape[1]), np.zeros(known.shape[1])
    for number in range(known.shape[1]):
        values = known[np.isfinite(known[:, number]), number]
        if log[number] and (values > 0).any():
            scale[number] = np.median(values[values > 0])
        if len(values):
            middle[number] = np.median(values)
        if log[number]:
            middle[number] = np.log1p(max(middle[number], 0) / scale[number])
    positive = sample.modelled[sample.modelled > 0]
    return Columns(scale, middle, float(np.median(positive)) if len(positive) else 1.0)


@dataclass(frozen=True)
class Trend:
    """A fitted trend.

    Attributes
    ----------
    kind : {"ridge", "forest"}
        What it is.
    columns : Columns
        Of the predictors.
    fitted : array (case,)
        At the training cases; of a forest from the trees that did not see the case's place.
    centre, slope : array (column,)
        Of the ridge, in the units of the columns.
    base : float
        Of the ridge at the centre.
    saved : bytes
        The forest, as XGBoost saves it.
    """

    kind: str
    columns: Columns
    fitted: Array
    centre: Array
    slope: Array
    base: float
    saved: bytes = b""

    def predict(self, sample: Sample) -> Array:
        """Give the trend of the residual, (case,)."""
        x = self.columns.make(sample)
        if self.kind == "ridge":
            return self.base + (x - self.centre) @ self.slope
        return self.booster().inplace_predict(x.astype(np.float32)).astype(np.float64)

    def booster(self) -> Any:
        """Give the forest."""
        return _load(self.saved)


def fit_trend(sample: Sample, kind: str, *, trees: int, seed: int) -> Trend:
    """Fit a trend to the residuals of training cases.

    Parameters
    ----------
    sample : Sample
        Training cases.
    kind : {"ridge", "forest"}
        Ridge regression on standardised columns, its penalty chosen on five parts of the stations (Hoerl and
        Kennard 1970, doi:10.1080/00401706.1970.10488634), or a random forest (Breiman 2001,
        doi:10.1023/A:1010933404324).
    trees, seed : int
        Of the forest.

    Returns
    -------
    Trend
    """
    columns = fit_columns(sample)
    x, y = columns.make(sample), sample.residual
    part = np.unique(sample.place, return_inverse=True)[1] % 5
    if kind == "forest":
        return _fit_forest(columns, x, y, part, trees, seed)
    best, penalty = np.inf, PENALTIES[-1]
    for candidate in PENALTIES:
        squares = 0.0
        for number in np.unique(part):
            out = part == number
            if out.all():
                continue
            centre, slope, base = _ridge(x[~out], y[~out], candidate)
            squares += float(((base + (x[out] - centre) @ slope - y[out]) ** 2).sum())
        if squares < best:
            best, penalty = squares, candidate
    centre, slope, base = _ridge(x, y, penalty)
    return Trend("ridge", columns, base + (x - centre) @ slope, centre, slope, base)


def _ridge(x: Array, y: Array, penalty: float) -> tuple[Array, Array, float]:
    """Minimise the mean squared error plus `penalty` times the squared slopes of standardised columns."""
    centre, spread = x.mean(axis=0), x.std(axis=0)
    varies = spread > 1e-12 * (1 + np.abs(centre))
    z = np.where(varies, (x - centre) / np.where(varies, spread, 1.0), 0.0)
    base = float(y.mean())
    slope = np.linalg.solve(z.T @ z / len(y) + penalty * np.eye(z.shape[1]), z.T @ (y - base) / len(y))
    return centre, np.where(varies, slope / np.where(varies, spread, 1.0), 0.0), base


def _fit_forest(columns: Columns, x: Array, y: Array, part: NDArray, trees: int, seed: int) -> Trend:
    """Fit a forest; its fitted values at each fifth of the stations are those of a forest without them."""
    fitted = np.empty(len(y))
    for number in np.unique(part):
        out = part == number
        if out.all():
            fitted[out] = y.mean()
            continue
        fitted[out] = _forest(x[~out], y[~out], trees, seed).inplace_predict(x[out].astype(np.float32))
    saved = bytes(_forest(x, y, trees, seed).save_raw("ubj"))
    none = np.zeros(0)
    return Trend("forest", columns, fitted, none, none, 0.0, saved)


def _forest(x: Array, y: Array, trees: int, seed: int) -> Any:
    import xgboost

    params = {
        "objective": "reg:squarederror",
        "tree_method": "hist",
        "num_parallel_tree": trees,
        "subsample": 0.63,
        "colsample_bynode": 0.4,
        "max_depth": 10,
        "min_child_weight": 3.0,
        "eta": 1.0,
        "lambda": 0.0,
        "base_score": float(y.mean()),
        "nthread": 1,
        "seed": seed,
        "verbosity": 0,
    }
    data = xgboost.QuantileDMatrix(x.astype(np.float32), label=y.astype(np.float32), nthread=1)
    return xgboost.train(params, data, num_boost_round=1)


def _load(saved: bytes) -> Any:
    import xgboost

    model = xgboost.Booster()
    model.load_model(bytearray(saved))
    model.set_param({"nthread": 1})
    return model
