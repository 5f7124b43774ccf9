"""What corrected values are made of at stations that the fit did not see."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_airquality.reanalysis.config import ModelSection
from esai_airquality.reanalysis.residuals import fit_residual, predict_residual
from esai_airquality.reanalysis.sample import Sample
from esai_airquality.reanalysis.trends import Trend
from esai_core.explain import Drivers, mean_size, randomisation_check, shap_values

__all__ = ["explain"]

NEIGHBOURS, MODELLED = "residual of the stations around", "reanalysis"
_CHECKS = 5


def column_names(sample: Sample) -> list[str]:
    """Name the columns of `Columns.make`."""
    names = list(sample.names)
    names += ["modelled", "log modelled"] if sample.has_model else []
    return [*names, "season (sine)", "season (cosine)"] if len(sample.periods) > 1 else names


def _of_trend(trend: Trend, sample: Sample) -> NDArray[np.float64]:
    x = trend.columns.make(sample)
    if trend.kind == "ridge":
        return shap_values(SimpleNamespace(coef_=trend.slope), x)
    return shap_values(trend.booster(), x)


def _parts(train: Sample, target: Sample, method: str, options: dict[str, Any]) -> NDArray[np.float64]:
    """Split predicted residuals among the columns and the stations around: (case, part)."""
    fit = fit_residual(train, method, **options)
    residual, _ = predict_residual(fit, target)
    if fit.trend is None:
        return residual[:, None]
    columns = _of_trend(fit.trend, target)
    return np.column_stack([columns, residual - fit.trend.predict(target)])


def explain(sample: Sample, method: str, *, config: ModelSection, units: str, seed: int) -> Drivers | None:
    """Tell what the corrected values of a fifth of the stations follow, by a fit to the others.

    Parameters
    ----------
    sample : Sample
        Of a network.
    method : str
        What is delivered.
    config : ModelSection
        Settings.
    units : str
        Of the network.
    seed : int
        Of the draws.

    Returns
    -------
    Drivers or None
        None of ``raw``, which corrects nothing.
    """
    random = np.random.default_rng(seed)
    places = random.permutation(np.unique(sample.place))
    out = sample.of_places(places[: max(1, len(places) // 5)])
    if method == "raw" or out.all():
        return None
    train, target = sample.cases(~out), sample.cases(out)
    options = {"power": config.idw_power, "trees": config.trees, "seed": seed}
    parts = _parts(train, target, method, options)
    names = [NEIGHBOURS] if parts.shape[1] == 1 else [*column_names(sample), NEIGHBOURS]
    centred = parts - np.nanmean(parts, axis=0)
    values = centred
    if sample.has_model:
        values = np.column_stack([target.modelled - target.modelled.mean(), centred])
        names = [MODELLED, *names]
    labels = np.array(sample.periods)[target.period]
    told = mean_size(
        values, names=names, method="contributions", by=labels if 1 < len(np.unique(labels)) <= 12 else None,
        units=f"mean size of the contribution ({units})",
    )  # fmt: skip
    chance = []
    for _ in range(_CHECKS):
        mixed = train.modelled + random.permutation(train.residual)
        chance.append(_parts(replace(train, observed=mixed), target, method, options))
    check = randomisation_check(centred, [one - np.nanmean(one, axis=0) for one in chance])
    text = (
        f"Of `{method}` at {len(np.unique(target.place))} stations, by a fit to the others: what the "
        "corrected values vary with. The check fits it to residuals in another order."
    )
    return Drivers((told,), check, text)
