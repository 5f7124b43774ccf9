"""Coverage and width of nominal 90 % intervals on held-out blocks of the real data sets (ESAI_DATA)."""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.ensemble import HistGradientBoostingRegressor

from esai_core import splits
from esai_core.config import data_root
from esai_core.uncertainty import (
    AdaptiveConformal,
    ConformalQuantiles,
    CrossConformal,
    Interval,
    SplitConformal,
    ensemble_interval,
    interval_scores,
)

COVERAGE = 0.9


def opened(root: Path, name: str) -> xr.Dataset:
    return xr.open_dataset(root / name, engine="netcdf4", decode_timedelta=False).load()


def seasonal_pair(root: Path) -> tuple[pd.DatetimeIndex, np.ndarray, np.ndarray]:
    """SEAS5 ensemble mean and ERA5 at its points: (start, lead, latitude, longitude)."""
    forecast = opened(root, "seasonal/seas5_t2m_monthly_colombia_1981-2008.nc")["t2m"].mean("number")
    truth = opened(root, "seasonal/era5_t2m_monthly_colombia_1981-2009.nc")["t2m"].rename(valid_time="time")
    truth = truth.sel(latitude=forecast["latitude"], longitude=forecast["longitude"])
    starts = pd.DatetimeIndex(forecast["forecast_reference_time"].values)
    valid = [starts + pd.DateOffset(months=int(lead) - 1) for lead in forecast["forecastMonth"].values]
    observed = np.stack([truth.sel(time=times).values for times in valid], axis=1)
    guess = forecast.transpose("forecast_reference_time", "forecastMonth", "latitude", "longitude").values
    return starts, observed, guess


def seasonal_fixed(root: Path) -> dict:
    """Bias off by month and lead with the other years of 1981-2001, calibrated on them; test 2002-08."""
    starts, observed, guess = seasonal_pair(root)
    past, test = starts.year <= 2001, starts.year > 2001
    error = guess - observed
    for month in range(1, 13):
        mine, later = (starts.month == month) & past, (starts.month == month) & test
        total = error[mine].sum(0)
        guess[mine] -= (total - error[mine]) / (mine.sum() - 1)
        guess[later] -= total / mine.sum()
    conformal = SplitConformal(coverage=COVERAGE).fit(observed[past], guess[past], blocks=starts.year[past])
    ends = conformal.interval(guess[test])
    return interval_scores(observed[test], *ends, coverage=COVERAGE, blocks=starts.year[test])


def seasonal_adaptive(root: Path) -> dict:
    """Bias off with all earlier years, intervals that follow what was covered; test 2002-08."""
    starts, observed, guess = seasonal_pair(root)
    test, error = starts.year > 2001, guess - observed
    moved = np.full_like(guess, np.nan)
    for number, start in enumerate(starts):
        known = (starts.month == start.month) & (starts.year < start.year)
        if known.sum() >= 5:
            moved[number] = guess[number] - error[known].mean(0)
    adaptive = AdaptiveConformal(coverage=COVERAGE, gamma=0.02, window=120, delay=7, spin_up=40)
    ends, _ = adaptive.intervals(observed, moved)
    scored = (part[test] for part in (observed, ends.lower, ends.upper))
    return interval_scores(*scored, coverage=COVERAGE, blocks=starts.year[test])


def s2s(root: Path, name: str) -> dict:
    """14-day precipitation in mm: the ensemble's own interval, corrected on the other years."""
    data = opened(root, f"s2s/{name}_eobs_iberia_tp_14day.nc")
    members, truth = data["tp"].values, data["tp_obs"].values
    low, high = ensemble_interval(members, coverage=0.8)
    ends = np.full((2, *truth.shape), np.nan)
    for year in range(len(truth)):
        others = np.arange(len(truth)) != year
        conformal = ConformalQuantiles(coverage=COVERAGE, pooled=True, symmetric=False)
        conformal.fit(truth[others], low[others], high[others])
        ends[:, year] = conformal.interval(low[year], high[year]).clip(low=0.0)
    return interval_scores(truth, *ends, coverage=COVERAGE, blocks=np.arange(len(truth)))


def fire(root: Path) -> dict:
    """Burned area of May-October per 1 degree cell, as log(1 + ha): climatology, calibrated on 1996-2004."""
    area = opened(root, "fire/wumi_burned_area_1deg_monthly_1984_2012.nc")["burned_area"]
    season = area.where(area["time"].dt.month.isin(range(5, 11)), drop=True)
    yearly = np.log1p(season.groupby("time.year").sum("time", skipna=False))
    values, years = yearly.values, yearly["year"].values
    burns = (values > 0).mean(0) > 0.5
    values = values[:, burns]
    fit, calibrate, test = years <= 1995, (years > 1995) & (years <= 2004), years > 2004
    guess = np.broadcast_to(values[fit].mean(0), values.shape)
    scale = np.broadcast_to(np.maximum(values[fit].std(0), 0.5), values.shape)
    conformal = SplitConformal(coverage=COVERAGE, pooled=True)
    conformal.fit(values[calibrate], guess[calibrate], scale=scale[calibrate])
    ends = conformal.interval(guess[test], scale=scale[test]).clip(low=0.0)
    return interval_scores(values[test], *ends, coverage=COVERAGE, blocks=years[test])


