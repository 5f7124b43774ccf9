"""Emissions per species beside a forecast of burned area: what the steps of a run do for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from esai_core import io
from esai_core.errors import InputError, unknown
from esai_core.runs import RunFolder
from esai_core.uncertainty import Interval, with_interval
from esai_fire.burned import is_gfed, read_gfed
from esai_fire.config import FireConfig
from esai_fire.factors import read_dry_matter, read_factors
from esai_fire.forecasters import means_of_seasons
from esai_fire.gfas import read_gfas
from esai_fire.gridding import regrid_total
from esai_fire.intervals import Predictive, predictive
from esai_fire.opening import Problem
from esai_fire.scoring import held_by, scores_of, skill_of_series
from esai_fire.species import (
    Conversion,
    Emitted,
    chain_conversion,
    emitted_by_sources,
    gfas_conversion,
)  # fmt: skip
from esai_fire.windows import windows_like

__all__ = ["evaluate_emissions", "predict_emissions", "train_emissions", "wants_emissions"]

METHODS = ("climatology", "stack")
FITTED, SCORED = "model/emission_fits.nc", "model/emission_scored.nc"


def wants_emissions(config: FireConfig) -> bool:
    """Tell whether a config of burned area names what emissions are made from."""
    return config.data.gfas is not None or config.data.dry_matter is not None


def train_emissions(config: FireConfig, problem: Problem, run: RunFolder) -> None:
    """Fit the conversions on the training rows of each fold; writes ``model/emission_fits.nc``."""
    emitted, months = _from_gfas(config, problem) if config.data.gfas else _from_dry_matter(config, problem)
    if not np.isfinite(emitted.observed).any():
        raise InputError(
            "emissions and burned area share no row",
            where=config.data.gfas or config.data.dry_matter,
            remedy="give emissions of the same years and regions",
        )
    dims = ("species", "series", "set")
    ds = xr.Dataset(
        {
            "observed": (("species", "series", "sample"), emitted.observed, {"units": _units(problem)}),
            "log_scale": (dims, emitted.conversion.log_scale),
            "slope": (dims, emitted.conversion.slope),
            "factor_sd": (dims, emitted.factor_sd),
            "of_set": (("set", "sample"), problem.plan.sets[problem.plan.outer]),
            "season": ("sample", problem.series.season),
        },
        coords={"species": list(emitted.species), "series": problem.series.names.astype(str)},
    )
    if months is not None:
        ds["observed_months"] = (("species", "region", "sample", "position"), months)
    io.write_netcdf(ds, run.path(FITTED), dtype="float64")


def _units(problem: Problem) -> str:
    return "kg" if problem.latitude.size else problem.units


def _months_of_regions(quantities: dict[str, xr.DataArray], problem: Problem) -> dict[str, np.ndarray] | None:
    """Give the months of the regions' windows, (regions, n, 12) each; None where rows are months already."""
    series = problem.series
    if series.month.any() or series.is_cell.all():
        return None
    regions = series.pick(~series.is_cell)
    return {name: windows_like(one, regions, problem.shares, months=True) for name, one in quantities.items()}


def _from_gfas(config: FireConfig, problem: Problem) -> tuple[Emitted, np.ndarray | None]:
    assert config.data.gfas is not None
    species = config.emissions.species
    fields = read_gfas(config.data.gfas, species=species, target=problem.grid)
    series = problem.series
    observed = np.stack([windows_like(fields[name], series, problem.shares) for name in species])
    conversion = gfas_conversion(series.y, observed, problem.biome, problem.plan)
    months = _months_of_regions({name: fields[name] for name in species}, problem)
    every = None if months is None else np.stack([months[name] for name in species])
    return Emitted(species, observed, conversion, np.zeros_like(conversion.slope)), every


