"""Examples read from chunked arrays (Zarr) while training: shuffled across chunks, in bounded memory.

Chunks are dealt to a few lanes; a lane mixes the examples of a few chunks at a time, and the batches take one
example of each lane in turn. A worker's share of every batch comes from its own lanes, so each of 2 or 4
workers decodes only its part of the chunks, and yet all numbers of workers see the same batches.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import InputError, UsageError

__all__ = ["Stream"]

Prepare = Callable[[dict[str, np.ndarray], dict[str, np.ndarray]], tuple]


class Stream:
    """A `Source` of examples from lazy arrays.

    Parameters
    ----------
    arrays : mapping of str to DataArray
        What an example consists of. Each has the dims `sample` (which become the examples) and any others;
        lazy ones, as ``xarray.open_zarr(..., chunks=None)`` or `esai_core.io.open_dataset` give, are read
        chunk by chunk. Dims beyond `sample` must fit into memory a few chunks at a time.
    prepare : callable
        ``prepare(values, index) -> (inputs, targets)`` or ``(inputs, targets, weights)``: from the arrays by
        name, ``(example, ...)``, and the position of each example along each dim of `sample`.
    sample : sequence of str
        Dims whose combinations are the examples: ``("time",)``, or ``("start", "lead", "number")`` to take
        every member of every lead by itself.
    select : array of int, optional
        Numbers of the examples to use (row-major over `sample`); those of a split, say. All by default.
    patch : tuple of int, optional
        Rows and columns of a window, drawn anew for every example and epoch; all arrays with the dims
        ``latitude`` and ``longitude`` must then share one grid, and get them last. Whole fields by default.
    lanes : int
        See above; workers should divide it.
    mix : int
        Chunks that a lane mixes.

    Raises
    ------
    InputError
        If arrays do not fit together.
    UsageError
        For a patch larger than the grid.
    """

    def __init__(
        self,
        arrays: Mapping[str, xr.DataArray],
        prepare: Prepare,
        *,
        sample: Sequence[str] = ("time",),
        select: np.ndarray | None = None,
        patch: tuple[int, int] | None = None,
        lanes: int = 4,
        mix: int = 2,
    ) -> None:
        self.sample = tuple(sample)
        self.arrays = {name: _leading(array, name, self.sample) for name, array in arrays.items()}
        self.prepare, self.patch, self.lanes, self.mix = prepare, patch, lanes, mix
        sizes = {tuple(array.sizes[dim] for dim in self.sample) for array in self.arrays.values()}
        if len(sizes) != 1:
            raise InputError(f"arrays with {sorted(sizes)} examples along {', '.join(self.sample)}")
        (self.shape,) = sizes
        self.select = np.arange(np.prod(self.shape)) if select is None else np.asarray(select, "int64")
        self.chunks = tuple(max(_chunk(array, dim) for array in self.arrays.values()) for dim in self.sample)
        self._check_patch()
        self._blocks: OrderedDict[tuple[int, ...], dict[str, np.ndarray]] = OrderedDict()

    def _check_patch(self) -> None:
        if self.patch is None:
            return
        grids = {
            array.shape[-2:] for array in self.arrays.values() if array.dims[-2:] == ("latitude", "longitude")
        }
        if len(grids) != 1:
            raise InputError(f"patches need one grid, there are {sorted(grids)}")
        (grid,) = grids
        if any(size > whole for size, whole in zip(self.patch, grid, strict=True)):
            raise UsageError(f"a patch of {self.patch} on a grid of {grid}", where="patch")

    def __len__(self) -> int:
        return len(self.select)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_blocks": OrderedDict()}

    def order(self, epoch: int, seed: int) -> np.ndarray:
        """Shuffle the chunks over the lanes, and the examples of each few chunks of a lane.

        The numbers hold the epoch too, so that `read` draws other patches in each.
        """
        random = np.random.default_rng([seed, epoch])
        keys = np.ravel_multi_index(
            tuple(i // c for i, c in zip(self._positions(), self.chunks, strict=True)), self._grid
        )
        by_block = np.argsort(keys, kind="stable")
        blocks = np.split(by_block, np.flatnonzero(np.diff(keys[by_block])) + 1)
        shuffled = [blocks[number] for number in random.permutation(len(blocks))]
        lanes = []
        for lane in range(self.lanes):
            own = shuffled[lane :: self.lanes]
            groups = [np.concatenate(own[i : i + self.mix]) for i in range(0, len(own), self.mix)]
            lanes.append(np.concatenate([random.permutation(group) for group in groups]) if groups else own)
        return _interleave([np.asarray(lane, "int64") for lane in lanes]) + epoch * len(self)

    @property
    def _grid(self) -> tuple[int, ...]:
        return tuple(-(-size // chunk) for size, chunk in zip(self.shape, self.chunks, strict=True))

    def _positions(self, rows: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
        chosen = self.select if rows is None else self.select[rows]
        return tuple(np.unravel_index(chosen, self.shape))

    def read(self, numbers: np.ndarray) -> tuple:
        """Read some examples, decoding the chunks that are not held."""
        epochs, rows = np.divmod(numbers, len(self))
        index = self._positions(rows)
        keys = np.stack([i // c for i, c in zip(index, self.chunks, strict=True)], axis=1)
        values: dict[str, np.ndarray] = {}
        for key in np.unique(keys, axis=0):
            here = np.flatnonzero((keys == key).all(axis=1))
            block = self._block(tuple(int(k) for k in key))
            local = tuple(i[here] - k * c for i, k, c in zip(index, key, self.chunks, strict=True))
            for name, array in block.items():
                picked = array[local]
                if name not in values:
                    values[name] = np.empty((len(rows), *picked.shape[1:]), picked.dtype)
                values[name][here] = picked
        if self.patch is not None:
            values = self._cut(values, epochs, rows)
        return self.prepare(values, dict(zip(self.sample, index, strict=True)))

    def _block(self, key: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Give the arrays of one chunk of examples, from those held or from the store."""
        if key not in self._blocks:
            while len(self._blocks) >= self.lanes * (self.mix + 1):
                self._blocks.popitem(last=False)
            where = {
                dim: slice(k * chunk, (k + 1) * chunk)
                for dim, k, chunk in zip(self.sample, key, self.chunks, strict=True)
            }
            self._blocks[key] = {name: array.isel(where).values for name, array in self.arrays.items()}
        self._blocks.move_to_end(key)
        return self._blocks[key]

    def _cut(
        self, values: dict[str, np.ndarray], epochs: np.ndarray, rows: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Cut a window out of every field, at a place that depends on example and epoch alone."""
        height, width = self.patch or (0, 0)
        spatial = [
            name for name, array in self.arrays.items() if array.dims[-2:] == ("latitude", "longitude")
        ]
        grid = values[spatial[0]].shape[-2:]
        corners = [
            np.random.default_rng([int(epoch), int(row)]).integers(
                0, [grid[0] - height + 1, grid[1] - width + 1]
            )
            for epoch, row in zip(epochs, rows, strict=True)
        ]
        cut = dict(values)
        for name in spatial:
            cut[name] = np.stack(
                [
                    v[..., i : i + height, j : j + width]
                    for v, (i, j) in zip(values[name], corners, strict=True)
                ]
            )
        return cut


def _leading(array: xr.DataArray, name: str, sample: tuple[str, ...]) -> xr.DataArray:
    missing = [dim for dim in sample if dim not in array.dims]
    if missing:
        raise InputError(f"no dim {', '.join(missing)}", where=f"{name} {array.dims}")
    return array.transpose(*sample, ...)


def _chunk(array: xr.DataArray, dim: str) -> int:
    """Give the size of the stored (or lazy) chunks along a dim; 1 for what is in memory or not chunked."""
    if array.chunks is not None:
        return int(array.chunksizes[dim][0])
    return int(array.encoding.get("preferred_chunks", {}).get(dim, 1))


def _interleave(lanes: list[np.ndarray]) -> np.ndarray:
    """Take one of each lane in turn; what longer lanes have left comes last."""
    shortest = min(len(lane) for lane in lanes)
    even = np.stack([lane[:shortest] for lane in lanes], axis=1).ravel()
    return np.concatenate([even, *(lane[shortest:] for lane in lanes)])
