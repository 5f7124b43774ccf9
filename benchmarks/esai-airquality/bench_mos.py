"""Corrections at stations against loops in Python, against pykalman and against `numpy.quantile`.

Seconds are CPU seconds of one thread for the full network (450 stations, 5 years of hours, one lead for the
filter and the analogs); the peers run on the first stations and are scaled up, as their cost grows with the
number of stations. The largest difference of what both sides give is printed beside the times.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from pykalman import KalmanFilter

from esai_airquality.mos.kernels import analogs, kalman
from esai_airquality.mos.quantiles import BINS, count_pairs, quantiles_of

RATIO, ANALOGS, REFRESH = 0.06, 10, 30


def cpu_seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def network(days: int, stations: int) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts and observations (day, hour, station) with a diurnal cycle; a twentieth is missing."""
    rng = np.random.default_rng(0)
    cycle = 25 + 10 * np.sin(2 * np.pi * (np.arange(24) - 9) / 24)[:, None]
    observed = cycle * rng.gamma(6.0, 1 / 6, (days, 24, stations))
    forecast = np.maximum(observed * 1.1 + rng.normal(2, 5, observed.shape), 0)
    observed[rng.random(observed.shape) < 0.05] = np.nan
    return forecast, observed


def python_filter(error: list[float]) -> list[float]:
    x, p, out = 0.0, 1.0, []
    for e in error:
        p += RATIO
        if not math.isnan(e):
            gain = p / (p + 1)
            x += gain * (e - x)
            p *= 1 - gain
        out.append(x)
    return out


def python_analogs(near: list[list[float]], observed: list[float], first: int, lead: int) -> list[float]:
    out = []
    for t in range(first, len(observed)):
        here, found = near[t], []
        for d in range(t - lead + 1):
            o = observed[d]
            if not math.isnan(o):
                past = near[d]
                square = 0.0
                for a, b in zip(past, here, strict=True):
                    square += (a - b) ** 2
                found.append((square, o))
        found.sort()
        weights = [1 / max(math.sqrt(square), 1e-6) for square, _ in found[:ANALOGS]]
        total = sum(w * o for w, (_, o) in zip(weights, found, strict=False))
        out.append(total / sum(weights))
    return out


def filter_case(forecast: np.ndarray, observed: np.ndarray) -> None:
    days, hours, stations = forecast.shape

    def ours(part: slice) -> np.ndarray:
        shape = forecast[0, :, part].shape
        chosen = (np.ascontiguousarray(a[:, :, part]) for a in (forecast, observed))
        return kalman(np.zeros(shape), np.ones(shape), *chosen, RATIO)

    ours(slice(0, 1))  # compiles
    seconds = cpu_seconds(lambda: ours(slice(None)))
    few = max(stations // 100, 1)
    error = (forecast - observed)[:, :, :few]
    made = np.empty_like(error)

    def peer() -> None:
        for s in range(few):
            for h in range(hours):
                made[:, h, s] = python_filter(error[:, h, s].tolist())

    loop = cpu_seconds(peer) * stations / few
    apart = float(np.abs(made - ours(slice(0, few))).max())
    case = {"case": f"Kalman filter, {stations} stations, {days} days", "ours_s": seconds}
    print(json.dumps({**case, "peer": "Python loop", "peer_s": loop, "largest_difference": apart}))
    oracle = KalmanFilter(
        transition_matrices=[[1.0]],
        observation_matrices=[[1.0]],
        transition_covariance=[[RATIO]],
        observation_covariance=[[1.0]],
        initial_state_mean=[0.0],
        initial_state_covariance=[[1.0 + RATIO]],
    )
    mean = np.empty((days, 1))
    series = np.ma.masked_invalid(error[:, 0, 0])
    one = cpu_seconds(lambda: mean.__setitem__(slice(None), oracle.filter(series)[0]))
    apart = float(np.abs(mean[:, 0] - made[:, 0, 0]).max())
    total = one * hours * stations
    print(json.dumps({**case, "peer": "pykalman", "peer_s": total, "largest_difference": apart}))


def analog_case(forecast: np.ndarray, observed: np.ndarray, sample: int) -> None:
    days, hours, stations = forecast.shape
    near = np.stack([np.roll(forecast, 1, axis=1), forecast, np.roll(forecast, -1, axis=1)])
    lead, first = 1, 2
    args = {"weights": np.ones(3), "lead": lead, "count": ANALOGS, "stop": days}
    analogs(near[:, :4, :, :1], observed[:4, :, :1], **{**args, "stop": 4}, first=first)  # compiles
    few = min(stations, 10)
    part = [np.ascontiguousarray(a) for a in (near[..., :few], observed[..., :few])]
    made: list[np.ndarray] = []
    seconds = cpu_seconds(lambda: made.append(analogs(*part, **args, first=first))) * stations / few
    loops: list[list[float]] = []

    def peer() -> None:
        for h in range(sample):
            loops.append(python_analogs(near[:, :, h, 0].T.tolist(), observed[:, h, 0].tolist(), first, lead))

    loop = cpu_seconds(peer) * hours / sample * stations
    apart = max(float(np.abs(np.array(loops[h]) - made[0][:, h, 0]).max()) for h in range(sample))
    case = {"case": f"analogs, {stations} stations, {days} days", "ours_s": seconds}
    print(json.dumps({**case, "peer": "Python loop", "peer_s": loop, "largest_difference": apart}))


def quantile_case(forecast: np.ndarray, observed: np.ndarray) -> None:
    days, _, stations = forecast.shape
    levels = np.arange(1, 100) / 100
    counts = np.zeros((2, 1, BINS), np.int32)
    count_pairs(counts, forecast[:1, :, :1], observed[:1, :, :1])
    quantiles_of(counts[0], levels)  # compiles
    turns = range(REFRESH, days, REFRESH)
    last: list[np.ndarray] = []

    def ours() -> None:
        counts = np.zeros((2, stations, BINS), np.int32)
        for day in turns:
            count_pairs(counts, forecast[day - REFRESH : day], observed[day - REFRESH : day])
            last[:] = [quantiles_of(part, levels) for part in counts]

    seconds = cpu_seconds(ours)
    few = max(stations // 50, 1)
    exact = np.empty((2, few, 99))

    def peer() -> None:
        for day in turns:
            for s in range(few):
                f, o = forecast[:day, :, s], observed[:day, :, s]
                both = np.isfinite(f) & np.isfinite(o)
                exact[0, s], exact[1, s] = np.quantile(f[both], levels), np.quantile(o[both], levels)

    numpy = cpu_seconds(peer) * stations / few
    apart = float(np.abs(np.stack(last)[:, :few] / exact - 1).max())
    case = {"case": f"quantile maps, {stations} stations, {days} days", "ours_s": seconds}
    print(json.dumps({**case, "peer": "numpy.quantile", "peer_s": numpy, "relative_difference": apart}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=("small", "full"), default="small")
    days, stations, sample = (400, 50, 2) if parser.parse_args().size == "small" else (1826, 450, 1)
    forecast, observed = network(days, stations)
    filter_case(forecast, observed)
    analog_case(forecast, observed, sample)
    quantile_case(forecast, observed)


if __name__ == "__main__":
    main()
