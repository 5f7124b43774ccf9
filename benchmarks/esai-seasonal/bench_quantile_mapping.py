"""Corrections of a region's daily series against ibicus and xsdba, in one run, in seconds of the processor.

Synthetic daily temperature, read from Zarr and written to Zarr in blocks (`correct_series`); "full" is the
Mediterranean at 0.25 degree over 41 years. ibicus and xsdba work on arrays in memory: they are timed on a few
cells of the same length, scaled to all cells, and for "with files" given the time that reading the three
series and writing the result takes by itself.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

METHODS = ("mean_bias", "eqm", "qdm")
SERIES = {"model": (283.0, 6.0), "reference": (285.0, 5.0), "new": (284.0, 6.0)}
SIZES = {"small": (3000, 16, 40), "full": (15000, 80, 200)}
CELLS = 8
"""Cells that the peers are timed on."""


def draw(days: int, rows: int, columns: int, seed: int, mean: float, spread: float) -> np.ndarray:
    """Draw series with a season and with the two decimals that stored temperatures have."""
    noise = np.random.default_rng(seed).standard_normal((days, rows, columns), dtype="float32")
    season = 8 * np.sin(2 * np.pi * np.arange(days, dtype="float32") / 365.25)
    return (mean + season[:, None, None] + spread * noise).round(2)


def write_series(path: Path, days: int, rows: int, columns: int, seed: int, law: tuple[float, float]) -> None:
    """Write one series to Zarr, whole in time and a few rows at a time."""
    import zarr

    step = max(1, rows // 20)
    ds = xr.Dataset(
        coords={
            "time": np.datetime64("1981-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D"),
            "latitude": 30 + 0.25 * np.arange(rows),
            "longitude": -10 + 0.25 * np.arange(columns),
        }
    )
    ds.to_zarr(path, mode="w", zarr_format=3, consolidated=False)
    array = zarr.open_group(path, mode="r+").create_array(
        "t2m",
        shape=(days, rows, columns),
        chunks=(days, step, columns),
        dtype="float32",
        dimension_names=("time", "latitude", "longitude"),
        attributes={"units": "K"},
    )
    for i in range(0, rows, step):
        array[:, i : i + step] = draw(days, min(step, rows - i), columns, 100 * seed + i, *law)


def seconds(call: Callable[[], object]) -> float:
    """Seconds of the processor, over all threads."""
    start = time.process_time()
    call()
    return time.process_time() - start


def ours(folder: Path, method: str) -> dict[str, float]:
    """Run one method over the files; its peak memory is that of this process."""
    from esai_seasonal.streaming import correct_series, correct_values

    tiny = np.random.default_rng(0).normal(280, 5, (2, 60)).astype("float32")
    correct_values(method, tiny, tiny, tiny)  # compile before the clock starts
    paths: dict[str, Any] = {name: folder / f"{name}.zarr" for name in SERIES}
    wall = time.perf_counter()
    used = seconds(
        lambda: correct_series(method, **paths, out=folder / f"{method}.zarr", variable="t2m", workers=2)
    )
    wall = time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sample = [
        np.ascontiguousarray(xr.open_zarr(path, consolidated=False)["t2m"][:, 0, :40].values.T)
        for path in paths.values()
    ]
    alone = seconds(lambda: correct_values(method, *sample)) / len(sample[0])
    return {"with_files": used, "wall": wall, "peak_mib": peak, "cell": alone}


def files_alone(folder: Path) -> float:
    """Seconds to read the three series and write one, a block of chunks at a time, and nothing else."""
    stores = [
        xr.open_zarr(folder / f"{name}.zarr", chunks=None, consolidated=False)["t2m"] for name in SERIES
    ]
    step = stores[0].encoding["preferred_chunks"]["latitude"]
    rows = stores[0].sizes["latitude"]

    def once() -> None:
        values = [store[:, :step].load() for store in stores]
        values[-1].drop_encoding().to_dataset(name="t2m").to_zarr(
            folder / "copy.zarr", mode="w", consolidated=False
        )

    return seconds(once) * rows / step


def theirs(days: int) -> dict[tuple[str, str], float]:
    """Seconds per cell of ibicus and xsdba, in memory."""
    data = {
        name: draw(days, CELLS, 1, 7 + seed, *law).astype(float)
        for seed, (name, law) in enumerate(SERIES.items())
    }
    out: dict[tuple[str, str], float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import xsdba
        from ibicus.debias import LinearScaling, QuantileDeltaMapping, QuantileMapping

        whole = {"running_window_mode": False}
        over = {"running_window_mode_over_years_of_cm_future": False}
        eqm = {"mapping_type": "nonparametric", "detrending": "no_detrending"}
        for name, debiaser in (
            ("mean_bias", LinearScaling.from_variable("tas", **whole)),
            ("eqm", QuantileMapping.from_variable("tas", **eqm, **whole)),
            ("qdm", QuantileDeltaMapping.from_variable("tas", **whole, **over)),
        ):
            few = {k: v[:, : 2 if name == "qdm" else CELLS] for k, v in data.items()}
            used = seconds(
                lambda d=debiaser, f=few: d.apply(f["reference"], f["model"], f["new"], progressbar=False)
            )
            out["ibicus", name] = used / few["new"].shape[1]
        times = xr.date_range("1981-01-01", periods=days, freq="D", use_cftime=False)
        arrays = {
            k: xr.DataArray(v[..., 0], dims=("time", "cell"), coords={"time": times}, attrs={"units": "K"})
            for k, v in data.items()
        }
        for name, method in (("eqm", xsdba.EmpiricalQuantileMapping), ("qdm", xsdba.QuantileDeltaMapping)):

            def run(method: Any = method) -> None:
                made = method.train(
                    arrays["reference"], arrays["model"], nquantiles=35, group="time", kind="+"
                )
                made.adjust(arrays["new"], interp="linear", extrapolation="constant").load()

            run()
            out["xsdba", name] = seconds(run) / CELLS
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=list(SIZES), default="full")
    parser.add_argument("--method", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.method:
        print(json.dumps(ours(options.folder, options.method)))
        return
    size = SIZES[options.size]
    cells = size[1] * size[2]
    peers = theirs(size[0])
    with tempfile.TemporaryDirectory() as folder:
        for seed, (name, law) in enumerate(SERIES.items()):
            write_series(Path(folder) / f"{name}.zarr", *size, seed, law)
        files = files_alone(Path(folder))
        for method in METHODS:
            command = [sys.executable, __file__, "--method", method, "--folder", folder]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            for peer in ("ibicus", "xsdba"):
                if (peer, method) not in peers:
                    continue
                label = f"{method}, {size[0]} days x {cells} cells"
                more = {"wall_s": found["wall"], "own_peak_mib": round(found["peak_mib"])}
                other = peers[peer, method] * cells
                for case, mine, base in (
                    (f"{label}, with files", found["with_files"], other + files),
                    (f"{label}, in memory", found["cell"] * cells, other),
                ):
                    line = {"case": case, "ours_s": mine, "peer": peer, "peer_s": base, **more}
                    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
