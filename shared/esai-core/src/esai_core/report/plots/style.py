"""The look that all plots share, and their twins for dark screens."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

__all__ = ["DIVERGING", "INK", "PALETTE", "SEQUENTIAL", "colours", "darken", "new_figure", "styled"]

INK, SOFT, GRID, PAPER, NOTHING = "#1f2933", "#52606d", "#d9dee3", "#ffffff", "#e4e7eb"
_DARK = {INK: "#e6eaee", SOFT: "#a8b3bd", GRID: "#39444f", PAPER: "#161c22", NOTHING: "#2a333c"}
_DARK |= {"#000000": _DARK[INK]}

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f8c8d")
"""Okabe and Ito's colours for colour-blind readers (J*Fly, 2008), less the yellow that paper swallows."""

SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"

_STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": SOFT,
    "axes.titlecolor": INK,
    "axes.facecolor": PAPER,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "text.color": INK,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "svg.hashsalt": "esai",
    "path.simplify": True,
}

P = ParamSpec("P")
R = TypeVar("R")


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Draw what `function` draws in the shared style (a decorator for the plots of the packages)."""

    @functools.wraps(function)
    def draw(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(_STYLE):
            return function(*args, **kwargs)

    return draw


@styled
def new_figure(
    *, rows: int = 1, columns: int = 1, width: float = 7.0, height: float = 3.4, **settings: Any
) -> tuple[Figure, list[Axes]]:
    """Make a figure that no global state knows of.

    Parameters
    ----------
    rows, columns : int
        Grid of axes.
    width, height : float
        Inches.
    **settings
        Further arguments of `matplotlib.figure.Figure.subplots`.

    Returns
    -------
    tuple of Figure and list of Axes
        The axes row by row.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **settings)
    return figure, list(axes.ravel())


def colours(names: Iterable[str], *, highlight: str | None = None) -> dict[str, dict[str, Any]]:
    """Give each method its line style: the same in every plot that lists the same methods.

    Parameters
    ----------
    names : iterable of str
        Methods, in the order of the legend.
    highlight : str, optional
        The one to stand out (the delivered one): thicker and on top.

    Returns
    -------
    dict of str to dict
        ``color``, ``linestyle``, ``marker``, ``linewidth`` and ``zorder`` for `Axes.plot`. ``raw`` is grey.
    """
    styles: dict[str, dict[str, Any]] = {}
    number = 0
    for name in names:
        if name == "raw":
            colour, turn = SOFT, 0
        else:
            colour, turn = PALETTE[number % (len(PALETTE) - 1)], number // (len(PALETTE) - 1)
            number += 1
        front = name == highlight
        styles[name] = {
            "color": colour,
            "linestyle": ("-", "--", ":")[turn % 3],
            "marker": ("o", "s", "^")[turn % 3],
            "linewidth": 2.8 if front else 1.6,
            "zorder": 3 if front else 2,
        }
    return styles


def darken(figure: Figure) -> None:
    """Swap the colours of paper, ink and grid for those of a dark screen; the data's colours stay.

    Parameters
    ----------
    figure : Figure
        Changed in place, so save the light one first.
    """
    for artist in figure.findobj():
        for kind in ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor"):
            getter, setter = getattr(artist, f"get_{kind}", None), getattr(artist, f"set_{kind}", None)
            if getter is not None and setter is not None:
                swapped = _swap(getter())
                if swapped is not None:
                    setter(swapped)


def _swap(value: Any) -> Any:
    """Give the dark twin of a colour (or of each of a list), None where there is nothing to swap."""
    if value is None or (isinstance(value, str) and value in ("none", "auto")):
        return None
    try:
        twin = _DARK.get(to_hex(value))
    except (ValueError, TypeError):
        return _swap_each(value)
    alpha = float(value[3]) if not isinstance(value, str) and len(value) == 4 else 1.0
    return None if twin is None or alpha == 0 else (twin, alpha)


def _swap_each(values: Sequence[Any]) -> list[Any] | None:
    if isinstance(values, str) or not hasattr(values, "__len__") or len(values) > 64:
        return None  # a field of colours: data
    swapped = [_swap(value) for value in values]
    if all(twin is None for twin in swapped):
        return None
    return [value if twin is None else twin for value, twin in zip(values, swapped, strict=True)]
