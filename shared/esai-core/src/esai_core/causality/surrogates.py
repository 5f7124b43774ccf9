"""How many links are found where there can be none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from esai_core.causality.discovery import pcmci
from esai_core.explain.permutation import block_orders

__all__ = ["surrogate_rate"]


def surrogate_rate(
    data: pd.DataFrame,
    *,
    target: str,
    blocks: ArrayLike,
    p: float = 0.05,
    q: float = 0.05,
    count: int = 20,
    seed: int = 0,
    **options: Any,
) -> dict[str, float]:
    """Look for causes of series that have none: the target with its blocks (years) in another order.

    Whole blocks change places, so that the course within a block stays and what ties the target to the others
    goes. What is found then is false.

    Parameters
    ----------
    data : DataFrame
        As for `pcmci`.
    target : str
        Series that is shuffled.
    blocks : array (time,)
        Label of the block of each row.
    p, q : float
        Limits of the plain and of the adjusted p-values.
    count : int
        Shuffled series.
    seed : int
    **options
        As for `pcmci`.

    Returns
    -------
    dict
        ``false_positive_rate`` (share of the links from other series into the target with a p-value within
        `p`), ``runs_with_links`` (share of shuffled series with any link within `q`), ``count``.
    """
    shares, any_found = [], []
    for order in block_orders(len(data), blocks, count, seed):
        changed = data.copy()
        changed[target] = data[target].to_numpy()[order]
        links = pcmci(changed, targets=[target], **options)
        at = links.names.index(target)
        others = np.arange(len(links.names)) != at
        shares.append(float((links.p[others, at] <= p).mean()))
        any_found.append(any(one[0] != target for one in links.found(q=q, target=target)))
    return {
        "false_positive_rate": float(np.mean(shares)),
        "runs_with_links": float(np.mean(any_found)),
        "count": float(count),
    }