def _from_dry_matter(config: FireConfig, problem: Problem) -> tuple[Emitted, np.ndarray | None]:
    assert config.data.emission_factors is not None
    factors = read_factors(config.data.emission_factors)
    species = config.emissions.species
    for name in species:
        if name not in factors.index:
            raise unknown("species", name, factors.index, where="emissions.species")
    factors = factors.loc[list(species)]
    months = None
    if problem.latitude.size:
        fields = _dry_matter_fields(config, problem)
        sources = list(fields)
        series = problem.series
        matter = np.stack([windows_like(one, series, problem.shares) for one in fields.values()])
        by_month = _months_of_regions(fields, problem)
        if by_month is not None:
            stacked = np.stack([by_month[name] for name in sources])
            flat = emitted_by_sources(stacked.reshape(len(sources), stacked.shape[1], -1), sources, factors)
            months = flat.reshape(len(species), *stacked.shape[1:])
    else:
        sources, matter = _dry_matter_table(config, problem)
    observed = emitted_by_sources(matter, sources, factors)
    conversion, sd = chain_conversion(
        problem.series.y, matter, sources, factors, problem.plan, factor_sd=config.emissions.factor_sd
    )
    return Emitted(species, observed, conversion, sd), months


def _dry_matter_fields(config: FireConfig, problem: Problem) -> dict[str, xr.DataArray]:
    """Dry matter per source and month on the grid of the burned area, kg."""
    path = config.data.dry_matter
    assert path is not None
    if not is_gfed(path):
        raise InputError(
            "burned area is on a grid, but dry matter is not",
            where=f"data.dry_matter = {path}",
            remedy="give GFED4.1s files",
        )
    ds = read_gfed(path)
    made = {}
    for source in ds["source"].values.astype(str):
        one = (ds["dm"] * ds["dm_share"].sel(source=source, drop=True) * ds["cell_area"]).rename(source)
        made[source] = regrid_total(one, problem.grid)
    return made


def _dry_matter_table(config: FireConfig, problem: Problem) -> tuple[list[str], np.ndarray]:
    """Dry matter (B, C, n) of the regions and years of a table; NaN where the table has none."""
    assert config.data.dry_matter is not None
    table = read_dry_matter(config.data.dry_matter)
    yearly = table.groupby(["source", "region", "year"])["DM_Tg"].sum()
    sources = sorted(table["source"].unique())
    series = problem.series
    made = np.full((len(sources), series.names.size, series.year.size), np.nan)
    known = set(table["region"])
    for b, source in enumerate(sources):
        part = yearly.loc[source].unstack("year").reindex(columns=series.year)
        for c, name in enumerate(series.names):
            if name in known:
                made[b, c] = part.reindex([name]).to_numpy()[0]
            elif name == "Global":
                made[b, c] = part.sum(min_count=len(part)).to_numpy()
    return sources, made


def predict_emissions(config: FireConfig, ds: xr.Dataset, run: RunFolder) -> None:
    """Convert the forecasts; writes ``emissions.csv``, ``emissions.nc`` and their months by region.

    Parameters
    ----------
    config : FireConfig
    ds : Dataset
        ``model/nested.nc``.
    run : RunFolder
    """
    fits = _read(run, FITTED)
    scored = _convert(config, ds, fits)
    io.write_netcdf(scored, run.path(SCORED), dtype="float64")
    io.write_table(_table(scored), run.path("emissions.csv"))
    if ds.sizes["latitude"]:
        io.write_netcdf(_gridded(scored, ds, level=config.intervals.level), run.path("emissions.nc"))
    if "observed_months" in fits:
        io.write_table(_months_table(config, ds, fits), run.path("emissions_monthly.csv"))


def _read(run: RunFolder, name: str) -> xr.Dataset:
    with xr.open_dataset(run.find(name), engine="netcdf4") as ds:
        return ds.load()


def _widened(made: Predictive, forecast: np.ndarray, sd: np.ndarray, level: float) -> Predictive:
    """Add the error of the emission factors to the ends of intervals, as logarithms of independent errors."""
    z = stats.norm.ppf((1.0 + level) / 2.0) * np.sqrt(np.log1p(sd**2))
    safe = np.where(forecast > 0.0, forecast, 1.0)
    ends = []
    for end, sign in ((made.lower, -1.0), (made.upper, 1.0)):
        distance = np.log(np.where(end > 0.0, end, 1.0) / safe)
        outside = sign * np.sqrt(np.where(sign * distance > 0.0, distance, 0.0) ** 2 + z**2)
        # An end on the wrong side of the forecast (a biased one) is only moved by the factors' error.
        moved = np.where(sign * distance > 0.0, outside, distance + sign * z)
        ends.append(np.where(end > 0.0, safe * np.exp(moved), end))
    return Predictive(ends[0], ends[1], made.crps)


