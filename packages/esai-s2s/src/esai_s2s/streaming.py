"""Work on all cells a few latitudes at a time: the same numbers in one process, several, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from esai_core.progress import track
from esai_core.runs import RunFolder
from esai_s2s.config import S2sConfig
from esai_s2s.data import grid_of

__all__ = ["Chunk", "Each", "Layout", "crew", "make_layout"]

T = TypeVar("T")


@dataclass(frozen=True)
class Chunk:
    """Some latitudes of one variable.

    Attributes
    ----------
    variable : str
    number : int
        Counted from 0 for each variable.
    first, last : int
        Latitudes by their place in the files, `last` excluded; both 0 for a single series.
    width : int
        Longitudes; 0 for a single series.
    """

    variable: str
    number: int
    first: int = 0
    last: int = 0
    width: int = 0

    @property
    def rows(self) -> slice | None:
        """Latitudes to read."""
        return slice(self.first, self.last) if self.width else None

    @property
    def part(self) -> str:
        """Name of its files."""
        return f"{self.number:03d}"


@dataclass(frozen=True, eq=False)
class Layout:
    """The grid of one variable, and how it is cut.

    Attributes
    ----------
    variable : str
    latitude, longitude : array or None
        As in the files; None for a single series.
    chunks : tuple of Chunk
    """

    variable: str
    latitude: np.ndarray | None
    longitude: np.ndarray | None
    chunks: tuple[Chunk, ...]

    def save(self, path: Path) -> None:
        """Write to one .npz file."""
        rows = np.array([(chunk.first, chunk.last) for chunk in self.chunks])
        axes = {name: getattr(self, name) for name in ("latitude", "longitude")}
        np.savez(path, rows=rows, **{name: axis for name, axis in axes.items() if axis is not None})

    @classmethod
    def load(cls, path: Path, variable: str) -> Layout:
        """Read what `save` wrote."""
        with np.load(path) as kept:
            latitude, longitude = kept.get("latitude"), kept.get("longitude")
            rows = kept["rows"].tolist()
        width = 0 if longitude is None else len(longitude)
        chunks = tuple(Chunk(variable, i, a, b, width) for i, (a, b) in enumerate(rows))
        return cls(variable, latitude, longitude, chunks)


def make_layout(config: S2sConfig, variable: str) -> Layout:
    """Cut the grid of a variable into runs of latitudes of at most ``data.chunk_cells`` cells (or one)."""
    grid = grid_of(config, variable)
    if grid is None:
        return Layout(variable, None, None, (Chunk(variable, 0),))
    height, width = (len(axis) for axis in grid)
    step = max(1, config.data.chunk_cells // width)
    firsts = range(0, height, step)
    chunks = tuple(
        Chunk(variable, i, first, min(first + step, height), width) for i, first in enumerate(firsts)
    )
    return Layout(variable, *grid, chunks)


class Each(Protocol):
    """Calls a function on each of several lists of arguments, and gives the results in their order."""

    def __call__(self, function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], label: str) -> list[T]:
        """Do it; `label` is shown where progress is."""


@contextmanager
def crew(run: RunFolder) -> Iterator[Each]:
    """Give who does the work over chunks, as long as the context is open.

    With ``--cluster`` that is the dask cluster that is connected, with ``--workers N`` N processes, else this
    process, one job after the other. What they read and write in the run folder must lie on a disk that all
    share.
    """
    if run.cluster:
        yield _on_dask
    elif (run.workers or 1) < 2:
        yield _here
    else:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        pool = ProcessPoolExecutor(run.workers, mp_context=get_context("spawn"))
        try:
            yield partial(_in_processes, pool)
        finally:
            pool.shutdown(cancel_futures=True)


def _here(function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], label: str) -> list[T]:
    return [function(*job) for job in track(jobs, total=len(jobs), label=label)]


def _on_dask(function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], label: str) -> list[T]:
    from dask import base
    from dask.delayed import delayed

    compute: Callable[..., tuple[T, ...]] = base.compute
    call = delayed(function, pure=False)
    return list(compute(*(call(*job) for job in jobs)))


def _in_processes(
    pool: Executor, function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], label: str
) -> list[T]:
    if len(jobs) == 1:
        return _here(function, jobs, label)
    waiting = [pool.submit(function, *job) for job in jobs]
    return [one.result() for one in track(waiting, total=len(jobs), label=label)]
