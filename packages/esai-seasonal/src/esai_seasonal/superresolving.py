"""The steps of ``task = "superresolution"``: fine fields from their coarsened selves, without a hindcast."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import InputError
from esai_core.grid import Grid, area_weights, coarsen_nodes
from esai_core.io import check_plausible, load, open_dataset, open_reference, write_netcdf
from esai_core.io.names import VARIABLES, canonical
from esai_core.runs import RunFolder
from esai_core.splits import Split
from esai_core.uncertainty import SplitConformal, with_interval
from esai_core.verify import block_bootstrap, power_spectrum, score_table
from esai_seasonal.calibration import COVERAGE
from esai_seasonal.config import SeasonalConfig
from esai_seasonal.data import open_static
from esai_seasonal.fitting import Selection, add_history, choose
from esai_seasonal.network.superresolution import SuperResolution, groups_of
from esai_seasonal.refining import (
    ablation,
    blocks_of,
    calibrate,
    held_by_time,
    interval_of,
    lapse_rate_of,
    refine,
    refine_all,
)
from esai_seasonal.scoring import SCORES, VALIDATION_SCORES, power_ratio
from esai_seasonal.splitting import described, split_times

__all__ = ["evaluate", "predict", "report", "train"]

log = logging.getLogger(__name__)

DRAWS = 8
"""Fields that adversarial networks draw for each time, to see their spread."""
FORECAST, VERIFICATION, BESIDE = "forecast.nc", "verification.nc", "models/beside.json"


def open_fields(config: SeasonalConfig) -> xr.DataArray:
    """Open the fine fields ``(time, latitude, longitude)`` and check their units and values.

    Raises
    ------
    InputError
        A missing, truncated or foreign file, wrong units, or cells that never have a value.
    """
    fields = load(open_reference(config.data.reference, variable=config.data.variable))
    known = VARIABLES.get(canonical(config.data.variable))
    if known is not None:
        check_plausible(fields, known.kind, where=str(config.data.reference))
    empty = fields.isnull().all("time")
    if bool(empty.any()) and config.data.missing == "refuse":
        raise InputError(
            f"{int(empty.sum())} of {empty.size} cells never have a value",
            where=str(config.data.reference),
            remedy='if that is right (sea), set data.missing = "mask"',
        )
    return fields


def _fit(fields: xr.DataArray, config: SeasonalConfig, run: RunFolder, part: str) -> SuperResolution:
    static = open_static(config.data.static_fine, Grid.from_dataset(fields), "data.static_fine")
    fitted = SuperResolution.fit(fields, factor=config.data.factor, static=static)
    if not config.model.network:
        return fitted
    options = {"networks": config.model.networks, "width": config.model.width}
    return fitted.train(
        fields,
        config=config.train,
        folder=run.checkpoints / part,
        against=config.adversarial if config.model.adversarial else None,
        resume=run.resume,
        workers=run.workers,
        **options,
    )


def train(config: SeasonalConfig, run: RunFolder) -> None:
    """Fit on the training times, choose on the validation times, refit on both."""
    fields, parts = _opened(config, run)
    with run.stage("fit"):
        trial = _fit(fields.isel(time=parts.train), config, run, "train")
        held_out = fields.isel(time=parts.validate)
        rate = lapse_rate_of(fields.isel(time=parts.train), trial)
        predictions = refine_all(trial, held_out, rate)
        table = score_table(
            predictions,
            held_out,
            scores=VALIDATION_SCORES,
            weights=area_weights(fields["latitude"]),
        )["scores"]
        selection = choose(table, config.model.select_by)
        conformal = calibrate(trial, predictions[selection.delivered], held_out)
        final = _fit(fields.isel(time=parts.development), config, run, "refit")
        final.save(run.path("models/superresolution/network.npz").parent)
        rate = lapse_rate_of(fields.isel(time=parts.development), final)
        kept = {"lapse_rate": rate, "interval": conformal.to_dict()}
        run.path(BESIDE).write_text(json.dumps(kept, indent=1))
        run.path("selection.json").write_text(json.dumps(selection.as_dict(final.methods), indent=1))
        both = enumerate((trial, final))
        add_history(run, [{"refit": refit, **row} for refit, fitted in both for row in fitted.history])


def _opened(config: SeasonalConfig, run: RunFolder) -> tuple[xr.DataArray, Split]:
    with run.stage("open"):
        fields = open_fields(config)
    with run.stage("split"):
        return fields, split_times(fields["time"].values, config.split)


def _loaded(run: RunFolder) -> tuple[SuperResolution, Selection, float | None, SplitConformal]:
    content = json.loads(run.find("selection.json").read_text())
    fitted = SuperResolution.load(run.find("models/superresolution"))
    beside = json.loads(run.find(BESIDE).read_text())
    conformal = SplitConformal.from_dict(beside["interval"])
    return fitted, Selection.from_dict(content), beside["lapse_rate"], conformal


def predict(config: SeasonalConfig, run: RunFolder) -> None:
    """Refine the coarsened test fields, or those of ``data.forecast``, with the delivered method."""
    fields, parts = _opened(config, run)
    fitted, selection, rate, conformal = _loaded(run)
    with run.stage("predict"):
        if config.data.forecast is None:
            coarse = coarsen_nodes(fields.isel(time=parts.test), fitted.factor)
        else:
            coarse = load(open_reference(config.data.forecast, variable=config.data.variable))
        out = refine(fitted, coarse, coarse["time"].values, selection.delivered, rate)
    with run.stage("write"):
        name = canonical(config.data.variable)
        known = VARIABLES.get(name)
        attrs: dict[str, Any] = {"units": fields.attrs.get("units", "1")}
        attrs |= {} if known is None else {"long_name": known.long_name}
        out = out.rename(name)
        out.attrs = attrs
        source = (config.data.forecast or config.data.reference).name
        provenance = {
            "title": f"{name} refined {fitted.factor} times by {selection.delivered}",
            "method": selection.delivered,
            "source": source,
            "references": "esai-seasonal",
        }
        whole = with_interval(
            out.to_dataset(),
            name,
            interval_of(fitted, out, conformal),
            coverage=COVERAGE,
            comment="of the truth between the nodes, from errors on the validation part",
        )
        write_netcdf(whole, run.path(FORECAST), provenance=provenance)


def evaluate(config: SeasonalConfig, run: RunFolder) -> None:
    """Score every method on the test times."""
    fields, parts = _opened(config, run)
    fitted, selection, rate, conformal = _loaded(run)
    with run.stage("verify"):
        truth = fields.isel(time=parts.test)
        predictions = refine_all(fitted, truth, rate)
        written = load(open_reference(run.find(FORECAST), variable=canonical(config.data.variable)))
        if not np.array_equal(written["time"].values, truth["time"].values):
            raise InputError(
                "forecast.nc holds other times than split.test", remedy="run the verb predict again first"
            )
        predictions[selection.delivered] = written.drop_attrs().assign_attrs(
            units=truth.attrs.get("units", "1")
        )
        group = groups_of(truth["time"].values, fitted.period)
        known = groups_of(fields["time"].values[parts.development], fitted.period)
        mean = (
            fields.isel(time=parts.development)
            .groupby(xr.DataArray(known, dims="time", name="group"))
            .mean("time")
        )
        climatology = (
            mean.sel(group=xr.DataArray(group, dims="time"))
            .drop_vars("group")
            .assign_coords(time=truth["time"])
        )
        stamp = {fitted.period: ("time", group + (fitted.period == "month"))}
        given = {
            k: v.drop_attrs().assign_attrs(truth.attrs).assign_coords(stamp) for k, v in predictions.items()
        }
        table = score_table(
            given,
            truth.assign_coords(stamp),
            scores=SCORES,
            by=(fitted.period,),
            weights=area_weights(truth["latitude"]),
            climatology=climatology.transpose(*truth.dims).assign_coords(stamp),
        )
        found = _diagnose(given, truth, selection.delivered)
        write_netcdf(found, run.path(VERIFICATION))
        ends = interval_of(fitted, given[selection.delivered], conformal)
        run.write_metrics(
            {
                "split": described(config.split),
                "delivered": selection.delivered,
                "units": str(truth.attrs.get("units", "")),
                **table,
                "skill": _intervals(given, truth, selection.delivered, run.seed),
                "interval": held_by_time(truth, ends, factor=fitted.factor, period=fitted.period),
                "conservation": ablation(given, truth, factor=fitted.factor),
                "lapse_rate": rate,
                **(_realism(fitted, truth, found["spectrum"]) if "adversarial" in given else {}),
                "selection": {**selection.as_dict(fitted.methods), "best_baseline": selection.best_baseline},
            }
        )
    with run.stage("explain"):
        from esai_seasonal.refining_drivers import explain

        told = explain(fitted, truth, delivered=selection.delivered, seed=run.seed)
        if told is not None:
            told.save(run.path("models/drivers.json"))


def _realism(fitted: SuperResolution, truth: xr.DataArray, spectrum: xr.DataArray) -> dict[str, Any]:
    """Judge adversarial networks by what RMSE does not see: power at small scales, spread of their draws."""
    coarse, times = coarsen_nodes(truth, fitted.factor), truth["time"].values
    draws = xr.concat(
        [fitted.predict(coarse, times, method="adversarial", draw=n) for n in range(DRAWS)], "number"
    )
    plain = truth.reset_coords(drop=True)
    table = score_table(
        {"draws": draws.drop_attrs().assign_attrs(truth.attrs).assign_coords(number=np.arange(DRAWS))},
        plain,
        scores=("rmse", "crps_fair", "spread_skill"),
        weights=area_weights(truth["latitude"]),
    )["scores"]["draws"]
    return {"realism": {"power_ratio": power_ratio(spectrum), "draws": {"number": DRAWS, **table}}}


def _spectrum(fields: xr.DataArray) -> xr.DataArray:
    steps = tuple(float(np.abs(np.diff(fields[n].values)).mean()) for n in ("latitude", "longitude"))
    return power_spectrum(_whole(fields.reset_coords(drop=True)), spacing=steps).mean("time")


def _intervals(
    predictions: dict[str, xr.DataArray], truth: xr.DataArray, delivered: str, seed: int
) -> dict[str, Any]:
    """RMSE skill against every other method, with 90 % intervals from whole days (or years)."""
    blocks = blocks_of(truth["time"].values)
    if np.unique(blocks).size < 2:
        return {}
    weights = area_weights(truth["latitude"])

    def cases(forecast: xr.DataArray) -> xr.DataArray:
        return (
            ((forecast - truth) ** 2)
            .weighted(weights)
            .mean(("latitude", "longitude"))
            .reset_coords(drop=True)
        )

    out = {}
    for name, forecast in predictions.items():
        if name == delivered:
            continue
        pair = xr.Dataset({"model": cases(predictions[delivered]), "base": cases(forecast)})
        found = block_bootstrap(
            pair, dim="time", blocks=blocks, combine=lambda m: 1 - (m.model / m.base) ** 0.5, seed=seed
        )
        out[name] = {"rmse_skill": {k: float(found[k]) for k in ("estimate", "lower", "upper")}}
    return out


def _diagnose(predictions: dict[str, xr.DataArray], truth: xr.DataArray, delivered: str) -> xr.Dataset:
    """Make the maps, spectra and example of the report."""
    names = list(predictions)
    method = xr.DataArray(names, dims="method", name="method")
    error = [(predictions[n] - truth).reset_coords(drop=True) for n in names]
    spectra = [_spectrum(field) for field in (*(predictions[n] for n in names), truth)]
    out = {
        "bias_map": xr.concat([e.mean("time") for e in error], method),
        "rmse_map": xr.concat([(e**2).mean("time") ** 0.5 for e in error], method),
        "spectrum": xr.concat(spectra, xr.DataArray([*names, "reference"], dims="field", name="field")),
        "example_reference": truth.isel(time=-1).reset_coords(drop=True),
    }
    for name in names:
        out[f"example_{name}"] = predictions[name].isel(time=-1).reset_coords(drop=True)
    attrs = {"example_time": str(truth["time"].values[-1])[:16], "delivered": delivered}
    return xr.Dataset(out, attrs=attrs)


def _whole(fields: xr.DataArray) -> xr.DataArray:
    return fields.where(fields.notnull().all(("latitude", "longitude")))


def report(config: SeasonalConfig, run: RunFolder) -> None:
    """Write report.html from metrics.json and verification.nc."""
    from esai_seasonal.reporting import write_superresolution_report

    with run.stage("report"):
        write_superresolution_report(config, run, load(open_dataset(run.find(VERIFICATION), standard=False)))
