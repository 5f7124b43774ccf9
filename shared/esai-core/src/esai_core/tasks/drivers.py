"""Which of its inputs the network of a task uses, and whether that depends on what it has learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_core.explain import Attribution, permutation_importance, randomisation_check
from esai_core.explain.sanity import RandomisationCheck

__all__ = ["attribute", "check"]


def attribute(
    model: Any,
    inputs: Mapping[str, NDArray],
    truth: NDArray,
    *,
    places: Mapping[str, Sequence[tuple[str, Any]]],
    method: str,
    outputs: Sequence[str],
    blocks: NDArray,
    repeats: int = 3,
) -> Attribution:
    """Exchange one input between blocks of cases and measure what the prediction loses.

    Parameters
    ----------
    model : keras.Model
    inputs : mapping of str to array (case, ...)
        Of the model.
    truth : array (case, latitude, longitude, output)
        Standardised, NaN where nothing is scored.
    places : mapping of str to sequence of (str, index)
        Names of what is exchanged, and where it stands: the input, and the part of its array.
    method : str
        Name of the method, for the report.
    outputs : sequence of str
        Names of the outputs (leads); told apart where there are several.
    blocks : array (case,)
        Blocks that change places; single cases do where there is one block only.
    repeats : int
        Exchanges of each input.

    Returns
    -------
    Attribution
        Increase of the mean squared error, in the variance of the anomalies, over all outputs and by output.
    """
    from esai_core import training

    rows = np.repeat(np.arange(len(truth))[:, None], len(places), axis=1)  # which case each input comes from
    known: dict[bytes, NDArray] = {}  # the exchanges are the same for every output

    def errors(sources: NDArray) -> NDArray:
        key = sources.tobytes()
        if key in known:
            return known[key]
        changed = {name: np.array(part) for name, part in inputs.items()}
        for column, parts in enumerate(places.values()):
            for name, at in parts:
                changed[name][at] = np.asarray(inputs[name])[sources[:, column]][at]
        missed = np.square(training.predict(model, changed, batch_size=32) - truth)
        known[key] = np.nanmean(missed, axis=(1, 2)).T  # (output, case)
        return known[key]

    found = [
        permutation_importance(
            lambda sources, output=output: errors(sources)[output],
            rows,
            np.zeros(len(truth)),
            names=list(places),
            blocks=None if len(np.unique(blocks)) == 1 else blocks,
            loss=lambda _, error: error,
            repeats=repeats,
        )
        for output in range(len(outputs))
    ]
    by = {name: one.values for name, one in zip(outputs, found, strict=True)}
    return Attribution(
        method,
        tuple(places),
        np.mean([one.values for one in found], axis=0),
        None,
        "increase of mse (variances of the anomaly)",
        by if len(outputs) > 1 else {},
    )


def check(model: Any, found: Attribution, *, guess: str, **options: Any) -> RandomisationCheck:
    """Compare with networks of shuffled weights, which have learnt nothing.

    Parameters
    ----------
    model : keras.Model
    found : Attribution
        Its attribution.
    guess : str
        Name of the first guess, which is left out: the network adds to it, so that it matters whatever was
        learnt.
    **options
        As of `attribute`.
    """
    from esai_core import nn

    def learnt(one: Attribution) -> NDArray:
        kept = [place for place, name in enumerate(one.names) if name != guess]
        return np.stack([values[kept] for values in (one.by or {"": one.values}).values()])

    def nothing(seed: int) -> NDArray:
        return learnt(attribute(nn.randomised(model, seed=seed), **options | {"repeats": 1}))

    return randomisation_check(learnt(found), nothing, count=6)
