"""The bias-correction network: a varying-coefficient regression on the forecast, the year and the season."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import InputError, reading
from esai_core.grid import area_weights
from esai_core.training import TrainConfig
from esai_core.training import fit as train
from esai_core.training import predict as forward
from esai_core.training.files import read_checkpoint, write_checkpoint
from esai_core.training.order import shuffled
from esai_seasonal.config import AdversarialConfig
from esai_seasonal.data import Static
from esai_seasonal.methods.emos import coupled
from esai_seasonal.methods.linear import root, unroot
from esai_seasonal.network import adversarial, varying
from esai_seasonal.network.climate import Sums
from esai_seasonal.network.features import (
    Moments,
    Scaling,
    conditions,
    moments,
    predictors,
    spread_input,
)

__all__ = ["CorrectionNetwork", "Examples", "make_examples"]

L1 = 0.5
JUDGED = 4
"""Members of each start and lead that a discriminator may see."""


@dataclass(frozen=True)
class Examples:
    """Training examples read by number: each is one start and lead (`esai_core.training.Source`).

    Conditions are the same for all years of a start month and lead, so they are kept once and put together as
    they are read. With `members`, ``(start, lead, choice, latitude, longitude)`` in normal quantiles, one of
    them is drawn anew in each epoch.
    """

    conditions: np.ndarray
    month: np.ndarray
    predictors: np.ndarray
    spread: np.ndarray
    target: np.ndarray
    pairs: np.ndarray
    members: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    def order(self, epoch: int, seed: int) -> np.ndarray:
        """Shuffle the examples for an epoch."""
        return shuffled(len(self), epoch=epoch, seed=seed) + epoch * len(self)

    def read(self, numbers: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Give inputs and targets of some examples."""
        start, lead = self.pairs[numbers % len(self)].T
        inputs = self.inputs(start, lead)
        if self.members is not None:
            choice = (numbers // len(self) + numbers) % self.members.shape[2]
            inputs["member"] = self.members[start, lead, choice][..., None]
        return inputs, self.target[start, lead]

    def inputs(self, start: np.ndarray, lead: np.ndarray) -> dict[str, np.ndarray]:
        """Give the inputs of some starts and leads."""
        return {
            "conditions": self.conditions[self.month[start], lead],
            "predictors": self.predictors[start, lead],
            "spread": self.spread[start, lead],
        }


@dataclass(frozen=True)
class CorrectionNetwork:
    """A fitted bias-correction network.

    Its members are ``base + scale * mu + scale * exp(s) * z``: `base` and `scale` are the climatology,
    `mu` and `s`
    the network's outputs (means over a few networks that differ by their seed), and `z` normal quantiles
    in the order
    of the raw members, so that the dependence of the raw ensemble in space and time is kept.

    Attributes
    ----------
    models : list
        Trained networks.
    shape : dict
        Arguments of `esai_seasonal.network.varying.build`.
    scaling : Scaling
        What was fitted beside the weights.
    static : Static
        Static fields of the grid.
    latitude, longitude : ndarray
        The grid.
    kind : str
        "additive" or "multiplicative".
    units : str
        Unit of the lead.
    history : list of dict
        Losses of the training.
    opposed : CorrectionNetwork, optional
        The same after adversarial training.
    judges : dict
        Weights and optimizers of the discriminators.
    """

    models: list[Any]
    shape: dict[str, int]
    scaling: Scaling
    static: Static
    latitude: np.ndarray
    longitude: np.ndarray
    kind: str
    units: str
    history: list[dict[str, Any]] = field(default_factory=list)
    opposed: CorrectionNetwork | None = None
    judges: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        fine: xr.DataArray,
        truth: xr.DataArray,
        *,
        static: Static,
        kind: str,
        config: TrainConfig,
        networks: int,
        width: int,
        folder: Path,
        against: AdversarialConfig | None = None,
        resume: bool = False,
        workers: int | None = None,
    ) -> CorrectionNetwork:
        """Train on some starts.

        Parameters
        ----------
        fine : DataArray
            Hindcast on the fine grid, ``(start, lead, number, latitude, longitude)``.
        truth : DataArray
            ``(start, lead, latitude, longitude)``; NaN is left out.
        static : Static
            Orography and land of the grid, where there are any.
        kind : {"additive", "multiplicative"}
            "multiplicative" works on square roots.
        config : TrainConfig
            Epochs, batch size, seed and the rest.
        networks : int
            Number of networks with different seeds, whose outputs are averaged.
        width : int
            Channels.
        folder : Path
            For checkpoints.
        against : AdversarialConfig, optional
            Train on against discriminators of members.
        resume : bool
            Go on from them.
        workers : int, optional
            Processes that share each batch.
        """
        given = moments(fine, kind)
        goal = root(truth.transpose("start", "lead", "latitude", "longitude").values, kind).astype("float32")
        area = _area(truth["latitude"].values, goal.shape[-1])
        units = str(fine["lead"].attrs.get("units", "months"))
        examples, scaling = make_examples(given, goal, fine["lead"].values, static, units, area)
        shape = {
            "conditions": examples.conditions.shape[-1],
            "predictors": examples.predictors.shape[-1],
            "spread": 1,
            "width": width,
        }
        z = varying.normal_members(max(fine.sizes["number"], 2))
        loss = varying.crps_l1(area, z, l1=L1)
        models, history = [], []
        for number in range(networks):
            seeded = config.model_copy(update={"seed": config.seed + number})
            found = train(
                lambda: varying.build(**shape),
                examples,
                loss=loss,
                config=seeded,
                folder=folder / f"network_{number}",
                resume=resume,
                workers=workers,
            )
            models.append(found.model)
            history += [{"network": number, **row} for row in found.rows]
        latitude, longitude = truth["latitude"].values, truth["longitude"].values
        fitted = cls(models, shape, scaling, static, latitude, longitude, kind, units, history)
        if against is None:
            return fitted
        made, more = adversarial.oppose(
            models,
            replace(examples, members=judged_members(fine, config.seed)),
            shape={**shape, "member": True},
            loss=loss,
            config=config,
            against=against,
            folder=folder,
            sample=adversarial.member_samples,
            resume=resume,
            workers=workers,
        )
        plain = [varying.adopt(varying.build(**shape), model) for model in made]
        judges = adversarial.discriminator_weights(folder, networks)
        opposed = replace(fitted, models=plain, history=[], judges=judges)
        return replace(fitted, opposed=opposed, history=history + more)

    def examples(self, given: Moments, leads: np.ndarray) -> Examples:
        """Make the inputs of some starts and leads, without targets."""
        at = np.array([self._lead(lead) for lead in leads])
        area = _area(self.latitude, self.longitude.size)
        scaling = self.scaling.at_leads(at)
        maps = conditions(self.scaling, self.static, self.units, area.shape)[:, at]
        month = scaling.positions(given.months)
        terms, spread = predictors(scaling, given, area), spread_input(scaling, given)
        return Examples(maps, month, terms, spread, np.empty(0), np.empty(0))

    def distribution(self, given: Moments, leads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centre and scale of the members, ``(start, lead, latitude, longitude)``."""
        at = np.array([self._lead(lead) for lead in leads])
        scaling, examples = self.scaling.at_leads(at), self.examples(given, leads)
        month = examples.month
        starts = np.repeat(np.arange(month.size), at.size)
        places = np.tile(np.arange(at.size), month.size)
        output = np.zeros((starts.size, self.latitude.size, self.longitude.size, 2))
        for model in self.models:
            parts = [
                forward(model, examples.inputs(starts[i : i + 256], places[i : i + 256]), batch_size=64)
                for i in range(0, starts.size, 256)
            ]
            output += np.concatenate(parts).astype(float) / len(self.models)
        output = output.reshape((*given.mean.shape, 2))
        base, scale = scaling.climate.mean[month], scaling.climate.scale[month]
        return base + scale * output[..., 0], scale * np.exp(output[..., 1])

    def _lead(self, lead: Any) -> int:
        known = self.scaling.leads.tolist()
        if lead not in known:
            raise InputError(f"the network was not trained for lead {lead}", remedy=f"it knows {known}")
        return known.index(lead)

    def predict(self, hindcast: xr.DataArray, fine: xr.DataArray) -> xr.DataArray:
        """Correct a forecast.

        Parameters
        ----------
        hindcast : DataArray
            On its own grid (not used by this network).
        fine : DataArray
            On the fine grid, ``(start, lead, number, latitude, longitude)``; dask-backed ones are
            corrected lazily.
        """
        for name, ours in (("latitude", self.latitude), ("longitude", self.longitude)):
            if fine.sizes[name] != ours.size or not np.allclose(fine[name].values, ours, atol=1e-4):
                raise InputError(f"the {name}s of the forecast are not those the network was trained on")
        centre, scale = self.distribution(moments(fine, self.kind), fine["lead"].values)
        dims = ("start", "lead", "latitude", "longitude")
        coords = {name: fine[name] for name in dims}
        law = [xr.DataArray(x, dims=dims, coords=coords) for x in (centre, scale)]
        if fine.chunks:
            law = [x.chunk({n: fine.chunksizes[n] for n in dims}) for x in law]

        def members(mu: np.ndarray, sigma: np.ndarray, raw: np.ndarray) -> np.ndarray:
            return unroot(coupled(mu, sigma, raw), self.kind)

        out = xr.apply_ufunc(
            members,
            *law,
            fine,
            input_core_dims=[[], [], ["number"]],
            output_core_dims=[["number"]],
            dask="parallelized",
            output_dtypes=[float],
        )
        return out.transpose(*fine.dims).assign_attrs(fine.attrs).rename(fine.name)

    def save(self, folder: Path) -> None:
        """Write weights, scaling and static fields to one file without pickled objects."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"latitude": self.latitude, "longitude": self.longitude, **self.scaling.arrays()}
        arrays |= self.static.arrays()
        for number, model in enumerate(self.models):
            arrays |= {f"model_{number}/{i}": w for i, w in enumerate(model.get_weights())}
        arrays |= self.judges
        meta = {
            "network": "correction",
            "format": 1,
            "shape": self.shape,
            "models": len(self.models),
            "kind": self.kind,
            "units": self.units,
        }
        write_checkpoint(folder / "network.npz", arrays, meta)
        if self.opposed is not None:
            self.opposed.save(folder / "adversarial")

    @classmethod
    def load(cls, folder: Path) -> CorrectionNetwork:
        """Read what `save` wrote; `InputError` if the file is something else."""
        path = folder / "network.npz"
        arrays, meta = read_checkpoint(path)
        second = folder / "adversarial"
        with reading(path, "a network for correction"):
            models = varying.rebuilt(meta["shape"], arrays, meta["models"])
            scaling, static = Scaling.from_arrays(arrays), Static.from_arrays(arrays)
            return cls(
                models,
                meta["shape"],
                scaling,
                static,
                arrays["latitude"],
                arrays["longitude"],
                meta["kind"],
                meta["units"],
                opposed=cls.load(second) if second.exists() else None,
                judges={name: values for name, values in arrays.items() if name.startswith("opposed_")},
            )


def judged_members(fine: xr.DataArray, seed: int) -> np.ndarray:
    """Draw a few raw members of each start and lead, as the normal quantiles of their ranks in each cell.

    Returns
    -------
    ndarray
        ``(start, lead, choice, latitude, longitude)``, float32; 0 where a member is missing.
    """
    raw = fine.transpose("start", "lead", "latitude", "longitude", "number")
    random = np.random.default_rng([seed, 5])
    out = np.empty((*raw.shape[:2], JUDGED, *raw.shape[2:4]), "float32")
    zero, one = np.zeros(raw.shape[1:4]), np.ones(raw.shape[1:4])
    for start in range(raw.shape[0]):
        values = raw[start].values
        z = np.nan_to_num(coupled(zero, one, values))
        whole = np.flatnonzero(np.isfinite(values).any(axis=(0, 1, 2)))
        chosen = random.choice(whole if whole.size else np.arange(1), JUDGED)
        out[start] = np.moveaxis(z[..., chosen], -1, 1)
    return out


def _area(latitude: np.ndarray, columns: int) -> np.ndarray:
    weight = np.asarray(area_weights(latitude))[:, None] * np.ones(columns)
    return (weight / weight.mean()).astype("float32")


def make_examples(
    given: Moments, goal: np.ndarray, leads: np.ndarray, static: Static, units: str, area: np.ndarray
) -> tuple[Examples, Scaling]:
    """Put training examples together; the baseline of each is a climatology that leaves its year out.

    Parameters
    ----------
    given : Moments
        Of the training starts.
    goal : ndarray
        Their truth ``(start, lead, latitude, longitude)``.
    leads : ndarray
        Leads.
    static : Static
        Static fields.
    units : str
        Unit of the lead.
    area : ndarray
        Area weights ``(latitude, longitude)``.
    """
    sums = Sums.of(goal, given.months)
    scaling = Scaling.of(given, goal, leads, sums)
    at = scaling.positions(given.months)
    base, scale = np.empty_like(goal), np.empty_like(goal)
    for year in np.unique(given.years):
        own = given.years == year
        climate = sums.without(goal[own], given.months[own]).climate()
        base[own], scale[own] = climate.mean[at[own]], climate.scale[at[own]]
    filled = [np.where(np.isfinite(x), x, y) for x, y in ((base, 0.0), (scale, 1.0))]
    missing = ~(np.isfinite(base) & np.isfinite(scale) & np.isfinite(given.mean))
    target = np.stack([*filled, np.where(missing, np.nan, goal)], axis=-1).astype("float32")
    pairs = np.argwhere(np.isfinite(target[..., 2]).any((2, 3)))
    if len(pairs) == 0:
        raise InputError("no training start has both a forecast and a reference")
    examples = Examples(
        conditions(scaling, static, units, area.shape),
        at,
        predictors(scaling, given, area),
        spread_input(scaling, given),
        target,
        pairs,
    )
    return examples, scaling
