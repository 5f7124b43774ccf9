"""What corrected forecasts follow: the ensemble's signal, its spread and the year, by lead and month."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from esai_core.explain import (
    Attribution,
    Drivers,
    integrated_gradients,
    mean_size,
    permutation_importance,
    randomisation_check,
)
from esai_core.grid import area_weights
from esai_core.verify import crps
from esai_seasonal.data import Data, on_fine_grid
from esai_seasonal.fitting import NETWORKS, Fitted
from esai_seasonal.methods.correction import Correction

__all__ = ["explain"]

SOURCES = ("ensemble mean", "ensemble spread", "year (trend)")
CHANNELS = ("anomaly of the ensemble mean", "its mean over the domain", "year (trend)")
MONTHS = 4
"""Start months that are explained."""
CLASSICAL = (
    " The check fits it to the truths of other years. A method that hands the signal on whatever it learnt "
    "(a mean error taken off, quantile mapping) fails it by construction."
)
CHECKS, CASES, STEPS = 5, 12, 3
_MONTH_NAMES = np.array(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"])

Predict = Callable[[xr.DataArray, xr.DataArray], xr.DataArray]


@dataclass(frozen=True)
class Sample:
    """Forecasts of whole years of some start months, and their truth."""

    hindcast: xr.DataArray
    truth: xr.DataArray
    data: Data

    @classmethod
    def of(cls, hindcast: xr.DataArray, truth: xr.DataArray, data: Data) -> Sample | None:
        """Take start months that every year has, four at most; None with less than three years."""
        starts = hindcast.indexes["start"]
        years = np.unique(starts.year)
        months = [m for m in np.unique(starts.month) if (starts.month == m).sum() == years.size]
        if years.size < 3 or not months:
            return None
        chosen = months[:: -(-len(months) // MONTHS)]
        rows = np.flatnonzero(np.isin(starts.month, chosen))
        rows = rows[np.argsort(starts[rows])]
        return cls(hindcast.isel(start=rows).load(), truth.isel(start=rows).load(), data)

    @property
    def years(self) -> NDArray[np.int64]:
        """Year of each start."""
        return np.asarray(self.hindcast.indexes["start"].year)

    def exchanged(self, sources: NDArray[np.int64]) -> xr.DataArray:
        """Put forecasts together from the mean, the deviations and the year of other starts."""
        mean, spread, year = sources.T
        middle = self.hindcast.mean("number")
        away = self.hindcast - middle
        made = middle.values[mean][:, :, None] + away.transpose(*self.hindcast.dims).values[spread]
        starts = self.hindcast.indexes["start"]
        dates = [
            start.replace(year=int(other)) for start, other in zip(starts, self.years[year], strict=True)
        ]
        moved = self.hindcast.copy(data=made.astype(np.float32)).drop_vars("valid_time", errors="ignore")
        return moved.assign_coords(start=np.array(dates, "datetime64[ns]"))

    def losses(self, predict: Predict, sources: NDArray[np.int64]) -> NDArray[np.float64]:
        """CRPS of each start and lead, by area."""
        given = self.exchanged(sources)
        made = predict(given, on_fine_grid(given, self.data.grid)).assign_coords(start=self.truth["start"])
        truth = self.truth.drop_vars("valid_time", errors="ignore")
        dims, weights = ("latitude", "longitude"), area_weights(truth["latitude"])
        score = crps(made.drop_vars("valid_time", errors="ignore"), truth, dim=dims, weights=weights)
        return np.asarray(score.transpose("start", "lead").values, np.float64)


def importance(sample: Sample, predict: Predict, *, units: str, repeats: int = 2) -> tuple[Attribution, ...]:
    """Exchange signal, spread or year between years, and measure what the forecast loses: by lead, by month.

    Parameters
    ----------
    sample : Sample
    predict : callable
        ``predict(hindcast, fine)``, a corrected ensemble.
    units : str
        Of the variable.
    repeats : int
        Exchanges of each.
    """
    count = len(sample.years)
    rows = np.repeat(np.arange(count)[:, None], len(SOURCES), axis=1)
    known: dict[bytes, NDArray] = {}

    def losses(sources: NDArray) -> NDArray:
        key = sources.tobytes()
        if key not in known:
            known[key] = sample.losses(predict, sources)
        return known[key]

    def measured(of: Callable[[NDArray], NDArray], **options: Any) -> Attribution:
        return permutation_importance(
            lambda sources: of(losses(sources)), rows, np.zeros(count), names=list(SOURCES),
            blocks=sample.years, loss=lambda _, score: score, repeats=repeats,
            units=f"increase of crps ({units})", **options,
        )  # fmt: skip

    leads = sample.hindcast["lead"].values

    def at_lead(number: int) -> NDArray[np.float64]:
        return measured(lambda x: x[:, number]).values

    by_lead = {f"lead {lead}": at_lead(n) for n, lead in enumerate(leads)}
    months = np.array([f"{month:02d}" for month in sample.hindcast.indexes["start"].month])
    by_month = measured(lambda x: x.mean(1), by=months)
    named = {_MONTH_NAMES[int(month) - 1]: values for month, values in by_month.by.items()}
    shared = (by_month.names, by_month.values, by_month.spread, by_month.units)
    return (
        Attribution("permutation of years, by lead", *shared, by_lead),
        Attribution("permutation of years, by month of the start", *shared, named),
    )


def explain(
    fitted: Fitted,
    hindcast: xr.DataArray,
    truth: xr.DataArray,
    data: Data,
    *,
    development: NDArray,
    seed: int,
) -> Drivers | None:
    """Explain the delivered method on the starts that are scored.

    Parameters
    ----------
    fitted : Fitted
    hindcast, truth : DataArray
        Scored starts, on the coarse and on the fine grid.
    data : Data
        Inputs of the fit.
    development : array
        Positions of the starts of the fit, for the check of classical methods.
    seed : int

    Returns
    -------
    Drivers or None
        None where there are too few whole years.
    """
    delivered = fitted.selection.delivered if fitted.selection is not None else fitted.methods[-1]
    sample = Sample.of(hindcast, truth, data)
    if sample is None:
        return None
    units = str(data.truth.attrs.get("units", ""))
    by_skill = importance(sample, lambda h, f: fitted.predict(delivered, h, f), units=units)
    text = (
        f"Of `{delivered}`, on starts of {sample.years.min()} to {sample.years.max()} that it had not seen. "
    )
    text += "Signal, spread or year of a forecast is exchanged for that of another year."
    network = fitted.network if delivered in NETWORKS else None
    network = getattr(network, "opposed", None) if delivered == "adversarial" else network
    if hasattr(network, "examples"):
        found, check = _gradients(network, sample, data, seed)
        text += " Contributions are those to the centre of the first network."
        return Drivers((found, *by_skill), check, text)
    if network is not None or delivered == "raw":
        return Drivers(by_skill, None, text + " There is no check for this method.")

    def of_chance(number: int) -> NDArray[np.float64]:
        order = _other_years(data.hindcast.indexes["start"][development], seed + number)
        truth = data.truth.isel(start=development)
        wrong = Correction(delivered, data.kind).fit(
            data.on_fine(development), truth.copy(data=truth.values[order])
        )
        return _pattern(importance(sample, lambda _, fine: wrong.predict(fine), units=units, repeats=1))

    check = randomisation_check(_pattern(by_skill), of_chance, count=3)
    return Drivers(by_skill, check, text + CLASSICAL)


def _other_years(starts: Any, seed: int) -> NDArray[np.int64]:
    """Give the position of the same month of another year, for each start."""
    years = np.unique(starts.year)
    other = dict(zip(years, np.random.default_rng(seed).permutation(years), strict=True))
    keys = list(zip(starts.year, starts.month, strict=True))
    place = {key: n for n, key in enumerate(keys)}
    return np.array([place.get((other[year], month), n) for n, (year, month) in enumerate(keys)])


def _pattern(found: tuple[Attribution, ...]) -> NDArray[np.float64]:
    return np.stack([values for one in found for values in one.by.values()])


def _gradients(network: Any, sample: Sample, data: Data, seed: int) -> tuple[Attribution, Any]:
    """Integrated gradients of the centre with respect to what enters the network, by lead."""
    from esai_core import nn
    from esai_core.nn._keras import ops
    from esai_seasonal.network.features import moments

    leads = sample.hindcast["lead"].values
    given = moments(on_fine_grid(sample.hindcast, data.grid), network.kind)
    examples = network.examples(given, leads)
    start, lead = (x.ravel() for x in np.indices((len(sample.years), len(leads))))
    chosen = np.sort(np.random.default_rng(seed).permutation(len(start))[: CASES * len(leads)])
    inputs = examples.inputs(start[chosen], lead[chosen])
    cells = network.latitude.size * network.longitude.size

    nothing = np.array([0.0, 0.0, 0.0, 1.0])  # the last is a constant

    def attributed(model: Any) -> NDArray[np.float64]:
        gradient = nn.input_gradient(
            model, name="predictors", fixed={k: v for k, v in inputs.items() if k != "predictors"},
            output=lambda made: ops.mean(made[..., 0], axis=(1, 2)),
        )  # fmt: skip
        found = integrated_gradients(gradient, inputs["predictors"], baseline=nothing, steps=STEPS)
        return cells * found[..., : len(CHANNELS)]

    model = network.models[0]
    values = attributed(model)
    found = mean_size(
        values, names=CHANNELS, method="integrated gradients",
        by=np.array([f"lead {leads[n]}" for n in lead[chosen]]),
        units="mean size of the contribution (standard deviations)",
    )  # fmt: skip
    some = slice(None, None, max(1, len(values) // 24))
    others = [attributed(nn.randomised(model, seed=seed + n))[some] for n in range(CHECKS)]
    return found, randomisation_check(values[some], others)
