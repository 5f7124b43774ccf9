"""Forecast every test case by a fit that has not seen it, chunk by chunk of the cells.

What needs all cells at once is small: a pool of drawn cells that trees are grown on, and for the weights of
the ensemble one matrix for each training block, which add up over the chunks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import InputError
from esai_core.io import write_netcdf
from esai_core.splits import Fold
from esai_s2s.checkpoints import Part, load_parts, once, save_parts
from esai_s2s.config import S2sConfig
from esai_s2s.data import open_samples
from esai_s2s.fitting import (
    Fitted,
    Plan,
    fit,
    fit_models,
    inner_folds,
    inner_grams,
    make_blocks,
    make_folds,
    make_plan,
    predict_singles,
    prepared,
)
from esai_s2s.guard import assert_no_leak
from esai_s2s.methods.registry import POOLED
from esai_s2s.methods.stacking import mix
from esai_s2s.sample import LABELS, Sample
from esai_s2s.store import load_models, save, save_models
from esai_s2s.streaming import Chunk

__all__ = ["Frame", "draw_pool", "finish_chunk", "fit_chunk", "fit_pooled", "guard", "make_frame"]

LEAST_BLOCKS = 4


@dataclass(frozen=True)
class Frame:
    """What the cells of one variable and window share.

    Attributes
    ----------
    plan : Plan
    blocks : (n,)
        Label of the block of each start.
    folds : list of Fold
        That are scored.
    fits : list of array
        Training cases of each fold and, where there are several, of the fit on all cases that is kept.
    """

    plan: Plan
    blocks: np.ndarray
    folds: list[Fold]
    fits: list[np.ndarray]


def make_frame(config: S2sConfig, sample: Sample, *, threads: int = 1) -> Frame:
    """Resolve blocks, folds and plan for the starts of a sample.

    Raises
    ------
    InputError
        If there are too few blocks.
    """
    blocks = make_blocks(sample.starts, config)
    if len(np.unique(blocks)) < LEAST_BLOCKS:
        raise InputError(
            f"{len(np.unique(blocks))} blocks ({config.split.blocks}) are too few",
            where=config.data.title,
            remedy=f"give starts of {LEAST_BLOCKS} or more years",
        )
    folds = make_folds(sample, blocks, config.split.test)
    fits = [fold.train for fold in folds]
    if len(folds) > 1:
        fits.append(np.arange(sample.size))
    return Frame(make_plan(config, sample, threads=threads), blocks, folds, fits)


def name_of(sample: Sample) -> str:
    """Return the name of the files of a variable and window."""
    return f"{sample.variable}_{sample.window}"


def draw_pool(config: S2sConfig, chunk: Chunk, share: float) -> list[Sample]:
    """Return drawn cells with observations, window by window; the same whichever way the cells are cut."""
    drawn = []
    for sample in open_samples(config, rows=chunk.rows, variables=(chunk.variable,)):
        cells = np.arange(sample.cells) + chunk.first * chunk.width
        luck = np.random.default_rng([config.seed, 7]).random(int(cells[-1]) + 1)[cells]
        drawn.append(sample.on_cells(np.flatnonzero((luck < share) & sample.known)))
    return drawn


def fit_pooled(config: S2sConfig, pool: Path, folder: Path, number: int, part: int, threads: int) -> None:
    """Grow the methods that learn from all cells, for one inner part of one fit (-1: the whole of it)."""
    target = folder / f"{number}_{part}"
    if target.exists():
        return
    sample = Sample.load(pool)
    frame = make_frame(config, sample, threads=threads)
    sample = prepared(sample, frame.plan)
    rows = frame.fits[number]
    if part >= 0:
        train = sample.take(rows)
        rows = rows[inner_folds(train, frame.blocks[rows], frame.plan)[part].train]
    grown = tuple(name for name in frame.plan.methods if name in POOLED)
    _, models = fit_models(sample.take(rows), replace(frame.plan, methods=grown))
    once(target, partial(save_models, models))


def fit_chunk(config: S2sConfig, chunk: Chunk, work: Path, models: Path, threads: int) -> list[Part]:
    """Fit and forecast the cells of one chunk, for each window; all but the ensemble, which needs all chunks.

    Parameters
    ----------
    config : S2sConfig
    chunk : Chunk
    work : Path
        Holds ``pooled/NAME/FIT_PART`` of `fit_pooled`; out-of-fold forecasts are written to ``singles``, and
        what is given back to ``parts``: a chunk that is there was done before.
    models : Path
        Where the fit that is kept goes: ``NAME/PART``.
    threads : int
        Of each fit.
    """
    done = work / "parts" / chunk.variable / f"{chunk.part}.npz"
    if done.exists():
        return load_parts(done)
    told = []
    for sample in open_samples(config, rows=chunk.rows, variables=(chunk.variable,)):
        known = sample.known
        if not known.any():
            told.append(Part([], 0))
            continue
        some, name = sample.on_cells(np.flatnonzero(known)), name_of(sample)
        frame = make_frame(config, some, threads=threads)
        members, some = _members(some), prepared(some, frame.plan)
        grown = work / "pooled" / name
        rows = np.sort(np.concatenate([fold.test for fold in frame.folds]))
        codes = np.full((len(rows), some.cells), np.nan, dtype=np.float32)
        kept: dict[str, np.ndarray] = {}
        grams = []
        for number, train_rows in enumerate(frame.fits):
            train, labels = some.take(train_rows), frame.blocks[train_rows]
            pooled = partial(_grown, grown, number)
            if frame.plan.stack:
                grams.append(inner_grams(train, labels, frame.plan, pooled))
            categories, fitted = fit_models(train, frame.plan, pooled(-1))
            if number < len(frame.folds):
                held = some.take(frame.folds[number].test)
                at = np.searchsorted(rows, frame.folds[number].test)
                codes[at] = categories.codes(held)
                for method, values in predict_singles(fitted, categories, held).items():
                    shape = (len(rows), some.cells, frame.plan.categories)
                    kept.setdefault(method, np.full(shape, np.nan, dtype=np.float32))[at] = values
        save(Fitted(categories, fitted, {}, {}), models / name / chunk.part, pooled=models / name)
        np.save(models / name / chunk.part / "cells.npy", known)
        target = work / "singles" / name / f"{chunk.part}.npz"
        target.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {"codes": codes, "members": members[rows], **_place(some)}
        np.savez(target, **arrays, **_prefixed(kept))
        told.append(Part(grams, some.cells))
    save_parts(told, done)
    return told


def _grown(folder: Path, number: int, part: int) -> Mapping[str, Any]:
    return load_models(folder / f"{number}_{part}")


def _members(sample: Sample) -> np.ndarray:
    if sample.forecast is None:
        return np.full((sample.size, sample.cells), np.nan, dtype=np.float32)
    return (~np.isnan(sample.forecast)).sum(axis=1).astype(np.float32)


def _place(sample: Sample) -> dict[str, np.ndarray]:
    if sample.latitude is None or sample.longitude is None:
        return {}
    return {"latitude": sample.latitude, "longitude": sample.longitude}


def _prefixed(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {f"p_{name}": array for name, array in values.items()}


def finish_chunk(
    config: S2sConfig,
    frame: Frame,
    starts: np.ndarray,
    about: tuple[str, str],
    singles: Path,
    part: str,
    weights: Sequence[Mapping[str, float]],
    target: Path,
) -> None:
    """Add the ensemble to the forecasts of one chunk and write them, (method, start, cell, category).

    Parameters
    ----------
    config, frame
        Of the sample.
    starts : (n,)
        All of them.
    about : (str, str)
        Variable and window.
    singles : Path
        Folder of `fit_chunk`.
    part : str
        Of the chunk.
    weights : sequence of mapping
        Of each fold.
    target : Path
        NetCDF.
    """
    if target.exists():
        return
    rows = np.sort(np.concatenate([fold.test for fold in frame.folds]))
    with np.load(singles / f"{part}.npz") as kept:
        arrays = dict(kept)
    found = {name.removeprefix("p_"): array for name, array in arrays.items() if name.startswith("p_")}
    if frame.plan.stack:
        ensemble = np.empty_like(found["climatology"])
        for fold, own in zip(frame.folds, weights, strict=True):
            at = np.searchsorted(rows, fold.test)
            ensemble[at] = mix({name: values[at] for name, values in found.items()}, own)
        found["ensemble"] = ensemble
    ds = xr.Dataset(
        {
            "probability": (("method", "start", "cell", "category"), np.stack(list(found.values()))),
            "observed": (("start", "cell"), arrays["codes"]),
            "members": (("start", "cell"), arrays["members"]),
        },
        coords={
            "method": list(found),
            "start": starts[rows],
            "category": list(LABELS[config.data.categories]),
            "block": ("start", frame.blocks[rows]),
        },
        attrs={"variable": about[0], "window": about[1]},
    )
    if "latitude" in arrays:
        ds = ds.assign_coords(latitude=("cell", arrays["latitude"]), longitude=("cell", arrays["longitude"]))
    write_netcdf(ds, target)


def guard(sample: Sample, blocks: np.ndarray, fold: Fold, plan: Plan) -> None:
    """Run the leak guard on one fold with the quick methods: edges, scalers, coefficients, weights."""
    quick = tuple(name for name in plan.methods if name in ("raw", "logistic", "emos"))
    small = sample.on_cells(np.arange(min(sample.cells, 8)))
    lean = replace(plan, methods=quick, inner=2)

    def procedure(given: Sample, part: Fold) -> np.ndarray:
        fitted = fit(given.take(part.train), blocks[part.train], lean)
        held = given.take(part.test)
        answers = fitted.predict(held)
        edges = fitted.categories.edges(held).transpose(0, 2, 1)
        return np.concatenate([*answers.values(), edges], axis=-1)

    assert_no_leak(procedure, small, fold)
