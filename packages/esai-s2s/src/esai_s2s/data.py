"""Open the files of a config and bring them to samples: one for each variable and window."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import xarray as xr

from esai_core.config import missing_path
from esai_core.errors import InputError, UsageError
from esai_s2s.config import S2sConfig
from esai_s2s.layouts import open_layout, take_variable
from esai_s2s.sample import Kind, Sample
from esai_s2s.synthetic import make_fields, synthetic_grid
from esai_s2s.windows import daily_windows, kind_of, lagged_means, series_windows, valid_days

__all__ = ["grid_of", "open_samples"]

Rows = slice | None
"""Latitudes of the files that are read; None: all."""


def open_samples(
    config: S2sConfig,
    *,
    live: Mapping[str, Path] | None = None,
    newest: bool = True,
    rows: Rows = None,
    variables: tuple[str, ...] | None = None,
) -> list[Sample]:
    """Open, aggregate and check what a config names.

    Parameters
    ----------
    config : S2sConfig
        Validated.
    live : mapping of str to Path, optional
        Files of new starts by forecast model, in the layout of the forecast: observations are then not asked
        for (NaN).
    newest : bool
        Of `live`, take its newest start alone, or else all.
    rows : slice, optional
        Latitudes to read, by their place in the files.
    variables : tuple of str, optional
        Some of the config's.

    Returns
    -------
    list of Sample
        Variable by variable, window by window.

    Raises
    ------
    InputError
        If files, variables or dates do not fit together.
    """
    named = {} if live else {"data.observations": config.data.observations}
    named |= {} if live else {f"data.forecast.{name}": path for name, path in config.data.models.items()}
    for key, path in named.items():
        if path is not None and not path.exists():
            raise missing_path(path, key=key)
    samples = []
    for variable in variables or config.data.variables:
        samples += _of_variable(config, variable, live, newest, rows)
    return samples


def grid_of(config: S2sConfig, variable: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Return latitudes and longitudes of a variable in the order of its files; None for a single series."""
    if config.data.synthetic is not None:
        return synthetic_grid(config.data.synthetic)
    truth = _observed(config, variable, None)
    if "latitude" not in truth.dims or "longitude" not in truth.dims:
        return None
    return truth["latitude"].values.astype(np.float64), truth["longitude"].values.astype(np.float64)


def _of_variable(
    config: S2sConfig, variable: str, live: Mapping[str, Path] | None, newest: bool, rows: Rows
) -> list[Sample]:
    data = config.data
    kind = kind_of(variable) if data.kind == "auto" else data.kind
    total = kind == "precipitation"
    models = data.models if live is None else dict(live)
    sources: tuple[tuple[str, int], ...] = ()
    forecast: xr.DataArray | None = None
    truth: xr.DataArray | None = None
    if data.synthetic is not None and live is None:
        forecast, truth = make_fields(
            data.synthetic, variable, kind=kind, windows=data.windows, rows=rows or slice(None)
        )
    else:
        if live is None:
            truth = _observed(config, variable, rows)
        if models:
            forecast, sources = _joined_models(config, variable, models, total=total, rows=rows)
    starts = _starts(config, forecast, truth, newest=live is not None and newest)
    windows = [str(w) for w in forecast["window"].values] if forecast is not None else list(data.windows)
    observed = _match(config, truth, forecast, starts, windows, total=total)
    lags = lagged_means(truth, starts) if forecast is None and truth is not None else None
    return [
        _sample(config, variable, kind, window, i, starts, forecast, observed, lags, sources)
        for i, window in enumerate(windows)
    ]


def _rows(ds: xr.Dataset, rows: Rows) -> xr.Dataset:
    return ds if rows is None or "latitude" not in ds.dims else ds.isel(latitude=rows)


def _observed(config: S2sConfig, variable: str, rows: Rows) -> xr.DataArray:
    path = config.data.observations
    assert path is not None
    alone = len(config.data.variables) == 1
    ds = _rows(open_layout(path), rows)
    return take_variable(ds, variable, role="observation", alone=alone, where=path)


def _joined_models(
    config: S2sConfig, variable: str, models: Mapping[str, Path], *, total: bool, rows: Rows
) -> tuple[xr.DataArray, tuple[tuple[str, int], ...]]:
    """Return the windows of all forecast models along the members, on the starts of the first."""
    names = list(config.data.models) or list(models)
    parts: dict[str, xr.DataArray] = {}
    for name in (name for name in names if name in models):
        path = models[name]
        raw = take_variable(
            _rows(open_layout(path), rows),
            variable,
            role="forecast",
            alone=len(config.data.variables) == 1,
            where=path,
        )
        if "start" not in raw.dims:
            raise InputError(
                f"the forecast of {variable} has no start dates",
                where=path,
                remedy=f"it has the dimensions {', '.join(map(str, raw.dims))}",
            )
        raw = raw if "number" in raw.dims else raw.expand_dims("number")
        parts[name] = _to_windows(raw, config, total=total).drop_vars("number", errors="ignore")
    first = next(iter(parts.values()))
    if len(names) == 1:
        return first, ()
    windows = first["window"].values
    joined = []
    for name in names:
        if name not in parts:  # a model that is late today: one member that is not known
            late = xr.full_like(first.isel(number=[0]), np.nan)
            joined.append(late)
            continue
        part = parts[name].reindex(start=first["start"].values, window=windows)
        _same_cells(_place(first), _place(part), variable, models[name])
        joined.append(part)
    sources = tuple((name, part.sizes["number"]) for name, part in zip(names, joined, strict=True))
    return xr.concat(joined, "number", coords="minimal", compat="override", join="override"), sources


