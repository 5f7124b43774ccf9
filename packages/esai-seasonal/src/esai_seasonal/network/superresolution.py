"""Super-resolution: interpolation, residual climatology and the network that refines it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import InputError, UsageError, nearest, reading
from esai_core.grid import Grid, area_weights, coarsen_nodes, regrid
from esai_core.training.files import read_checkpoint, write_checkpoint
from esai_seasonal.config import AdversarialConfig
from esai_seasonal.data import Static
from esai_seasonal.network.bicubic import bicubic
from esai_seasonal.network.fields import Climate, Fields, classes_of, groups_of, period_of

__all__ = ["METHODS", "SuperResolution", "groups_of"]

METHODS = ("bilinear", "bicubic", "residual_climatology", "network", "adversarial")
FILTERS = 4
NOISE_FILTERS = 4
BATCH = 128


@dataclass(frozen=True)
class SuperResolution:
    """Fine fields from coarse ones that share their nodes.

    Attributes
    ----------
    grid : Grid
        The fine grid.
    factor : int
        Fine steps per coarse step.
    period : {"hour", "month"}
        What the residual climatology is sorted by.
    climate : Climate
        Statistics of the training fields.
    static : Static
        Static fields of the fine grid.
    models : list
        Networks whose outputs are averaged; empty without.
    shape : dict
        Arguments of `esai_seasonal.network.varying.build`.
    history : list of dict
        Losses of the training.
    opposed : list
        The same networks trained on against discriminators, with noise as a further input; one of them makes
        a field, as the mean of several would be smooth again.
    judges : dict
        Weights and optimizers of the discriminators.
    """

    grid: Grid
    factor: int
    period: str
    climate: Climate
    static: Static = field(default_factory=Static)
    models: list[Any] = field(default_factory=list)
    shape: dict[str, int] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    opposed: list[Any] = field(default_factory=list)
    judges: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods that `predict` knows."""
        return METHODS[: 3 + bool(self.models) + bool(self.opposed)]

    @classmethod
    def fit(cls, fine: xr.DataArray, *, factor: int, static: Static | None = None) -> SuperResolution:
        """Fit the residual climatology on fine fields alone; `train` adds the networks.

        Parameters
        ----------
        fine : DataArray
            ``(time, latitude, longitude)``; sizes ``(n - 1) * factor + 1``. They are coarsened by taking
            the shared nodes.
        factor : int
            Fine steps per coarse step.
        static : Static, optional
            Orography and land of the fine grid.

        Raises
        ------
        InputError
            If the sizes do not fit the factor.
        """
        grid = Grid.from_dataset(fine)
        period = period_of(fine["time"].values)
        group = groups_of(fine["time"].values, period)
        smooth = regrid(coarsen_nodes(fine, factor), grid).values
        climate = Climate.of(fine.values.astype(float), smooth.astype(float), group, classes_of(period))
        return cls(grid, factor, period, climate, static or Static())

    def train(
        self,
        fine: xr.DataArray,
        *,
        config: Any,
        networks: int,
        width: int,
        folder: Path,
        against: AdversarialConfig | None = None,
        resume: bool = False,
        workers: int | None = None,
    ) -> SuperResolution:
        """Train networks on the fields of the fit; parameters as of `CorrectionNetwork.fit`."""
        from esai_core.training import fit as run_training
        from esai_seasonal.network import adversarial, varying

        group = groups_of(fine["time"].values, self.period)
        smooth = regrid(coarsen_nodes(fine, self.factor), self.grid).values
        goal = fine.values.astype(float)
        base = smooth + self.climate.without(goal - smooth, group)
        target = ((goal - base) / self.climate.level)[..., None].astype("float32")
        conditions = self._conditions()
        examples = Fields(conditions, group, self._predictors(smooth, group), target)
        shape = {
            "conditions": conditions.shape[-1],
            "predictors": examples.predictors.shape[-1],
            "width": width,
            "filters": FILTERS,
        }
        area = np.asarray(area_weights(self.grid.latitude))[:, None] * np.ones(self.grid.shape[1])
        loss = varying.l1_l2(area / area.mean())
        models, history = [], []
        for number in range(networks):
            found = run_training(
                lambda: varying.build(**shape),
                examples,
                loss=loss,
                config=config.model_copy(update={"seed": config.seed + number}),
                folder=folder / f"superresolution_{number}",
                resume=resume,
                workers=workers,
            )
            models.append(found.model)
            history += [{"network": number, **row} for row in found.rows]
        trained = replace(self, models=models, shape=shape, history=history)
        if against is None:
            return trained
        opposed, more = adversarial.oppose(
            models[:1],
            replace(examples, noisy=True),
            shape={**shape, "noise": NOISE_FILTERS},
            loss=loss,
            config=config,
            against=against,
            folder=folder,
            resume=resume,
            workers=workers,
        )
        judges = adversarial.discriminator_weights(folder, 1)
        later = [{**row, "network": networks} for row in more]
        return replace(trained, opposed=opposed, judges=judges, history=history + later)

    def _conditions(self) -> np.ndarray:
        """Make the maps of each class of time, ``(class, latitude, longitude, channel)``."""
        classes = classes_of(self.period)
        full = (classes, *self.grid.shape)
        phase = 2 * np.pi * np.arange(classes) / classes
        maps = [np.broadcast_to(f(k * phase)[:, None, None], full) for k in (1, 2) for f in (np.sin, np.cos)]
        scale = self.climate.level
        for values, unit, unit_of_rest in self._statics():
            maps.append(np.broadcast_to(values / unit, full))
            if unit_of_rest:
                smooth = self._smooth(values)
                maps.append(np.broadcast_to((values - smooth) / unit_of_rest, full))
        maps.append(np.nan_to_num(self.climate.residual / (self.climate.size or 1.0)))
        maps.append(np.broadcast_to(np.log(np.nan_to_num(self.climate.scale) / scale + 0.05), full))
        for axis in np.indices(self.grid.shape):
            middle = (self.factor - 1) / 2
            maps.append(np.broadcast_to((axis % self.factor - middle) / middle, full))
        return np.stack(maps, axis=-1).astype("float32")

    def _statics(self) -> Iterator[tuple[np.ndarray, float, float]]:
        for da, unit, rest in (
            (self.static.orography, 300.0, 200.0),
            (self.static.roughness, 100.0, 0.0),
            (self.static.land, 1.0, 1.0),
        ):
            if da is not None:
                yield da.values.astype(float), unit, rest

    def _smooth(self, values: np.ndarray) -> np.ndarray:
        """Give a static field as interpolation of its nodes would."""
        da = xr.DataArray(values, dims=("latitude", "longitude"), coords=self.grid.coords())
        return regrid(coarsen_nodes(da, self.factor), self.grid).values

    def _predictors(self, smooth: np.ndarray, group: np.ndarray) -> np.ndarray:
        spread, mean, deviation = self.climate.numbers
        anomaly = np.nan_to_num((smooth - self.climate.mean[group]) / spread)
        level = np.nan_to_num((smooth - mean) / deviation)
        domain = np.broadcast_to(anomaly.mean((1, 2), keepdims=True), anomaly.shape)
        return np.stack([anomaly, level, domain], axis=-1).astype("float32")

    def inputs(self, smooth: np.ndarray, group: np.ndarray) -> dict[str, np.ndarray]:
        """Make the inputs of a network from interpolated fields and their classes of time."""
        return {"conditions": self._conditions()[group], "predictors": self._predictors(smooth, group)}

    def predict(
        self, coarse: xr.DataArray, times: np.ndarray, *, method: str = "network", draw: int = 0
    ) -> xr.DataArray:
        """Refine coarse fields.

        Parameters
        ----------
        coarse : DataArray
            ``(sample, latitude, longitude)`` on the nodes shared with the fine grid.
        times : ndarray
            Time of each sample, by whose hour or month the residual climatology is chosen.
        method : str
            One of `methods`.
        draw : int
            Which of the equally likely fields of the method "adversarial".

        Raises
        ------
        InputError
            The coarse grid does not share its nodes with the fine one, or a time's class had no training
            fields.
        """
        if method not in self.methods:
            raise UsageError(f"unknown method {method!r}", remedy=nearest(method, self.methods))
        self._check_nodes(coarse)
        if method == "bicubic":
            return bicubic(coarse, self.grid, self.factor)
        smooth = regrid(coarse, self.grid)
        if method == "bilinear":
            return smooth
        group = groups_of(times, self.period)
        unknown = sorted(set(group.tolist()) - set(np.flatnonzero(self.climate.count).tolist()))
        if unknown:
            raise InputError(
                f"no training field for the {self.period} {unknown[0]}", remedy="widen split.train"
            )
        values = smooth.values.astype(float)
        out = values + self.climate.residual[group]
        if method in ("network", "adversarial"):
            keys = np.asarray(times).astype("datetime64[h]").astype(int) + (1 << 32)
            out = out + self._refinement(values, group, keys if method == "adversarial" else None, draw)
        return smooth.copy(data=out.astype("float32"))

    def _refinement(
        self, smooth: np.ndarray, group: np.ndarray, keys: np.ndarray | None, draw: int
    ) -> np.ndarray:
        """Give what the networks add; with `keys` the adversarial ones, on noise of these fields."""
        from esai_core.training import predict as forward
        from esai_seasonal.network.adversarial import noise

        models = self.models if keys is None else self.opposed
        out = np.zeros(smooth.shape)
        for first in range(0, len(smooth), BATCH):
            some = slice(first, first + BATCH)
            inputs = self.inputs(smooth[some], group[some])
            if keys is not None:
                inputs["noise"] = noise(keys[some], self.grid.shape, draw=draw)
            for model in models:
                out[some] += forward(model, inputs, batch_size=BATCH)[..., 0] / len(models)
        return out * self.climate.level

    def _check_nodes(self, coarse: xr.DataArray) -> None:
        for name, fine in (("latitude", self.grid.latitude), ("longitude", self.grid.longitude)):
            nodes = fine[:: self.factor]
            if coarse.sizes[name] != nodes.size or not np.allclose(coarse[name].values, nodes, atol=1e-3):
                raise InputError(
                    f"the coarse {name}s are not every {self.factor}th of the fine ones",
                    remedy=f"expected {nodes.size} from {nodes[0]:g} to {nodes[-1]:g}",
                )

    def save(self, folder: Path) -> None:
        """Write statistics, static fields and weights to one file without pickled objects."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"latitude": self.grid.latitude, "longitude": self.grid.longitude}
        arrays |= {
            name: getattr(self.climate, name) for name in ("residual", "mean", "scale", "count", "numbers")
        }
        arrays |= self.static.arrays()
        for number, model in enumerate(self.models):
            arrays |= {f"model_{number}/{i}": w for i, w in enumerate(model.get_weights())}
        for number, model in enumerate(self.opposed):
            arrays |= {f"generator_{number}/{i}": w for i, w in enumerate(model.get_weights())}
        arrays |= self.judges
        meta = {
            "network": "superresolution",
            "format": 1,
            "factor": self.factor,
            "period": self.period,
            "shape": self.shape,
            "models": len(self.models),
            "opposed": len(self.opposed),
        }
        write_checkpoint(folder / "network.npz", arrays, meta)

    @classmethod
    def load(cls, folder: Path) -> SuperResolution:
        """Read what `save` wrote; `InputError` if the file is something else."""
        path = folder / "network.npz"
        arrays, meta = read_checkpoint(path)
        with reading(path, "a network for super-resolution"):
            grid = Grid(arrays["latitude"], arrays["longitude"])
            climate = Climate(*(arrays[name] for name in ("residual", "mean", "scale", "count", "numbers")))
            static = Static.from_arrays(arrays)
            fitted = cls(grid, meta["factor"], meta["period"], climate, static, shape=meta["shape"])
            if not meta["models"]:
                return fitted
            from esai_seasonal.network import varying

            noisy = {**meta["shape"], "noise": NOISE_FILTERS}
            return replace(
                fitted,
                models=varying.rebuilt(meta["shape"], arrays, meta["models"]),
                opposed=varying.rebuilt(noisy, arrays, meta.get("opposed", 0), name="generator"),
                judges={name: values for name, values in arrays.items() if name.startswith("opposed_")},
            )
