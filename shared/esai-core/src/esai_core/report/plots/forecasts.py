"""Diagrams of probabilities and ensembles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from esai_core.errors import UsageError
from esai_core.report.plots.style import PALETTE, SOFT, colours, new_figure, styled

__all__ = ["rank_histogram", "reliability_diagram", "scatter"]


@styled
def reliability_diagram(
    curves: Mapping[str, tuple[Any, Any, Any]],
    *,
    base_rate: float | None = None,
    title: str = "",
    highlight: str | None = None,
    intervals: Mapping[str, tuple[Any, Any]] | None = None,
) -> Figure:
    """Draw observed frequency against forecast probability, with the counts below.

    Parameters
    ----------
    curves : mapping of str to (array, array, array)
        Name to mean forecast probability, observed frequency and count per bin, each of shape (bins,).
    base_rate : float, optional
        Observed frequency of the event; drawn with the line of no skill.
    title : str
        Of the plot.
    highlight : str, optional
        The curve to stand out.
    intervals : mapping of str to (array, array), optional
        Name to the lower and upper end of the interval of the observed frequency, each of shape (bins,).

    Returns
    -------
    Figure
    """
    figure, (upper, lower) = new_figure(
        rows=2, width=4.8, height=5.2, sharex=True, gridspec_kw={"height_ratios": [3.6, 1]}
    )
    upper.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
    if base_rate is not None:
        upper.axhline(base_rate, color=SOFT, linewidth=0.8, linestyle=":")
        upper.plot([0, 1], [base_rate / 2, (1 + base_rate) / 2], color=SOFT, linewidth=0.8, linestyle=":")
    styles = colours(curves, highlight=highlight)
    for name, (forecast, observed, count) in curves.items():
        p, o, n = (np.asarray(part, dtype="float64") for part in (forecast, observed, count))
        some = (n > 0) & np.isfinite(p) & np.isfinite(o)
        upper.plot(p[some], o[some], label=name, **styles[name])
        if intervals and name in intervals:
            low, high = (np.asarray(end, dtype="float64")[some] for end in intervals[name])
            upper.vlines(p[some], low, high, color=styles[name]["color"], linewidth=1, alpha=0.6)
        lower.plot(p[some], n[some], **{**styles[name], "linewidth": 1.3, "markersize": 3})
    upper.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel="observed frequency", title=title)
    lower.set(yscale="log", ylabel="cases", xlabel="forecast probability")
    upper.legend(loc="upper left")
    return figure


@styled
def rank_histogram(counts: Any, *, title: str = "", label: str = "rank of the observation") -> Figure:
    """Draw how often the observation takes each rank among the members; a reliable ensemble is flat.

    Parameters
    ----------
    counts : array, shape (members + 1,), or mapping of str to such arrays
        Counts per rank; one panel per name.
    title, label : str
        Texts.

    Returns
    -------
    Figure
    """
    several = counts if isinstance(counts, Mapping) else {title: counts}
    columns = min(3, len(several))
    rows = -(-len(several) // columns)
    figure, axes = new_figure(rows=rows, columns=columns, width=3.0 * columns + 0.8, height=2.3 * rows + 0.3)
    for axis, (name, values) in zip(axes, several.items(), strict=False):
        share = np.asarray(values, dtype="float64")
        share = share / share.sum() * share.size
        axis.bar(np.arange(1, share.size + 1), share, width=0.9, color=PALETTE[0])
        axis.axhline(1, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        axis.grid(False, axis="x")
        axis.set(title=name, xlabel=label, ylim=(0, max(2.0, 1.05 * float(np.nanmax(share)))))
    axes[0].set_ylabel("frequency / flat")
    for axis in axes[len(several) :]:
        axis.set_visible(False)
    return figure


@styled
def scatter(
    observed: Any,
    predicted: Any,
    *,
    xlabel: str = "observed",
    ylabel: str = "predicted",
    title: str = "",
) -> Figure:
    """Draw predicted against observed values with the line of equality; many points become a density.

    Parameters
    ----------
    observed, predicted : array
        Of one shape; pairs with NaN are left out. With a mapping of names to arrays as `predicted`, one
        panel each.
    xlabel, ylabel, title : str
        Texts, with units.

    Returns
    -------
    Figure

    Raises
    ------
    UsageError
        If the shapes differ or no pair is left.
    """
    several = predicted if isinstance(predicted, Mapping) else {title: predicted}
    columns = min(3, len(several))
    rows = -(-len(several) // columns)
    figure, axes = new_figure(rows=rows, columns=columns, width=3.4 * columns, height=3.4 * rows)
    x = np.asarray(observed, dtype="float64").ravel()
    for axis, (name, values) in zip(axes, several.items(), strict=False):
        y = np.asarray(values, dtype="float64").ravel()
        if x.shape != y.shape:
            raise UsageError(f"{y.size} predictions for {x.size} observations", where=name)
        both = np.isfinite(x) & np.isfinite(y)
        if not both.any():
            raise UsageError("no pair of finite values", where=name)
        if both.sum() > 4000:
            axis.hexbin(x[both], y[both], gridsize=48, bins="log", mincnt=1, cmap="viridis", linewidths=0.1)
        else:
            axis.plot(x[both], y[both], ".", color=PALETTE[0], alpha=0.55, markersize=4)
        low, high = float(min(x[both].min(), y[both].min())), float(max(x[both].max(), y[both].max()))
        axis.plot([low, high], [low, high], color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        axis.set(title=name, xlabel=xlabel, ylabel=ylabel, aspect="equal")
    for axis in axes[len(several) :]:
        axis.set_visible(False)
    return figure
