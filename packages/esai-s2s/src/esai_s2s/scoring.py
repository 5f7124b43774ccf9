"""metrics.json: RPSS, its fair form, and RPS of every method, on the cases that all methods have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import InputError
from esai_core.io import write_netcdf
from esai_core.runs import RunFolder
from esai_core.verify import block_bootstrap
from esai_s2s.config import S2sConfig
from esai_s2s.streaming import Each, crew
from esai_s2s.tally import Tally, tally_part

__all__ = ["score"]


def _tallied(folder: Path, delivered: str, each: Each) -> tuple[Tally, xr.Dataset]:
    """Sum up one variable and window; return it with its axes (method, start, block, cell) and RPSS."""
    paths = sorted(folder.glob("*.nc"))
    with xr.open_dataset(paths[0], engine="netcdf4") as ds:
        axes = (
            ds[["method", "start", "category", "block"]]
            .load()
            .drop_vars(["latitude", "longitude"], errors="ignore")
        )
        axes.attrs = dict(ds.attrs)
    blocks = sorted({str(value) for value in axes["block"].values})
    jobs = [(path, delivered, blocks) for path in paths]
    found = each(tally_part, jobs, folder.name)
    total = found[0][0]
    for tally, _ in found[1:]:
        total = total + tally
    skill = xr.concat([one for _, one in found], "cell", coords="minimal", compat="override")
    return total, axes.assign(rpss=skill.drop_vars("start", errors="ignore"))


def _table(groups: list[tuple[Tally, xr.Dataset]]) -> dict[str, dict[str, float | None]]:
    """Return the scores of each method over the cases of several groups."""
    sums: dict[str, np.ndarray] = {}
    for tally, axes in groups:
        methods = axes["method"].values.tolist()
        reference = tally.plain[methods.index("climatology")].sum()
        for number, method in enumerate(methods):
            parts = np.array(
                [tally.plain[number].sum(), tally.fair[number].sum(), reference, tally.weight.sum()]
            )
            sums[method] = sums.get(method, np.zeros(4)) + parts
    if not sums or not next(iter(sums.values()))[3]:
        raise InputError("no case has an observation and a forecast of every method")
    return {
        method: {
            "rpss": float(1 - plain / reference),
            "rpss_fair": None if np.isnan(fair) else float(1 - fair / reference),
            "rps": float(plain / weight),
        }
        for method, (plain, fair, reference, weight) in sums.items()
    }


def _intervals(tally: Tally, axes: xr.Dataset, *, seed: int) -> dict[str, list[float]]:
    """Return the 90 % interval of the RPSS of each method, drawing whole blocks."""
    weight = xr.DataArray(tally.weight, dims="start")
    means = xr.DataArray(tally.plain, {"method": axes["method"]}, ("method", "start")) / weight.where(
        weight > 0
    )
    both = xr.Dataset(
        {
            "model": means,
            "reference": means.sel({"method": "climatology"}, drop=True).broadcast_like(means),
        }
    )
    drawn = block_bootstrap(
        both,
        dim="start",
        blocks=axes["block"].values,
        combine=lambda m: 1 - m["model"] / m["reference"],
        weights=weight,
        seed=seed,
    )
    return {
        str(method): [float(drawn[end].sel({"method": method})) for end in ("lower", "upper")]
        for method in axes["method"].values
    }


def _diagnostics(tally: Tally, axes: xr.Dataset, path: Path) -> None:
    """Write the counts of the curves, the RPSS of each cell, and the scores of each start."""
    dims = ("category", "block_label", "bin")
    curves = {name: (dims, getattr(tally, name)) for name in ("known", "chance", "happened", "number")}
    blocks = sorted({str(value) for value in axes["block"].values})
    ds = xr.Dataset(curves, {"block_label": blocks, "category": axes["category"].values})
    ds = ds.assign(rpss=axes["rpss"])
    write_netcdf(ds.assign_attrs(axes.attrs), path, dtype="float64")


def score(config: S2sConfig, run: RunFolder, delivered: str) -> dict[str, Any]:
    """Return the content of metrics.json; what the report draws goes to ``diagnostics/``."""
    found = []
    with crew(run) as each:
        for variable in config.data.variables:
            for folder in sorted(run.find("verification").glob(f"{variable}_*")):
                tally, axes = _tallied(folder, delivered, each)
                if axes.attrs["variable"] == variable:
                    found.append((tally, axes))
                    _diagnostics(tally, axes, run.path(f"diagnostics/{folder.name}.nc"))
    windows = list(dict.fromkeys(axes.attrs["window"] for _, axes in found))

    def of(key: str, name: str) -> list[tuple[Tally, xr.Dataset]]:
        return [one for one in found if one[1].attrs[key] == name]

    blocks = sorted({str(b) for _, axes in found for b in axes["block"].values.tolist()})
    bounds = {}
    for tally, axes in found:
        if len(np.unique(axes["block"])) > 1:
            label = f"{axes.attrs['variable']} {axes.attrs['window']}"
            bounds[label] = _intervals(tally, axes, seed=config.seed)
    return {
        "split": {"blocks": config.split.blocks, "test": config.split.test, "test_blocks": blocks},
        "delivered": delivered,
        "cases": int(sum(tally.count.sum() for tally, _ in found)),
        "scores": _table(found),
        "by_lead": {name: _table(of("window", name)) for name in windows},
        "by_variable": {name: _table(of("variable", name)) for name in config.data.variables},
        "by_sample": {
            f"{axes.attrs['variable']} {axes.attrs['window']}": _table([(tally, axes)])
            for tally, axes in found
        },
        "rpss_interval_90": bounds,
    }
