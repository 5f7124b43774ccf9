"""Random forest and gradient boosting, grown on all cells together with the cells' place as predictors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from esai_s2s.methods.settings import Settings
from esai_s2s.predictors import Predictors, fit_predictors
from esai_s2s.sample import Categories, Sample

__all__ = ["Boosting", "Forest"]

PLACE = ("latitude", "sin longitude", "cos longitude")


def _has_place(sample: Sample) -> bool:
    return sample.cells > 1 and sample.latitude is not None and sample.longitude is not None


def _rows(predictors: Predictors, sample: Sample, *, place: bool) -> np.ndarray:
    """Return (n * cells, p) predictors, those of the place last."""
    columns = predictors.columns_of(sample).transpose(0, 2, 1).reshape(sample.size * sample.cells, -1)
    if not place:
        return columns
    assert sample.latitude is not None
    assert sample.longitude is not None
    angle = np.deg2rad(sample.longitude)
    where = np.stack([sample.latitude / 90.0, np.sin(angle), np.cos(angle)], axis=1)
    return np.concatenate([columns, np.tile(where, (sample.size, 1))], axis=1)


def _names(predictors: Predictors, width: int) -> list[str]:
    return [*predictors.columns, *PLACE][:width]


def _training(
    predictors: Predictors, train: Sample, categories: Categories, settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    rows = _rows(predictors, train, place=_has_place(train))
    codes = categories.codes(train).ravel()
    known = np.flatnonzero(~np.isnan(codes) & ~np.isnan(rows).any(axis=1))
    if len(known) > settings.max_rows:
        rng = np.random.default_rng(settings.seed)
        known = np.sort(rng.choice(known, settings.max_rows, replace=False))
    return rows[known], codes[known].astype(np.int64)


def _filled(rows: np.ndarray, sample: Sample, size: int, predict: Any) -> np.ndarray:
    """Return probabilities (n, cells, K) of complete rows, NaN for the others."""
    known = ~np.isnan(rows).any(axis=1)
    found = np.full((len(rows), size), np.nan)
    if known.any():
        found[known] = predict(rows[known])
    return found.reshape(sample.size, sample.cells, size)


@dataclass(frozen=True, eq=False)
class Forest:
    """A random forest (Breiman 2001), kept as plain arrays.

    Attributes
    ----------
    predictors : Predictors
    roots : (trees,)
        First node of each tree.
    feature, threshold, left, right : (nodes,)
        Of each node; feature -2 at a leaf. Children are counted from the first node of all.
    value : (nodes, K)
        Class shares.
    weight : (p,)
        Mean decrease of impurity.
    """

    predictors: Predictors
    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    weight: np.ndarray

    @classmethod
    def fit(cls, train: Sample, categories: Categories, settings: Settings) -> Forest:
        """Grow on training cases."""
        from sklearn.ensemble import RandomForestClassifier

        predictors = fit_predictors(
            train, settings.tree_predictors, power=settings.power, cycle=settings.cycle
        )
        rows, codes = _training(predictors, train, categories, settings)
        # A share of the sample in each leaf, so that a pooled forest stays small.
        leaf = max(settings.leaf, len(rows) // 1000)
        grown = RandomForestClassifier(
            settings.trees, min_samples_leaf=leaf, random_state=settings.seed, n_jobs=settings.threads
        ).fit(rows, codes)
        trees = [tree.tree_ for tree in grown.estimators_]
        roots = np.concatenate([[0], np.cumsum([tree.node_count for tree in trees])[:-1]])

        def joined(name: str) -> np.ndarray:
            return np.concatenate([getattr(tree, name) for tree in trees])

        shift = np.repeat(roots, [tree.node_count for tree in trees])
        inner = joined("feature") >= 0
        value = np.zeros((len(inner), categories.size))
        shares = joined("value")[:, 0, :]
        value[:, grown.classes_] = shares / shares.sum(axis=1, keepdims=True)
        return cls(
            predictors,
            roots,
            joined("feature"),
            joined("threshold"),
            np.where(inner, joined("children_left") + shift, -1),
            np.where(inner, joined("children_right") + shift, -1),
            value,
            grown.feature_importances_,
        )

    def predict(self, sample: Sample, categories: Categories) -> np.ndarray:
        """Return probabilities (n, cells, K)."""
        return _filled(self._rows(sample), sample, self.value.shape[1], self._shares)

    def _shares(self, rows: np.ndarray) -> np.ndarray:
        from esai_s2s.methods.tree_kernel import mean_shares

        nodes = (self.roots, self.feature, self.threshold, self.left, self.right, self.value)
        shares: np.ndarray = mean_shares(np.ascontiguousarray(rows, dtype=np.float32), *nodes)
        return shares

    def _rows(self, sample: Sample) -> np.ndarray:
        place = len(self.weight) > len(self.predictors.columns)  # a part of the cells may be a single one
        return _rows(self.predictors, sample, place=place)

    def importances(self) -> dict[str, float]:
        """Return the mean decrease of impurity of each predictor."""
        return dict(zip(_names(self.predictors, len(self.weight)), map(float, self.weight), strict=True))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the state as arrays."""
        names = ("roots", "feature", "threshold", "left", "right", "value", "weight")
        return {**self.predictors.arrays(), **{f"forest.{name}": getattr(self, name) for name in names}}

    @classmethod
    def of_arrays(cls, kept: dict[str, np.ndarray]) -> Forest:
        """Return what `arrays` gave."""
        names = ("roots", "feature", "threshold", "left", "right", "value", "weight")
        return cls(Predictors.of_arrays(kept), *(kept[f"forest.{name}"] for name in names))


