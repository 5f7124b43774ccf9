"""metrics.json: RPSS, its fair form, and RPS of every method, on the cases that all methods have."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import InputError
from esai_core.runs import RunFolder
from esai_core.verify import block_bootstrap, rps, rps_fair
from esai_s2s.config import S2sConfig

__all__ = ["cases_of", "open_verification", "score"]


def open_verification(run: RunFolder) -> list[xr.Dataset]:
    """Read the out-of-fold forecasts of a run, variable by variable and window by window."""
    found = []
    for path in sorted(run.find("verification").glob("*.nc")):
        with xr.open_dataset(path, engine="netcdf4") as ds:
            found.append(ds.load())
    return found


def cases_of(ds: xr.Dataset) -> xr.Dataset:
    """Return the RPS of each case (method, start, cell): plain, fair, and that of climatology.

    Cases that a method has no forecast for are left out of all methods.
    """
    plain, fair = [], []
    for method in ds["method"].values:
        probabilities = ds["probability"].sel({"method": method}, drop=True)
        plain.append(rps(probabilities, ds["observed"], dim=()))
        # Only raw counts are a sample of members; the others are statistical models, m = infinity.
        members = ds["members"] if method == "raw" else np.inf
        fair.append(rps_fair(probabilities, ds["observed"], members=members, dim=()))
    index = ds["method"]
    cases = xr.Dataset({"rps": xr.concat(plain, index), "fair": xr.concat(fair, index)})
    known = cases["rps"].notnull().all("method")
    cases = cases.where(known)
    return cases.assign(reference=cases["rps"].sel({"method": "climatology"}, drop=True), weight=_weights(ds))


def _weights(ds: xr.Dataset) -> xr.DataArray:
    if "latitude" in ds.coords:
        return xr.DataArray(np.cos(np.deg2rad(ds["latitude"].values)).clip(0.0), dims="cell")
    return xr.DataArray(np.ones(ds.sizes["cell"]), dims="cell")


def _table(groups: list[xr.Dataset]) -> dict[str, dict[str, float | None]]:
    """Return the scores of each method over the cases of several groups."""
    sums: dict[str, np.ndarray] = {}
    for cases in groups:
        known = cases["rps"].isel(method=0).notnull()
        weight = (cases["weight"] * known).sum().item()
        reference = (cases["reference"] * cases["weight"]).sum().item()
        for method in cases["method"].values.tolist():
            one = cases.sel({"method": method})
            plain, fair = ((one[name] * one["weight"]).sum(skipna=True).item() for name in ("rps", "fair"))
            if bool((one["fair"].isnull() & known).any()):
                fair = np.nan
            sums[method] = sums.get(method, np.zeros(4)) + np.array([plain, fair, reference, weight])
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


def intervals(cases: xr.Dataset, blocks: np.ndarray, *, seed: int = 0) -> dict[str, list[float]]:
    """Return the 90 % interval of the RPSS of each method, drawing whole blocks."""
    weight = cases["weight"]
    means = (
        cases[["rps"]]
        .weighted(weight.broadcast_like(cases["reference"].isel(start=0)).fillna(0.0))
        .mean("cell")
    )
    both = xr.Dataset(
        {
            "model": means["rps"],
            "reference": means["rps"].sel({"method": "climatology"}, drop=True).broadcast_like(means["rps"]),
        }
    )
    drawn = block_bootstrap(
        both, dim="start", blocks=blocks, combine=lambda m: 1 - m["model"] / m["reference"], seed=seed
    )
    return {
        str(method): [float(drawn[end].sel({"method": method})) for end in ("lower", "upper")]
        for method in cases["method"].values
    }


def score(config: S2sConfig, run: RunFolder, delivered: str) -> dict[str, Any]:
    """Return the content of metrics.json."""
    found = open_verification(run)
    cases = [cases_of(ds) for ds in found]
    windows = list(dict.fromkeys(ds.attrs["window"] for ds in found))
    variables = list(dict.fromkeys(ds.attrs["variable"] for ds in found))

    def of(key: str, name: str) -> list[xr.Dataset]:
        return [c for c, ds in zip(cases, found, strict=True) if ds.attrs[key] == name]

    blocks = sorted({str(b) for ds in found for b in ds["block"].values.tolist()})
    bounds = {}
    for c, ds in zip(cases, found, strict=True):
        if len(np.unique(ds["block"])) > 1:
            label = f"{ds.attrs['variable']} {ds.attrs['window']}"
            bounds[label] = intervals(c, ds["block"].values, seed=config.seed)
    return {
        "split": {"blocks": config.split.blocks, "test": config.split.test, "test_blocks": blocks},
        "delivered": delivered,
        "cases": int(sum(c["rps"].isel(method=0).notnull().sum().item() for c in cases)),
        "scores": _table(cases),
        "by_lead": {name: _table(of("window", name)) for name in windows},
        "by_variable": {name: _table(of("variable", name)) for name in variables},
        "rpss_interval_90": bounds,
    }
