"""Curves and bars: scores by lead, skill, spectra, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from esai_core.errors import UsageError
from esai_core.report.plots.style import PALETTE, SOFT, colours, new_figure, styled
from esai_core.report.text import MINUS
from esai_core.runs.history import read_history

__all__ = ["lines_by", "loss_curve", "skill_bars", "spectra"]


@styled
def lines_by(
    x: Sequence[Any],
    series: Mapping[str, Any],
    *,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    highlight: str | None = None,
    reference: float | None = None,
    bands: Mapping[str, tuple[Any, Any]] | None = None,
    width: float = 7.4,
    height: float = 3.5,
) -> Figure:
    """Draw one curve per method, as of RMSE by lead.

    Parameters
    ----------
    x : sequence
        Numbers, dates or names, length n.
    series : mapping of str to array, shape (n,)
        Method to values; NaN breaks the line.
    xlabel, ylabel, title : str
        Texts, with units.
    highlight : str, optional
        The method to stand out.
    reference : float, optional
        A level to mark, such as no skill.
    bands : mapping of str to (array, array), optional
        Method to the lower and upper end of its interval.
    width, height : float
        Inches.

    Returns
    -------
    Figure

    Raises
    ------
    UsageError
        If a series has another length than `x`.
    """
    figure, (axis,) = new_figure(width=width, height=height)
    names = list(x)
    places = names if not names or not isinstance(names[0], str) else list(range(len(names)))
    styles = colours(series, highlight=highlight)
    for name, values in series.items():
        values = np.asarray(values, dtype="float64")
        if values.shape != (len(names),):
            raise UsageError(f"{values.shape} values for {len(names)} places", where=name)
        axis.plot(places, values, label=name, **styles[name])
        if bands and name in bands:
            low, high = (np.asarray(end, dtype="float64") for end in bands[name])
            axis.fill_between(places, low, high, color=styles[name]["color"], alpha=0.16, linewidth=0)
    if reference is not None:
        axis.axhline(reference, color=SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    if places is not names:
        axis.set_xticks(places, names)
    elif names and all(isinstance(place, (int, np.integer)) for place in names):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axis.margins(x=0.02)
    _legend(axis, len(series))
    return figure


def _legend(axis: Axes, count: int) -> None:
    if count > 1:
        axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), handlelength=1.8)


@styled
def skill_bars(
    scores: Mapping[str, float],
    *,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    label: str = "skill",
    title: str = "",
    highlight: str | None = None,
    floor: float = -1.0,
) -> Figure:
    """Draw one bar per method, best at the top; zero is the reference.

    Parameters
    ----------
    scores : mapping of str to float
        Method to skill; what is not finite is left out.
    intervals : mapping of str to (float, float), optional
        Method to its confidence interval.
    label, title : str
        Texts.
    highlight : str, optional
        The method to stand out; the others are paler.
    floor : float, default -1
        Longer bars are cut here, and say so: a useless method must not flatten the others.

    Returns
    -------
    Figure
    """
    kept = {name: float(value) for name, value in scores.items() if value is not None and np.isfinite(value)}
    ordered = sorted(kept, key=lambda name: kept[name])
    figure, (axis,) = new_figure(width=6.6, height=max(1.5, 0.8 + 0.33 * len(ordered)))
    for place, name in enumerate(ordered):
        value = kept[name]
        colour = PALETTE[0] if value >= 0 else PALETTE[1]
        axis.barh(
            place,
            max(value, floor),
            color=colour,
            height=0.68,
            alpha=1.0 if highlight in (None, name) else 0.45,
        )
        low, high = (intervals or {}).get(name, (value, value))
        if low != high:
            axis.plot(
                [max(low, floor), high], [place, place], color=SOFT, linewidth=1.4, solid_capstyle="butt"
            )
        end = max(high, value) if value >= 0 else max(min(low, value), floor)
        text = f"{value:+.3f}".replace("-", MINUS)
        side = 1 if value >= 0 else -1
        axis.annotate(
            text if value >= floor else f"\u25c2 {text}",
            (end, place),
            xytext=(4 * side, 0),
            textcoords="offset points",
            va="center",
            ha="left" if side > 0 else "right",
            fontsize=8.5,
        )
    axis.axvline(0, color=SOFT, linewidth=1)
    axis.set_yticks(range(len(ordered)), ordered)
    axis.tick_params(axis="y", length=0)
    axis.grid(False, axis="y")
    axis.spines["left"].set_visible(False)
    axis.margins(x=0.16)
    axis.set(xlabel=label, title=title)
    return figure


@styled
def spectra(
    wavenumber: Any,
    power: Mapping[str, Any],
    *,
    xlabel: str = "wavenumber",
    ylabel: str = "power",
    title: str = "",
    reference: str | None = None,
) -> Figure:
    """Draw power spectra on logarithmic axes, and below them their ratio to the reference.

    Parameters
    ----------
    wavenumber : array, shape (n,)
        Zero is left out.
    power : mapping of str to array, shape (n,)
        Name to power.
    xlabel, ylabel, title : str
        Texts, with units.
    reference : str, optional
        Which of `power` is the truth; adds the panel of ratios.

    Returns
    -------
    Figure
    """
    k = np.asarray(wavenumber, dtype="float64")
    kept = k > 0
    rows = 2 if reference in power else 1
    heights = {"height_ratios": [2.2, 1]} if rows == 2 else {}
    figure, axes = new_figure(
        rows=rows, width=7.0, height=3.4 if rows == 1 else 4.6, sharex=True, gridspec_kw=heights
    )
    styles = colours(power, highlight=reference)
    for name, values in power.items():
        values = np.asarray(values, dtype="float64")[kept]
        axes[0].loglog(k[kept], values, label=name, **{**styles[name], "marker": ""})
        if rows == 2 and name != reference:
            truth = np.asarray(power[str(reference)], dtype="float64")[kept]
            axes[1].semilogx(k[kept], values / truth, **{**styles[name], "marker": ""})
    axes[0].set(ylabel=ylabel, title=title)
    if rows == 2:
        axes[1].axhline(1, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        axes[1].set(ylabel=f"ratio to\n{reference}", ylim=(0, None))
    axes[-1].set_xlabel(xlabel)
    _legend(axes[0], len(power))
    return figure


@styled
def loss_curve(history: Any, *, ylabel: str = "loss", title: str = "", log: bool = False) -> Figure:
    """Draw the losses of a training by epoch and mark the best validation.

    Parameters
    ----------
    history : path, sequence of mapping, or mapping of columns
        ``history.csv``, its rows, or its columns; every column with ``loss`` in its name is drawn.
    ylabel, title : str
        Texts.
    log : bool, default False
        Logarithmic losses.

    Returns
    -------
    Figure

    Raises
    ------
    UsageError
        If there is no column of losses.
    """
    columns = _columns(history)
    losses = [name for name in columns if "loss" in name]
    if not losses:
        raise UsageError("a history without a loss", where=", ".join(columns))
    some = columns[losses[0]]
    epochs = columns.get("epoch", np.arange(1, len(some) + 1))
    figure, (axis,) = new_figure(width=7.0, height=3.2)
    names = {"loss": "training", "val_loss": "validation"}
    styles = colours(losses)
    for name in losses:
        axis.plot(epochs, columns[name], label=names.get(name, name), **{**styles[name], "marker": ""})
    if "val_loss" in columns and np.isfinite(columns["val_loss"]).any():
        best = int(np.nanargmin(columns["val_loss"]))
        axis.plot(
            epochs[best],
            columns["val_loss"][best],
            "o",
            color=styles["val_loss"]["color"],
            markersize=7,
            label=f"best: {columns['val_loss'][best]:.4g}, epoch {epochs[best]:.0f}",
        )
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel="epoch", ylabel=ylabel, title=title, yscale="log" if log else "linear")
    axis.legend()
    return figure


def _columns(history: Any) -> dict[str, np.ndarray]:
    if isinstance(history, (str, Path)):
        history = read_history(history)
    if isinstance(history, Mapping):
        return {str(name): np.asarray(values, dtype="float64") for name, values in history.items()}
    rows = list(history)
    names = list(rows[0]) if rows else []
    return {
        name: np.array([np.nan if row[name] is None else row[name] for row in rows], float) for name in names
    }