@dataclass(frozen=True, eq=False)
class Boosting:
    """Gradient-boosted trees of XGBoost (Chen and Guestrin 2016), kept as its JSON.

    Attributes
    ----------
    predictors : Predictors
    model : (bytes,)
        The booster.
    weight : (p,)
        Share of the gain.
    size : int
        Number of categories.
    """

    predictors: Predictors
    model: np.ndarray
    weight: np.ndarray
    size: int

    @classmethod
    def fit(cls, train: Sample, categories: Categories, settings: Settings) -> Boosting:
        """Grow on training cases."""
        import xgboost

        predictors = fit_predictors(
            train, settings.tree_predictors, power=settings.power, cycle=settings.cycle
        )
        rows, codes = _training(predictors, train, categories, settings)
        parameters = {
            "objective": "multi:softprob",
            "num_class": categories.size,
            "max_depth": settings.depth,
            "eta": settings.rate,
            "min_child_weight": 5,
            "subsample": 0.7,
            "seed": settings.seed,
            "nthread": settings.threads,
            "tree_method": "hist",
            "verbosity": 0,
        }
        grown = xgboost.train(parameters, xgboost.DMatrix(rows, codes), num_boost_round=settings.rounds)
        gain = grown.get_score(importance_type="total_gain")
        weight = np.array([_number(gain.get(f"f{i}", 0.0)) for i in range(rows.shape[1])])
        return cls(
            predictors,
            np.frombuffer(bytes(grown.save_raw("json")), dtype=np.uint8),
            weight / max(weight.sum(), 1e-300),
            categories.size,
        )

    def predict(self, sample: Sample, categories: Categories) -> np.ndarray:
        """Return probabilities (n, cells, K)."""
        import xgboost

        booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(self.model.tobytes()))

        def shares(rows: np.ndarray) -> np.ndarray:
            found = booster.predict(xgboost.DMatrix(rows)).astype(np.float64)
            return found / found.sum(axis=1, keepdims=True)

        return _filled(self._rows(sample), sample, self.size, shares)

    def _rows(self, sample: Sample) -> np.ndarray:
        place = len(self.weight) > len(self.predictors.columns)  # a part of the cells may be a single one
        return _rows(self.predictors, sample, place=place)

    def importances(self) -> dict[str, float]:
        """Return the share of the gain of each predictor."""
        return dict(zip(_names(self.predictors, len(self.weight)), map(float, self.weight), strict=True))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the state as arrays."""
        return {
            **self.predictors.arrays(),
            "booster": self.model,
            "gain": self.weight,
            "classes": np.array(self.size),
        }

    @classmethod
    def of_arrays(cls, kept: dict[str, np.ndarray]) -> Boosting:
        """Return what `arrays` gave."""
        return cls(Predictors.of_arrays(kept), kept["booster"], kept["gain"], int(kept["classes"]))


def _number(value: Any) -> float:
    return float(value[0] if isinstance(value, list) else value)
