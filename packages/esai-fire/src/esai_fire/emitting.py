"""The task ``emissions``: its steps. Nothing is fitted; the scores compare with published totals."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import xarray as xr

from esai_core import io, verify
from esai_core.errors import unknown
from esai_core.explain import Drivers, shapley_importance
from esai_core.runs import RunFolder
from esai_core.uncertainty import interval_scores
from esai_fire.config import FireConfig
from esai_fire.factors import WHOLE, closure, combine_dry_matter, read_dry_matter, read_factors

__all__ = ["evaluate", "predict", "report", "train"]

CHAIN, ONE = "source_factors", "one_factor"


def _factors(config: FireConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    assert config.data.dry_matter is not None
    assert config.data.emission_factors is not None
    return read_dry_matter(config.data.dry_matter), read_factors(config.data.emission_factors)


def train(config: FireConfig, run: RunFolder) -> None:
    """Check the inputs; writes ``model/factors.csv``, the factors in use."""
    with run.stage("open"):
        _, factors = _factors(config)
        wanted = list(dict.fromkeys([*config.emissions.species, *config.data.published]))
        for name in wanted:
            if name not in factors.index:
                raise unknown("species", name, factors.index, where="emissions.species")
    factors.loc[wanted].to_csv(run.path("model/factors.csv"))


def predict(config: FireConfig, run: RunFolder) -> None:
    """Write ``emissions.csv``: species, region and period, with intervals; and which sources they are of."""
    dry, _ = _factors(config)
    factors = read_factors(run.find("model/factors.csv"))
    settings = config.emissions
    with run.stage("emissions"):
        made = combine_dry_matter(
            dry, factors, species=list(factors.index), factor_sd=settings.factor_sd,
            dry_matter_sd=settings.dry_matter_sd, level=config.intervals.level,
        )  # fmt: skip
        savanna = pd.DataFrame({name: factors.iloc[:, 0] for name in factors.columns})
        one = combine_dry_matter(dry, savanna, species=list(factors.index))
    made["one_factor"] = one["emission"]
    io.write_table(made, run.path("emissions.csv"))
    _sources(dry, factors).save(run.path("drivers.json"))


def _sources(dry: pd.DataFrame, factors: pd.DataFrame) -> Drivers:
    """Split the emissions among the sources: for the whole, and by region for the first species.

    Emissions are a linear model of the dry matter of each source, whose Shapley values are exact.
    """
    when = ["region", *(name for name in ("year", "month") if name in dry)]
    matter = dry.pivot_table(index=when, columns="source", values="DM_Tg", aggfunc="sum", fill_value=0.0)
    nothing = matter.iloc[:1] * 0.0  # "no fire", so that contributions are the emissions of each source
    regions = matter.index.get_level_values("region").to_numpy()
    told = [
        shapley_importance(
            SimpleNamespace(coef_=factors.loc[name, matter.columns].to_numpy(np.float64) / 1000.0),
            matter, background=nothing, by=regions if number == 0 else None,
            units=f"Tg of {name} per region and time",
        )
        for number, name in enumerate(factors.index)
    ]  # fmt: skip
    told = [replace(one, method=f"sources of {name}") for one, name in zip(told, factors.index, strict=True)]
    text = (
        "Emissions are the sum over the sources of dry matter times emission factor: what each source adds. "
        "Nothing is learnt here, so that there is no model to check with random weights."
    )
    return Drivers(tuple(told[:3]), None, text)


def evaluate(config: FireConfig, run: RunFolder) -> None:
    """Write ``metrics.json``: how near the chain comes to the published totals."""
    table = pd.read_csv(run.find("emissions.csv"))
    found: dict[str, dict] = {}
    held: dict[str, dict[str, float]] = {}
    scores: dict[str, dict[str, float | None]] = {
        CHAIN: {"d2": None, "r": None, "rmse": None, "crps": None},
        ONE: {"d2": None, "r": None, "rmse": None, "crps": None},
    }
    by_species: dict[str, dict] = {}
    for species, path in config.data.published.items():
        published = io.read_table(path)
        own = closure(table, published, species=species)
        other = closure(table.assign(emission=table["one_factor"]), published, species=species)
        found[species] = {
            "max_percent": float(own["percent"].abs().max()),
            "mean_percent": float(own["percent"].mean()),
            "one_factor_percent": float(other["percent"].mean()),
            "years": len(own),
        }
        by_species[species] = {CHAIN: _scores(own), ONE: _scores(other)}
        held[species] = _held(table[table.species == species], published, config.intervals.level)
    if by_species:
        scores = next(iter(by_species.values()))
    metrics = {
        "split": {"kind": "closure", "years": [int(table["year"].min()), int(table["year"].max())]},
        "delivered": CHAIN,
        "scores": scores,
        "kkt_max": None,
        "cells": int(table.loc[table.region != WHOLE, "region"].nunique()),
        "closure": found,
        "interval": held,
        "units": "Tg",
    }
    if by_species:
        metrics["by_species"] = by_species
    run.write_metrics(metrics)


def _held(table: pd.DataFrame, published: pd.DataFrame, level: float) -> dict[str, float]:
    """Score the intervals of all regions and years against published totals."""
    theirs = published.melt("year", var_name="region", value_name="published")
    both = table.merge(theirs, on=["year", "region"])
    years = both["year"].to_numpy()
    return interval_scores(both["published"], both["lower"], both["upper"], coverage=level, blocks=years)


def _scores(pairs: pd.DataFrame) -> dict[str, float | None]:
    """Score totals (no distribution: crps is the mean absolute error)."""
    ours = xr.DataArray(pairs["emission"].to_numpy(), dims="year")
    theirs = xr.DataArray(pairs["published"].to_numpy(), dims="year")
    found = {
        "d2": verify.d2(ours, theirs, family="poisson"),
        "crps": verify.mae(ours, theirs),
        "r": verify.pearson_r(ours, theirs),
        "rmse": verify.rmse(ours, theirs),
    }
    return {name: float(value) if np.isfinite(value) else None for name, value in found.items()}


def report(config: FireConfig, run: RunFolder) -> None:
    """Write ``report.html``."""
    from esai_fire.telling import tell_emissions

    tell_emissions(config, run)
