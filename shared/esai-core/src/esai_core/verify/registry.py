"""The scores by name, with what is better and what is perfect.

The names are those of `metrics.json`. A score is declared here once: tables, selection and reports read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import xarray as xr

from esai_core.align import aligned
from esai_core.errors import unknown
from esai_core.verify import deterministic, ensemble, events, probability
from esai_core.verify._average import Dims, mean

#: What a score is taken of: a single value (or ensemble mean), the members, the probability of an event
#: (value above a threshold), the yes/no forecast of it, or the probabilities of ordered categories.
Kind = Literal["value", "ensemble", "event_probability", "event", "categories"]


@dataclass(frozen=True)
class Score:
    """A score.

    Attributes
    ----------
    name : str
        Its key in `metrics.json`.
    function : callable
        The function of `esai_core.verify`.
    orientation : {1, -1, 0}
        1 higher is better, -1 lower is better, 0 closer to `perfect` is better.
    perfect : float
        Value of a perfect forecast.
    kind : str
        What it is taken of, see `Kind`.
    needs : tuple of str
        Further arguments that `score_table` must be given for it.
    """

    name: str
    function: Callable[..., xr.DataArray]
    orientation: int
    perfect: float
    kind: Kind
    needs: tuple[str, ...] = ()

    def better(self, first: float | None, second: float | None) -> bool:
        """Return whether `first` is better than `second`; a missing value (None, NaN) is never better."""
        if first is None or first != first:
            return False
        if second is None or second != second:
            return True
        if self.orientation == 0:
            return abs(first - self.perfect) < abs(second - self.perfect)
        return (first - second) * self.orientation > 0


def skill_score(score: xr.DataArray, reference: xr.DataArray, *, perfect: float = 0.0) -> xr.DataArray:
    """Return (score - reference) / (perfect - reference): 1 perfect, 0 as good as the reference.

    Both are mean scores over the same cases. NaN where the reference is perfect.
    """
    gap = reference - perfect
    return (reference - score) / gap.where(gap != 0)


def crpss(
    forecast: xr.DataArray,
    observed: xr.DataArray,
    *,
    reference: xr.DataArray,
    fair: bool = False,
    member: str = "number",
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return 1 - mean CRPS / mean CRPS of the reference, over the cases that both have; perfect is 1.

    Parameters
    ----------
    forecast, observed, member, dim, weights
        As in `crps`.
    reference : DataArray
        Reference ensemble, for example the years of a climatology as members; its number may differ.
    fair : bool
        Compare fair CRPS, so that the numbers of members do not matter.
    """
    score = ensemble.crps_fair if fair else ensemble.crps
    ours, theirs = (score(values, observed, member=member, dim=()) for values in (forecast, reference))
    theirs = aligned(ours, theirs, names=("forecast", "reference"), units=False)
    valid = ours.notnull() & theirs.notnull()
    ours, theirs = (mean(cases.where(valid), dim, weights) for cases in (ours, theirs))
    return skill_score(ours, theirs)


def _scores() -> Iterable[Score]:
    value: Any = partial(Score, kind="value")
    yield value("bias", deterministic.bias, 0, 0.0)
    yield value("mae", deterministic.mae, -1, 0.0)
    yield value("rmse", deterministic.rmse, -1, 0.0)
    for name in ("pearson_r", "r", "pcc"):
        yield value(name, deterministic.pearson_r, 1, 1.0)
    yield value("acc", deterministic.acc, 1, 1.0, needs=("climatology",))
    yield value("d2", deterministic.d2, 1, 1.0)
    yield value("nmb", deterministic.nmb, 0, 0.0)
    yield value("nrmse", deterministic.nrmse, -1, 0.0)
    yield value("nmsdb", deterministic.nmsdb, 0, 0.0)
    yield Score("crps", ensemble.crps, -1, 0.0, "ensemble")
    yield Score("crps_fair", ensemble.crps_fair, -1, 0.0, "ensemble")
    yield Score("crpss", crpss, 1, 1.0, "ensemble", ("reference",))
    yield Score("spread", ensemble.spread, 0, float("nan"), "ensemble")
    yield Score("spread_skill", ensemble.spread_skill, 0, 1.0, "ensemble")
    yield Score("brier", probability.brier, -1, 0.0, "event_probability", ("threshold",))
    yield Score("auc", events.auc, 1, 1.0, "event_probability", ("threshold",))
    for name, orientation, perfect in (
        ("h", 1, 1.0), ("f", -1, 0.0), ("fb", 0, 1.0), ("sr", 1, 1.0), ("csi", 1, 1.0), ("pss", 1, 1.0)
    ):  # fmt: skip
        function = partial(events.event_score, name)
        yield Score(name, function, orientation, perfect, "event", ("threshold",))
    yield Score("rps", probability.rps, -1, 0.0, "categories")
    yield Score("rps_fair", probability.rps_fair, -1, 0.0, "categories")
    yield Score("rpss", probability.rpss, 1, 1.0, "categories")
    yield Score("rpss_fair", probability.rpss_fair, 1, 1.0, "categories")


SCORES: dict[str, Score] = {score.name: score for score in _scores()}


def get_score(name: str) -> Score:
    """Return the score of this name, or a `UsageError` that suggests one."""
    if name not in SCORES:
        raise unknown("score", name, SCORES)
    return SCORES[name]
