"""Training on a Zarr store larger than what is held, against training on arrays in memory: ours, and Keras's.

The share of the time that the stream costs, `idle_share`, is one minus the time of the same loop on arrays
over that of the stream; the peak memory is that of this process, in which nothing but the chunks in work is
loaded before the peers' arrays are, and then the larger one of two workers. An epoch is 12 steps; the best
after the first one counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr

from esai_core import nn
from esai_core.nn._keras import keras
from esai_core.training import Stream, TrainConfig, fit

# days, rows, columns, days per chunk, width, depth, batch, steps that are timed (an epoch)
CASES = {"small": (512, 40, 100, 32, 8, 1, 16), "full": (15000, 80, 200, 64, 16, 2, 32)}


def write(path: Path, days: int, rows: int, columns: int, chunk: int) -> None:
    """Write a seeded store, chunk by chunk: temperature-like fields, and their coarse means."""
    rng = np.random.default_rng(0)
    for start in range(0, days, chunk):
        n = min(chunk, days - start)
        coarse = rng.normal(size=(n, rows // 4, columns // 4)).astype("f4")
        low = coarse.repeat(4, 1).repeat(4, 2)
        high = low + 0.3 * rng.normal(size=low.shape).astype("f4")
        ds = xr.Dataset(
            {
                name: (("time", "latitude", "longitude"), v.round(2))
                for name, v in (("low", low), ("high", high))
            }
        )
        if start == 0:
            chunks = {"chunks": (chunk, rows, columns)}
            ds.to_zarr(path, mode="w", encoding={"low": chunks, "high": chunks}, zarr_format=2)
        else:
            ds.to_zarr(path, append_dim="time")


def prepare(values: dict[str, np.ndarray], index: dict[str, np.ndarray]) -> tuple:
    """Give a residual network's inputs and target."""
    low = values["low"][..., None]
    return {"fields": low, "baseline": low}, values["high"][..., None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=list(CASES), default="full")
    days, rows, columns, chunk, width, depth, batch = CASES[parser.parse_args().size]
    steps = min(days // batch, 12)
    config = TrainConfig(epochs=3, batch_size=batch, checkpoint_every=10**9)

    def network() -> keras.Model:
        return nn.build("resnet", fields=(rows, columns, 1), width=width, depth=depth)

    def seconds(data: object, folder: str, workers: int = 1) -> float:
        """Seconds of the best epoch after the first."""
        history = fit(
            network,
            data,
            loss=nn.make_loss("mse"),
            config=config,
            folder=folder,
            workers=workers,
        )
        return min(history.column("seconds")[2:])

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.zarr"
        write(path, days, rows, columns, chunk)
        store = xr.open_zarr(path, chunks=None)
        # Examples of an epoch spread over the whole store, so that every chunk is decoded and mixed.
        chosen = np.random.default_rng(1).permutation(days)[: steps * batch]
        stream = Stream({"low": store.low, "high": store.high}, prepare, select=np.sort(chosen))
        ours = {"spread": seconds(stream, f"{folder}/spread")}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        shared = seconds(stream, f"{folder}/two", workers=2)
        peak_of_workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        held = prepare({name: store[name][: steps * batch].values for name in ("low", "high")}, {})
        peers = {
            "arrays in memory": seconds(held, f"{folder}/held"),
            "keras fit": of_keras(network(), held, batch),
        }
    for name, value in ours.items():
        for peer, theirs in peers.items():
            result = {
                "case": f"training from Zarr, {days} x {rows} x {columns}, {steps} steps, {name}",
                "ours_s": value,
                "peer": peer,
                "peer_s": theirs,
                "idle_share": max(0.0, 1 - peers["arrays in memory"] / value),
                "stream_peak_mib": peak,
                "with_two_workers_s": shared,
                "peak_mib_of_a_worker": peak_of_workers,
            }
            print(json.dumps(result), flush=True)


def of_keras(model: keras.Model, data: tuple, batch: int) -> float:
    """Seconds of the best epoch of ``model.fit`` after the first."""
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=nn.make_loss("mse"))
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        model.fit(*data, batch_size=batch, verbose=0)
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


if __name__ == "__main__":
    main()