def _climatologies(observed: np.ndarray, fits: xr.Dataset) -> np.ndarray:
    """Mean emission of each season over each outer training set: (C, K, n)."""
    known = np.isfinite(observed)
    weights = fits["of_set"].values[None] * known[:, None]
    return means_of_seasons(np.nan_to_num(observed), weights, fits["season"].values)


def _convert(config: FireConfig, ds: xr.Dataset, fits: xr.Dataset) -> xr.Dataset:
    """Forecasts, intervals and CRPS per species and method on (species, method, series, sample)."""
    of_row, train = ds["of_sample"].values, ds["train"].values.astype(bool)
    conversion = Conversion(fits["log_scale"].values, fits["slope"].values)
    sets = np.arange(fits.sizes["set"])[:, None]
    area = ds["forecast"].sel({"method": "stack"}).values
    inside = ds["inner"].sel({"method": "stack"}).values.astype(np.float64)
    shape = (fits.sizes["species"], len(METHODS), *area.shape)
    found = {name: np.full(shape, np.nan) for name in ("forecast", "lower", "upper", "crps")}
    for s in range(shape[0]):
        observed = fits["observed"].values[s]
        mean = _climatologies(observed, fits)
        hidden = np.isfinite(inside)
        both = {
            "climatology": (mean[:, of_row, np.arange(of_row.size)], np.where(hidden, mean, np.nan)),
            "stack": (conversion.of(area, s, of_row), conversion.of(inside, s, sets)),
        }
        for m, method in enumerate(METHODS):
            outer, inner = both[method]
            made = predictive(
                observed, outer, inner, of_row=of_row, train=train, level=config.intervals.level,
                kind=config.intervals.kind,
            )  # fmt: skip
            if method == "stack":
                sd = fits["factor_sd"].values[s][:, of_row]
                made = _widened(made, outer, sd, config.intervals.level)
            for name, values in zip(found, (outer, made.lower, made.upper, made.crps), strict=True):
                found[name][s, m] = values
    dims = ("species", "method", "series", "sample")
    made_ds = xr.Dataset(
        {name: (dims, values) for name, values in found.items()},
        coords={
            "species": fits["species"].values.astype(str), "method": list(METHODS),
            **{name: ds[name] for name in ds.coords if name in _SERIES_COORDS},
        },
    )  # fmt: skip
    made_ds["observed"] = (("species", "series", "sample"), fits["observed"].values, fits["observed"].attrs)
    made_ds["test"] = ds["test"]
    return made_ds


_SERIES_COORDS = ("series", "peak_month", "row", "column", "year", "month")


def _when(ds: xr.Dataset) -> Any:
    if "month" in ds.coords:
        parts = {"year": ds["year"].values, "month": ds["month"].values, "day": 1}
        return pd.DatetimeIndex(pd.to_datetime(parts))
    return ds["year"].values


def _table(scored: xr.Dataset) -> pd.DataFrame:
    """One line per species, region and row; without regions, per series."""
    regions = np.flatnonzero(scored["row"].values < 0)
    when, units = _when(scored), scored["observed"].attrs.get("units", "")
    tables = []
    for s, species in enumerate(scored["species"].values):
        for c in regions:
            one = scored.isel(species=s, series=c)
            best = one.sel({"method": "stack"})
            columns = {
                "species": str(species), "region": str(one["series"].values), "when": when, "units": units,
                "observed": one["observed"].values,
                "climatology": one["forecast"].sel({"method": "climatology"}).values,
                "emission": best["forecast"].values, "lower": best["lower"].values,
                "upper": best["upper"].values, "scored": one["test"].values,
            }  # fmt: skip
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _gridded(scored: xr.Dataset, ds: xr.Dataset, *, level: float) -> xr.Dataset:
    """Put the species of the cells on their grid."""
    when = _when(scored)
    time = when if isinstance(when, pd.DatetimeIndex) else pd.to_datetime([f"{year}-01-01" for year in when])
    latitude, longitude = ds["latitude_of_grid"].values, ds["longitude_of_grid"].values
    cells = scored.isel(series=np.flatnonzero(scored["row"].values >= 0)).sel({"method": "stack"})
    place = (cells["row"].values, cells["column"].values)
    made = xr.Dataset(
        coords={"time": np.asarray(time, "datetime64[ns]"), "latitude": latitude, "longitude": longitude}
    )
    for s, species in enumerate(scored["species"].values.astype(str)):
        fields = {}
        for name in ("forecast", "lower", "upper"):
            fields[name] = np.full((len(time), latitude.size, longitude.size), np.nan)
            fields[name][:, place[0], place[1]] = cells[name].values[s].T
        variable = species.replace(".", "p")
        attrs = {
            "units": scored["observed"].attrs.get("units", "kg"),
            "long_name": f"emission of {species} from fires",
        }
        made[variable] = (("time", "latitude", "longitude"), fields["forecast"], attrs)
        made = with_interval(made, variable, Interval(fields["lower"], fields["upper"]), coverage=level)
    return made


