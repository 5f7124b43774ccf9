"""The classical methods as estimators on xarray: fitted per cell, start month and lead, numpy or dask."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import InputError, UsageError, nearest

from . import emos, linear, quantile

FORMAT = 1
COORDINATES = ("month", "lead", "latitude", "longitude")
KINDS = ("additive", "multiplicative")

FitFunction = Callable[[np.ndarray, np.ndarray, np.ndarray, str], np.ndarray]
PredictFunction = Callable[[np.ndarray, np.ndarray, np.ndarray, str], np.ndarray]


@dataclass(frozen=True)
class Method:
    """One way of turning an interpolated forecast into a corrected ensemble.

    Attributes
    ----------
    fit, predict : callable
        ``fit(forecast, target, years, kind)`` and ``predict(coefficients, forecast, years, kind)`` on plain
        arrays (shapes in `esai_seasonal.methods.linear`).
    starts : int
        Training starts that one start month needs.
    summary : str
        One line for tables.
    own_members : bool
        The ensemble consists of the training years, not of the forecast's members.
    """

    fit: FitFunction
    predict: PredictFunction
    starts: int
    summary: str
    own_members: bool = False


METHODS: dict[str, Method] = {
    "raw": Method(linear.fit_raw, linear.predict_raw, 0, "the forecast interpolated to the fine grid"),
    "climatology": Method(
        linear.fit_climatology,
        linear.predict_climatology,
        1,
        "the training years as members, no forecast",
        True,
    ),
    "trend_climatology": Method(
        linear.fit_trend_climatology,
        linear.predict_trend_climatology,
        3,
        "linear trend over the training years with its residuals as members, no forecast",
        True,
    ),
    "mean_bias": Method(linear.fit_mean_bias, linear.predict_mean_bias, 1, "mean bias removed"),
    "mean_variance": Method(
        linear.fit_mean_variance, linear.predict_mean_variance, 2, "mean and standard deviation matched"
    ),
    "eqm": Method(
        quantile.fit_quantiles, quantile.predict_eqm, 2, "empirical quantile mapping, 35 quantiles"
    ),
    "qdm": Method(
        quantile.fit_quantiles, quantile.predict_qdm, 2, "quantile delta mapping, keeps the model's change"
    ),
    "trend_bias": Method(
        linear.fit_trend_bias, linear.predict_trend_bias, 3, "linear trend of the bias removed"
    ),
    "mlr": Method(
        linear.fit_mlr, linear.predict_mlr, 5, "regression on ensemble mean and year, residual spread"
    ),
    "emos": Method(emos.fit_emos, emos.predict_emos, 4, "non-homogeneous Gaussian regression, minimum CRPS"),
}


def find(name: str) -> Method:
    """Look a method up by name.

    Raises
    ------
    UsageError
        No such method; the nearest names are offered.
    """
    if name not in METHODS:
        raise UsageError(f"unknown method {name!r}", remedy=nearest(name, list(METHODS)))
    return METHODS[name]


@dataclass(frozen=True)
class Correction:
    """A classical correction: ``Correction("mlr").fit(hindcast, reference).predict(forecast)``.

    Attributes
    ----------
    method : str
        A name of `METHODS`.
    kind : str
        "additive", or "multiplicative" for a variable that cannot be negative (precipitation).
    parameters : DataArray, optional
        Coefficients ``(month, lead, latitude, longitude, coefficient)`` of a fitted correction.
    """

    method: str
    kind: str = "additive"
    parameters: xr.DataArray | None = None

    def __post_init__(self) -> None:
        find(self.method)
        if self.kind not in KINDS:
            raise UsageError(f"unknown kind {self.kind!r} of correction", remedy=f"one of {', '.join(KINDS)}")

    def fit(self, hindcast: xr.DataArray, reference: xr.DataArray) -> Correction:
        """Fit per cell, start month and lead.

        Parameters
        ----------
        hindcast : DataArray
            Training starts on the fine grid, ``(start, lead, number, latitude, longitude)``; missing members
            are NaN. Dask-backed input gives lazy coefficients.
        reference : DataArray
            The truth at the valid times, ``(start, lead, latitude, longitude)``, in the same unit.

        Returns
        -------
        Correction
            A fitted copy.

        Raises
        ------
        InputError
            A start month has fewer training starts than the method has coefficients to fit.
        """
        chosen = METHODS[self.method]
        starts = hindcast.indexes["start"]
        months = sorted(set(starts.month))
        for month in months:
            count = int((starts.month == month).sum())
            if count < chosen.starts:
                raise InputError(
                    f"{self.method} needs {chosen.starts} training starts per start month, "
                    f"month {month} has {count}",
                    remedy="widen split.train or leave the method out of model.methods",
                )
        years = np.asarray(starts.year, dtype=float)
        index = [np.flatnonzero(starts.month == month) for month in months]
        longest = max(len(i) for i in index)
        size = _size(chosen, longest, hindcast.sizes["number"], self.kind)

        def fit_months(forecast: np.ndarray, target: np.ndarray) -> np.ndarray:
            forecast, target = forecast.astype(float), target.astype(float)
            out = np.full((*target.shape[:-1], len(months), size), np.nan)
            for m, where in enumerate(index):
                fitted = chosen.fit(forecast[..., where, :], target[..., where], years[where], self.kind)
                out[..., m, : fitted.shape[-1]] = fitted
            return out

        parameters = xr.apply_ufunc(
            fit_months,
            hindcast.reset_coords(drop=True),
            reference.reset_coords(drop=True),
            input_core_dims=[["start", "number"], ["start"]],
            output_core_dims=[["month", "coefficient"]],
            join="exact",
            dask="parallelized",
            output_dtypes=[float],
            dask_gufunc_kwargs={
                "output_sizes": {"month": len(months), "coefficient": size},
                "allow_rechunk": True,
            },
        )
        parameters = parameters.assign_coords(month=months).transpose(
            "month", "lead", "latitude", "longitude", "coefficient"
        )
        return replace(self, parameters=parameters)

    def predict(self, hindcast: xr.DataArray) -> xr.DataArray:
        """Correct a forecast or hindcast on the grid of the fit.

        Parameters
        ----------
        hindcast : DataArray
            ``(start, lead, number, latitude, longitude)`` on the fine grid; leads and months of the fit.

        Returns
        -------
        DataArray
            The corrected ensemble with the same dimensions; the climatologies have one member per training
            year. Missing members stay NaN.

        Raises
        ------
        UsageError
            Not fitted.
        InputError
            A start month, lead or grid that was not in the training data.
        """
        if self.parameters is None:
            raise UsageError(f"the correction {self.method!r} is not fitted", remedy="call .fit first")
        chosen = METHODS[self.method]
        parameters = _aligned(self.parameters, hindcast, self.method)
        starts = hindcast.indexes["start"]
        years = np.asarray(starts.year, dtype=float)
        groups = [
            (m, np.flatnonzero(starts.month == month)) for m, month in enumerate(parameters.month.values)
        ]
        members = hindcast.sizes["number"]
        if chosen.own_members:
            extra = 3 if self.method == "trend_climatology" else 0
            members = parameters.sizes["coefficient"] - extra

        def predict_months(coefficients: np.ndarray, forecast: np.ndarray) -> np.ndarray:
            forecast = forecast.astype(float)
            out = np.full((*forecast.shape[:-1], members), np.nan)
            for m, where in groups:
                if where.size:
                    out[..., where, :] = chosen.predict(
                        coefficients[..., m, :], forecast[..., where, :], years[where], self.kind
                    )
            return out

        out = xr.apply_ufunc(
            predict_months,
            parameters,
            hindcast,
            input_core_dims=[["month", "coefficient"], ["start", "number"]],
            output_core_dims=[["start", "member"]],
            exclude_dims={"coefficient", "month"},
            join="exact",
            dask="parallelized",
            output_dtypes=[float],
            dask_gufunc_kwargs={"output_sizes": {"member": members}, "allow_rechunk": True},
        ).rename(member="number")
        keep = chosen.own_members is False
        number = hindcast["number"].values if keep and "number" in hindcast.coords else np.arange(members)
        out = out.assign_coords(number=number, start=hindcast["start"])
        if "valid_time" in hindcast.coords:
            out = out.assign_coords(valid_time=hindcast["valid_time"])
        out.attrs = dict(hindcast.attrs)
        return out.transpose("start", "lead", "number", "latitude", "longitude").rename(hindcast.name)

    def save(self, path: str | Path) -> None:
        """Write the coefficients and what they belong to as a NumPy archive (no pickled objects)."""
        if self.parameters is None:
            raise UsageError(f"the correction {self.method!r} is not fitted", remedy="call .fit first")
        arrays: dict[str, Any] = {
            "format": np.array(FORMAT),
            "method": np.array(self.method),
            "kind": np.array(self.kind),
            "lead_units": np.array(str(self.parameters["lead"].attrs.get("units", "months"))),
            "parameters": self.parameters.values,
        }
        arrays |= {name: self.parameters[name].values for name in COORDINATES}
        with Path(path).open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Correction:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            Not such a file, or one of a later format.
        """
        try:
            with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
                content: dict[str, Any] = dict(archive)
            found = int(content["format"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError("not a saved correction", where=str(path)) from error
        if found != FORMAT:
            raise InputError(f"saved in format {found}, this version reads {FORMAT}", where=str(path))
        coordinates = {name: content[name] for name in COORDINATES}
        parameters = xr.DataArray(
            content["parameters"], dims=(*coordinates, "coefficient"), coords=coordinates, name="parameters"
        )
        parameters["lead"].attrs["units"] = str(content["lead_units"])
        return cls(str(content["method"]), str(content["kind"]), parameters)


def _size(chosen: Method, longest: int, members: int, kind: str) -> int:
    """Count the coefficients by fitting one cell."""
    values = np.linspace(1.0, 2.0, longest)
    forecast = np.repeat(values[:, None], members, axis=1) + np.linspace(0, 0.1, members)
    return chosen.fit(forecast[None], values[None] + 0.1 * np.sin(values), values, kind).shape[-1]


def _aligned(parameters: xr.DataArray, hindcast: xr.DataArray, method: str) -> xr.DataArray:
    """Coefficients for the leads of `hindcast`; the grid must be that of the fit."""
    months = sorted(set(hindcast.indexes["start"].month) - set(parameters.month.values.tolist()))
    if months:
        raise InputError(
            f"{method} was not fitted for start months {months}",
            remedy=f"it knows {parameters.month.values.tolist()}",
        )
    leads = sorted(set(hindcast.lead.values.tolist()) - set(parameters.lead.values.tolist()))
    if leads:
        raise InputError(
            f"{method} was not fitted for leads {leads}", remedy=f"it knows {parameters.lead.values.tolist()}"
        )
    for name in ("latitude", "longitude"):
        ours, theirs = parameters[name].values, hindcast[name].values
        if ours.shape != theirs.shape or not np.allclose(ours, theirs, atol=1e-4):
            raise InputError(
                f"the {name}s of the forecast are not those of the fit",
                remedy=f"the fit has {ours.size} from {ours[0]} to {ours[-1]}",
            )
    selected = parameters.sel(lead=hindcast.lead.values)
    return selected.assign_coords(
        lead=hindcast.lead, latitude=hindcast.latitude, longitude=hindcast.longitude
    )
