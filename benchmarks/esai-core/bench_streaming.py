"""Training on a Zarr store larger than what is held, against the same training on arrays in memory.

The share of the time that the stream costs is 1 - peer_s / ours_s; the peak memory is that of this process,
in which nothing but the chunks in work is loaded before the peer's arrays are.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from esai_core import nn
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
    steps = min(days // batch, 24)
    config = TrainConfig(epochs=3, batch_size=batch, checkpoint_every=10**9)

    def seconds(data: object, folder: str) -> float:
        """Seconds of the best epoch after the first."""
        history = fit(
            lambda: nn.build("resnet", fields=(rows, columns, 1), width=width, depth=depth),
            data,
            loss=nn.make_loss("mse"),
            config=config,
            folder=folder,
        )
        return min(history.column("seconds")[2:])

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.zarr"
        write(path, days, rows, columns, chunk)
        store = xr.open_zarr(path, chunks=None)
        # Examples of an epoch spread over the whole store, so that every chunk is decoded and mixed.
        chosen = np.random.default_rng(1).permutation(days)[: steps * batch]
        stream = Stream({"low": store.low, "high": store.high}, prepare, select=np.sort(chosen))
        whole = Stream({"low": store.low, "high": store.high}, prepare, select=np.arange(steps * batch))
        ours = {
            "spread": seconds(stream, f"{folder}/spread"),
            "whole chunks": seconds(whole, f"{folder}/whole"),
        }
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        held = prepare({name: store[name][: steps * batch].values for name in ("low", "high")}, {})
        peer = seconds(held, f"{folder}/held")
    for name, value in ours.items():
        print(
            json.dumps(
                {
                    "case": f"training from Zarr, {days} x {rows} x {columns}, {steps} steps, {name}",
                    "ours_s": value,
                    "peer": "arrays in memory",
                    "peer_s": peer,
                    "idle_share": max(0.0, 1 - peer / value),
                    "stream_peak_mib": peak,
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
