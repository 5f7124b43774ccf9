r"""Loads of plants by boosted quantiles with conformal intervals: from the outline, or from a table.

Gradient-boosted trees give the quantiles 0.05, 0.5 and 0.95 of the logarithm of the load. Their interval is
made honest by conformalised quantile regression (Romano, Patterson & Candès, 2019, NeurIPS, eq. 6-8) on
plants of other blocks of space than the trees have seen:

.. math:: E_i = \max\{q_{lo}(x_i) - y_i,\; y_i - q_{hi}(x_i)\},\qquad
    C(x) = [q_{lo}(x) - Q_{1-\alpha}(E),\; q_{hi}(x) + Q_{1-\alpha}(E)]

with the quantile :math:`Q` of `esai_core.uncertainty.conformal_quantile`. The scores :math:`E` come from
folds: each plant is scored by trees that have not seen its block. What the report tells of the intervals
takes the margin of a fold from the scores of the other folds.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import InputError
from esai_core.explain import Attribution, permutation_importance, randomisation_check
from esai_core.splits import spatial_blocks
from esai_core.splits.space import block_labels
from esai_core.uncertainty import conformal_quantile, interval_scores
from esai_wwtp import trees

if TYPE_CHECKING:
    import pandas as pd

    from esai_core.splits import Fold

__all__ = ["FEATURES", "MINIMUM", "CapacityModel", "block_folds", "design"]

FEATURES = ("area_m2", "perimeter_m", "elongation", "water_fraction")
"""What an outline shows; the first is that of the straight line to compare with."""
LOGARITHMIC = {"area_m2", "perimeter_m", "capacity"}
QUANTILES = (0.05, 0.5, 0.95)
COVERAGE = 0.9
MINIMUM = 30
"""Plants with a known load that a model needs: fewer give no interval."""
FOLDS = 5
RANDOM_MODELS = 3
WRITTEN = ("features", "margin", "scores", "intervals", "drivers")


@dataclass(frozen=True)
class CapacityModel:
    """Quantiles of the load, with what conformal calibration adds.

    Attributes
    ----------
    features : tuple of str
        Columns that the load follows from.
    boosters : dict
        Quantile to XGBoost booster (of all training plants).
    margin : float
        What is added to both sides of the interval, in units of the logarithm.
    scores : dict
        Of the folds: ``rmse_log10``, ``rmse_log10_line`` (a straight line in the first feature), ``plants``.
    intervals : dict
        Of the folds, each with the margin of the others: what `interval_scores` gives, in log10 of the load.
    drivers : dict
        Importance of the features (`Attribution.to_dict`) and the verdict of the check with shuffled loads.
    """

    features: tuple[str, ...]
    boosters: dict[float, Any]
    margin: float
    scores: dict[str, float]
    intervals: dict[str, float] = field(default_factory=dict)
    drivers: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        plants: pd.DataFrame,
        *,
        latitude: NDArray[np.float64],
        longitude: NDArray[np.float64],
        block_km: float,
        features: tuple[str, ...] = FEATURES,
        seed: int = 0,
    ) -> CapacityModel:
        """Fit on plants whose load is known.

        Parameters
        ----------
        plants : DataFrame
            `features` and ``load`` (population equivalents, above 0).
        latitude, longitude : array
            Of the plants, degrees: folds are blocks of space.
        block_km : float
            Size of the blocks.
        features : tuple of str
            Columns to learn from.
        seed : int

        Raises
        ------
        InputError
            If fewer than `MINIMUM` plants have a load, or they lie in one block.
        """
        x_all = design(plants, features)
        known = (plants["load"] > 0).to_numpy() & np.isfinite(x_all[:, 0])
        if known.sum() < MINIMUM:
            raise InputError(
                f"{known.sum()} plants with a known load",
                where="capacity",
                remedy=f"give at least {MINIMUM}, or leave the table [capacity] out",
            )
        x, y = x_all[known], np.log(plants.loc[known, "load"].to_numpy(float))
        places = latitude[known], longitude[known]
        folds = block_folds(*places, block_km=block_km, seed=seed)
        blocks = block_labels(*places, size_km=block_km)
        quantiles, line = np.empty((len(y), 3)), np.empty(len(y))
        models = []
        for fold in folds:
            models.append(_boost(x[fold.train], y[fold.train], seed))
            quantiles[fold.test] = _apply(models[-1], x[fold.test])
            slope = np.polyfit(x[fold.train, 0], y[fold.train], 1)
            line[fold.test] = np.polyval(slope, x[fold.test, 0])
        errors = np.maximum(quantiles[:, 0] - y, y - quantiles[:, 2])
        scores = {
            "rmse_log10": float(np.sqrt(np.mean((quantiles[:, 1] - y) ** 2)) / math.log(10)),
            "rmse_log10_line": float(np.sqrt(np.mean((line - y) ** 2)) / math.log(10)),
            "plants": int(known.sum()),
        }
        return cls(
            features,
            _boost(x, y, seed),
            _margin(errors, blocks),
            scores,
            _score_intervals(y, quantiles, errors, folds, blocks),
            _drivers(x, y, folds, models, features, seed),
        )

    def predict(self, plants: pd.DataFrame) -> pd.DataFrame:
        """Add ``load``, ``load_low`` and ``load_high`` (90 % interval), in population equivalents."""
        if not len(plants):
            return plants.assign(load=[], load_low=[], load_high=[])
        low, middle, high = _apply(self.boosters, design(plants, self.features)).T
        low, high = low - self.margin, high + self.margin
        middle = np.clip(middle, np.minimum(low, high), np.maximum(low, high))
        low, high = np.minimum(low, middle), np.maximum(high, middle)
        return plants.assign(load=np.exp(middle), load_low=np.exp(low), load_high=np.exp(high))

    def save(self, folder: Path) -> None:
        """Write the boosters and ``capacity.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        for quantile, booster in self.boosters.items():
            booster.save_model(folder / f"capacity_{quantile:g}.json")
        told = {name: getattr(self, name) for name in WRITTEN}
        (folder / "capacity.json").write_text(json.dumps(told, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> CapacityModel:
        """Read what `save` wrote; InputError where it is of another version."""
        path = folder / "capacity.json"
        told = json.loads(path.read_text())
        if set(told) != set(WRITTEN):
            raise InputError("a model of loads of another version", where=path, remedy="train again")
        boosters = {quantile: trees.load(folder / f"capacity_{quantile:g}.json") for quantile in QUANTILES}
        return cls(**{**told, "features": tuple(told["features"])}, boosters=boosters)


def block_folds(
    latitude: NDArray[np.float64], longitude: NDArray[np.float64], *, block_km: float, seed: int
) -> list[Fold]:
    """Give at most `FOLDS` folds of blocks of space; InputError if all places lie in one block."""
    blocks = len(np.unique(block_labels(latitude, longitude, size_km=block_km)))
    if blocks < 2:
        raise InputError(
            "all plants that could be learnt from lie in one block", where="capacity", remedy="lower block_km"
        )
    return spatial_blocks(latitude, longitude, size_km=block_km, k=min(FOLDS, blocks), seed=seed)


def design(plants: pd.DataFrame, features: tuple[str, ...]) -> NDArray[np.float64]:
    """Give the features of plants, ``(plant, feature)``; sizes as logarithms."""
    missing = [name for name in features if name not in plants]
    if missing:
        raise InputError(f"no column {', '.join(missing)}", where="plants")
    values = plants[list(features)].to_numpy(float).copy()
    for number, name in enumerate(features):
        if name in LOGARITHMIC:
            values[:, number] = np.log(np.maximum(values[:, number], 1.0))
    return values


def _margin(errors: NDArray[np.float64], blocks: NDArray[np.int64]) -> float:
    enough = len(np.unique(blocks)) >= 1.0 / (1.0 - COVERAGE)  # fewer blocks could promise nothing
    return float(conformal_quantile(errors, coverage=COVERAGE, blocks=blocks if enough else None))


def _score_intervals(
    y: NDArray[np.float64],
    quantiles: NDArray[np.float64],
    errors: NDArray[np.float64],
    folds: list[Fold],
    blocks: NDArray[np.int64],
) -> dict[str, float]:
    """Score the intervals of each fold with the margin of the others, in log10 of the load."""
    low, high = quantiles[:, 0].copy(), quantiles[:, 2].copy()
    for fold in folds:
        others = np.setdiff1d(np.arange(len(y)), fold.test)
        margin = _margin(errors[others], blocks[others])
        low[fold.test] -= margin
        high[fold.test] += margin
    scale = math.log(10)
    return interval_scores(
        y / scale,
        np.minimum(low, high) / scale,
        np.maximum(low, high) / scale,
        coverage=COVERAGE,
        blocks=blocks,
    )


def _drivers(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    folds: list[Fold],
    models: list[dict[float, Any]],
    features: tuple[str, ...],
    seed: int,
) -> dict[str, Any]:
    """Give the importance of the features for plants of held-out blocks, and check it with shuffled loads."""

    def importance(medians: list[Any], truth: NDArray[np.float64], repeats: int) -> Attribution:
        def predict(rows: NDArray[np.float64]) -> NDArray[np.float64]:
            found = np.empty(len(rows))
            for fold, model in zip(folds, medians, strict=True):
                found[fold.test] = trees.apply(model, rows[fold.test])
            return found

        return permutation_importance(
            predict,
            x,
            truth,
            names=features,
            units="increase of the squared error",
            repeats=repeats,
            seed=seed,
        )

    def learnt_nothing(number: int) -> NDArray[np.float64]:
        shuffled = np.random.default_rng([seed, number]).permutation(y)
        medians = [_boost_one(x[fold.train], shuffled[fold.train], 0.5, seed) for fold in folds]
        return importance(medians, shuffled, 2).values

    found = importance([model[0.5] for model in models], y, 10)
    check = randomisation_check(found.values, learnt_nothing, count=RANDOM_MODELS)
    return {"importance": found.to_dict(), "passed": check.passed, "check": str(check)}


def _boost(x: NDArray[np.float64], y: NDArray[np.float64], seed: int) -> dict[float, Any]:
    return {quantile: _boost_one(x, y, quantile, seed) for quantile in QUANTILES}


def _boost_one(x: NDArray[np.float64], y: NDArray[np.float64], quantile: float, seed: int) -> Any:
    objective = {"objective": "reg:quantileerror", "quantile_alpha": quantile}
    return trees.boost(x, y, rounds=120, eta=0.05, seed=seed, **objective)


def _apply(boosters: dict[float, Any], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the quantiles ``(plant, 3)``, sorted: trees of their own may cross."""
    return np.sort(np.stack([trees.apply(boosters[q], x) for q in QUANTILES], axis=1), axis=1)
