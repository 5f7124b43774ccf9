"""The steps of a run, in terms of its folder: train, predict, evaluate, report."""

from __future__ import annotations

import json
import logging
import operator
import shutil
from functools import reduce
from pathlib import Path

import dask.config
import numpy as np

from esai_core.errors import InputError, UsageError
from esai_core.io import write_netcdf
from esai_core.runs import RunFolder
from esai_s2s.checkpoints import Part, keep_matching
from esai_s2s.config import S2sConfig, files_by_name
from esai_s2s.crossval import (
    Frame,
    draw_pool,
    finish_chunk,
    fit_chunk,
    fit_pooled,
    guard,
    make_frame,
    name_of,
)
from esai_s2s.drivers import CELLS, drivers_to_dict, explaining_fold, find_drivers
from esai_s2s.fitting import inner_folds, weigh
from esai_s2s.intervals import value_intervals
from esai_s2s.methods.registry import POOLED
from esai_s2s.output import join_blocks, live_fields, test_fields
from esai_s2s.sample import Sample, join_cells
from esai_s2s.store import save_weights
from esai_s2s.streaming import Chunk, Each, Layout, crew, make_layout

__all__ = ["delivered_method", "evaluate", "predict", "report", "train"]

log = logging.getLogger(__name__)


def train(config: S2sConfig, run: RunFolder) -> None:
    """Open, check, split and fit: writes ``model/`` and ``verification/`` (out-of-fold forecasts).

    A run that goes on with ``--resume`` fits the chunks that are not done.
    """
    keep_matching(config, run)
    trained = {name: str(path) for name, path in config.data.models.items()}
    run.path("model/trained.json").write_text(json.dumps(trained) + "\n")
    with crew(run) as each:
        for variable in config.data.variables:
            _train(config, run, variable, each)


