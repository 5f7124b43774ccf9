"""The steps of the job. Each takes from earlier ones only files of the run folder."""

from __future__ import annotations

import xarray as xr

from esai_core import io, verify
from esai_core.errors import InputError
from esai_core.grid import area_weights
from esai_core.report import Report, key_message
from esai_core.runs import RunFolder, read_metrics
from esai_template.config import TemplateConfig

METHODS = ("climatology", "trend")


def read(config: TemplateConfig, years: tuple[int, int]) -> xr.DataArray:
    """Read the field of some years.

    Parameters
    ----------
    config : TemplateConfig
        Names the file and the variable.
    years : (first year, last year)
        Both included.

    Returns
    -------
    xarray.DataArray
        ``(time, latitude, longitude)``.

    Raises
    ------
    InputError
        If the file does not hold every month of these years once.
    """
    field = io.load(io.open_reference(config.data.field, variable=config.data.variable))
    chosen = field.sel(time=slice(str(years[0]), str(years[1])))
    wanted = 12 * (years[1] - years[0] + 1)
    if chosen.sizes["time"] != wanted:
        raise InputError(
            f"{chosen.sizes['time']} months in {years[0]}-{years[1]}, not {wanted}",
            where=config.data.field,
            remedy="give a file with one value a month, or other years",
        )
    return chosen


def fit_trend(field: xr.DataArray) -> xr.Dataset:
    r"""Fit a line through the years, per cell and calendar month, by least squares.

    .. math:: \hat y = \bar y + b (t - \bar t), \quad b = \sum (t - \bar t)(y - \bar y) / \sum (t - \bar t)^2

    Parameters
    ----------
    field : xarray.DataArray
        ``(time, latitude, longitude)``, one value a month.

    Returns
    -------
    xarray.Dataset
        ``mean`` (units of the field) and ``slope`` (per year), both ``(month, latitude, longitude)``, and
        ``year``, the mean year. NaN where a cell has a missing value.
    """
    year = field["time"].dt.year.astype("float64")
    centred = (year - year.mean()).rename("centred")
    month = field["time"].dt.month
    mean = field.groupby(month).mean("time", skipna=False)
    products = (centred * (field.groupby(month) - mean)).groupby(month).sum("time", skipna=False)
    slope = products / (centred**2).groupby(month).sum("time")
    return xr.Dataset({"mean": mean, "slope": slope, "year": year.mean()})


def forecast(model: xr.Dataset, time: xr.DataArray, *, method: str) -> xr.DataArray:
    """Forecast some months.

    Parameters
    ----------
    model : xarray.Dataset
        From `fit_trend`.
    time : xarray.DataArray
        ``(time)``, dates.
    method : {"climatology", "trend"}
        The mean of the calendar month, or the line through it.

    Returns
    -------
    xarray.DataArray
        ``(time, latitude, longitude)``, units of the field.
    """
    month = time.dt.month
    result = model["mean"].sel(month=month)
    if method == "trend":
        result = result + model["slope"].sel(month=month) * (time.dt.year - model["year"])
    return result.drop_vars("month").transpose("time", ...)


def train(config: TemplateConfig, run: RunFolder) -> None:
    """Fit on the training years."""
    with run.stage("fit"):
        model = fit_trend(read(config, config.split.train))
    io.write_netcdf(model, run.path("model.nc"), dtype="float64")


def predict(config: TemplateConfig, run: RunFolder) -> None:
    """Forecast the test years with every method."""
    observed = read(config, config.split.test)
    model = io.load(xr.open_dataset(run.find("model.nc"), engine="netcdf4"))
    with run.stage("predict"):
        found = {method: forecast(model, observed["time"], method=method) for method in METHODS}
    for method, values in found.items():
        values.attrs = dict(observed.attrs)
        io.write_netcdf(values.to_dataset(name=config.data.variable), run.path(f"forecast_{method}.nc"))


def evaluate(config: TemplateConfig, run: RunFolder) -> None:
    """Score every method on the test years."""
    observed = read(config, config.split.test)
    weights = area_weights(observed["latitude"])
    scores = {}
    with run.stage("verify"):
        for method in METHODS:
            values = io.load(io.open_reference(run.find(f"forecast_{method}.nc")))
            error = verify.rmse(values, observed, dim=list(observed.dims), weights=weights)
            bias = verify.bias(values, observed, dim=list(observed.dims), weights=weights)
            scores[method] = {"rmse": float(error), "bias": float(bias)}
    run.write_metrics({"split": config.split.model_dump(), "delivered": "trend", "scores": scores})


def report(config: TemplateConfig, run: RunFolder) -> None:
    """Write the report."""
    metrics = read_metrics(run.partial)
    first, last = config.split.test
    page = Report("Monthly forecast by a linear trend", f"{config.data.variable}, {first} to {last}", run=run)
    page.headline(key_message(metrics))
    page.section("Scores", "Over all cells and months of the test years, by area.")
    page.table(metrics["scores"], highlight=metrics["delivered"], best={"rmse": "min", "bias": "zero"})
    page.write(run.path("report.html"))
