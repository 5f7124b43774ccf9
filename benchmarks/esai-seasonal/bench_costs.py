"""The inputs of the cost model in docs/concepts/scaling.md: seconds and bytes per million values.

Every line has ``s_per_million`` (seconds of the processor per million hindcast values) and what that makes of
a global hindcast: ``core_hours_monthly`` for the monthly means of SEAS5 (40 years, 12 starts, 7 leads, 25
members, 721 x 1440) and ``core_hours_daily`` for all 215 days. Training is counted per million values of the
fields that a step sees, for one, two and four workers that share this machine's processors (wall seconds).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from esai_core.io import write_netcdf
from esai_core.verify import crps
from esai_seasonal.methods.correction import METHODS, Correction

# years, rows, columns of the hindcast; examples, rows and columns of a training
SIZES = {"small": (12, 20, 25, 64, 40, 50), "full": (22, 40, 50, 256, 80, 200)}
LEADS, MEMBERS, STARTS = 6, 25, 2
MONTHLY = 40 * 12 * 7 * 25 * 721 * 1440
DAILY = 40 * 12 * 215 * 25 * 721 * 1440


def clock(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the processor that a call takes, and its result."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def tell(case: str, seconds: float, values: int, **more: Any) -> None:
    """Print one input of the cost model."""
    rate = seconds / values * 1e6
    hours = {"monthly": rate * MONTHLY / 3.6e9, "daily": rate * DAILY / 3.6e9}
    more |= {f"core_hours_{name}": round(value, 1) for name, value in hours.items()}
    print(json.dumps({"case": case, "ours_s": seconds, "s_per_million": rate, **more}), flush=True)


def season(years: int, rows: int, columns: int) -> tuple[xr.DataArray, xr.DataArray]:
    """Draw a hindcast and its truth."""
    rng = np.random.default_rng(0)
    starts = [np.datetime64(f"{1981 + y}-{m:02d}-01", "ns") for y in range(years) for m in (1, 7)]
    coords = {
        "start": np.array(starts),
        "lead": ("lead", np.arange(1, LEADS + 1), {"units": "months"}),
        "number": np.arange(MEMBERS),
        "latitude": 30 + 0.25 * np.arange(rows),
        "longitude": -10 + 0.25 * np.arange(columns),
    }
    shape = (len(starts), LEADS, MEMBERS, rows, columns)
    noise = rng.standard_normal(shape, dtype="float32")
    hindcast = xr.DataArray(
        (280 + 2 * noise).round(2), dims=tuple(coords), coords=coords, name="t2m", attrs={"units": "K"}
    )
    truth = hindcast.mean("number") + rng.standard_normal((*shape[:2], rows, columns), dtype="float32")
    return hindcast, truth.assign_attrs(units="K")


def files(hindcast: xr.DataArray, folder: Path) -> None:
    """Write and read, with the bytes that a million values take on disk."""
    tiny = hindcast[:1, :1]
    tiny.to_dataset().to_zarr(folder / "first.zarr", zarr_format=3, consolidated=False)  # what is loaded once
    write_netcdf(tiny, folder / "first.nc", provenance={"title": "cost"})
    for kind in ("zarr", "nc"):
        path = folder / f"hindcast.{kind}"
        if kind == "zarr":
            seconds, _ = clock(
                lambda path=path: hindcast.to_dataset().to_zarr(path, zarr_format=3, consolidated=False)
            )
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        else:
            seconds, _ = clock(lambda path=path: write_netcdf(hindcast, path, provenance={"title": "cost"}))
            size = path.stat().st_size
        tell(f"write {kind}", seconds, hindcast.size, bytes_per_million=round(size / hindcast.size * 1e6))
        opened: Callable[[], Any] = (
            (lambda path=path: xr.open_zarr(path, chunks=None, consolidated=False)["t2m"].load())
            if kind == "zarr"
            else (lambda path=path: xr.open_dataset(path, engine="netcdf4")["t2m"].load())
        )
        tell(f"read {kind}", clock(opened)[0], hindcast.size)


def methods(hindcast: xr.DataArray, truth: xr.DataArray) -> None:
    """Fit and apply each classical method, and score."""
    few = {"latitude": slice(2), "longitude": slice(2)}
    for name in METHODS:
        if name == "raw":
            continue
        made = Correction(name, "additive")
        made.fit(hindcast.isel(few), truth.isel(few)).predict(hindcast.isel(few))  # compiled first
        seconds, fitted = clock(lambda made=made: made.fit(hindcast, truth))
        tell(f"fit {name}", seconds, hindcast.size)
        tell(
            f"predict {name}", clock(lambda fitted=fitted: fitted.predict(hindcast).load())[0], hindcast.size
        )
    crps(hindcast.isel(few), truth.isel(few))
    tell("crps", clock(lambda: crps(hindcast, truth))[0], hindcast.size)


def network(examples: int, rows: int, columns: int, folder: Path) -> None:
    """Train and apply the correction network; an example stands for the 25 members of a start and lead."""
    from esai_core.training import TrainConfig, fit, predict
    from esai_seasonal.network import varying

    rng = np.random.default_rng(1)
    shape = {"conditions": 11, "predictors": 4, "spread": 1, "width": 8}
    inputs = {
        name: rng.standard_normal((examples, rows, columns, shape[name]), dtype="float32")
        for name in ("conditions", "predictors", "spread")
    }
    target = rng.standard_normal((examples, rows, columns, 3), dtype="float32")
    target[..., 1] = 1.0
    loss = varying.crps_l1(np.ones((rows, columns)), varying.normal_members(MEMBERS))
    config = TrainConfig(epochs=3, batch_size=16, checkpoint_every=10**9)
    values = examples * rows * columns * MEMBERS
    for workers in (1, 2, 4):
        found = fit(
            lambda: varying.build(**shape),
            (inputs, target),
            loss=loss,
            config=config,
            folder=folder / f"{workers}",
            workers=workers,
        )
        seconds = min(found.column("seconds")[2:])
        tell(
            f"one epoch of training, {workers} workers",
            seconds,
            values,
            wall=True,
            processors=len(os.sched_getaffinity(0)),
        )
    predict(found.model, {k: v[:16] for k, v in inputs.items()}, batch_size=16)
    tell("network's forward pass", clock(lambda: predict(found.model, inputs, batch_size=16))[0], values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=list(SIZES), default="full")
    years, rows, columns, *training = SIZES[parser.parse_args().size]
    hindcast, truth = season(years, rows, columns)
    with tempfile.TemporaryDirectory() as folder:
        files(hindcast, Path(folder))
        methods(hindcast, truth)
        network(*training, Path(folder))


if __name__ == "__main__":
    main()
