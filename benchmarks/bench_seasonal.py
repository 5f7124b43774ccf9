"""Quantile mapping of a region's daily series against xsdba and ibicus, in one run.

``python benchmarks/bench_seasonal.py [--days 15000] [--rows 80] [--columns 200]``: synthetic daily
temperature at
Mediterranean size by default, read from and written to Zarr, in blocks. xsdba and ibicus run on a few
cells in memory
(they need all of it there) and are scaled to the same number of cells. Then scores of a hindcast against
xskillscore.
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

import numpy as np
import xarray as xr

METHODS = ("mean_bias", "eqm", "qdm")


def write_series(
    path: Path, days: int, rows: int, columns: int, seed: int, mean: float, spread: float
) -> None:
    """Write one synthetic series to Zarr, a block of rows at a time."""
    import dask.array as da

    step = max(1, rows // 20)
    blocks = []
    for i in range(0, rows, step):
        shape = (days, min(step, rows - i), columns)

        def draw(shape: tuple[int, ...] = shape, i: int = i) -> np.ndarray:
            noise = np.random.default_rng([seed, i]).standard_normal(shape, dtype="float32")
            season = 8 * np.sin(2 * np.pi * np.arange(shape[0], dtype="float32") / 365.25)
            return mean + season[:, None, None] + spread * noise

        import dask

        blocks.append(da.from_delayed(dask.delayed(draw)(), shape, "float32"))
    array = xr.DataArray(
        da.concatenate(blocks, axis=1),
        dims=("time", "latitude", "longitude"),
        coords={
            "time": np.datetime64("1981-01-01")
            + np.arange(days).astype("timedelta64[D]").astype("timedelta64[ns]"),
            "latitude": 30 + 0.25 * np.arange(rows),
            "longitude": -10 + 0.25 * np.arange(columns),
        },
        attrs={"units": "K"},
        name="t2m",
    )
    array.to_dataset().to_zarr(path, mode="w", zarr_format=3, consolidated=False)


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def ours(folder: Path, method: str) -> None:
    """Run one method in this process and print seconds and peak memory as JSON."""
    from esai_seasonal.streaming import correct_series, correct_values

    tiny = np.random.default_rng(0).normal(280, 5, (2, 60)).astype("float32")
    correct_values(method, tiny, tiny, tiny)  # compile before the clock starts
    paths = {name: folder / f"{name}.zarr" for name in ("model", "reference", "new")}
    used = seconds(
        lambda: correct_series(method, **paths, out=folder / f"{method}.zarr", variable="t2m", workers=2)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sample = [
        np.ascontiguousarray(xr.open_zarr(path, consolidated=False)["t2m"][:, 0, :100].values.T)
        for path in paths.values()
    ]
    alone = seconds(lambda: correct_values(method, *sample)) / sample[0].shape[0]
    print(json.dumps({"seconds": used, "peak_bytes": peak, "seconds_per_cell": alone}))


def theirs(days: int, cells: int) -> dict[str, float]:
    """Seconds per cell of xsdba and ibicus, in memory."""
    rng = np.random.default_rng(1)
    data = {
        k: rng.normal(m, s, (days, cells, 1))
        for k, m, s in (("ref", 285, 5), ("hist", 283, 6), ("sim", 284, 6))
    }
    out: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import xsdba
        from ibicus.debias import LinearScaling, QuantileDeltaMapping, QuantileMapping

        whole = {"running_window_mode": False}
        over = {"running_window_mode_over_years_of_cm_future": False}
        for name, debiaser in (
            ("mean_bias", LinearScaling.from_variable("tas", **whole)),
            (
                "eqm",
                QuantileMapping.from_variable(
                    "tas", mapping_type="nonparametric", detrending="no_detrending", **whole
                ),
            ),
            ("qdm", QuantileDeltaMapping.from_variable("tas", **whole, **over)),
        ):
            few = {k: v[:, : 2 if name == "qdm" else cells] for k, v in data.items()}
            used = seconds(
                lambda d=debiaser, f=few: d.apply(f["ref"], f["hist"], f["sim"], progressbar=False)
            )
            out[f"ibicus {name}"] = used / few["ref"].shape[1]
        times = xr.date_range("1981-01-01", periods=days, freq="D", use_cftime=False)
        das = {
            k: xr.DataArray(v[..., 0], dims=("time", "cell"), coords={"time": times}, attrs={"units": "K"})
            for k, v in data.items()
        }
        for name, cls in (("eqm", xsdba.EmpiricalQuantileMapping), ("qdm", xsdba.QuantileDeltaMapping)):

            def run(cls: type = cls) -> None:
                made = cls.train(das["ref"], das["hist"], nquantiles=35, group="time", kind="+")
                made.adjust(das["sim"], interp="linear", extrapolation="constant").load()

            run()
            out[f"xsdba {name}"] = seconds(run) / cells
    return out


def scoring(starts: int, cells: tuple[int, int], members: int) -> dict[str, float]:
    """Read a hindcast from Zarr and score it with the core, and with xskillscore."""
    import xskillscore

    from esai_core.verify import crps, rmse

    rng = np.random.default_rng(2)
    shape = (starts, 6, members, *cells)
    coords = {"start": np.arange(starts), "lead": np.arange(6), "number": np.arange(members)}
    forecast = xr.DataArray(
        rng.standard_normal(shape, dtype="float32"),
        dims=(*coords, "latitude", "longitude"),
        coords={**coords, "latitude": np.arange(cells[0]), "longitude": np.arange(cells[1])},
        name="t2m",
    )
    truth = forecast.isel(number=0, drop=True) + 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.zarr"
        forecast.to_dataset().to_zarr(path, zarr_format=3, consolidated=False)

        def read() -> xr.DataArray:
            return xr.open_zarr(path, chunks=None, consolidated=False)["t2m"].load()

        def mine() -> None:
            f = read()
            crps(f, truth)
            rmse(f.mean("number"), truth)

        def other() -> None:
            f = read()
            xskillscore.crps_ensemble(truth, f, member_dim="number").compute()
            xskillscore.rmse(f.mean("number"), truth).compute()

        mine()
        return {"esai": seconds(mine), "xskillscore": seconds(other)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=15000)
    parser.add_argument("--rows", type=int, default=80)
    parser.add_argument("--columns", type=int, default=200)
    parser.add_argument("--cells", type=int, default=8, help="cells that xsdba and ibicus are timed on")
    parser.add_argument("--method", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.method:
        ours(Path(args.folder), args.method)
        return
    size = (args.days, args.rows, args.columns)
    print(
        f"{size[0]} days x {size[1]} x {size[2]} cells, float32, {4e-9 * np.prod(size):.2f} GB per series",
        flush=True,
    )
    per_cell = theirs(args.days, args.cells)
    with tempfile.TemporaryDirectory() as folder:
        for seed, (name, mean, spread) in enumerate(
            (("model", 283, 6), ("reference", 285, 5), ("new", 284, 6))
        ):
            write_series(Path(folder) / f"{name}.zarr", *size, seed, mean, spread)
        for method in METHODS:
            words = [sys.executable, __file__, "--method", method, "--folder", folder]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr)
            found = json.loads(done.stdout.splitlines()[-1])
            peak = found["peak_bytes"] / 1e9
            line = f"{method:10s} {found['seconds']:7.1f} s with reading and writing, peak {peak:.2f} GB"
            for other in ("ibicus", "xsdba"):
                if f"{other} {method}" in per_cell:
                    total = per_cell[f"{other} {method}"] * args.rows * args.columns
                    ratio = per_cell[f"{other} {method}"] / found["seconds_per_cell"]
                    line += f"; {other} {total:.0f} s without ({ratio:.0f} times ours without)"
            print(line, flush=True)
    found = scoring(48, (args.rows // 2, args.columns // 2), 25)
    ratio = found["xskillscore"] / found["esai"]
    print(
        f"reading, CRPS and RMSE: {found['esai']:.2f} s; "
        f"xskillscore {found['xskillscore']:.2f} s ({ratio:.1f} times)"
    )


if __name__ == "__main__":
    main()