def _place(da: xr.DataArray) -> dict[str, np.ndarray]:
    return {name: da[name].values for name in ("latitude", "longitude") if name in da.dims}


def _to_windows(da: xr.DataArray, config: S2sConfig, *, total: bool) -> xr.DataArray:
    if "window" in da.dims:
        return da
    if "lead" not in da.dims:
        return da.expand_dims(window=[_only_window(config)])
    leads = da["lead"].values.tolist()
    names = {first: name for name, (first, _) in config.data.windows.items()}
    if len(leads) <= len(names) and all(lead in names for lead in leads):  # aggregated before
        return da.rename(lead="window").assign_coords(window=[names[lead] for lead in leads])
    accumulated = total and (config.data.accumulated or da.attrs.get("GRIB_stepType") == "accum")
    return daily_windows(da, config.data.windows, total=total, accumulated=accumulated)


def _only_window(config: S2sConfig) -> str:
    return f"{config.data.span_days[0]}d"


def _starts(
    config: S2sConfig, forecast: xr.DataArray | None, truth: xr.DataArray | None, *, newest: bool
) -> np.ndarray:
    if forecast is not None:
        starts = forecast["start"].values
        return starts[-1:] if newest else starts
    if truth is None or "time" not in truth.dims:
        raise UsageError(
            "without a forecast the observations must be a daily series", where="data.observations"
        )
    days = np.sort(truth["time"].values.astype("datetime64[D]"))
    last = max(end for _, end in config.data.windows.values())
    every = np.arange(days[0] + np.timedelta64(28, "D"), days[-1] + np.timedelta64(1 - last, "D"))
    step = config.data.start_every
    phase = (
        np.flatnonzero((every.astype(np.int64) + 3) % 7 == 3)[0] if step == 7 else 0
    )  # 1 January 1970: Thursday
    return every[phase::step].astype("datetime64[ns]")


def _match(
    config: S2sConfig,
    truth: xr.DataArray | None,
    forecast: xr.DataArray | None,
    starts: np.ndarray,
    windows: list[str],
    *,
    total: bool,
) -> xr.DataArray:
    """Return the observations (window, start, ...) of the starts."""
    where = config.data.observations
    if truth is None:
        assert forecast is not None
        return xr.full_like(forecast.isel(number=0, drop=True), np.nan, dtype=np.float64).sel(start=starts)
    if "start" not in truth.dims and "time" in truth.dims:
        if all(name in config.data.windows for name in windows):
            spans = {name: config.data.windows[name] for name in windows}
            return series_windows(truth, starts, spans, total=total)
        truth = truth.rename(time="start")
    if "start" not in truth.dims:
        raise InputError(f"the observations have no dates ({', '.join(map(str, truth.dims))})", where=where)
    aggregated = _to_windows(truth, config, total=total)
    unknown = [w for w in windows if w not in [str(v) for v in aggregated["window"].values]]
    if unknown:
        raise InputError(f"no observations of the window {', '.join(unknown)}", where=where)
    aggregated = aggregated.assign_coords(window=[str(v) for v in aggregated["window"].values])
    common = np.isin(starts, aggregated["start"].values)
    if not common.any():
        raise InputError("forecast and observations share no start", where=where)
    return aggregated.sel(window=windows).reindex(start=starts)


def _sample(
    config: S2sConfig,
    variable: str,
    kind: str,
    window: str,
    number: int,
    starts: np.ndarray,
    forecast: xr.DataArray | None,
    observed: xr.DataArray,
    lags: xr.DataArray | None,
    sources: tuple[tuple[str, int], ...],
) -> Sample:
    truth, place = _flat(observed.isel(window=number), ("start",))
    members = past = None
    if forecast is not None:
        part = forecast.isel(window=number).sel(start=starts)
        members, there = _flat(part, ("start", "number"))
        _same_cells(place, there, variable, config.data.observations)
    if lags is not None:
        past, _ = _flat(lags, ("start", "lag"))
    first, last = config.data.windows.get(window, config.data.span_days)
    return Sample(
        variable=variable,
        window=window,
        kind=cast(Kind, kind),
        starts=np.asarray(starts, dtype="datetime64[ns]"),
        valid=valid_days(starts, first, last),
        observed=truth,
        forecast=members,
        lags=past,
        latitude=place.get("latitude"),
        longitude=place.get("longitude"),
        sources=sources,
    )


def _flat(da: xr.DataArray, lead: tuple[str, ...]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return values with the cells as last axis, and the latitude and longitude of each."""
    rest = [str(d) for d in da.dims if d not in lead]
    if not rest:
        return da.transpose(*lead).values[..., None].astype(np.float64), {}
    if set(rest) != {"latitude", "longitude"}:
        raise InputError(
            f"dimensions {', '.join(rest)} are left",
            where=da.name,
            remedy="cells are (latitude, longitude)",
        )
    values = da.transpose(*lead, "latitude", "longitude").values
    grid = np.meshgrid(da["latitude"].values, da["longitude"].values, indexing="ij")
    place = {"latitude": grid[0].ravel(), "longitude": grid[1].ravel()}
    dtype = np.float32 if values.dtype == np.float32 and "number" in lead else np.float64
    return values.reshape(*values.shape[: len(lead)], -1).astype(dtype), place


def _same_cells(
    one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], variable: str, where: object
) -> None:
    for name in {*one, *other}:
        if name not in one or name not in other or one[name].shape != other[name].shape:
            raise InputError(
                f"fields of {variable} are on different grids",
                where=where,
                remedy="regrid one of them (esai_core.grid.regrid)",
            )
        if not np.allclose(one[name], other[name], atol=1e-4):
            raise InputError(f"forecast and observations of {variable} differ in {name}", where=where)
