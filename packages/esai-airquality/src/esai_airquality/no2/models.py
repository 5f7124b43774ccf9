"""The methods: climatology, a linear model, a random forest and boosted trees behind one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_airquality.no2.config import No2Section
from esai_core.explain import shap_values

__all__ = ["FITS", "Model", "fit"]

Rows = NDArray[np.float32]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """A fitted method.

    Attributes
    ----------
    method : str
        ``"climatology"``, ``"linear"``, ``"rf"`` or ``"xgboost"``.
    state : mapping of str to array
        All that it needs to predict, as arrays that `numpy.savez` takes.
    threads : int
        Threads to predict with.
    """

    method: str
    state: Mapping[str, NDArray]
    threads: int = 1

    def predict(self, rows: Rows, month: NDArray[np.int64]) -> Array:
        """Predict rows.

        Parameters
        ----------
        rows : float32 array (row, predictor)
            NaN where a predictor is missing.
        month : int array (row,)
            Month of the year, 0 to 11; 0 in a table of means.

        Returns
        -------
        array (row,)
            Concentrations, 0 or more.
        """
        return np.maximum(_PREDICTS[self.method](self, rows, month), 0.0)

    def contributions(self, rows: Rows) -> Array:
        """Split predictions among the predictors (Shapley values), (row, predictor); not of a climatology."""
        if self.method != "linear":
            return shap_values(_load(self), rows)
        values = shap_values(SimpleNamespace(coef_=self.state["slopes"]), _standardised(self.state, rows))
        together = values[:, : rows.shape[1]].copy()
        for number, flag in enumerate(self.state["flags"]):
            together[:, flag] += values[:, rows.shape[1] + number]
        return together

    def importance(self, count: int) -> Array:
        """Give the importance of the predictors, summing to 1: gain of trees, size of standardised slopes."""
        if self.method == "climatology":
            return np.full(count, 1.0 / count)
        if self.method == "linear":
            size = np.abs(self.state["slopes"])
            together = size[:count] + np.bincount(self.state["flags"], size[count:], minlength=count)
        else:
            together = np.zeros(count)
            for name, gain in _load(self).get_score(importance_type="total_gain").items():
                together[int(name[1:])] = gain
        total = together.sum()
        return together / total if total > 0 else np.full(count, 1.0 / count)


def fit(
    method: str, rows: Rows, target: Array, month: NDArray[np.int64], *, config: No2Section, seed: int
) -> Model:
    """Fit a method.

    Parameters
    ----------
    method : str
        One of `FITS`.
    rows : float32 array (row, predictor)
        NaN where a predictor is missing: trees learn where to send it, the linear model takes the mean of the
        training rows and a flag.
    target : array (row,)
        Observations, none missing.
    month : int array (row,)
        Month of the year, 0 to 11.
    config : No2Section
        Settings.
    seed : int
        Of the draws of rows and predictors.

    Returns
    -------
    Model
    """
    return Model(method, FITS[method](rows, target, month, config, seed), config.threads)


def _fit_climatology(
    rows: Rows, target: Array, month: NDArray[np.int64], config: No2Section, seed: int
) -> dict[str, NDArray]:
    """Mean of each month; of all rows where a month has none."""
    count = np.bincount(month, minlength=12)
    total = np.bincount(month, target, minlength=12)
    return {"means": np.where(count > 0, total / np.maximum(count, 1), target.mean())}


def _predict_climatology(model: Model, rows: Rows, month: NDArray[np.int64]) -> Array:
    return np.asarray(model.state["means"][month], np.float64)


def _fit_linear(
    rows: Rows, target: Array, month: NDArray[np.int64], config: No2Section, seed: int
) -> dict[str, NDArray]:
    """Ridge regression on standardised predictors, with a flag for each that is missing in some rows."""
    x = rows.astype(np.float64)
    there = np.isfinite(x)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, x, 0.0).sum(axis=0) / count
    scale = np.sqrt(np.where(there, (x - mean) ** 2, 0.0).sum(axis=0) / count)
    state: dict[str, NDArray] = {
        "mean": mean,
        "scale": np.where(scale > 0, scale, 1.0),
        "flags": np.flatnonzero(~there.all(axis=0)),
        "offset": np.array(target.mean()),
    }
    design = _standardised(state, rows)
    centre = design.mean(axis=0)
    design = design - centre
    gram = design.T @ design + 1e-3 * len(target) * np.eye(design.shape[1])
    state["slopes"] = np.linalg.solve(gram, design.T @ (target - target.mean()))
    state["offset"] = np.array(target.mean() - centre @ state["slopes"])
    return state


def _standardised(state: Mapping[str, NDArray], rows: Rows) -> Array:
    x = (rows.astype(np.float64) - state["mean"]) / state["scale"]
    missing = ~np.isfinite(x)
    return np.concatenate([np.where(missing, 0.0, x), missing[:, state["flags"]].astype(np.float64)], axis=1)


def _predict_linear(model: Model, rows: Rows, month: NDArray[np.int64]) -> Array:
    return np.asarray(
        model.state["offset"] + _standardised(model.state, rows) @ model.state["slopes"], np.float64
    )


def _fit_boosted(
    rows: Rows, target: Array, month: NDArray[np.int64], config: No2Section, seed: int
) -> dict[str, NDArray]:
    """Gradient boosting of squared errors (Chen and Guestrin 2016, doi:10.1145/2939672.2939785)."""
    params = {
        "eta": config.learning_rate,
        "max_depth": config.depth,
        "min_child_weight": config.min_weight,
        "subsample": 0.6,
        "colsample_bytree": 0.6,
        "max_bin": 128,
    }
    return _train(rows, target, params, config.rounds, config, seed)


def _fit_forest(
    rows: Rows, target: Array, month: NDArray[np.int64], config: No2Section, seed: int
) -> dict[str, NDArray]:
    """Random forest (Breiman 2001, doi:10.1023/A:1010933404324), grown by XGBoost on histograms.

    Trees take 63 % of the rows, drawn without replacement, and a third of the predictors at each split.
    """
    params = {
        "eta": 1.0,
        "num_parallel_tree": config.trees,
        "max_depth": 12,
        "min_child_weight": 5,
        "subsample": 0.632,
        "colsample_bynode": max(1 / 3, 1 / rows.shape[1]),
        "lambda": 0.0,
        "max_bin": 64,
    }
    return _train(rows, target, params, 1, config, seed)


def _train(
    rows: Rows, target: Array, params: dict[str, Any], rounds: int, config: No2Section, seed: int
) -> dict[str, NDArray]:
    import xgboost

    data = xgboost.QuantileDMatrix(rows, label=target, max_bin=params["max_bin"], nthread=config.threads)
    common = {
        "objective": "reg:squarederror", "tree_method": "hist", "nthread": config.threads, "seed": seed,
        "base_score": float(target.mean()), "verbosity": 0,
    }  # fmt: skip
    model = xgboost.train(common | params, data, num_boost_round=rounds)
    return {"trees": np.frombuffer(bytes(model.save_raw("ubj")), np.uint8)}


def _load(model: Model) -> Any:
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(bytearray(model.state["trees"].tobytes()))
    booster.set_param({"nthread": model.threads})
    return booster


def _predict_trees(model: Model, rows: Rows, month: NDArray[np.int64]) -> Array:
    return np.asarray(_load(model).inplace_predict(np.ascontiguousarray(rows)), np.float64)


FITS: dict[str, Callable[..., dict[str, NDArray]]] = {
    "climatology": _fit_climatology,
    "linear": _fit_linear,
    "rf": _fit_forest,
    "xgboost": _fit_boosted,
}
"""Method to the function that fits it."""

_PREDICTS: dict[str, Callable[[Model, Rows, NDArray[np.int64]], Array]] = {
    "climatology": _predict_climatology,
    "linear": _predict_linear,
    "rf": _predict_trees,
    "xgboost": _predict_trees,
}
