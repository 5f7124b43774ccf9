"""The steps of ``task = "correction"``: open, check, split, fit, predict, verify, write, report."""

from __future__ import annotations

import warnings

import numpy as np
import xarray as xr

from esai_core.errors import InputError
from esai_core.io import load, open_dataset, open_hindcast, open_reference, write_netcdf
from esai_core.runs import RunFolder
from esai_core.uncertainty import Interval
from esai_seasonal import forecasting
from esai_seasonal.calibration import errors_of, predict_interval
from esai_seasonal.config import SeasonalConfig
from esai_seasonal.data import Data, check, open_data, open_forecast, open_truth
from esai_seasonal.fitting import Fitted, add_history, fit, load_fitted, predict_all, save_fitted
from esai_seasonal.scoring import climatology_of, diagnose, held_by_lead, intervals, power_ratio, verify
from esai_seasonal.splitting import described, split, split_times

__all__ = ["evaluate", "predict", "report", "train"]

DRIVERS, FORECAST = "models/drivers.json", "forecast.nc"
VERIFICATION = "verification.nc"


def _open(config: SeasonalConfig, run: RunFolder) -> Data:
    with run.stage("open"):
        data = open_data(config)
    with run.stage("check"):
        return check(data, config)


def train(config: SeasonalConfig, run: RunFolder) -> None:
    """Fit all methods and choose one."""
    data = _open(config, run)
    with run.stage("split"):
        parts = split(data, config)
    with run.stage("fit"):
        fitted = fit(data, parts, config, folder=run.checkpoints, resume=run.resume, workers=run.workers)
        save_fitted(fitted, run.path)
        add_history(run, fitted.history)


def _to_predict(config: SeasonalConfig, data: Data) -> xr.DataArray:
    """Take the starts to correct: those of data.forecast, else the test starts."""
    if config.data.forecast is None:
        return data.hindcast.isel(start=split_times(data.hindcast["start"].values, config.split).test)
    return open_forecast(config.data.forecast, config.data, str(data.truth.attrs["units"]))


def predict(config: SeasonalConfig, run: RunFolder) -> None:
    """Correct with the delivered method and write the ensemble."""
    data = _open(config, run)
    fitted = load_fitted(run.find)
    with run.stage("predict"):
        hindcast = _to_predict(config, data)
        ensemble = forecasting.predict(fitted, hindcast, data)
    with run.stage("interval"):
        interval = _interval(config, fitted, data, ensemble)
    with run.stage("write"):
        delivered = fitted.selection.delivered if fitted.selection is not None else ""
        given = config.data
        raw = given.forecast or given.hindcast or given.reference
        source = {
            "source": f"{raw.name} corrected to {given.reference.name}",
            "comment": f"fitted on the starts of {described(config.split)['train']} and "
            f"{described(config.split)['validate']}",
            "references": "esai-seasonal",
        }
        units = str(data.truth.attrs["units"])
        forecasting.write(
            ensemble,
            run.path(FORECAST),
            name=data.name,
            units=units,
            method=delivered,
            source=source,
            interval=interval,
        )


def _interval(config: SeasonalConfig, fitted: Fitted, data: Data, ensemble: xr.DataArray) -> Interval | None:
    """Give the intervals of a forecast; truths of its starts count from when they are known."""
    if fitted.past is None:
        return None
    new = errors_of(ensemble, _known_truth(config, data, ensemble))
    past = fitted.past
    made = predict_interval(past.errors, new, gamma=past.gamma, units=past.units)
    return made.clip(low=0.0) if data.kind == "multiplicative" else made


def _known_truth(config: SeasonalConfig, data: Data, forecast: xr.DataArray) -> xr.DataArray:
    """Give the truth of a forecast, NaN where all of it lies beyond the reference."""
    if config.data.forecast is not None:
        last = open_reference(config.data.reference, variable=config.data.variable)["time"].values.max()
        if (forecast["valid_time"].values > last).all():
            return xr.full_like(forecast.isel(number=0, drop=True), np.nan)
    return _truth_of(config, data, forecast)


