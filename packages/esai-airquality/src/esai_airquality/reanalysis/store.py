"""Keep a fitted model of residuals in one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esai_airquality.archive import read_archive, write_archive
from esai_airquality.reanalysis.kriging import Covariance
from esai_airquality.reanalysis.residuals import Fit
from esai_airquality.reanalysis.trends import Columns, Trend

__all__ = ["load_fit", "save_fit"]

_CASES = ("latitude", "longitude", "period", "remainder")


def save_fit(fit: Fit, path: str | Path, *, facts: dict) -> Path:
    """Write a fit, and facts that JSON can hold, to one ``.npz`` file."""
    arrays: dict[str, NDArray] = {name: getattr(fit, name) for name in _CASES}
    told = {
        **facts,
        "method": fit.method,
        "power": fit.power,
        "covariance": None if fit.covariance is None else vars(fit.covariance),
        "trend": None,
    }
    if fit.trend is not None:
        trend = fit.trend
        told["trend"] = {"kind": trend.kind, "base": trend.base, "level": trend.columns.level}
        arrays |= {"scale": trend.columns.scale, "middle": trend.columns.middle, "fitted": trend.fitted}
        arrays |= {"centre": trend.centre, "slope": trend.slope}
        arrays["saved"] = np.frombuffer(trend.saved, np.uint8)
    return write_archive(path, arrays, told)


def load_fit(path: str | Path) -> tuple[Fit, dict]:
    """Read what `save_fit` wrote: the fit and the facts.

    Raises
    ------
    InputError
        If the file is damaged or no fit.
    """
    arrays, facts = read_archive(path, wrong="this is no fitted model")
    trend = None
    if facts["trend"] is not None:
        told = facts["trend"]
        columns = Columns(arrays["scale"], arrays["middle"], told["level"])
        parts = {name: arrays[name] for name in ("fitted", "centre", "slope")}
        trend = Trend(told["kind"], columns, base=told["base"], saved=arrays["saved"].tobytes(), **parts)
    covariance = None if facts["covariance"] is None else Covariance(**facts["covariance"])
    cases = {name: arrays[name] for name in _CASES}
    return Fit(facts["method"], trend, covariance=covariance, power=facts["power"], **cases), facts
