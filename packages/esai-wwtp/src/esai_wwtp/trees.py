"""Boosted trees on the few features of a plant: shallow, slow to learn, the same on any number of cores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["apply", "boost", "load"]

SHALLOW = {"max_depth": 3, "min_child_weight": 5, "subsample": 0.8, "nthread": 1}


def boost(
    x: NDArray[np.float64], y: NDArray[Any], *, rounds: int, eta: float, seed: int, **objective: Any
) -> Any:
    """Fit trees.

    Parameters
    ----------
    x : array (plant, feature)
    y : array (plant,)
        Value, or number of the class.
    rounds : int
    eta : float
        Learning rate.
    seed : int
    **objective
        Settings of XGBoost that say what is learnt.

    Returns
    -------
    xgboost.Booster
    """
    import xgboost

    settings = {**SHALLOW, "eta": eta, "seed": seed, **objective}
    return xgboost.train(settings, xgboost.DMatrix(x, label=y), num_boost_round=rounds)


def apply(booster: Any, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Predict for plants, ``(plant, feature)``."""
    import xgboost

    return np.asarray(booster.predict(xgboost.DMatrix(x)), dtype=np.float64)


def load(path: Any) -> Any:
    """Read what ``Booster.save_model`` wrote."""
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(path)
    return booster
