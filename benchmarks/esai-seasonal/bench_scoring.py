"""Reading a hindcast from Zarr, its CRPS and RMSE, against xskillscore on the same file."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr
import xskillscore

from esai_core.verify import crps, rmse

# starts, leads, members, rows, columns
SIZES = {"small": (24, 6, 25, 13, 17), "full": (48, 6, 25, 40, 100)}


def seconds(call: Callable[[], object]) -> float:
    """Seconds of the processor: the better of two calls."""
    taken = []
    for _ in range(2):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=list(SIZES), default="full")
    shape = SIZES[parser.parse_args().size]
    dims = ("start", "lead", "number", "latitude", "longitude")
    forecast = xr.DataArray(
        np.random.default_rng(2).standard_normal(shape, dtype="float32"),
        dims=dims,
        coords={name: np.arange(size) for name, size in zip(dims, shape, strict=True)},
        name="t2m",
    )
    truth = forecast.isel(number=0, drop=True) + 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "forecast.zarr"
        forecast.to_dataset().to_zarr(path, zarr_format=3, consolidated=False)

        def read() -> xr.DataArray:
            return xr.open_zarr(path, chunks=None, consolidated=False)["t2m"].load()

        def mine() -> None:
            found = read()
            crps(found, truth)
            rmse(found.mean("number"), truth)

        def other() -> None:
            found = read()
            xskillscore.crps_ensemble(truth, found, member_dim="number").compute()
            xskillscore.rmse(found.mean("number"), truth).compute()

        mine()  # compiled before the clock starts
        values = int(np.prod(shape))
        case = f"read, CRPS and RMSE of {values / 1e6:.1f} million values"
        result = {"case": case, "ours_s": seconds(mine), "peer": "xskillscore", "peer_s": seconds(other)}
        print(json.dumps(result))


if __name__ == "__main__":
    main()
