"""Keep fits on disk: NumPy archives without pickles, and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from esai_core.errors import InputError, reading
from esai_core.transforms import QuantileCategories
from esai_s2s.fitting import Fitted
from esai_s2s.methods.registry import cell_arrays, load_method, with_cell_arrays
from esai_s2s.sample import Categories

__all__ = ["load", "load_models", "load_weights", "save", "save_models", "save_weights"]


def save_models(models: Mapping[str, Any], folder: Path) -> None:
    """Write fitted methods to a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in models.items():
        np.savez_compressed(folder / f"{name}.npz", **model.arrays())


def load_models(folder: Path) -> dict[str, Any]:
    """Read what `save_models` wrote."""
    models = {}
    for path in sorted(folder.glob("*.npz")):
        if not path.name.startswith(("edges_", "scales_")):
            with (
                reading(path, f"the fitted method {path.stem}"),
                path.open("rb") as opened,
                np.load(opened, allow_pickle=False) as kept,
            ):
                models[path.stem] = load_method(path.stem, dict(kept))
    return models


def save_weights(
    folder: Path,
    methods: list[str],
    weights: dict[str, float],
    inner: dict[str, float],
    by_fold: Sequence[dict[str, float]] = (),
) -> None:
    """Write the methods and weights of an ensemble, and those of each fold that was scored."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"methods": methods, "weights": weights, "inner_rps": inner, "by_fold": list(by_fold)}
    (folder / "ensemble.json").write_text(json.dumps(about, indent=1) + "\n")


def load_weights(folder: Path) -> dict[str, Any]:
    """Read what `save_weights` wrote.

    Raises
    ------
    InputError
        If the folder holds no fit.
    """
    if not (folder / "ensemble.json").is_file():
        raise InputError("no fitted methods here", where=folder, remedy="train with this variable and window")
    with reading(folder / "ensemble.json", "the weights of an ensemble"):
        about: dict[str, Any] = json.loads((folder / "ensemble.json").read_text())
    return about


def save(fitted: Fitted, folder: Path, *, pooled: Path | None = None) -> None:
    """Write edges and methods to a folder; of methods in `pooled` only what differs by cell."""
    kept = set() if pooled is None else {path.stem for path in pooled.glob("*.npz")}
    save_models({name: model for name, model in fitted.models.items() if name not in kept}, folder)
    for name in kept & set(fitted.models):
        scales: dict[str, Any] = cell_arrays(fitted.models[name])
        np.savez_compressed(folder / f"scales_{name}.npz", **scales)
    fitted.categories.observed.save(folder / "edges_observed.npz")
    for number, edges in enumerate(fitted.categories.forecast):
        if edges is not None:
            edges.save(folder / f"edges_forecast_{number}.npz")
    counted = {"models": len(fitted.categories.forecast)}
    (folder / "edges.json").write_text(json.dumps(counted) + "\n")


def load(folder: Path, *, pooled: Path | None = None) -> Fitted:
    """Read what `save` and `save_weights` wrote.

    Parameters
    ----------
    folder : Path
        Of the edges and methods.
    pooled : Path, optional
        Of the weights, and of the methods that were grown on all cells; `folder` by default.
    """
    about = load_weights(pooled or folder)
    with reading(folder, "a fit of esai-s2s"):
        return _assembled(folder, pooled, about)


def _assembled(folder: Path, pooled: Path | None, about: dict[str, Any]) -> Fitted:
    """Put a fit together from its files."""
    number = json.loads((folder / "edges.json").read_text())["models"]
    files = [folder / f"edges_forecast_{i}.npz" for i in range(number)]
    categories = Categories(
        QuantileCategories.load(folder / "edges_observed.npz"),
        tuple(QuantileCategories.load(path) if path.exists() else None for path in files),
    )
    found = load_models(folder)
    for name, model in (load_models(pooled) if pooled else {}).items():
        with np.load(folder / f"scales_{name}.npz") as arrays:
            found[name] = with_cell_arrays(model, dict(arrays))
    models = {name: found[name] for name in about["methods"]}
    return Fitted(categories, models, about["weights"], about["inner_rps"])