def _months_table(config: FireConfig, ds: xr.Dataset, fits: xr.Dataset) -> pd.DataFrame:
    """Spread the regions' windows over their months by the mean share of each month in training windows."""
    regions = np.flatnonzero(ds["row"].values < 0)
    ds, fits = ds.isel(series=regions), fits.isel(series=regions)
    of_row, train = ds["of_sample"].values, ds["train"].values.astype(bool)
    conversion = Conversion(fits["log_scale"].values, fits["slope"].values)
    sets = np.arange(fits.sizes["set"])[:, None]
    area = ds["forecast"].sel({"method": "stack"}).values
    inside = ds["inner"].sel({"method": "stack"}).values.astype(np.float64)
    weights = fits["of_set"].values
    tables = []
    for s, species in enumerate(fits["species"].values.astype(str)):
        months = fits["observed_months"].values[s]
        outer, inner = conversion.of(area, s, of_row), conversion.of(inside, s, sets)
        known = np.isfinite(months).all(axis=2)
        total = np.einsum("cnp,kn->ckp", np.where(known[..., None], months, 0.0), weights)
        share = total / np.maximum(total.sum(axis=2, keepdims=True), 1e-300)
        for position in range(12):
            own = share[:, :, position]
            made = predictive(
                months[..., position], outer * own[:, of_row], inner * own[..., None], of_row=of_row,
                train=train, level=config.intervals.level, kind=config.intervals.kind,
            )  # fmt: skip
            forecast = outer * own[:, of_row]
            made = _widened(made, forecast, fits["factor_sd"].values[s][:, of_row], config.intervals.level)
            number = ds["year"].values * 12 + ds["peak_month"].values[:, None] - 1 - 6 + position
            for c, name in enumerate(ds["series"].values.astype(str)):
                tables.append(
                    pd.DataFrame(
                        {
                            "species": species, "region": name,
                            "when": [f"{m // 12}-{m % 12 + 1:02d}-01" for m in number[c]],
                            "observed": months[c, :, position], "emission": forecast[c],
                            "lower": np.where(forecast[c] == 0.0, 0.0, made.lower[c]),
                            "upper": np.where(forecast[c] == 0.0, 0.0, made.upper[c]),
                            "scored": ds["test"].values,
                        }
                    )
                )  # fmt: skip
    made_table = pd.concat(tables, ignore_index=True)
    return made_table.sort_values(["species", "region", "when"], kind="stable", ignore_index=True)


def evaluate_emissions(run: RunFolder, *, level: float) -> dict[str, Any]:
    """Score the emissions per species: medians over cells, and the regions' totals; for metrics.json."""
    ds = _read(run, SCORED)
    test = ds["test"].values.astype(bool)
    cells = ds["row"].values >= 0
    table: dict[str, Any] = {}
    for s, species in enumerate(ds["species"].values.astype(str)):
        one = ds.isel(species=s)
        observed = np.where(test, one["observed"].values, np.nan)
        skill = skill_of_series(
            observed,
            {m: one["forecast"].sel({"method": m}).values for m in METHODS},
            {m: one["crps"].sel({"method": m}).values for m in METHODS},
        )
        best = one.sel({"method": "stack"})
        held = held_by(ds, observed, (best["lower"].values, best["upper"].values), level=level)
        row: dict[str, Any] = {
            "scores": scores_of(skill, cells if cells.any() else ~cells),
            "coverage": held.get("all", {}).get("coverage"),
            "interval": held.get("all"),
            "by_region": {
                str(name): scores_of(skill, np.arange(cells.size) == at)
                for at, name in enumerate(ds["series"].values)
                if not cells[at]
            },
        }
        table[species] = row
    return {"delivered": "stack", "units": ds["observed"].attrs.get("units", ""), "by_species": table}
