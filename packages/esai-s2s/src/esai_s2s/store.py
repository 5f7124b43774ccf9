"""Keep a fit on disk: NumPy archives without pickles, and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from esai_core.errors import InputError, reading
from esai_core.transforms import QuantileCategories
from esai_s2s.fitting import Fitted
from esai_s2s.methods.registry import METHODS
from esai_s2s.sample import Categories

__all__ = ["load", "save"]


def save(fitted: Fitted, folder: Path) -> None:
    """Write a fit to a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    fitted.categories.observed.save(folder / "edges_observed.npz")
    if fitted.categories.forecast is not None:
        fitted.categories.forecast.save(folder / "edges_forecast.npz")
    for name, model in fitted.models.items():
        np.savez_compressed(folder / f"{name}.npz", **model.arrays())
    about = {"methods": list(fitted.models), "weights": fitted.weights, "inner_rps": fitted.inner_rps}
    (folder / "ensemble.json").write_text(json.dumps(about, indent=1) + "\n")


def load(folder: Path) -> Fitted:
    """Read what `save` wrote.

    Raises
    ------
    InputError
        If the folder holds no fit, or one of something else.
    """
    if not (folder / "ensemble.json").is_file():
        raise InputError("no fitted methods here", where=folder, remedy="train with this variable and window")
    with reading(folder, "a fit of esai-s2s"):
        about = json.loads((folder / "ensemble.json").read_text())
        model_edges = folder / "edges_forecast.npz"
        categories = Categories(
            QuantileCategories.load(folder / "edges_observed.npz"),
            QuantileCategories.load(model_edges) if model_edges.exists() else None,
        )
        models = {}
        for name in about["methods"]:
            method = METHODS[name]  # a known name, before it becomes a path
            path = folder / f"{name}.npz"
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
                models[name] = method.of_arrays(dict(kept))
        return Fitted(categories, models, about["weights"], about["inner_rps"])
