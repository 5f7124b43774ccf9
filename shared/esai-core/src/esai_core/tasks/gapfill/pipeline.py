"""The steps of gapfill. Each takes from earlier ones only files of the run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from esai_core import io, nn
from esai_core.explain import Drivers
from esai_core.grid import area_weights
from esai_core.runs import RunFolder
from esai_core.tasks.drivers import attribute, check
from esai_core.tasks.fields import need_networks, score_methods, values_at, write_history
from esai_core.tasks.gapfill.blobs import CHOOSE, LEARN, TEST, time_runs
from esai_core.tasks.gapfill.config import GapfillConfig
from esai_core.tasks.gapfill.eof import choose_modes
from esai_core.tasks.gapfill.filling import METHODS, Fields, calibrate, fill_all
from esai_core.tasks.gapfill.network import (
    FILLING,
    Filled,
    draw_examples,
    examples,
    fill,
    places,
    targets,
    train_network,
)
from esai_core.tasks.gapfill.pages import open_result, read_choice, report
from esai_core.tasks.gapfill.work import Work, prepare_work
from esai_core.tasks.scratch import Scratch, evenly, room, slices
from esai_core.uncertainty import SplitConformal, interval_sums, scores_of_sums

__all__ = ["evaluate", "predict", "report", "train"]

EXPLAINED = 32
"""Most times that explanations are made on, each with the cells of a whole field."""


def train(config: GapfillConfig, run: RunFolder) -> None:
    """Choose the number of modes, train the network, choose the method: all without the test's cells."""
    need_networks()
    with room(run.checkpoints / "learning") as folder:
        choice = _train(config, run, folder)
    run.path("model/choice.json").write_text(json.dumps(choice, indent=1), "utf-8")


def _train(config: GapfillConfig, run: RunFolder, folder: Path) -> dict[str, Any]:
    """Train with a folder for the series; what was chosen."""
    with run.stage("anomalies"):
        work = prepare_work(config, folder, LEARN)
        seen, held = (work.write(folder / f"part-{kind}.npy", kind) for kind in (LEARN, CHOOSE))
    with run.stage("choose modes"):
        errors = choose_modes(
            seen,
            held,
            Scratch.create(folder / "tried.npy", seen.shape),
            config.eof.modes,
            tolerance=config.eof.tolerance,
            iterations=config.eof.iterations,
        )
    modes = min(errors, key=lambda number: errors[number])
    with run.stage("fill examples"):
        learn = fill(seen, folder / "eof.npy", modes, config)
        draws = draw_examples(work, seen, folder, modes, config)
    with run.stage("train network"):
        history = train_network(
            work,
            learn,
            held,
            draws,
            weights=area_weights(work.field["latitude"]).values[:, None, None],
            config=config,
            folder=run.checkpoints / "network",
            resume=run.resume,
            workers=run.workers,
        )
    nn.save(history.model, run.path("model/network.keras"))
    write_history(run, history.rows)
    with run.stage("choose method"):
        fields = fill_all(work, learn, history.model, modes, config, folder)
        chosen = score_methods(
            {name: fields.of(name) for name in METHODS},
            fields.lazy(lambda times: work.truth(times, CHOOSE)),
            climatology=fields.lazy(work.level),
        )["scores"]
        best = min(chosen, key=lambda name: chosen[name]["rmse"])
        conformal = calibrate(fields, best, held, config)
    return {
        "modes": modes,
        "modes_rmse": {str(number): error * work.scale for number, error in errors.items()},
        "delivered": best,
        "choice_rmse": {name: one["rmse"] for name, one in chosen.items()},
        "interval": conformal.to_dict(),
    }


def predict(config: GapfillConfig, run: RunFolder) -> None:
    """Fill the test's cells by every method, and all real gaps by the delivered one."""
    choice, model = read_choice(run), nn.load(run.find("model/network.keras"))
    conformal, delivered = SplitConformal.from_dict(choice["interval"]), choice["delivered"]
    with room(run.checkpoints / "testing") as folder:
        with run.stage("fill test"):
            work = prepare_work(config, folder, LEARN, CHOOSE)
            seen = work.write(folder / "seen.npy", LEARN, CHOOSE)
            fields = fill_all(work, seen, model, choice["modes"], config, folder)
            io.write_netcdf(tested(work, fields, delivered, conformal), run.path("verification.nc"))
        with run.stage("explain"):
            explain(model, work, Filled(seen, fields.made["eof"]), config).save(run.path("drivers.json"))
    with run.stage("fill gaps"), room(run.checkpoints / "filling") as folder:
        work = prepare_work(config, folder, LEARN, CHOOSE, TEST)
        fields = fill_all(work, work.anomalies, model, choice["modes"], config, folder, methods=(delivered,))
        made = filled(work, fields, delivered, conformal)
        made.attrs["comment"] = f"gaps filled by {delivered}; bounds hold {config.coverage:.0%} of the truths"
        io.write_netcdf(made, run.path("filled.nc"))


