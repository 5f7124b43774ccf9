"""A figure as data for the page: sharp, self-contained, in a light and a dark version."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["embed"]

_DPI = 170


def embed(figure: Figure) -> tuple[str, str, int]:
    """Render a figure for light and for dark screens and free it.

    Parameters
    ----------
    figure : Figure
        Drawings become SVG, figures with maps or other dense fields PNG. Cleared afterwards.

    Returns
    -------
    tuple of (str, str, int)
        ``data:`` addresses of the light and the dark picture, and its width in CSS pixels.
    """
    from esai_core.report.plots.style import darken

    dense = _is_dense(figure)
    width = round(figure.get_size_inches()[0] * 96)
    light = _render(figure, dense)
    darken(figure)
    dark = _render(figure, dense)
    for axis in list(figure.axes):  # figure.clear() warns of shared log axes before matplotlib 3.11.2
        figure.delaxes(axis)
    return light, dark, width


def _is_dense(figure: Figure) -> bool:
    """Tell whether a drawing would be large as vectors."""
    count = 0
    for axis in figure.axes:
        if axis.images:
            return True
        for collection in axis.collections:
            array = collection.get_array()
            count += 0 if array is None else array.size
        for line in axis.lines:
            count += np.size(line.get_xdata(orig=False))
    return count > 3000


def _render(figure: Figure, dense: bool) -> str:
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "esai", "svg.fonttype": "path"}):
        if dense:
            figure.savefig(
                buffer, format="png", dpi=_DPI, metadata={"Software": None}, facecolor=figure.get_facecolor()
            )
        else:
            figure.savefig(buffer, format="svg", metadata={"Date": None}, facecolor=figure.get_facecolor())
    kind = "png" if dense else "svg+xml"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
