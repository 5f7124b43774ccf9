"""Arrays in files, for series that are larger than memory."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "BLOCK_BYTES",
    "Scratch",
    "block_length",
    "evenly",
    "few_threads",
    "lazy_rows",
    "room",
    "slices",
]

BLOCK_BYTES = 16 << 20
"""Size of one array of a block; a step holds a few tens of them at a time."""


@dataclass(frozen=True)
class Scratch:
    """An array in a ``.npy`` file of which every access reads or writes a part.

    It stands where a function takes an array only to index it. The file is mapped for the time of an access,
    so what was read before does not stay in memory, and the object can be sent to other processes.

    Attributes
    ----------
    path : Path
    shape : tuple of int
    dtype : numpy.dtype
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def create(cls, path: Path, shape: Sequence[int], dtype: DTypeLike = np.float32) -> Self:
        """Make a file of zeros; its room on the disk is taken at once.

        Raises
        ------
        OSError
            If there is not enough of it: a mapped file that met a full disk later would end the process.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        made = open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=tuple(shape))
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        return cls(path, made.shape, made.dtype)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Take a file that `create` made."""
        found = np.load(path, mmap_mode="r")
        return cls(path, found.shape, found.dtype)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        return np.array(np.load(self.path, mmap_mode="r")[key])

    def __setitem__(self, key: Any, values: Any) -> None:
        np.load(self.path, mmap_mode="r+")[key] = values


def block_length(*shape: int, itemsize: int = 4) -> int:
    """Count the rows of a `shape` that make an array of `BLOCK_BYTES`, at least one."""
    return max(1, BLOCK_BYTES // (itemsize * math.prod(shape)))


def slices(count: int, length: int) -> Iterator[slice]:
    """Cut `count` rows into blocks of a length."""
    for begin in range(0, count, length):
        yield slice(begin, min(begin + length, count))


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Take at most `most` of `count` places, evenly spread; all of them where they are no more."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def lazy_rows(
    make: Callable[[slice], NDArray[np.float32]], count: int, length: int, shape: Sequence[int]
) -> Any:
    """Make an array of dask of a function that gives some rows.

    Parameters
    ----------
    make : callable
        ``make(rows)`` gives an array ``(row, *shape)``, float32.
    count, length : int
        Rows in all, and in a block.
    shape : sequence of int
        Of a row.

    Returns
    -------
    dask.array.Array
        ``(row, *shape)``.
    """
    import dask.array as da

    places = da.arange(count, chunks=length, dtype=np.int64)
    return places.map_blocks(
        lambda block: make(slice(int(block[0]), int(block[-1]) + 1)),
        name=f"rows-{uuid4().hex}",
        new_axis=list(range(1, 1 + len(shape))),
        chunks=(places.chunks[0], *((size,) for size in shape)),
        dtype=np.float32,
        meta=np.empty((0,) * (1 + len(shape)), np.float32),
    )


@contextlib.contextmanager
def room(folder: Path) -> Iterator[Path]:
    """Give a folder for files that are needed for a while; it is empty before and gone after."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def few_threads() -> Iterator[None]:
    """Have dask work on two blocks at a time, on a machine of any size: memory grows with their number."""
    import dask

    with dask.config.set(num_workers=2):
        yield
