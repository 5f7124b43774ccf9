"""The class of treatment of a plant, where labels or a table tell it of others: boosted trees, or nothing.

The classes are those of the directive's table: none, primary, secondary, tertiary. Trees that do not beat the
frequencies of the classes on held-out blocks of space are not used: the most frequent class is then given.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import InputError
from esai_wwtp import trees
from esai_wwtp.capacity import FEATURES, MINIMUM, block_folds, design

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LEVELS", "TreatmentModel"]

LEVELS = ("none", "primary", "secondary", "tertiary")


@dataclass(frozen=True)
class TreatmentModel:
    """Probabilities of the classes of treatment.

    Attributes
    ----------
    features : tuple of str
        Columns that the class follows from.
    levels : tuple of str
        Classes that the training plants have.
    frequencies : tuple of float
        Their shares.
    booster : Booster or None
        None where the trees were no better than the frequencies.
    scores : dict
        On held-out blocks: ``log_loss``, ``log_loss_frequencies``, ``accuracy``, ``accuracy_frequencies``,
        ``plants``.
    """

    features: tuple[str, ...]
    levels: tuple[str, ...]
    frequencies: tuple[float, ...]
    booster: Any
    scores: dict[str, float]

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
    ) -> TreatmentModel:
        """Fit on plants whose ``level`` is one of `LEVELS`; parameters as of `CapacityModel.fit`.

        Raises
        ------
        InputError
            If fewer than `MINIMUM` plants have a level, all have the same, or they lie in one block.
        """
        known = plants["level"].isin(LEVELS).to_numpy()
        named = plants.loc[known, "level"].to_numpy(str)
        levels = tuple(level for level in LEVELS if (named == level).any())
        if known.sum() < MINIMUM or len(levels) < 2:
            raise InputError(
                f"{known.sum()} plants with a known treatment, of {len(levels)} classes",
                where="level",
                remedy=f"give at least {MINIMUM} plants of two classes",
            )
        x = design(plants[known], features)
        y = np.array([levels.index(level) for level in named])
        boosted, plain = np.empty((len(y), len(levels))), np.empty((len(y), len(levels)))
        for fold in block_folds(latitude[known], longitude[known], block_km=block_km, seed=seed):
            fitted = _boost(x[fold.train], y[fold.train], len(levels), seed)
            boosted[fold.test] = trees.apply(fitted, x[fold.test])
            plain[fold.test] = _frequencies(y[fold.train], len(levels))
        scores = {
            "log_loss": _log_loss(boosted, y),
            "log_loss_frequencies": _log_loss(plain, y),
            "accuracy": float((boosted.argmax(1) == y).mean()),
            "accuracy_frequencies": float((plain.argmax(1) == y).mean()),
            "plants": int(known.sum()),
        }
        useful = scores["log_loss"] < scores["log_loss_frequencies"]
        booster = _boost(x, y, len(levels), seed) if useful else None
        return cls(features, levels, tuple(_frequencies(y, len(levels)).tolist()), booster, scores)

    def predict(self, plants: pd.DataFrame) -> pd.DataFrame:
        """Add ``level`` and ``level_probability``."""
        if not len(plants):
            return plants.assign(level=[], level_probability=[])
        shares = np.tile(self.frequencies, (len(plants), 1))
        if self.booster is not None:
            shares = trees.apply(self.booster, design(plants, self.features))
        return plants.assign(
            level=np.array(self.levels)[shares.argmax(1)], level_probability=shares.max(1).astype(float)
        )

    def save(self, folder: Path) -> None:
        """Write ``treatment.json`` and, where there are trees, ``treatment_trees.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        told = {name: getattr(self, name) for name in ("features", "levels", "frequencies", "scores")}
        (folder / "treatment.json").write_text(json.dumps(told, indent=1) + "\n")
        if self.booster is not None:
            self.booster.save_model(folder / "treatment_trees.json")

    @classmethod
    def load(cls, folder: Path) -> TreatmentModel:
        """Read what `save` wrote."""
        told = json.loads((folder / "treatment.json").read_text())
        names = {name: tuple(told[name]) for name in ("features", "levels", "frequencies")}
        booster = None
        if (folder / "treatment_trees.json").exists():
            booster = trees.load(folder / "treatment_trees.json")
        return cls(**names, booster=booster, scores=told["scores"])


def _frequencies(y: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Give the shares of the classes, with one more plant of each."""
    counts = np.bincount(y, minlength=count) + 1.0
    return counts / counts.sum()


def _log_loss(shares: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    return float(-np.log(np.maximum(shares[np.arange(len(y)), y], 1e-12)).mean())


def _boost(x: NDArray[np.float64], y: NDArray[np.int64], count: int, seed: int) -> Any:
    return trees.boost(x, y, rounds=60, eta=0.1, seed=seed, objective="multi:softprob", num_class=count)
