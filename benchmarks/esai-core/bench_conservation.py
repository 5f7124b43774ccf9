"""An ablation on real fields: hard constraint and penalty in a small super-resolution network."""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr

from esai_core import nn, training
from esai_core.config import data_root
from esai_core.grid import coarsen, regrid
from esai_core.nn._keras import keras
from esai_core.physics import MeanConstraint

FACTOR = 4
FIELDS = {
    "UK": "seasonal/era5_t2m_hourly_uk_20190301-24.nc",
    "Colombia": "seasonal/era5_t2m_monthly_colombia_1981-2009.nc",
}


def opened(path: Path) -> xr.DataArray:
    field = xr.open_dataset(path, engine="netcdf4")["t2m"].load().sortby("latitude")
    return field.rename(valid_time="time") if "valid_time" in field.dims else field


def build(constraint: MeanConstraint, hard: bool) -> keras.Model:
    fine = (*constraint.fine_shape, 1)
    core = nn.build("resnet", fields=fine, width=16, depth=3, localised=True)
    if not hard:
        return core
    coarse = keras.Input((*constraint.coarse_shape, 1), name="coarse")
    return keras.Model(
        {**{one.name: one for one in core.inputs}, "coarse": coarse},
        nn.ConserveMean.of(constraint)([core.output, coarse]),
    )


def ablate(name: str, path: Path, epochs: int, seeds: int) -> None:
    field = opened(path)
    coarse = coarsen(field, FACTOR, kind="node")
    constraint = MeanConstraint.of(field, factor=FACTOR, kind="node")
    guess = regrid(coarse, field, method="bilinear")
    cut = [0, int(0.6 * len(field)), int(0.75 * len(field)), len(field)]
    level, scale = float(field[: cut[1]].mean()), float((field - guess)[: cut[1]].std())
    arrays = {
        key: ((part.transpose("time", "latitude", "longitude").values - level) / scale).astype("f4")[
            ..., None
        ]
        for key, part in {"fine": field, "coarse": coarse, "guess": guess}.items()
    }
    plain = nn.make_loss("mse")
    variants = {"none": (False, plain), "hard": (True, plain)}
    variants["penalty"] = (False, nn.with_mean_penalty(plain, constraint, weight=1.0))
    error = {"bilinear": scale * rmse(arrays["guess"][cut[2] :], arrays["fine"][cut[2] :])}
    kept, seconds = {}, {}
    for variant, (hard, loss) in variants.items():
        errors, misses, start = [], [], time.process_time()
        for seed in range(seeds):
            parts = []
            for a, b in itertools.pairwise(cut):
                inputs = {"fields": arrays["guess"][a:b], "baseline": arrays["guess"][a:b]}
                parts.append(
                    (inputs | ({"coarse": arrays["coarse"][a:b]} if hard else {}), arrays["fine"][a:b])
                )
            config = training.TrainConfig(
                epochs=epochs, batch_size=16, learning_rate=2e-3, schedule="cosine", seed=seed
            )
            with tempfile.TemporaryDirectory() as folder:
                history = training.fit(
                    lambda hard=hard: build(constraint, hard),
                    parts[0],
                    parts[1],
                    loss=loss,
                    config=config,
                    folder=folder,
                )
            made = training.predict(history.model, parts[2][0])
            errors.append(scale * rmse(made, parts[2][1]))
            kelvin = level + scale * made[..., 0].astype("f8")
            wanted = level + scale * arrays["coarse"][cut[2] :, ..., 0].astype("f8")
            misses.append(float(np.abs(constraint.mean(kelvin) / wanted - 1).max()))
        error[variant], kept[variant] = float(np.mean(errors)), max(misses)
        seconds[variant] = time.process_time() - start
    result = {
        "case": f"conservation {name}",
        "ours_s": seconds["hard"],
        "peer": "no constraint",
        "peer_s": seconds["none"],
    }
    print(json.dumps(result | {"rmse_K": error, "largest_relative_miss_of_the_mean": kept}), flush=True)


def rmse(made: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(made - truth, dtype="f8"))))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=("small", "full"), default="small")
    small = parser.parse_args().size == "small"
    root = data_root()
    if root is None:
        raise SystemExit("ESAI_DATA is not set: these are measurements on real data")
    for name, path in FIELDS.items():
        ablate(name, root / path, epochs=8 if small else 25, seeds=1 if small else 3)


if __name__ == "__main__":
    main()
