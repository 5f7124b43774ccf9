r"""Capacity of plants from what the outline shows: boosted quantiles with conformal intervals.

Gradient-boosted trees give the quantiles 0.05, 0.5 and 0.95 of the logarithm of the load. Their interval is
made honest by conformalised quantile regression (Romano, Patterson & Candès, 2019, NeurIPS, eq. 6-8) on
plants of other blocks of space than the trees have seen:

.. math:: E_i = \max\{q_{lo}(x_i) - y_i,\; y_i - q_{hi}(x_i)\},\qquad
    C(x) = [q_{lo}(x) - Q_{1-\alpha}(E),\; q_{hi}(x) + Q_{1-\alpha}(E)]

with the quantile :math:`Q` at :math:`\lceil (n + 1)(1 - \alpha) \rceil / n`. The scores :math:`E` come from
folds: each plant is scored by trees that have not seen its block.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import InputError
from esai_core.splits import spatial_blocks
from esai_core.splits.space import block_labels

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FEATURES", "MINIMUM", "CapacityModel"]

FEATURES = ("area_m2", "perimeter_m", "elongation", "water_fraction")
QUANTILES = (0.05, 0.5, 0.95)
ALPHA = 0.1
MINIMUM = 30
"""Plants with a known load that a model needs: fewer give no interval."""
FOLDS = 5


@dataclass(frozen=True)
class CapacityModel:
    """Quantiles of the load, with what conformal calibration adds.

    Attributes
    ----------
    boosters : dict
        Quantile to XGBoost booster (of all training plants).
    margin : float
        What is added to both sides of the interval, in units of the logarithm.
    scores : dict
        Of the folds: ``rmse_log10``, ``rmse_log10_area`` (a straight line in the logarithm of the area),
        ``coverage`` of the interval, ``plants``.
    """

    boosters: dict[float, Any]
    margin: float
    scores: dict[str, float]

    @classmethod
    def fit(
        cls,
        plants: pd.DataFrame,
        *,
        latitude: NDArray[np.float64],
        longitude: NDArray[np.float64],
        block_km: float,
        seed: int = 0,
    ) -> CapacityModel:
        """Fit on plants whose load is known.

        Parameters
        ----------
        plants : DataFrame
            `FEATURES` and ``load`` (population equivalents, above 0).
        latitude, longitude : array
            Of the plants, degrees: folds are blocks of space.
        block_km : float
            Size of the blocks.
        seed : int

        Raises
        ------
        InputError
            If fewer than `MINIMUM` plants have a load, or they lie in one block.
        """
        known = (plants["load"] > 0).to_numpy()
        if known.sum() < MINIMUM:
            raise InputError(
                f"{known.sum()} plants with a known load",
                where="capacity",
                remedy=f"give at least {MINIMUM}, or leave the table [capacity] out",
            )
        x, y = design(plants[known]), np.log(plants.loc[known, "load"].to_numpy(float))
        lat, lon = latitude[known], longitude[known]
        blocks = len(np.unique(block_labels(lat, lon, size_km=block_km)))
        if blocks < 2:
            raise InputError(
                "all plants with a load lie in one block", where="capacity", remedy="lower split.block_km"
            )
        quantiles, line = np.empty((len(y), 3)), np.empty(len(y))
        for fold in spatial_blocks(lat, lon, size_km=block_km, k=min(FOLDS, blocks), seed=seed):
            fitted = _boost(x[fold.train], y[fold.train], seed)
            quantiles[fold.test] = _apply(fitted, x[fold.test])
            slope = np.polyfit(x[fold.train, 0], y[fold.train], 1)
            line[fold.test] = np.polyval(slope, x[fold.test, 0])
        errors = np.maximum(quantiles[:, 0] - y, y - quantiles[:, 2])
        margin = conformal_margin(errors, ALPHA)
        scores = {
            "rmse_log10": float(np.sqrt(np.mean((quantiles[:, 1] - y) ** 2)) / math.log(10)),
            "rmse_log10_area": float(np.sqrt(np.mean((line - y) ** 2)) / math.log(10)),
            "coverage": float((errors <= margin).mean()),
            "plants": int(known.sum()),
        }
        return cls(_boost(x, y, seed), margin, scores)

    def predict(self, plants: pd.DataFrame) -> pd.DataFrame:
        """Add ``load``, ``load_low`` and ``load_high`` (90 % interval), in population equivalents."""
        if not len(plants):
            return plants.assign(load=[], load_low=[], load_high=[])
        low, middle, high = _apply(self.boosters, design(plants)).T
        low, high = low - self.margin, high + self.margin
        middle = np.clip(middle, np.minimum(low, high), np.maximum(low, high))
        low, high = np.minimum(low, middle), np.maximum(high, middle)
        return plants.assign(load=np.exp(middle), load_low=np.exp(low), load_high=np.exp(high))

    def save(self, folder: Path) -> None:
        """Write the boosters and ``capacity.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        for quantile, booster in self.boosters.items():
            booster.save_model(folder / f"capacity_{quantile:g}.json")
        (folder / "capacity.json").write_text(
            json.dumps({"margin": self.margin, "scores": self.scores}, indent=1) + "\n"
        )

    @classmethod
    def load(cls, folder: Path) -> CapacityModel:
        """Read what `save` wrote."""
        import xgboost

        told = json.loads((folder / "capacity.json").read_text())
        boosters = {}
        for quantile in QUANTILES:
            boosters[quantile] = xgboost.Booster()
            boosters[quantile].load_model(folder / f"capacity_{quantile:g}.json")
        return cls(boosters, told["margin"], told["scores"])


def design(plants: pd.DataFrame) -> NDArray[np.float64]:
    """Give the features of plants, ``(plant, feature)``; sizes as logarithms."""
    missing = [name for name in FEATURES if name not in plants]
    if missing:
        raise InputError(f"no column {', '.join(missing)}", where="plants")
    values = plants[list(FEATURES)].to_numpy(float).copy()
    values[:, :2] = np.log(np.maximum(values[:, :2], 1.0))
    return values


def conformal_margin(errors: NDArray[np.float64], alpha: float) -> float:
    """Give the quantile of the scores that covers a new plant with probability 1 - alpha."""
    rank = math.ceil((len(errors) + 1) * (1 - alpha))
    return float(np.sort(errors)[min(rank, len(errors)) - 1])


def _boost(x: NDArray[np.float64], y: NDArray[np.float64], seed: int) -> dict[float, Any]:
    import xgboost

    data = xgboost.DMatrix(x, label=y)
    found = {}
    for quantile in QUANTILES:
        settings = {
            "objective": "reg:quantileerror",
            "quantile_alpha": quantile,
            "max_depth": 3,
            "eta": 0.05,
            "min_child_weight": 5,
            "subsample": 0.8,
            "seed": seed,
            "nthread": 1,
        }
        found[quantile] = xgboost.train(settings, data, num_boost_round=120)
    return found


def _apply(boosters: dict[float, Any], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the quantiles ``(plant, 3)``, sorted: trees of their own may cross."""
    import xgboost

    data = xgboost.DMatrix(x)
    return np.sort(np.stack([boosters[q].predict(data) for q in QUANTILES], axis=1).astype(float), axis=1)
