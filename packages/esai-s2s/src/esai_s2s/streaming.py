"""Work on all cells a few latitudes at a time: the same numbers in one process, several, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from esai_core.progress import track
from esai_core.runs import RunFolder
from esai_s2s.config import S2sConfig
from esai_s2s.data import grid_of

__all__ = ["Chunk", "each", "make_chunks"]

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


def make_chunks(config: S2sConfig, variable: str) -> list[Chunk]:
    """Cut the grid of a variable into runs of latitudes of at most ``data.chunk_cells`` cells (or one)."""
    grid = grid_of(config, variable)
    if grid is None:
        return [Chunk(variable, 0)]
    height, width = (len(axis) for axis in grid)
    step = max(1, config.data.chunk_cells // width)
    firsts = range(0, height, step)
    return [Chunk(variable, i, first, min(first + step, height), width) for i, first in enumerate(firsts)]


def each(
    function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], *, run: RunFolder, label: str
) -> list[T]:
    """Call a function on each of several lists of arguments; the results in their order.

    With ``--cluster`` the calls run on the dask cluster that is connected, with ``--workers N`` in N
    processes, else here one after the other. What they read and write in the run folder must lie on a disk
    that all share.
    """
    if run.cluster:
        import dask

        return list(dask.compute(*(dask.delayed(function, pure=False)(*job) for job in jobs)))
    workers = min(run.workers or 1, len(jobs))
    if workers < 2:
        return [function(*job) for job in track(jobs, total=len(jobs), label=label)]
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(function, *job) for job in jobs]
        try:
            return [one.result() for one in track(waiting, total=len(jobs), label=label)]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
