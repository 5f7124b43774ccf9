"""What refined fields follow: which inputs of the network matter, by part of the day or by season."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from esai_core.explain import (
    Drivers,
    integrated_gradients,
    mean_size,
    occlusion,
    randomisation_check,
)
from esai_core.grid import coarsen_nodes, regrid
from esai_seasonal.fitting import NETWORKS
from esai_seasonal.network.superresolution import SuperResolution, groups_of

__all__ = ["explain"]

PREDICTORS = ("anomaly of the coarse field", "level of the coarse field", "mean anomaly of the domain")
CASES, CHECKS, STEPS = 24, 5, 3


def _condition_names(fitted: SuperResolution) -> list[str]:
    """Name the maps that the coefficients depend on, in their order; channels of one name belong together."""
    names = [f"{fitted.period} of the time"] * 4
    static = fitted.static
    names += ["orography"] * 2 if static.orography is not None else []
    names += ["roughness"] if static.roughness is not None else []
    names += ["land"] * 2 if static.land is not None else []
    return [
        *names,
        "mean detail",
        "spread of the detail",
        "place between the nodes",
        "place between the nodes",
    ]


def explain(fitted: SuperResolution, truth: xr.DataArray, *, delivered: str, seed: int) -> Drivers | None:
    """Explain the network on fields that it had not seen.

    Occlusion: the increase of the squared error when an input is replaced by its mean; integrated gradients
    of the predictors, which enter linearly, and a check with shuffled weights.

    Parameters
    ----------
    fitted : SuperResolution
    truth : DataArray
        Scored fields.
    delivered : str
        Method.
    seed : int

    Returns
    -------
    Drivers or None
        None without networks.
    """
    if not fitted.models:
        return None
    from esai_core import nn, training
    from esai_core.nn._keras import ops

    chosen = np.sort(np.random.default_rng(seed).permutation(truth.sizes["time"])[:CASES])
    some = truth.isel(time=chosen).transpose("time", "latitude", "longitude")
    group = groups_of(some["time"].values, fitted.period)
    smooth = regrid(coarsen_nodes(some, fitted.factor), fitted.grid).values.astype(float)
    inputs, goal = fitted.inputs(smooth, group), (some.values - smooth - fitted.climate.residual[group])
    goal = goal / fitted.climate.level
    model = fitted.models[0]

    def missed(given: dict[str, NDArray]) -> NDArray[np.float64]:
        made = training.predict(model, given, batch_size=CASES)[..., 0]
        return -np.nanmean((made - goal) ** 2, axis=(1, 2))  # what occlusion takes away is skill

    found, names = [], []
    for name, labels in (("predictors", PREDICTORS), ("conditions", _condition_names(fitted))):
        x = inputs[name]
        nothing = x.mean(axis=(0, 1, 2)) if name == "conditions" else np.zeros(x.shape[-1], x.dtype)
        lost = occlusion(lambda one, name=name: missed({**inputs, name: one}), x, baseline=nothing)
        for label in dict.fromkeys(labels):
            found.append(lost[:, [i for i, own in enumerate(labels) if own == label]].sum(axis=1))
            names.append(label)
    by = _parts(some, fitted.period)
    effect = np.stack(found, axis=1)
    occluded = mean_size(
        effect, names=names, method="occlusion", by=by, units="change of mse (squared sizes of the detail)"
    )

    def attributed(one: Any) -> NDArray[np.float64]:
        gradient = nn.input_gradient(
            one, name="predictors", fixed={"conditions": inputs["conditions"]},
            output=lambda made: ops.mean(made[..., 0], axis=(1, 2)),
        )  # fmt: skip
        return smooth[0].size * integrated_gradients(gradient, inputs["predictors"], steps=STEPS)

    values = attributed(model)
    graded = mean_size(
        values, names=PREDICTORS, method="integrated gradients", by=by, units="mean size of the contribution"
    )
    check = randomisation_check(
        values, [attributed(nn.randomised(model, seed=seed + number)) for number in range(CHECKS)]
    )
    text = f"Of the first network, on {len(chosen)} fields that it had not seen."
    if delivered not in NETWORKS:
        text += f" It did not win: `{delivered}` is delivered, from the coarse field and the time alone."
    return Drivers((occluded, graded), check, text)


def _parts(fields: xr.DataArray, period: str) -> NDArray[np.str_]:
    if period == "hour":
        return np.array(["00-05 h", "06-11 h", "12-17 h", "18-23 h"])[fields["time"].dt.hour.values // 6]
    return np.array([f"{month:02d}" for month in fields["time"].dt.month.values])
