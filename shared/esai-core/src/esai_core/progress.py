"""A progress bar on a terminal, silence anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from esai_core import logs

__all__ = ["track"]

T = TypeVar("T")


def track(iterable: Iterable[T], total: int | None = None, label: str = "") -> Iterator[T]:
    """Yield from an iterable and show on a terminal how far it is.

    Parameters
    ----------
    iterable : iterable
        What to go through.
    total : int, optional
        Its length, where ``len`` does not tell.
    label : str
        What is being done, in a word or two.

    Yields
    ------
    object
        The items, unchanged. Nothing is drawn when stderr is no terminal or the run is quiet (``-q``);
        ``NO_COLOR`` is honoured.
    """
    if logs.is_quiet() or not sys.stderr.isatty():
        yield from iterable
        return
    from rich.console import Console
    from rich.progress import track as rich_track

    yield from rich_track(
        iterable, description=label, total=total, console=Console(stderr=True), transient=True
    )
