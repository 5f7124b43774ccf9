"""Importance as the loss of skill when a predictor is shuffled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esai_core.errors import UsageError
from esai_core.explain.attribution import Attribution, label_rows, resolve_groups

__all__ = ["block_orders", "permutation_importance"]


def _squared_error(observed: NDArray, predicted: NDArray) -> NDArray:
    return np.square(observed - predicted)


def permutation_importance(
    predict: Callable[[Any], ArrayLike],
    x: Any,
    y: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    blocks: ArrayLike | None = None,
    by: ArrayLike | None = None,
    loss: Callable[[NDArray, NDArray], NDArray] = _squared_error,
    units: str = "increase of mse",
    repeats: int = 10,
    seed: int = 0,
) -> Attribution:
    r"""Measure how much worse a fitted model predicts without the information of a predictor.

    .. math:: I_j = \overline{L(y, f(x^{\pi_j}))} - \overline{L(y, f(x))}

    with the columns of group `j` shuffled together (Breiman, 2001; Fisher et al., 2019, JMLR, eq. 5). Score
    it on cases that the model has not seen. Predictors that know the same share their importance and may both
    seem to matter little: group them. With `blocks`, whole blocks (years) change places, so that the shuffled
    series keeps its autocorrelation and its course within the block (the season), and only what differs
    between blocks is taken away.

    Parameters
    ----------
    predict : callable
        ``predict(x) -> (n, ...)``.
    x : DataFrame or array (n, ..., predictor)
        Cases on the first axis, predictors (channels) on the last.
    y : array (n, ...)
        Truth, of the shape of the prediction; NaN is left out.
    names : sequence of str, optional
        Predictors; those of the DataFrame by default.
    groups : mapping of str to sequence of str, optional
        Predictors that are shuffled together.
    blocks : array (n,), optional
        Label of the block of each case; their rows must stand in order within each block.
    by : array (n,), optional
        Lead or month of each case, for importance by part. Shuffling runs over all cases.
    loss : callable
        ``loss(y, prediction) -> (n, ...)``, lower is better.
    units : str
        What the loss counts, for the report.
    repeats, seed : int
        Shuffles of each group and where they start.

    Returns
    -------
    Attribution

    Raises
    ------
    UsageError
        If sizes do not fit, names are unknown, or there is one block only.
    """
    columns = _columns(x, names)
    chosen = resolve_groups(columns, groups)
    truth = np.asarray(y, np.float64)
    if len(truth) != len(x) or repeats < 1:
        raise UsageError(f"{len(x)} cases, {len(truth)} truths, {repeats} repeats")
    parts = {"": np.arange(len(truth)), **label_rows(by, len(truth))}

    def losses(inputs: Any) -> NDArray[np.float64]:
        """Mean loss over all cases and over those of each part."""
        cases = loss(truth, np.asarray(predict(inputs), np.float64))
        return np.array([np.nanmean(cases[rows]) for rows in parts.values()])

    before = losses(x)
    orders = block_orders(len(truth), blocks, repeats, seed)
    gains = np.empty((len(chosen), repeats, len(parts)))
    for number, positions in enumerate(chosen.values()):
        for repeat, order in enumerate(orders):
            gains[number, repeat] = losses(_shuffled(x, positions, order)) - before
    mean = gains.mean(1)
    return Attribution(
        "permutation" + (" of blocks" if blocks is not None else ""),
        tuple(chosen),
        mean[:, 0],
        gains[..., 0].std(1, ddof=1) if repeats > 1 else None,
        units,
        {name: mean[:, 1 + i] for i, name in enumerate(list(parts)[1:])},
    )


def _columns(x: Any, names: Sequence[str] | None) -> list[str]:
    given = list(map(str, x.columns)) if hasattr(x, "columns") else None
    width = len(given) if given is not None else np.shape(x)[-1]
    wanted = given if names is None else list(names)
    if wanted is None or len(wanted) != width:
        raise UsageError(f"names for {0 if wanted is None else len(wanted)} of {width} predictors")
    return wanted


def _shuffled(x: Any, positions: Sequence[int], order: NDArray[np.int64]) -> Any:
    if hasattr(x, "iloc"):
        changed = x.copy()
        for position in positions:
            changed.isetitem(position, x.iloc[order, position].to_numpy())
        return changed
    changed = np.array(x)
    changed[..., positions] = changed[order][..., positions]
    return changed


def block_orders(n: int, blocks: ArrayLike | None, repeats: int, seed: int) -> list[NDArray[np.int64]]:
    """Draw from which row each row takes what is shuffled: any other, or its place in another block."""
    rng = np.random.default_rng(seed)
    if blocks is None:
        return [rng.permutation(n) for _ in range(repeats)]
    rows = list(label_rows(blocks, n).values())
    if len(rows) < 2:
        raise UsageError("all cases in one block", remedy="give at least two blocks")
    orders = []
    for _ in range(repeats):
        order = np.empty(n, np.int64)
        for mine, donor in zip(rows, rng.permutation(len(rows)), strict=True):
            order[mine] = np.resize(rows[donor], len(mine))  # a shorter donor is repeated from its start
        orders.append(order)
    return orders
