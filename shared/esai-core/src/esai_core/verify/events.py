"""Scores of yes/no forecasts from their contingency table, and the ranking of events by a forecast (ROC)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from esai_core.align import aligned, as_array, each
from esai_core.errors import UsageError
from esai_core.verify._average import Dims, checked_weights, mean, over
from esai_core.verify.probability import checked_event, checked_probability

#: Scores of `categorical_scores`: hit rate (probability of detection) H, false alarm rate (probability of
#: false detection) F, frequency bias FB, success ratio SR, critical success index CSI, Peirce skill score
#: PSS = H - F.
EVENT_SCORES = ("h", "f", "fb", "sr", "csi", "pss")


def contingency(
    forecast: xr.DataArray,
    observed: xr.DataArray,
    *,
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.Dataset:
    """Return the 2 x 2 contingency table of yes/no forecasts, summed over `dim`.

    Parameters
    ----------
    forecast, observed : DataArray
        1 or True for yes, 0 or False for no, NaN for missing (the pair is left out): see `exceeds`.
    dim, weights
        As in `bias`.

    Returns
    -------
    Dataset
        `hits`, `misses`, `false_alarms` and `correct_negatives`: counts, or sums of weights.

    Raises
    ------
    InputError
        If coordinates differ or a value is neither 0 nor 1.
    """
    forecast, observed = as_array(forecast, "forecast"), as_array(observed, "observed")
    observed = aligned(forecast, observed, names=("forecast", "observed"), units=False)
    said, done = each(checked_event, forecast), each(checked_event, observed)
    dims = over(forecast, dim)
    weight = 1.0 if weights is None else checked_weights(forecast, weights)
    cells = {
        "hits": said * done,
        "misses": (1 - said) * done,
        "false_alarms": said * (1 - done),
        "correct_negatives": (1 - said) * (1 - done),
    }
    return xr.Dataset({name: (cell * weight).sum(dims, skipna=True) for name, cell in cells.items()})


def categorical_scores(table: xr.Dataset) -> xr.Dataset:
    """Return h, f, fb, sr, csi and pss (`EVENT_SCORES`) of a contingency table.

    h = a/(a+c), f = b/(b+d), fb = (a+b)/(a+c), sr = a/(a+b), csi = a/(a+b+c), pss = h - f with a hits, b
    false alarms, c misses and d correct negatives (Wilks 2019, section 9.2). NaN where the denominator is 0.
    """
    a, b = table["hits"], table["false_alarms"]
    c, d = table["misses"], table["correct_negatives"]
    h, f = _ratio(a, a + c), _ratio(b, b + d)
    return xr.Dataset(
        {
            "h": h,
            "f": f,
            "fb": _ratio(a + b, a + c),
            "sr": _ratio(a, a + b),
            "csi": _ratio(a, a + b + c),
            "pss": h - f,
        }
    )


def _ratio(part: xr.DataArray, whole: xr.DataArray) -> xr.DataArray:
    return part / whole.where(whole > 0)


def event_score(
    name: str,
    forecast: xr.DataArray,
    observed: xr.DataArray,
    *,
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return one of `EVENT_SCORES` of yes/no forecasts; parameters as in `contingency`."""
    if name not in EVENT_SCORES:
        raise UsageError(f"unknown event score {name!r}", remedy=f"one of {', '.join(EVENT_SCORES)}")
    return categorical_scores(contingency(forecast, observed, dim=dim, weights=weights))[name]