def adaptive_stations(root: Path) -> dict:
    """Hourly NO2 of MONARCH at stations, bias of the last 7 days taken off; adaptive, a day ahead, in ppb."""
    data = pd.read_parquet(root / "airquality/no2_ghost_ebas_monarch_2018_hourly.parquet")
    wide = {name: data.pivot(index="time", columns="station", values=name) for name in data.columns[2:]}
    return _adaptive(wide["no2_obs_ppb"], wide["no2_monarch_ppb"])


def adaptive_network(root: Path) -> dict:
    """Hourly O3 of the network's median, as for the stations."""
    data = pd.read_csv(
        root / "airquality/o3_ebas_network_median_monarch_2018_hourly.csv", parse_dates=["time"]
    )
    data = data.set_index("time")
    return _adaptive(data[["o3_obs_ppb"]], data[["o3_monarch_ppb"]].set_axis(["o3_obs_ppb"], axis=1))


def _adaptive(observed: pd.DataFrame, forecast: pd.DataFrame) -> dict:
    hours = pd.date_range(observed.index[0], observed.index[-1], freq="h")
    y, f = (frame.reindex(hours) for frame in (observed, forecast))
    shape = (len(y) // 24, 24 * y.shape[1])  # a day a row, hour and station a column
    y, f = (frame.iloc[: shape[0] * 24].to_numpy().reshape(shape) for frame in (y, f))
    error = pd.DataFrame(f - y)
    guess = np.maximum(f - error.rolling(7, min_periods=3).mean().shift(1).to_numpy(), 0)
    size = error.abs().rolling(14, min_periods=5).mean().shift(1).to_numpy() + 0.1
    size = np.where(np.isnan(size), 1.0, size)
    ends, _ = AdaptiveConformal(coverage=COVERAGE, gamma=0.02, window=120, spin_up=20).intervals(
        y, guess, scale=size
    )
    ends = Interval(np.maximum(ends.lower, 0), ends.upper)
    return interval_scores(y, *ends, coverage=COVERAGE, blocks=np.arange(len(y)) // 14)


def stations(root: Path, file: str, target: str, drop: list[str], place: list[str]) -> dict:
    """Boosted trees at places never seen, cross-conformal with folds of places."""
    data = pd.read_parquet(root / file).dropna(subset=[target])
    groups = data[place].round(3).astype(str).agg(" ".join, axis=1).to_numpy()
    outer = splits.k_fold(groups, k=5, seed=1)[0]
    features = data.drop(columns=[target, *drop]).select_dtypes("number")
    x, y = features.iloc[outer.train], data[target].to_numpy()[outer.train]
    inner = splits.k_fold(groups[outer.train], k=5)

    def make(inputs: pd.DataFrame, truth: np.ndarray) -> Callable:
        return HistGradientBoostingRegressor(max_iter=60).fit(inputs, truth).predict

    if len(x) > 8000:  # CV+ keeps every case: a share of them says as much
        keep = np.random.default_rng(0).choice(len(x), 8000, replace=False)
        x, y, inner = x.iloc[keep], y[keep], splits.k_fold(groups[outer.train][keep], k=5)
    ends = CrossConformal(coverage=COVERAGE).fit(make, x, y, folds=inner).interval(features.iloc[outer.test])
    truth = data[target].to_numpy()[outer.test]
    return interval_scores(truth, ends.lower, ends.upper, coverage=COVERAGE, blocks=groups[outer.test])


CASES: dict[str, Callable[[Path], dict]] = {
    "seasonal: SEAS5 t2m Colombia, fixed (K)": seasonal_fixed,
    "seasonal: SEAS5 t2m Colombia, adaptive (K)": seasonal_adaptive,
    "s2s: ECMWF S4 precipitation Iberia (mm)": lambda root: s2s(root, "s4"),
    "s2s: CFSv2 precipitation Iberia (mm)": lambda root: s2s(root, "cfsv2"),
    "fire: western-US burned area (log ha)": fire,
    "airquality: NO2 at stations (ppb)": adaptive_stations,
    "airquality: O3 network median (ppb)": adaptive_network,
    "airquality: daily NO2 Po valley (ug m-3)": lambda root: stations(
        root, "airquality/no2_tropomi_povalley_2019_2021.parquet", "GT_NO2", [], ["LAT", "LON"]
    ),
    "airquality: annual NO2, new places (ug m-3)": lambda root: stations(
        root,
        "airquality/no2_annual_stations_tropomi2018_predictors.parquet",
        "value_mean",
        ["night_value", "day_value", "ID"],
        ["LATITUDE", "LONGITUDE"],
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=("small", "full"), default="small")
    parser.parse_args()
    root = data_root()
    if root is None:
        raise SystemExit("ESAI_DATA is not set: these are measurements on real data")
    warnings.simplefilter("ignore")
    for name, case in CASES.items():
        start = time.process_time()
        found = case(root)
        kept = ("coverage", "coverage_low", "coverage_high", "width", "unbounded", "cases")
        print(
            json.dumps({"case": name, "ours_s": time.process_time() - start} | {k: found[k] for k in kept}),
            flush=True,
        )


if __name__ == "__main__":
    main()