def _truth_of(config: SeasonalConfig, data: Data, forecast: xr.DataArray) -> xr.DataArray:
    if config.data.forecast is None:
        return data.truth.sel(start=forecast["start"])
    return open_truth(config, forecast)


def evaluate(config: SeasonalConfig, run: RunFolder) -> None:
    """Score every method against the reference."""
    data = _open(config, run)
    fitted = load_fitted(run.find)
    if fitted.selection is None:
        raise InputError("no selection in the run folder", where=run.folder)
    delivered = fitted.selection.delivered
    with run.stage("verify"):
        hindcast = _to_predict(config, data)
        truth = _truth_of(config, data, hindcast)
        predictions = predict_all(fitted, hindcast, data)
        written = load(open_hindcast(run.find(FORECAST), variable=data.name))
        predictions[delivered] = _same_cases(written, hindcast)
        development = split_times(data.hindcast["start"].values, config.split).development
        climatology = climatology_of(data.truth, development, truth)
        table = verify(predictions, truth, climatology=climatology)
        skill = intervals(predictions, truth, delivered, seed=run.seed)
        upper = _upper_tercile(data.truth, development, truth)
        found = diagnose(
            predictions,
            truth,
            delivered=delivered,
            climatology=climatology,
            upper_tercile=upper,
            seed=run.seed,
        )
        opposed = "adversarial" in predictions
        write_netcdf(found, run.path(VERIFICATION))
        run.write_metrics(
            {
                "split": described(config.split),
                "delivered": delivered,
                "units": str(truth.attrs.get("units", "")),
                **table,
                "skill": skill,
                **({"realism": {"power_ratio": power_ratio(found["spectrum"])}} if opposed else {}),
                "interval": held_by_lead(run.find(FORECAST), data.name, truth),
                "interval_choice": {"gamma": fitted.past.gamma, "compared": fitted.past.table}
                if fitted.past is not None
                else None,
                "selection": {
                    "score": fitted.selection.score,
                    "network_wins": fitted.selection.network_wins,
                    "best_baseline": fitted.selection.best_baseline,
                    "validation": fitted.selection.validation,
                },
            }
        )
    _explain(fitted, hindcast, truth, data, config, run)


def _explain(
    fitted: Fitted,
    hindcast: xr.DataArray,
    truth: xr.DataArray,
    data: Data,
    config: SeasonalConfig,
    run: RunFolder,
) -> None:
    from esai_seasonal.drivers import explain

    development = split_times(data.hindcast["start"].values, config.split).development
    with run.stage("explain"):
        told = explain(fitted, hindcast, truth, data, development=development, seed=run.seed)
        if told is not None:
            told.save(run.path(DRIVERS))


def _same_cases(written: xr.DataArray, hindcast: xr.DataArray) -> xr.DataArray:
    if not np.array_equal(written["start"].values, hindcast["start"].values):
        raise InputError(
            "forecast.nc holds other starts than the config asks for",
            remedy="run the verb predict again first",
        )
    return written


def _upper_tercile(truth: xr.DataArray, starts: np.ndarray, like: xr.DataArray) -> xr.DataArray:
    """Upper tercile of the development starts per start month and lead."""
    used = truth.isel(start=starts).drop_vars("valid_time", errors="ignore")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)  # of cells without a truth
        found = used.groupby("start.month").quantile(2 / 3, dim="start").drop_vars("quantile")
    return found.sel(month=like["start"].dt.month).drop_vars("month").transpose(*like.dims)


def report(config: SeasonalConfig, run: RunFolder) -> None:
    """Write report.html from metrics.json and verification.nc."""
    from esai_seasonal.reporting import write_report

    with run.stage("report"):
        write_report(config, run, load(open_dataset(run.find(VERIFICATION), standard=False)))