def auc(
    score: xr.DataArray,
    event: xr.DataArray,
    *,
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return the area under the ROC curve; perfect is 1, no discrimination 0.5.

    The chance that a case with the event has a higher score than one without, ties counting half (Mason and
    Graham 2002): exact, without bins. NaN where all cases, or none, have the event.

    Parameters
    ----------
    score : DataArray
        Probability, or any value that ranks the cases.
    event : DataArray
        0, 1 or NaN.
    dim, weights
        As in `bias`.
    """
    score, event = as_array(score, "score"), as_array(event, "event")
    event = aligned(score, event, names=("score", "event"), units=False)
    dims = over(score, dim)
    weight = xr.ones_like(score, dtype=np.float64) if weights is None else checked_weights(score, weights)
    score, event, weight = xr.broadcast(score, event, weight)
    if score.chunks is not None or event.chunks is not None:
        score, event, weight = (a.chunk(dict.fromkeys(dims, -1)) for a in (score, event, weight))
    return xr.apply_ufunc(
        _auc_block,
        score,
        event,
        weight,
        input_core_dims=[dims] * 3,
        kwargs={"axes": len(dims)},
        dask="parallelized",
        output_dtypes=[np.float64],
    )


def _auc_block(score: np.ndarray, event: np.ndarray, weight: np.ndarray, *, axes: int) -> np.ndarray:
    shape = score.shape[: score.ndim - axes]
    rows = [np.reshape(a, (int(np.prod(shape)), -1)) for a in (score, checked_event(event), weight)]
    return np.array([_auc_row(*row) for row in zip(*rows, strict=True)]).reshape(shape)


def _auc_row(score: np.ndarray, event: np.ndarray, weight: np.ndarray) -> float:
    keep = np.isfinite(score) & np.isfinite(event) & (weight > 0)
    order = np.argsort(score[keep], kind="stable")
    value, yes, weight = score[keep][order], event[keep][order], weight[keep][order]
    starts = np.flatnonzero(np.r_[True, value[1:] != value[:-1]]) if len(value) else np.empty(0, np.intp)
    if len(starts) == 0:
        return float("nan")
    positive = np.add.reduceat(weight * yes, starts)
    negative = np.add.reduceat(weight * (1 - yes), starts)
    pairs = positive.sum() * negative.sum()
    if pairs <= 0:
        return float("nan")
    below = np.cumsum(negative) - negative
    return float(np.sum(positive * (below + 0.5 * negative)) / pairs)


def roc(
    probability: xr.DataArray,
    event: xr.DataArray,
    *,
    thresholds: np.ndarray | None = None,
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.Dataset:
    """Return the ROC curve: hit rate and false alarm rate of warning at each threshold or above.

    Parameters
    ----------
    probability, event, dim, weights
        As in `auc`.
    thresholds : array, optional
        Ascending; 0, 0.05 ... 1 by default.

    Returns
    -------
    Dataset
        `h` and `f` along `threshold`, and the exact area `auc`.
    """
    levels = np.linspace(0, 1, 21) if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    probability, event = as_array(probability, "probability"), as_array(event, "event")
    known = probability.notnull()
    rates = []
    for level in levels:
        warned = (probability >= level).astype(np.float64).where(known)
        scores = categorical_scores(contingency(warned, event, dim=dim, weights=weights))
        rates.append(scores[["h", "f"]])
    curve = xr.concat(rates, xr.DataArray(levels, dims="threshold", name="threshold"))
    return curve.assign(auc=auc(probability, event, dim=dim, weights=weights))


def reliability(
    probability: xr.DataArray,
    event: xr.DataArray,
    *,
    bins: int = 10,
    level: float = 0.9,
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.Dataset:
    """Return the reliability diagram: the frequency of the event where a probability was forecast.

    Parameters
    ----------
    probability, event, dim, weights
        As in `brier`.
    bins : int
        Number of bins of equal width over [0, 1]; a value on an inner edge belongs to the upper bin.
    level : float
        Level of the consistency interval.

    Returns
    -------
    Dataset
        Along `bin` (its centre): `forecast` (mean probability), `observed` (frequency), `count`, and the
        consistency interval `lower`, `upper`: where the observed frequency of that many cases would lie if
        the forecast were reliable (Broecker and Smith 2007; binomial, cases taken as independent).
    """
    if bins < 1 or not 0 < level < 1:
        raise UsageError(
            f"reliability with {bins} bins at level {level}", remedy="bins >= 1 and 0 < level < 1"
        )
    probability, event = as_array(probability, "probability"), as_array(event, "event")
    event = aligned(probability, event, names=("probability", "event"), units=False)
    probability, event = each(checked_probability, probability), each(checked_event, event)
    valid = probability.notnull() & event.notnull()
    which = np.floor((probability * bins).clip(0, bins - 1))
    dims = over(probability, dim)
    rows = []
    for number in range(bins):
        here = valid & (which == number)
        rows.append(
            xr.Dataset(
                {
                    "forecast": mean(probability.where(here), dims, weights),
                    "observed": mean(event.where(here), dims, weights),
                    "count": here.sum(dims),
                }
            )
        )
    centres = xr.DataArray((np.arange(bins) + 0.5) / bins, dims="bin", name="bin")
    diagram = xr.concat(rows, centres)
    for name, quantile in (("lower", (1 - level) / 2), ("upper", (1 + level) / 2)):
        diagram[name] = each(_binomial_bound, diagram["count"], diagram["forecast"], quantile=quantile)
    return diagram


def _binomial_bound(number: np.ndarray, probability: np.ndarray, *, quantile: float) -> np.ndarray:
    from scipy.stats import binom

    successes = binom.ppf(quantile, number, np.clip(probability, 0, 1))
    return successes / np.where(number > 0, number, np.nan)