def tested(work: Work, fields: Fields, delivered: str, conformal: SplitConformal) -> xr.Dataset:
    """Give what every method makes of the test's cells, with the interval and the truth, not computed yet."""
    test = fields.lazy(lambda times: (work.parts[times] == TEST).astype(np.float32)) > 0
    made = xr.Dataset({name: fields.of(name) for name in METHODS})
    ends = conformal.interval(made[delivered], scale=work.spread)
    made = made.assign(lower=ends.lower, upper=ends.upper, climatology_level=fields.lazy(work.level))
    made = made.where(test).assign(truth=fields.lazy(lambda times: work.truth(times, TEST)))
    for name in made.data_vars:
        made[name].attrs = dict(work.field.attrs)
    return made


def explain(model: Any, work: Work, filled: Filled, config: GapfillConfig) -> Drivers:
    """Tell which inputs the network uses to fill the test's cells, and whether the check is passed.

    At most `EXPLAINED` of the times with such cells are taken, evenly spread.
    """
    window, runs = config.network.window, time_runs(len(work.parts), duration=config.hide.duration)
    asked = np.concatenate([(work.parts[times] == TEST).any((1, 2)) for times in work.blocks()])
    times = np.flatnonzero(asked)[evenly(int(asked.sum()), EXPLAINED)]
    options: dict[str, Any] = {
        "inputs": examples(filled, work.sea, times, window=window),
        "truth": targets(filled.seen, work.anomalies, work.sea, times),
        "places": places(window),
        "method": "permutation of blocks",
        "outputs": ["filling"],
        "blocks": runs[times],
    }
    found = attribute(model, **options)
    verdict = check(model, found, guess=FILLING, **options)
    text = (
        f"The network, at {len(times)} times with hidden cells. One input at a time is exchanged between "
        "runs of times, what was seen together with where it was seen. The network adds to the filling by "
        "EOFs, so that losing that costs most where the network adds little."
    )
    return Drivers((found,), verdict, text)


def filled(work: Work, fields: Fields, delivered: str, conformal: SplitConformal) -> xr.Dataset:
    """Give the series with its gaps filled, and the interval of what was filled, not computed yet."""
    field = fields.lazy(lambda times: values_at(work.field, times))
    gaps, best, name = field.isnull(), fields.of(delivered), str(field.name)
    ends = conformal.interval(best, scale=work.spread)
    made = {
        name: field.where(~gaps, best),
        f"{name}_lower": ends.lower.where(gaps),
        f"{name}_upper": ends.upper.where(gaps),
    }
    return xr.Dataset({key: values.assign_attrs(work.field.attrs) for key, values in made.items()})


def evaluate(config: GapfillConfig, run: RunFolder) -> None:
    """Score every method on the test's cells."""
    choice, made = read_choice(run), open_result(run, "verification.nc")
    with run.stage("verify"):
        table = score_methods(
            {name: made[name] for name in METHODS}, made["truth"], climatology=made["climatology_level"]
        )
        sums = []
        for times in slices(made.sizes["time"], made.chunksizes["time"][0]):
            block = made[["truth", "lower", "upper"]].isel(time=times).compute()
            sums.append(
                interval_sums(block["truth"], block["lower"], block["upper"], coverage=config.coverage)
            )
        held = scores_of_sums(
            np.concatenate(sums), blocks=time_runs(made.sizes["time"], duration=config.hide.duration)
        )
    hide = config.hide
    split = {"hidden": hide.share, "choose": hide.choose, "length": hide.length, "duration": hide.duration}
    metrics = {"split": split, "delivered": choice["delivered"], "interval": held, "modes": choice["modes"]}
    run.write_metrics(metrics | table)