def _train(config: S2sConfig, run: RunFolder, variable: str, each: Each) -> None:
    """Fit one variable."""
    layout = make_layout(config, variable)
    layout.save(run.path(f"model/{variable}.npz"))
    chunks = layout.chunks
    threads = run.workers or 1 if len(chunks) == 1 and not run.cluster else 1
    with run.stage("open"):
        pools = _pools(config, chunks, each)
        frames = [make_frame(config, pool) for pool in pools]
    with run.stage("guard"):
        for pool, frame in zip(pools, frames, strict=True):
            guard(pool, frame.blocks, frame.folds[0], frame.plan)
    with run.stage("fit trees"):
        for pool, frame in zip(pools, frames, strict=True):
            _grow(config, pool, frame, run, threads, each)
    with run.stage("fit cells"):
        models = run.path("model/trained.json").parent
        parts = each(
            fit_chunk, [(config, chunk, run.checkpoints, models, threads) for chunk in chunks], variable
        )
    weights = []
    with run.stage("weigh"):
        for number, (pool, frame) in enumerate(zip(pools, frames, strict=True)):
            told = {chunk.part: part[number] for chunk, part in zip(chunks, parts, strict=True)}
            some = {name: part for name, part in told.items() if part.cells}
            weights.append(_finish(config, run, pool, frame, some, each))
    with run.stage("explain"):
        jobs = []
        for pool, frame, own in zip(pools, frames, weights, strict=True):
            step = max(1, pool.cells // CELLS)
            few = pool.on_cells(slice(0, step * CELLS, step))
            jobs.append((few, frame, own, config.seed, run.path(f"diagnostics/{name_of(pool)}.json")))
        each(_explain, jobs, f"{variable} drivers")


def _finish(
    config: S2sConfig, run: RunFolder, pool: Sample, frame: Frame, parts: dict[str, Part], each: Each
) -> dict[str, float]:
    """Weigh the methods on the sums over all chunks, and add the ensemble to the forecasts of each.

    Given back are the mean weights over the folds; none without an ensemble.
    """
    name = name_of(pool)
    found = []
    for number in range(len(frame.fits) if frame.plan.stack else 0):
        grams = [part.grams[number] for part in parts.values()]
        found.append(weigh(reduce(operator.add, grams), frame.plan))
    weights = [one[0] for one in found]
    scored = weights[: len(frame.folds)]
    last = found[-1] if found else ({}, {})
    folder = run.path(f"model/{name}/ensemble.json").parent
    save_weights(folder, list(frame.plan.methods), *last, scored)
    about, singles = (pool.variable, pool.window), run.checkpoints / "singles" / name
    jobs = [
        (config, frame, pool.starts, about, singles, part, scored, run.path(f"verification/{name}/{part}.nc"))
        for part in parts
    ]
    each(finish_chunk, jobs, name)
    shares = {m: float(np.mean([own[m] for own in scored])) for m in (scored[0] if scored else {})}
    _log(name, sum(part.cells for part in parts.values()), frame, shares)
    return shares


def _explain(few: Sample, frame: Frame, weights: dict[str, float], seed: int, path: Path) -> None:
    """Look for what drives the forecasts, and score intervals of the value, on a few cells."""
    fold = explaining_fold(frame.folds, frame.blocks, few)
    drivers = find_drivers(few, frame.blocks, fold, frame.plan, weights, seed=seed)
    told = drivers_to_dict(drivers) | {
        "held_out": fold.name,
        "cells": few.cells,
        "intervals": value_intervals(few, frame.blocks, frame.folds, frame.plan),
    }
    path.write_text(json.dumps(told, indent=1) + "\n")


def _log(name: str, cells: int, frame: Frame, shares: dict[str, float]) -> None:
    cases = sum(len(fold.test) for fold in frame.folds)
    shown = ", ".join(f"{method} {value:.2f}" for method, value in shares.items())
    log.info("%s: %d cases of %d cells, weights %s", name, cases, cells, shown or "none")


def _pools(config: S2sConfig, chunks: tuple[Chunk, ...], each: Each) -> list[Sample]:
    """Return drawn cells that trees are grown on, window by window, or without trees the first with truth."""
    total = sum((chunk.last - chunk.first) * chunk.width for chunk in chunks)
    share = min(1.0, config.model.pool_cells / max(total, 1))
    if POOLED & set(config.models):
        drawn = each(draw_pool, [(config, chunk, share) for chunk in chunks], "pool")
    else:
        drawn = []
        for chunk in chunks:  # only the starts and the leak guard ask for these
            drawn = [draw_pool(config, chunk, 1.0)]
            if all(sample.cells for sample in drawn[0]):
                break
    pools = []
    for window in range(len(drawn[0])):
        some = [samples[window] for samples in drawn if samples[window].cells]
        if not some:
            raise InputError(f"no start has an observation of {chunks[0].variable}", where=config.data.title)
        pools.append(join_cells(some))
    return pools


def _grow(config: S2sConfig, pool: Sample, frame: Frame, run: RunFolder, threads: int, each: Each) -> None:
    """Grow the trees of each fit and of its inner parts, on the pool."""
    if not POOLED & set(frame.plan.methods):
        return
    name = name_of(pool)
    folder = run.checkpoints / "pooled" / name
    folder.mkdir(parents=True, exist_ok=True)
    source = run.checkpoints / f"pool_{name}.npz"
    pool.save(source)
    jobs = []
    for number, rows in enumerate(frame.fits):
        inner = inner_folds(pool.take(rows), frame.blocks[rows], frame.plan) if frame.plan.stack else []
        jobs += [(config, source, folder, number, part, threads) for part in range(-1, len(inner))]
    each(fit_pooled, jobs, f"{name} trees")
    for path in (folder / f"{len(frame.fits) - 1}_-1").glob("*.npz"):
        shutil.copyfile(path, run.path(f"model/{name}/{path.name}"))


def delivered_method(config: S2sConfig, run: RunFolder) -> str:
    """Return the ensemble where it was asked for, else the last named method."""
    return "ensemble" if "ensemble" in config.models else config.models[0]


def predict(config: S2sConfig, run: RunFolder) -> None:
    """Write ``forecast.nc``: the delivered method for the test starts, or for new ones.

    New are the newest start of data.live, or all of a data.forecast that is not the one trained with.
    """
    delivered = delivered_method(config, run)
    with run.stage("predict"):
        live = _new_starts(config, run)
        blocks = []
        for variable in config.data.variables:
            layout = Layout.load(run.find(f"model/{variable}.npz"), variable)
            if live is None:
                blocks += test_fields(config, run.find("verification"), layout, delivered)
            else:
                newest = config.data.live is not None
                blocks += live_fields(config, run.find("model"), layout, delivered, live, newest=newest)
        forecast = join_blocks(blocks).assign_attrs(method=delivered)
        with dask.config.set(scheduler="synchronous"):  # NetCDF is not read by several threads at once
            write_netcdf(forecast, run.path("forecast.nc"))


def _new_starts(config: S2sConfig, run: RunFolder) -> dict[str, Path] | None:
    if config.data.live is not None:
        return files_by_name(config.data.live)
    trained = json.loads(run.find("model/trained.json").read_text())
    given = config.data.models
    return given if {name: str(path) for name, path in given.items()} != trained else None


def evaluate(config: S2sConfig, run: RunFolder) -> None:
    """Score every method on the test cases: writes ``metrics.json`` and ``diagnostics/``."""
    from esai_s2s.scoring import score

    if config.data.live is not None and not run.has("verification"):
        raise UsageError("there is nothing to score", where="data.live")
    with run.stage("evaluate"):
        run.write_metrics(score(config, run, delivered_method(config, run)))


def report(config: S2sConfig, run: RunFolder) -> None:
    """Draw and tell: writes ``report.html``."""
    from esai_s2s.reporting import write_report

    with run.stage("report"):
        write_report(config, run)
