"""Maps, and tables drawn as colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, Colormap, Normalize
from matplotlib.figure import Figure

from esai_core.errors import UsageError
from esai_core.report.plots.style import DIVERGING, INK, NOTHING, SEQUENTIAL, new_figure, styled

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["heatmap", "map_panel"]


@styled
def map_panel(
    panels: Sequence[tuple[str, xr.DataArray]],
    *,
    label: str = "",
    mask: xr.DataArray | None = None,
    diverging: bool = False,
    cmap: str | None = None,
    limits: tuple[float, float] | None = None,
    columns: int | None = None,
    width: float = 8.6,
) -> Figure:
    """Draw maps side by side on one colour scale.

    Parameters
    ----------
    panels : sequence of (str, DataArray)
        Title and field, dims ``(latitude, longitude)`` in any order, latitude either way; the grids may
        differ. NaN is grey.
    label : str
        Of the colour bar, with units.
    mask : DataArray, optional
        Land fraction or land-sea mask ``(latitude, longitude)``; its 0.5 contour is drawn as the coast.
    diverging : bool, default False
        Colours centred on zero, for differences and skill.
    cmap : str, optional
        A Matplotlib colour map instead of the usual one.
    limits : tuple of float, optional
        Ends of the colour scale; by default the 1st and 99th percentile of all panels.
    columns : int, optional
        Panels per row; by default as many as fit.
    width : float
        Inches.

    Returns
    -------
    Figure

    Raises
    ------
    UsageError
        If there is no panel or a field has other dims.
    """
    if not panels:
        raise UsageError("a map needs at least one field")
    fields = [(title, _field(field, title)) for title, field in panels]
    ratio = max(_ratio(field) for _, field in fields)
    columns = columns or min(len(fields), 4 if ratio > 0.75 else 3 if ratio > 0.4 else 2)
    rows = math.ceil(len(fields) / columns)
    height = rows * (min((width / columns - 0.62) * ratio, 6.0) + 0.5) + 0.78
    figure, axes = new_figure(rows=rows, columns=columns, width=width, height=height)
    values = np.concatenate([field.values.ravel() for _, field in fields])
    norm = _norm(values, limits, diverging)
    colour_map = _colour_map(cmap, diverging)
    mesh = None
    for axis, (title, field) in zip(axes, fields, strict=False):
        x, y = field["longitude"].values, field["latitude"].values
        mesh = axis.pcolormesh(
            x, y, field.values, norm=norm, cmap=colour_map, shading="nearest", rasterized=True
        )
        axis.set_title(title)
        axis.set_aspect(1 / max(0.1, math.cos(math.radians(float(np.mean(y))))))
        _frame(axis, x, y)
        if mask is not None:
            _coast(axis, _field(mask, "mask"))
    for axis in axes[len(fields) :]:
        axis.set_visible(False)
    assert mesh is not None
    below, above = _beyond(values, norm)
    extend = "both" if below and above else "min" if below else "max" if above else "neither"
    bar = figure.colorbar(
        mesh,
        ax=axes[: len(fields)],
        orientation="horizontal",
        label=label,
        shrink=0.6,
        aspect=36,
        pad=0.03,
        extend=extend,
    )
    bar.outline.set_visible(False)
    return figure


def _field(field: xr.DataArray, title: str) -> xr.DataArray:
    if set(field.dims) != {"latitude", "longitude"}:
        raise UsageError(
            f"a map takes the dims (latitude, longitude), not {tuple(field.dims)}",
            where=title,
            remedy="select or average the others",
        )
    return field.transpose("latitude", "longitude").sortby(["latitude", "longitude"]).astype("float64")


def _ratio(field: xr.DataArray) -> float:
    """Height over width of a field's map."""
    y, x = field["latitude"].values, field["longitude"].values
    tall = np.ptp(y) + abs(y[1] - y[0]) if y.size > 1 else 1.0
    wide = np.ptp(x) + abs(x[1] - x[0]) if x.size > 1 else 1.0
    return float(tall / (wide * max(0.1, math.cos(math.radians(float(np.mean(y)))))))


def _norm(values: np.ndarray, limits: tuple[float, float] | None, diverging: bool) -> Normalize:
    finite = values[np.isfinite(values)]
    if limits is None:
        low, high = (0.0, 1.0) if finite.size == 0 else tuple(map(float, np.percentile(finite, [1, 99])))
    else:
        low, high = limits
    if diverging:
        far = max(abs(low), abs(high)) or 1.0
        return CenteredNorm(0.0, far)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return Normalize(low, high)


