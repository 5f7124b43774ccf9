from __future__ import annotations

import argparse
import time
from pathlib import Path

import netCDF4
import numpy as np

from esai_core.errors import InputError
from esai_core.io import atomic_path
from esai_core.job import Request
from esai_core.runs import RunFolder
from esai_toy.config import ToyConfig


def prepare(folder: Path) -> Path:
    x = np.linspace(0, 1, 20)
    y = 2 * x + 1 + 0.1 * np.random.default_rng(0).standard_normal(20)
    np.savetxt(folder / "points.csv", np.stack([x, y], 1), delimiter=",", header="x,y", comments="")
    path = folder / "toy.toml"
    path.write_text('[data]\npoints = "points.csv"\n')
    return path


def requests(config: ToyConfig | None) -> list[Request]:
    name = "all" if config is None else config.data.points.name
    return [
        Request(client="cds", dataset="reanalysis", body={"variable": ["t2m"], "name": name}, target="a.nc"),
        Request(client="http", dataset="https://example.org/b.csv", target="sub/b.csv", note="free to use"),
    ]


def _points(config: ToyConfig) -> np.ndarray:
    try:
        return np.loadtxt(config.data.points, delimiter=",", skiprows=1)
    except ValueError as error:
        raise InputError(f"no table of numbers: {error}", where=config.data.points) from error


def train(config: ToyConfig, run: RunFolder) -> None:
    x, y = _points(config).T
    state = run.checkpoints / "line.npz"
    first, line = 0, np.zeros(2)
    if run.resume and state.exists():
        with np.load(state) as saved:
            first, line = int(saved["epoch"]), saved["line"]
    with run.stage("fit"):
        for epoch in range(first, config.train.epochs):
            best = np.polyfit(x, y, 1)
            line = line + (best - line) / 2
            with atomic_path(state) as aside:  # a run may be stopped while it is written
                np.savez(aside, epoch=epoch + 1, line=line)
            run.add_history({"epoch": epoch, "loss": float(np.mean((np.polyval(line, x) - y) ** 2))})
            time.sleep(config.train.pause_s)
    if config.fail == "train":
        raise RuntimeError("a defect")
    np.savez(run.path("model/line.npz"), line=line)


def predict(config: ToyConfig, run: RunFolder) -> None:
    x, _ = _points(config).T
    with np.load(run.find("model/line.npz")) as saved:
        line = saved["line"]
    with netCDF4.Dataset(run.path("prediction.nc"), "w") as dataset:
        dataset.history = str(time.time_ns())
        dataset.createDimension("x", x.size)
        dataset.createVariable("x", "f8", ("x",))[:] = x
        dataset.createVariable("y", "f8", ("x",))[:] = np.polyval(line, x)


def evaluate(config: ToyConfig, run: RunFolder) -> None:
    _, y = _points(config).T
    with netCDF4.Dataset(run.find("prediction.nc")) as dataset:
        predicted = np.asarray(dataset["y"][:])
    scores = {
        "line": {"rmse": np.sqrt(np.mean((predicted - y) ** 2))},
        "mean": {"rmse": np.sqrt(np.mean((y.mean() - y) ** 2))},
    }
    run.write_metrics({"split": {"test": "all"}, "delivered": "line", "scores": scores})


def report(config: ToyConfig, run: RunFolder) -> None:
    run.find("metrics.json")
    run.path("report.html").write_text("<!doctype html><title>toy</title><p>a line</p>")


def submit(config: ToyConfig, run: RunFolder) -> None:
    run.path("submission.txt").write_text(f"{run.options['contest']}\n")


def proxy(config: ToyConfig, run: RunFolder) -> None:
    run.path("proxy.csv").write_text("a,b\n1,2\n")


def hello(args: argparse.Namespace) -> None:
    print(f"hello {args.who}")
