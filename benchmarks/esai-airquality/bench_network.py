"""A national network: 450 stations, 5 years of hours, 4 leads; KF, moving average, quantile maps."""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from esai_airquality.mos.config import MosSection
from esai_airquality.mos.engine import advance
from esai_airquality.mos.panel import Panel
from esai_airquality.mos.state import start

LEADS = (1, 2, 3, 4)


def panel(days: int, stations: int) -> Panel:
    rng = np.random.default_rng(0)
    observed = np.empty((days, 24, stations))
    for day in range(days):  # by day: no large temporary arrays
        observed[day] = rng.gamma(6.0, 4.0, (24, stations))
    forecasts = {}
    for lead in LEADS:
        forecasts[lead] = observed * 1.1
        for day in range(days):
            forecasts[lead][day] += rng.normal(2, 4 + lead, (24, stations))
    observed[:, :, ::7][rng.random(observed[:, :, ::7].shape) < 0.1] = np.nan
    return Panel(
        days=np.datetime64("2018-01-01") + np.arange(days),
        stations=tuple(f"S{number:03d}" for number in range(stations)),
        observed=observed,
        forecasts=forecasts,
        separate=True,
        units="ug/m3",
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=("small", "full"), default="small")
    days, stations = (400, 50) if parser.parse_args().size == "small" else (1826, 450)
    config = MosSection(methods=("raw", "ma", "kf", "qm"), leads=LEADS, event=120.0, interval=0.0)
    few = panel(60, 2)
    advance(start(few, config), config, until=60)  # compiles
    whole = panel(days, stations)
    wall, cpu = time.perf_counter(), time.process_time()
    state = advance(start(whole, config), config, until=days)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    made = {name: float(np.isfinite(by_lead[4][40:]).mean()) for name, by_lead in state.predictions.items()}
    case = f"KF + MA + QM, {stations} stations, {days} days, 4 leads"
    print(json.dumps({"case": case, "ours_s": wall, "cpu_s": cpu, "issued": made}))


if __name__ == "__main__":
    main()
