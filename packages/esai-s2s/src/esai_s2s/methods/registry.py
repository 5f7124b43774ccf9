"""Methods by name, and what they do with several forecast models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from esai_s2s.methods.emos import Emos
from esai_s2s.methods.logistic import Logistic
from esai_s2s.methods.raw import Raw
from esai_s2s.methods.settings import Settings
from esai_s2s.methods.trees import Boosting, Forest
from esai_s2s.predictors import Predictors, fit_predictors
from esai_s2s.sample import Categories, Sample

__all__ = [
    "FAMILIES",
    "METHODS",
    "NEEDS_FORECAST",
    "POOLED",
    "MultiModel",
    "Settings",
    "cell_arrays",
    "fit_method",
    "load_method",
    "to_cells",
    "with_cell_arrays",
]

METHODS: dict[str, Any] = {
    "raw": Raw,
    "logistic": Logistic,
    "forest": Forest,
    "boosting": Boosting,
    "emos": Emos,
}
"""Name to class; climatology needs no fit, and the ensemble is made of the others."""

FAMILIES = {
    "climatology": "climatology",
    "raw": "counts",
    "logistic": "regression",
    "emos": "regression",
    "forest": "forest",
    "boosting": "boosting",
}
"""Name to family: both regressions map the mean and spread of the members to a smooth distribution."""

NEEDS_FORECAST = frozenset({"raw", "emos"})
"""Methods that past observations cannot stand in for."""

POOLED = frozenset({"forest", "boosting"})
"""Methods that are grown on all cells together."""


@dataclass(frozen=True, eq=False)
class MultiModel:
    """One method fitted on each of several forecast models: the mean of the models that a case has.

    Attributes
    ----------
    names : tuple of str
        Of the forecast models.
    parts : tuple
        The method of each; None for a model without forecasts in the training cases.
    """

    names: tuple[str, ...]
    parts: tuple[Any, ...]

    def predict(self, sample: Sample, categories: Categories) -> np.ndarray:
        """Return probabilities (n, cells, K); NaN where no model has a forecast."""
        total = np.zeros((sample.size, sample.cells, categories.size))
        count = np.zeros((sample.size, sample.cells, 1))
        for number, part in enumerate(self.parts):
            if part is not None:
                found = part.predict(sample.of_source(number), categories.of_source(number))
                there = ~np.isnan(found[..., :1])
                total += np.where(there, found, 0.0)
                count += there
        return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)

    def importances(self) -> dict[str, float]:
        """Return those of each model, under its name."""
        return {
            f"{name}: {predictor}": value
            for name, part in zip(self.names, self.parts, strict=True)
            if part is not None
            for predictor, value in part.importances().items()
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the state as arrays."""
        kept: dict[str, np.ndarray] = {"models": np.array(self.names)}
        for number, part in enumerate(self.parts):
            if part is not None:
                kept |= {f"{number}/{key}": value for key, value in part.arrays().items()}
        return kept


def fit_method(name: str, train: Sample, categories: Categories, settings: Settings) -> Any:
    """Fit a method on training cases, of one forecast model or of several.

    Raw counts of several models are pooled, each member against the climate of its own model.
    """
    if len(train.sources) < 2 or name == "raw":
        return METHODS[name].fit(train, categories, settings)
    parts = []
    for number in range(len(train.sources)):
        own = train.of_source(number)
        there = own.forecast is not None and np.isfinite(own.forecast).any()
        parts.append(METHODS[name].fit(own, categories.of_source(number), settings) if there else None)
    return MultiModel(tuple(model for model, _ in train.sources), tuple(parts))


def to_cells(model: Any, train: Sample, settings: Settings) -> Any:
    """Return trees that were grown on other cells with the scales of these cells' training cases."""
    if isinstance(model, MultiModel):
        parts = [
            part if part is None else to_cells(part, train.of_source(number), settings)
            for number, part in enumerate(model.parts)
        ]
        return replace(model, parts=tuple(parts))
    fitted = fit_predictors(train, settings.tree_predictors, power=settings.power, cycle=settings.cycle)
    return replace(model, predictors=fitted)


def cell_arrays(model: Any) -> dict[str, np.ndarray]:
    """Return what `to_cells` fitted, as arrays."""
    if not isinstance(model, MultiModel):
        kept: dict[str, np.ndarray] = model.predictors.arrays()
        return kept
    parts = {str(number): part for number, part in enumerate(model.parts) if part is not None}
    return {f"{at}/{key}": value for at, part in parts.items() for key, value in cell_arrays(part).items()}


def with_cell_arrays(model: Any, kept: Mapping[str, np.ndarray]) -> Any:
    """Return the trees with what `cell_arrays` gave."""
    if not isinstance(model, MultiModel):
        return replace(model, predictors=Predictors.of_arrays(dict(kept)))
    parts = []
    for number, part in enumerate(model.parts):
        own = _under(kept, f"{number}/")
        parts.append(with_cell_arrays(part, own) if own else part)
    return replace(model, parts=tuple(parts))


def _under(kept: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(prefix): value for key, value in kept.items() if key.startswith(prefix)}


def load_method(name: str, kept: Mapping[str, np.ndarray]) -> Any:
    """Return what `arrays` of a fitted method gave."""
    if "models" not in kept:
        return METHODS[name].of_arrays(dict(kept))
    names = tuple(str(model) for model in kept["models"])
    parts = []
    for number in range(len(names)):
        own = _under(kept, f"{number}/")
        parts.append(METHODS[name].of_arrays(own) if own else None)
    return MultiModel(names, tuple(parts))
