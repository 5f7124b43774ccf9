"""Which of its inputs a network for the next fields uses, by lead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_core.explain import Attribution, permutation_importance, randomisation_check
from esai_core.explain.sanity import RandomisationCheck

__all__ = ["attribute", "check"]


def _places(kind: str, window: int) -> dict[str, tuple[str, Any]]:
    """Give the input and the part of it that each predictor stands for."""
    along = (lambda step: (slice(None), step, ..., 0)) if kind == "convlstm" else (lambda step: (..., step))
    past = {
        f"field {window - 1 - step} steps ago": ("fields", along(step)) for step in reversed(range(window))
    }
    return past | {"time of the cycle": ("condition", ...), "damped anomaly": ("baseline", ...)}


def attribute(
    model: Any,
    inputs: Mapping[str, NDArray],
    truth: NDArray,
    *,
    kind: str,
    window: int,
    leads: tuple[int, ...],
    blocks: NDArray,
    repeats: int = 3,
) -> Attribution:
    """Exchange one input between blocks of starts and measure what the forecast loses.

    Parameters
    ----------
    model : keras.Model
    inputs : mapping of str to array
        Of `esai_core.tasks.nextframe.network.examples`.
    truth : array (start, latitude, longitude, lead)
        Standardised, NaN where left out.
    kind, window, leads
        Of the network.
    blocks : array (start,)
        Blocks that change places.
    repeats : int
        Exchanges of each input.

    Returns
    -------
    Attribution
        Increase of the mean squared error, in the variance of the anomalies, over all leads and by lead.
    """
    from esai_core import training

    places = _places(kind, window)
    rows = np.repeat(np.arange(len(truth))[:, None], len(places), axis=1)  # which start each input comes from

    known: dict[bytes, NDArray] = {}  # the exchanges are the same for every lead

    def errors(sources: NDArray) -> NDArray:
        key = sources.tobytes()
        if key in known:
            return known[key]
        changed = {name: np.array(part) for name, part in inputs.items()}
        for column, (name, at) in enumerate(places.values()):
            changed[name][at] = np.asarray(inputs[name])[sources[:, column]][at]
        missed = np.square(training.predict(model, changed, batch_size=32) - truth)
        known[key] = np.nanmean(missed, axis=(1, 2)).T  # (lead, start)
        return known[key]

    found = [
        permutation_importance(
            lambda sources, lead=lead: errors(sources)[lead],
            rows,
            np.zeros(len(truth)),
            names=list(places),
            blocks=blocks,
            loss=lambda _, error: error,
            repeats=repeats,
        )
        for lead in range(len(leads))
    ]
    return Attribution(
        f"permutation of blocks ({kind})",
        tuple(places),
        np.mean([one.values for one in found], axis=0),
        None,
        "increase of mse (variances of the anomaly)",
        {f"lead {lead}": one.values for lead, one in zip(leads, found, strict=True)},
    )


def check(model: Any, found: Attribution, **options: Any) -> RandomisationCheck:
    """Compare with networks of shuffled weights, which have learnt nothing; options as of `attribute`.

    The damped anomaly is left out: the network adds to it, so that it matters whatever was learnt.
    """
    from esai_core import nn

    def learnt(one: Attribution) -> NDArray:
        kept = [place for place, name in enumerate(one.names) if name != "damped anomaly"]
        return np.stack([values[kept] for values in one.by.values()])

    def nothing(seed: int) -> NDArray:
        return learnt(attribute(nn.randomised(model, seed=seed), repeats=1, **options))

    return randomisation_check(learnt(found), nothing, count=6)
