"""Boosted trees on growing windows: the mean, a weighted mean, and the chance of an event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_airquality.mos.config import MosSection

__all__ = ["Trees", "fit_trees", "load_trees"]

OBJECTIVES = {
    "mean": "reg:squarederror",
    "weighted": "reg:squarederror",
    "event": "binary:logistic",
    "lower": "reg:quantileerror",
    "upper": "reg:quantileerror",
}


@dataclass(frozen=True)
class Trees:
    """Fitted trees, as the bytes that XGBoost saves; one entry for all stations or one for each.

    Attributes
    ----------
    kind : {"mean", "weighted", "event", "lower", "upper"}
        What they give.
    saved : tuple of bytes
        Empty bytes for a station that had no training sample.
    threads : int
        Threads to predict with.
    """

    kind: str
    saved: tuple[bytes, ...]
    threads: int

    def predict(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict samples (day, hour, station, feature); the forecast column is the fourth.

        Returns
        -------
        float32 array (day, hour, station)
            Concentrations, at least 0, or chances of an event; NaN where the forecast is missing.
        """
        out = np.full(rows.shape[:-1], np.nan, np.float32)
        whole = len(self.saved) == 1
        for number, saved in enumerate(self.saved):
            where = (slice(None), slice(None), slice(None) if whole else slice(number, number + 1))
            part = rows[where]
            there = np.isfinite(part[..., 3])
            if not saved or not there.any():
                continue
            values = load_trees(saved, self.threads).inplace_predict(part[there])
            target = out[where]
            target[there] = values if self.kind == "event" else np.maximum(values, 0)
        return out


def load_trees(saved: bytes, threads: int) -> Any:
    """Read trees that were saved; one ensemble of a `Trees`."""
    import xgboost

    model = xgboost.Booster()
    model.load_model(bytearray(saved))
    model.set_param({"nthread": threads})
    return model


def fit_trees(
    rows: NDArray[np.float32], target: NDArray[np.float64], *, kind: str, config: MosSection, seed: int
) -> Trees:
    """Fit trees to past samples.

    Parameters
    ----------
    rows : float32 array (day, hour, station, feature)
        Predictors.
    target : array (day, hour, station)
        Observations; samples without one, or without a forecast, are left out.
    kind : {"mean", "weighted", "event", "lower", "upper"}
        Squared error; squared error weighted by the distance of the observation from its mean (which raises
        the say of peaks: Petetin et al. 2022, doi:10.5194/acp-22-11603-2022); logistic loss of ``o > event``;
        pinball loss of the two quantiles that bound ``interval`` of the observations.
    config : MosSection
        Settings of the trees.
    seed : int
        Of the sampling of rows and columns.

    Returns
    -------
    Trees
    """
    usable = np.isfinite(target) & np.isfinite(rows[..., 3])
    if config.scope == "global":
        return Trees(kind, (_fit(rows[usable], target[usable], kind, config, seed),), config.threads)
    saved = []
    for s in range(target.shape[2]):
        here = usable[:, :, s]
        saved.append(_fit(rows[:, :, s][here], target[:, :, s][here], kind, config, seed))
    return Trees(kind, tuple(saved), config.threads)


def _fit(x: NDArray[np.float32], y: NDArray[np.float64], kind: str, config: MosSection, seed: int) -> bytes:
    if len(y) < 100:
        return b""
    import xgboost

    weight = None
    if kind == "weighted":
        weight = np.abs(y - y.mean())
        weight = weight / weight.mean() + 0.1
    label = (y > config.event).astype(np.float32) if kind == "event" else y.astype(np.float32)
    data = xgboost.QuantileDMatrix(x, label=label, weight=weight, max_bin=64, nthread=config.threads)
    params: dict[str, Any] = {
        "objective": OBJECTIVES[kind],
        "tree_method": "hist",
        "max_depth": config.depth,
        "eta": config.learning_rate,
        "subsample": 0.6,
        "colsample_bytree": 0.5,
        "min_child_weight": 5.0 if kind == "event" else 50.0,
        "lambda": 5.0,
        "max_bin": 64,
        "nthread": config.threads,
        "seed": seed,
        "verbosity": 0,
    }
    if kind in ("lower", "upper"):
        params["quantile_alpha"] = 0.5 + (0.5 if kind == "upper" else -0.5) * config.interval
    half = kind not in ("mean", "weighted")
    rounds = max(config.rounds // 2, 10) if half else config.rounds
    model = xgboost.train(params, data, num_boost_round=rounds)
    return bytes(model.save_raw("ubj"))