def _beyond(values: np.ndarray, norm: Normalize) -> tuple[bool, bool]:
    finite = values[np.isfinite(values)]
    if finite.size == 0 or norm.vmin is None or norm.vmax is None:
        return False, False
    slack = 1e-9 * (norm.vmax - norm.vmin)
    return bool(finite.min() < norm.vmin - slack), bool(finite.max() > norm.vmax + slack)


def _colour_map(name: str | None, diverging: bool) -> Colormap:
    return mpl.colormaps[name or (DIVERGING if diverging else SEQUENTIAL)].with_extremes(bad=NOTHING)


def _frame(axis: Axes, x: np.ndarray, y: np.ndarray) -> None:
    axis.grid(False)
    axis.set_facecolor(NOTHING)
    axis.tick_params(length=2.5)
    axis.locator_params(nbins=4)
    axis.xaxis.set_major_formatter(lambda value, _: _degrees((value + 180) % 360 - 180, "EW"))
    axis.yaxis.set_major_formatter(lambda value, _: _degrees(value, "NS"))
    for spine in axis.spines.values():
        spine.set_visible(False)


def _degrees(value: float, sides: str) -> str:
    side = "" if abs(value) < 1e-9 else sides[0] if value > 0 else sides[1]
    return f"{abs(value):.6g}°{side}"


def _coast(axis: Axes, mask: xr.DataArray) -> None:
    values = mask.fillna(0).values
    if min(values.shape) > 1 and values.min() < 0.5 < values.max():
        axis.contour(
            mask["longitude"].values,
            mask["latitude"].values,
            values,
            levels=[0.5],
            colors=[INK],
            linewidths=0.8,
        )


@styled
def heatmap(
    values: Any,
    *,
    rows: Sequence[object],
    columns: Sequence[object],
    row_label: str = "",
    column_label: str = "",
    label: str = "",
    diverging: bool = False,
    cmap: str | None = None,
    digits: int = 2,
    title: str = "",
) -> Figure:
    """Draw a table as colours, with its numbers (RMSE by month and lead).

    Parameters
    ----------
    values : array, shape (rows, columns)
        NaN stays grey.
    rows, columns : sequence
        Names of rows and columns.
    row_label, column_label, label, title : str
        Texts of the axes, the colour bar (with units) and the plot.
    diverging : bool, default False
        Colours centred on zero.
    cmap : str, optional
        A Matplotlib colour map instead of the usual one.
    digits : int, default 2
        Decimals of the numbers; they are left out above 20 columns.

    Returns
    -------
    Figure

    Raises
    ------
    UsageError
        If the shape does not fit the names.
    """
    table = np.asarray(values, dtype="float64")
    if table.shape != (len(rows), len(columns)):
        raise UsageError(f"{table.shape} values for {len(rows)} rows and {len(columns)} columns")
    width = min(9.5, max(4.2, 1.6 + 0.62 * len(columns)))
    figure, (axis,) = new_figure(width=width, height=max(1.6, 1.0 + 0.34 * len(rows)))
    finite = table[np.isfinite(table)]
    limits = (float(finite.min()), float(finite.max())) if finite.size else None
    norm, colour_map = _norm(table, limits, diverging), _colour_map(cmap, diverging)
    image = axis.pcolormesh(table, norm=norm, cmap=colour_map, edgecolors="none")
    axis.set_facecolor(NOTHING)
    axis.invert_yaxis()
    axis.grid(False)
    axis.set_xticks(np.arange(len(columns)) + 0.5, [str(name) for name in columns])
    axis.set_yticks(np.arange(len(rows)) + 0.5, [str(name) for name in rows])
    axis.tick_params(length=0)
    axis.set(xlabel=column_label, ylabel=row_label, title=title)
    for spine in axis.spines.values():
        spine.set_visible(False)
    if len(columns) <= 20:
        for (i, j), value in np.ndenumerate(table):
            if np.isfinite(value):
                dark = _luminance(colour_map(norm(value))) < 0.2
                axis.text(
                    j + 0.5,
                    i + 0.5,
                    f"{value:.{digits}f}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="#fefefe" if dark else "#1a1a1a",
                )
    bar = figure.colorbar(image, ax=axis, label=label, pad=0.02)
    bar.outline.set_visible(False)
    return figure


def _luminance(colour: Sequence[float]) -> float:
    """Give the relative luminance of an sRGB colour (WCAG 2.2), which decides on black or white text."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
