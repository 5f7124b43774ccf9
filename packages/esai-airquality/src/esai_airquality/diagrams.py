"""Plots that air quality needs beside those of the core: Taylor, performance, station map, time series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from esai_core.report import plots

__all__ = ["performance_diagram", "station_map", "taylor_diagram", "time_series"]


@plots.styled
def taylor_diagram(points: Mapping[str, tuple[float, float]], *, highlight: str | None = None) -> Figure:
    """Draw relative standard deviation and correlation (Taylor 2001, doi:10.1029/2000JD900719).

    Parameters
    ----------
    points : mapping of str to (float, float)
        Method to ratio of standard deviations and correlation.
    highlight : str, optional
        The method to stand out.
    """
    figure, (axis,) = plots.new_figure(width=5.4, height=4.6)
    largest = max(1.25, *(ratio * 1.1 for ratio, _ in points.values()))
    for level in (0.2, 0.4, 0.6, 0.8, 0.9, 0.95):
        angle = np.arccos(level)
        axis.plot([0, largest * np.cos(angle)], [0, largest * np.sin(angle)], color="0.75", linewidth=0.6)
        axis.annotate(
            f"{level:g}", (largest * np.cos(angle), largest * np.sin(angle)), fontsize=8, color="0.5"
        )
    turn = np.linspace(0, np.pi / 2, 90)
    for radius in (0.5, 1.0):
        axis.plot(radius * np.cos(turn), radius * np.sin(turn), color="0.6", linewidth=0.8, linestyle="--")
    circle = np.linspace(0, np.pi, 180)
    for radius in (0.4, 0.6, 0.8):
        x, y = 1 + radius * np.cos(circle), radius * np.sin(circle)
        inside = (np.hypot(x, y) < largest) & (x > 0)
        axis.plot(np.where(inside, x, np.nan), y, color="0.8", linewidth=0.6, linestyle=":")
    axis.plot(1, 0, marker="*", markersize=13, color="0.3", linestyle="none", label="observed", clip_on=False)
    for name, style in plots.colours(points, highlight=highlight).items():
        ratio, r = points[name]
        look = {key: style[key] for key in ("color", "marker", "zorder")}
        angle = np.arccos(np.clip(r, 0, 1))
        size = 10 if name == highlight else 7
        axis.plot(
            ratio * np.cos(angle),
            ratio * np.sin(angle),
            linestyle="none",
            markersize=size,
            label=name,
            **look,
        )
    axis.set(xlim=(0, largest), ylim=(0, largest), xlabel="standard deviation / observed", aspect="equal")
    axis.set(ylabel="standard deviation / observed")
    axis.grid(visible=False)
    axis.legend(loc="center left", bbox_to_anchor=(1.08, 0.5))
    return figure


@plots.styled
def performance_diagram(points: Mapping[str, tuple[float, float]], *, highlight: str | None = None) -> Figure:
    """Draw hit rate against success ratio, with lines of CSI (Roebber 2009, doi:10.1175/2008WAF2222159.1).

    Parameters
    ----------
    points : mapping of str to (float, float)
        Method to success ratio and hit rate.
    highlight : str, optional
        The method to stand out.
    """
    figure, (axis,) = plots.new_figure(width=5.6, height=4.4)
    sr, h = np.meshgrid(np.linspace(0.01, 1, 100), np.linspace(0.01, 1, 100))
    csi = 1 / (1 / sr + 1 / h - 1)
    lines = axis.contour(sr, h, csi, levels=np.arange(0.1, 1, 0.1), colors="0.7", linewidths=0.7)
    axis.clabel(lines, fontsize=7.5, fmt="%.1f")
    for bias in (0.5, 1.0, 2.0):
        x = np.linspace(0, 1, 50)
        axis.plot(x, np.where(x * bias <= 1, x * bias, np.nan), color="0.8", linewidth=0.7, linestyle="--")
    for name, style in plots.colours(points, highlight=highlight).items():
        look = {key: style[key] for key in ("color", "marker", "zorder")}
        size = 10 if name == highlight else 7
        axis.plot(*points[name], linestyle="none", markersize=size, label=name, **look)
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="success ratio", ylabel="hit rate")
    axis.grid(visible=False)
    axis.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


@plots.styled
def station_map(
    longitude: NDArray, latitude: NDArray, values: NDArray, *, label: str, diverging: bool = False
) -> Figure:
    """Draw a value at each station.

    Parameters
    ----------
    longitude, latitude, values : array (station,)
        Degrees and values.
    label : str
        Of the colour bar, with units.
    diverging : bool, default False
        Whether colours are symmetric about 0.
    """
    figure, (axis,) = plots.new_figure(width=6.6, height=4.2)
    there = np.isfinite(values)
    span: dict[str, Any] = {}
    if diverging and there.any():
        most = float(np.max(np.abs(values[there]))) or 1.0
        span = {"vmin": -most, "vmax": most}
    drawn = axis.scatter(
        longitude[there], latitude[there], c=values[there], s=42, cmap="RdBu_r" if diverging else "viridis",
        edgecolors="0.3", linewidths=0.4, **span,
    )  # fmt: skip
    figure.colorbar(drawn, ax=axis, label=label, shrink=0.85)
    axis.set(xlabel="longitude (degrees east)", ylabel="latitude (degrees north)")
    return figure


@plots.styled
def time_series(panels: Mapping[str, tuple[NDArray, Mapping[str, NDArray]]], *, label: str) -> Figure:
    """Draw series below each other.

    Parameters
    ----------
    panels : mapping of str to (array, mapping of str to array)
        Title to times and series by name.
    label : str
        Of the values, with units.
    """
    figure, axes = plots.new_figure(rows=len(panels), width=7.4, height=2.6 * len(panels))
    for axis, (title, (time, series)) in zip(axes, panels.items(), strict=True):
        styles = plots.colours([name for name in series if name != "observed"])
        for name, values in series.items():
            style = {"color": "0.25", "linewidth": 1.8} if name == "observed" else {
                "color": styles[name]["color"], "linewidth": 1.3
            }  # fmt: skip
            axis.plot(time, values, label=name, **style)
        axis.set(title=title, ylabel=label)
        axis.tick_params(axis="x", labelrotation=20)
    axes[0].legend(loc="upper right", ncols=3)
    return figure
