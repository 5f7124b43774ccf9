"""forecast.nc: fields put together from the chunks of cells, read only as they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import xarray as xr
from dask.delayed import delayed

from esai_core.errors import InputError
from esai_s2s.config import S2sConfig
from esai_s2s.data import open_samples
from esai_s2s.sample import LABELS
from esai_s2s.store import load
from esai_s2s.streaming import Chunk, Layout

__all__ = ["join_blocks", "live_fields", "test_fields"]

ALWAYS = ("climatology", "ensemble")
"""Methods that have a forecast everywhere: equal probabilities where nothing was fitted."""


def join_blocks(fields: Sequence[xr.DataArray]) -> xr.Dataset:
    """Join the windows of each variable: (category, start, window, latitude, longitude)."""
    parts = []
    for name in dict.fromkeys(str(field.name) for field in fields):
        own = [field for field in fields if field.name == name]
        parts.append(xr.concat(own, "window", coords="minimal", compat="override", join="outer"))
    return xr.merge(parts, join="outer", compat="no_conflicts")


def _field(
    config: S2sConfig,
    layout: Layout,
    starts: np.ndarray,
    window: str,
    block: Any,
    arguments: Sequence[tuple[Any, ...]],
) -> xr.DataArray:
    """Return the lazy field (category, start, window, latitude, longitude) whose chunks `block` makes."""
    size = config.data.categories
    make = delayed(block, pure=False)
    coords: dict[str, Any] = {"category": list(LABELS[size]), "start": starts, "window": [window]}
    variable = layout.variable
    if layout.latitude is None:
        values = block(*arguments[0])[..., 0, 0]
        return xr.DataArray(values, coords, ("category", "start", "window"), name=variable)
    from_delayed: Callable[..., Any] = dask.array.from_delayed
    concatenate: Callable[..., Any] = dask.array.concatenate
    parts = [
        from_delayed(
            make(*own), (size, len(starts), 1, chunk.last - chunk.first, chunk.width), dtype=np.float32
        )
        for chunk, own in zip(layout.chunks, arguments, strict=True)
    ]
    coords |= {"latitude": layout.latitude, "longitude": layout.longitude}
    return xr.DataArray(
        concatenate(parts, axis=3),
        coords,
        ("category", "start", "window", "latitude", "longitude"),
        name=variable,
    )


def _scattered(values: np.ndarray, known: np.ndarray, chunk: Chunk, method: str) -> np.ndarray:
    """Bring (start, some cells, category) to (category, start, 1, latitude, longitude) of the chunk."""
    starts, _, size = values.shape
    blank = 1.0 / size if method in ALWAYS else np.nan
    full = np.full((starts, len(known), size), blank, dtype=np.float32)
    full[:, known] = values
    height = chunk.last - chunk.first if chunk.width else 1
    return np.moveaxis(full, -1, 0).reshape(size, starts, 1, height, max(chunk.width, 1))


def test_fields(config: S2sConfig, folder: Path, layout: Layout, method: str) -> list[xr.DataArray]:
    """Return the out-of-fold forecasts of a variable, window by window.

    Parameters
    ----------
    config : S2sConfig
    folder : Path
        ``verification``.
    layout : Layout
        Of the variable.
    method : str
        Delivered.
    """
    fields, variable, chunks = [], layout.variable, layout.chunks
    for path in sorted(folder.glob(f"{variable}_*")):
        window = path.name.removeprefix(f"{variable}_")
        first = next(iter(sorted(path.glob("*.nc"))))
        with xr.open_dataset(first, engine="netcdf4") as ds:
            if ds.attrs["variable"] != variable:
                continue
            starts = ds["start"].values
        models = folder.parent / "model" / path.name
        own = [(path, models, chunk, method, len(starts), config.data.categories) for chunk in chunks]
        fields.append(_field(config, layout, starts, window, _tested, own))
    return fields


def _tested(path: Path, models: Path, chunk: Chunk, method: str, starts: int, size: int) -> np.ndarray:
    file = path / f"{chunk.part}.nc"
    if not file.exists():
        cells = (chunk.last - chunk.first) * chunk.width
        return _scattered(np.empty((starts, 0, size)), np.zeros(cells, dtype=bool), chunk, method)
    with xr.open_dataset(file, engine="netcdf4") as ds:
        values = ds["probability"].sel({"method": method}).values
    return _scattered(values, np.load(models / chunk.part / "cells.npy"), chunk, method)


def live_fields(
    config: S2sConfig,
    folder: Path,
    layout: Layout,
    method: str,
    live: Mapping[str, Path],
    *,
    newest: bool,
) -> list[xr.DataArray]:
    """Return the forecasts of new starts of a variable, window by window.

    Parameters
    ----------
    config : S2sConfig
    folder : Path
        ``model``.
    layout : Layout
        Of the variable.
    method : str
        Delivered.
    live : mapping of str to Path
        Files by forecast model.
    newest : bool
        Only the newest start.

    Raises
    ------
    InputError
        If no forecast can be made.
    """
    made = [_live(config, folder, chunk, method, live, newest) for chunk in layout.chunks]
    fields = []
    for window, (starts, name, _) in enumerate(made[0]):
        blocks = [part[window][2] for part in made]
        if not any(np.isfinite(block).any() for block in blocks):
            raise InputError(f"no forecast of {name} could be made", where=", ".join(map(str, live.values())))
        field = _field(config, layout, starts, name, np.asarray, [(b,) for b in blocks])
        fields.append(field)
    return fields


def _live(
    config: S2sConfig, folder: Path, chunk: Chunk, method: str, live: Mapping[str, Path], newest: bool
) -> list[tuple[np.ndarray, str, np.ndarray]]:
    """Return starts, window and field of each window of a chunk."""
    found = []
    samples = open_samples(config, live=live, newest=newest, rows=chunk.rows, variables=(chunk.variable,))
    for sample in samples:
        name = f"{sample.variable}_{sample.window}"
        shape = (sample.size, 0, config.data.categories)
        known, values = np.zeros(sample.cells, dtype=bool), np.empty(shape)
        if (folder / name / chunk.part).is_dir():
            known = np.load(folder / name / chunk.part / "cells.npy")
            if len(known) != sample.cells:
                raise InputError(
                    f"{sample.variable} is on another grid than in training",
                    where=", ".join(map(str, live.values())),
                    remedy="regrid it (esai_core.grid.regrid)",
                )
            fitted = load(folder / name / chunk.part, pooled=folder / name)
            values = fitted.predict(sample.on_cells(np.flatnonzero(known)))[method]
        found.append((sample.starts, sample.window, _scattered(values, known, chunk, method)))
    return found
