"""What the delivered method follows, told at places that it had not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from esai_airquality.no2.config import No2Section
from esai_airquality.no2.crossval import Sample
from esai_airquality.no2.models import Model, fit
from esai_core.explain import Drivers, mean_size, permutation_importance, randomisation_check
from esai_core.splits import Fold

__all__ = ["explain"]

_CASES, _CHECK_ROWS, _CHECKS = 1500, 3000, 5
_MONTHS = np.array(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"])


def explain(
    sample: Sample, folds: Sequence[Fold], method: str, names: Sequence[str], *, config: No2Section,
    units: str, seed: int,
) -> Drivers | None:  # fmt: skip
    """Explain a method on the first held-out part: Shapley values, permutation, and a check.

    Parameters
    ----------
    sample : Sample
        Rows with an observation.
    folds : sequence of Fold
        The folds that judge.
    method : str
        What is delivered.
    names : sequence of str
        Predictors.
    config : No2Section
        Settings.
    units : str
        Of the target.
    seed : int
        Of draws.

    Returns
    -------
    Drivers or None
        None of the climatology, which has no predictors.
    """
    if method == "climatology":
        return None
    random, fold = np.random.default_rng(seed), folds[0]

    def fitted(rows: NDArray, target: NDArray, number: int = 0) -> Model:
        return fit(method, sample.rows[rows], target, sample.month[rows], config=config, seed=seed + number)

    model = fitted(fold.train, sample.target[fold.train])
    test = np.sort(random.permutation(fold.test)[:_CASES])
    x, month = sample.rows[test], sample.month[test]
    values = model.contributions(x)
    daily = len(np.unique(month)) > 1
    size = mean_size(
        values, names=names, method="Shapley values", units=f"mean size of the contribution ({units})",
        by=[f"{m + 1:02d}" for m in month] if daily else None,
    )  # fmt: skip
    by_skill = permutation_importance(
        lambda rows: model.predict(rows, month), x, sample.target[test], names=names, repeats=2, seed=seed,
        units=f"increase of mse ({units} squared)",
    )  # fmt: skip
    some = random.permutation(fold.train)[:_CHECK_ROWS]
    chance = [
        fitted(some, random.permutation(sample.target[some]), number).contributions(x)
        for number in range(_CHECKS)
    ]
    check = randomisation_check(values, chance)
    text = (
        f"Of `{method}`, fitted without the first part of the blocks and told on {len(test):,} rows there. "
        "The check fits it to observations in another order."
    )
    return Drivers((size, by_skill), check, text)
