"""A toy seasonal forecast with its reference: everything that a correction should find is known.

The reference is, for the month `t` at the point `x`,

    T(t, x) = C(month, x) + trend * (year - mean year) + sigma * A(t, x),

with a climatology `C` that follows latitude, season and relief, and an anomaly `A` of unit variance,
correlated in space and from month to month. The forecast of start `s`, lead `l` and member `e` is, on the
coarse nodes,

    F = C_coarse + bias(x) + drift * (l - 1) + seasonal(start month) + model trend
        + sigma * (rho S + r sqrt(1 - rho^2) eps_e),     S = rho A + sqrt(1 - rho^2) Z,

so that the mean of many members correlates with the truth at ``rho = skill * decay^(l - 1)``, and the spread
is `r` times that of a reliable ensemble (signal-plus-noise model, Kharin and Zwiers 2003, J. Climate 16,
1684-1701). `C_coarse` follows the smooth relief of the coarse model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from esai_core.errors import UsageError
from esai_core.grid import Grid, coarse_grid, coarsen, coarsen_nodes
from esai_core.hindcast import valid_time
from esai_core.io.names import COORDINATE_ATTRS
from esai_core.synthetic.fields import correlated_fields, relief

LAPSE = 0.0065  # K per m


@dataclass(frozen=True)
class ToySeason:
    """A toy hindcast with its reference.

    Attributes
    ----------
    hindcast : xarray.DataArray
        ``t2m (start, lead, number, latitude, longitude)``, K, on the coarse nodes.
    reference : xarray.DataArray
        ``t2m (time, latitude, longitude)``, K, monthly, on the fine nodes.
    static_coarse, static_fine : xarray.Dataset
        ``orog`` (m) and ``lsm`` ``(latitude, longitude)``.
    mean_error : xarray.DataArray
        Expected forecast minus reference at the coarse nodes ``(month, lead, latitude, longitude)``, `month`
        of the start, averaged over the years.
    skill : xarray.DataArray
        Correlation ``(lead)`` of the mean of very many members with the truth, less their trends.
    trend, model_trend : float
        K per year.
    spread_ratio : float
        Spread over that of a reliable ensemble.
    sigma : float
        Standard deviation of the anomalies, K.
    """

    hindcast: xr.DataArray
    reference: xr.DataArray
    static_coarse: xr.Dataset
    static_fine: xr.Dataset
    mean_error: xr.DataArray
    skill: xr.DataArray
    trend: float
    model_trend: float
    spread_ratio: float
    sigma: float


def toy_season(
    *,
    seed: int = 0,
    coarse: tuple[int, int] = (7, 9),
    factor: int = 4,
    years: int = 30,
    first_year: int = 1981,
    leads: int = 3,
    members: int = 10,
    fewer_members: tuple[int, int] | None = None,
    start_months: tuple[int, ...] = tuple(range(1, 13)),
    skill: float = 0.6,
    decay: float = 0.8,
    bias: float = 1.5,
    drift: float = 0.5,
    seasonal: float = 0.4,
    trend: float = 0.03,
    model_trend: float = 0.01,
    spread_ratio: float = 0.7,
    sigma: float = 0.8,
    land: float = 0.65,
    sea_missing: bool = False,
) -> ToySeason:
    """Make a toy hindcast and its reference on node-aligned grids.

    Parameters
    ----------
    seed : int
        The same seed gives the same data.
    coarse : (int, int)
        Coarse latitudes and longitudes, 1 degree apart.
    factor : int
        Fine steps per coarse step; there are ``(n - 1) * factor + 1`` fine points.
    years, first_year : int
        Years of the starts.
    leads, members : int
        Lead months and members.
    fewer_members : (int, int), optional
        Year up to which starts have fewer members, and how many; the others are missing.
    start_months : tuple of int
        Months of the starts.
    skill, decay : float
        Correlation at the first lead, in [0, 1], and its factor per lead.
    bias, drift, seasonal : float
        K: size of the mean error's pattern, its change per lead, and its amplitude over the start months.
    trend, model_trend : float
        K per year in the reference and in the forecast.
    spread_ratio : float
        1 is a reliable ensemble; less is overconfident.
    sigma : float
        Standard deviation of monthly anomalies, K.
    land : float
        Share of land.
    sea_missing : bool
        Set the sea to missing in the reference and in the forecast.

    Returns
    -------
    ToySeason
    """
    if not 0.0 <= skill <= 1.0 or years < 2 or leads < 1 or members < 1:
        raise UsageError(
            f"no toy season with skill {skill}, {years} years, {leads} leads and {members} members"
        )
    rng = np.random.default_rng(seed)
    fine = _fine_grid(coarse, factor)
    static_fine = relief(rng, fine, land=land)
    static_coarse = _coarse_static(static_fine, factor)
    nodes = coarse_grid(fine, factor)

    months = pd.date_range(f"{first_year}-01-01", periods=12 * (years + 1 + leads // 12), freq="MS")
    anomaly = _months_of_anomalies(rng, len(months), fine.shape, length=2.0 * factor)
    centre = first_year + (years - 1) / 2.0
    year = np.asarray(months.year + (months.month - 1) / 12.0 - centre)
    values = (
        _climate(static_fine)[np.asarray(months.month) - 1] + trend * year[:, None, None] + sigma * anomaly
    )
    reference = _array(values, {"time": months, **fine.coords()})

    starts = months[(months.year < first_year + years) & np.isin(months.month, start_months)]
    start = xr.DataArray(starts, dims="start", name="start")
    lead = xr.DataArray(np.arange(1, leads + 1), dims="lead", attrs={"units": "months"})
    index = np.searchsorted(months, starts)[:, None] + np.arange(leads)  # of the valid months
    rho = (skill * decay ** np.arange(leads))[:, None, None]
    truth = anomaly[:, ::factor, ::factor][index]
    predicted = rho * truth + np.sqrt(1 - rho**2) * correlated_fields(rng, index.shape, coarse, length=2.0)
    noise = correlated_fields(rng, (*index.shape, members), coarse, length=2.0)
    spread = spread_ratio * np.sqrt(1 - rho**2)
    members_anomaly = sigma * ((rho * predicted)[:, :, None] + spread[:, None] * noise)

    pattern = bias * correlated_fields(rng, 1, coarse, length=3.0)[0]
    by_month = seasonal * np.cos(2 * np.pi * (np.arange(12)) / 12.0)
    error = pattern + by_month[:, None, None, None] + (drift * np.arange(leads))[:, None, None]
    month_of_start = np.asarray(starts.month) - 1
    base = _climate(static_coarse)[np.asarray(months.month)[index] - 1] + error[month_of_start]
    forecast = (base + model_trend * year[index][..., None, None])[:, :, None] + members_anomaly
    if fewer_members is not None:
        forecast[np.asarray(starts.year) <= fewer_members[0], :, fewer_members[1] :] = np.nan
    number = np.arange(members)
    hindcast = _array(forecast, {"start": start, "lead": lead, "number": number, **nodes.coords()})
    hindcast = hindcast.assign_coords(valid_time=valid_time(hindcast["start"], hindcast["lead"]))

    mean_error = _expected_error(error, static_fine, static_coarse, start_months, lead, factor)
    # both trends are centred on the middle of the starts; what is left of their difference shifts the mean
    lag = np.stack([year[index][month_of_start == m - 1].mean(0) for m in start_months])
    mean_error = mean_error + (model_trend - trend) * xr.DataArray(lag, dims=("month", "lead"))
    if sea_missing:
        reference = reference.where(static_fine["lsm"] > 0.5)
        hindcast = hindcast.where(static_coarse["lsm"] > 0.5).transpose(*hindcast.dims)
        mean_error = mean_error.where(static_coarse["lsm"] > 0.5)
    return ToySeason(
        hindcast=hindcast,
        reference=reference,
        static_coarse=static_coarse,
        static_fine=static_fine,
        mean_error=mean_error.transpose("month", "lead", "latitude", "longitude"),
        skill=xr.DataArray(rho[:, 0, 0], dims="lead", coords={"lead": lead}, name="skill"),
        trend=trend,
        model_trend=model_trend,
        spread_ratio=spread_ratio,
        sigma=sigma,
    )


def as_new_cds(hindcast: xr.DataArray) -> xr.Dataset:
    """Lay a monthly hindcast out as today's Climate Data Store does.

    Parameters
    ----------
    hindcast : xarray.DataArray
        ``(start, lead, number, latitude, longitude)``, leads in months.

    Returns
    -------
    xarray.Dataset
        ``(number, forecast_reference_time, forecastMonth, latitude, longitude)``, latitude descending.
    """
    da = hindcast.drop_vars("valid_time", errors="ignore")
    da = da.rename(start="forecast_reference_time", lead="forecastMonth").isel(latitude=slice(None, None, -1))
    ds = da.transpose("number", ...).to_dataset(name=hindcast.name or "t2m")
    ds["forecastMonth"].attrs = {"long_name": "months since forecast_reference_time", "units": "1"}
    ds["forecast_reference_time"].attrs = {"standard_name": "forecast_reference_time"}
    return ds


def _fine_grid(coarse: tuple[int, int], factor: int) -> Grid:
    south, west = 36.0, -9.0
    rows, columns = ((n - 1) * factor + 1 for n in coarse)
    return Grid(south + np.arange(rows) / factor, west + np.arange(columns) / factor)


def _coarse_static(fine: xr.Dataset, factor: int) -> xr.Dataset:
    """Relief as a coarse model has it (the mean over its cells), land where the node is land."""
    out = xr.Dataset(
        {"orog": coarsen(fine["orog"], factor), "lsm": coarsen_nodes(fine["lsm"], factor)}, attrs=fine.attrs
    )
    for name in out.data_vars:
        out[name].attrs = fine[name].attrs
    return out


def _climate(static: xr.Dataset) -> np.ndarray:
    """Climatology ``(12, latitude, longitude)``, K: colder to the north and up, warmest in July."""
    latitude = static["latitude"].values[:, None]
    level = 290.0 - 0.7 * (latitude - 40.0) - LAPSE * static["orog"].values.astype(float)
    season = -8.0 * np.cos(2 * np.pi * (np.arange(12) - 0.5) / 12.0)[:, None, None]
    return level[None] + season * (0.6 + 0.4 * static["lsm"].values[None])


def _months_of_anomalies(
    rng: np.random.Generator, count: int, shape: tuple[int, int], *, length: float
) -> np.ndarray:
    """Unit-variance fields with a correlation of 0.4 from month to month."""
    out = correlated_fields(rng, count, shape, length=length)
    for i in range(1, count):
        out[i] = 0.4 * out[i - 1] + np.sqrt(1 - 0.4**2) * out[i]
    return out


def _expected_error(
    error: np.ndarray,
    fine: xr.Dataset,
    coarse: xr.Dataset,
    start_months: tuple[int, ...],
    lead: xr.DataArray,
    factor: int,
) -> xr.DataArray:
    """Add what the smoother relief makes to what was put in."""
    difference = _climate(coarse) - _climate(fine)[:, ::factor, ::factor]
    chosen = np.asarray(start_months)
    valid = (chosen[:, None] - 1 + np.arange(lead.size)[None, :]) % 12
    coords = {"month": chosen, "lead": lead, "latitude": coarse["latitude"], "longitude": coarse["longitude"]}
    dims = ("month", "lead", "latitude", "longitude")
    return xr.DataArray(error[chosen - 1] + difference[valid], dims=dims, coords=coords, name="mean_error")


def _array(values: np.ndarray, coords: dict) -> xr.DataArray:
    attrs = {"units": "K", "long_name": "2 metre temperature", "standard_name": "air_temperature"}
    da = xr.DataArray(values.astype("float32"), dims=tuple(coords), coords=coords, name="t2m", attrs=attrs)
    for name in coords:
        da[name].attrs = {**COORDINATE_ATTRS[name], **({"units": "months"} if name == "lead" else {})}
    return da
