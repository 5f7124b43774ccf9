"""Filling by empirical orthogonal functions (DINEOF), and by interpolation in time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from esai_core.errors import UsageError
from esai_core.tasks.scratch import Scratch, block_length, slices

__all__ = ["Matrix", "choose_modes", "fill_eof", "interpolate_in_time"]

Matrix = NDArray[np.float32] | Scratch


def fill_eof(
    anomalies: Matrix, made: Matrix, *, modes: int, tolerance: float = 1e-3, iterations: int = 100
) -> None:
    r"""Reconstruct a series from its leading EOFs, found with its gaps in place.

    Gaps start at 0 (the climatology); then, until they change no more: truncate the singular value
    decomposition of the filled matrix after `modes`, and put its values into the gaps (Beckers & Rixen, 2003,
    J. Atmos. Ocean. Technol., section 2).

    The matrix is gone through in blocks along its longer side; each round reads and writes it once. Of its
    shorter side `n`, the Gram matrix (`n` x `n`, float64) and its leading eigenvectors are held in memory.

    Parameters
    ----------
    anomalies : array or Scratch (time, cell)
        NaN in the gaps.
    made : array or Scratch (time, cell), float32
        First guess of the gaps; becomes the reconstruction everywhere, observed cells too.
    modes : int
        Number of EOFs.
    tolerance : float
        Root mean square change of the gaps at which it stops, in standard deviations of what is there.
    iterations : int
        Most rounds.
    """
    wide = anomalies.shape[0] <= anomalies.shape[1]
    size = min(anomalies.shape)
    gram, square, there = np.zeros((size, size)), 0.0, 0
    for block in _blocks(anomalies.shape):
        seen = anomalies[block]
        square += np.nansum(np.square(seen, dtype=np.float64))
        there += int(np.count_nonzero(~np.isnan(seen)))
        _add_gram(gram, np.where(np.isnan(seen), made[block], seen), wide)
    scale = float(np.sqrt(square / there)) or 1.0
    for _ in range(iterations):
        leading = linalg.eigh(gram, subset_by_index=[max(0, size - modes), size - 1], overwrite_a=True)[1]
        leading = leading.astype(np.float32)
        gram, change, missing = np.zeros((size, size)), 0.0, 0
        for block in _blocks(anomalies.shape):
            seen, before = anomalies[block], made[block]
            gaps = np.isnan(seen)
            filled = np.where(gaps, before, seen)
            after = leading @ (leading.T @ filled) if wide else (filled @ leading) @ leading.T
            change += np.sum(np.square((after - before)[gaps], dtype=np.float64))
            missing += int(np.count_nonzero(gaps))
            made[block] = after
            _add_gram(gram, np.where(gaps, after, seen), wide)
        if not missing or np.sqrt(change / missing) < tolerance * scale:
            return


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Cut a matrix along its longer side."""
    wide = shape[0] <= shape[1]
    for part in slices(max(shape), block_length(min(shape), itemsize=8)):
        yield (slice(None), part) if wide else (part, slice(None))


def _add_gram(gram: NDArray[np.float64], block: NDArray[np.float32], wide: bool) -> None:
    """Add a block's part to the Gram matrix of the shorter side, in place."""
    exact = block.astype(np.float64)
    gram += exact @ exact.T if wide else exact.T @ exact


def choose_modes(
    seen: Matrix, held: Matrix, made: Matrix, modes: Sequence[int], *, tolerance: float, iterations: int
) -> dict[int, float]:
    """Score numbers of modes on cells kept back, as DINEOF does, but in blobs like the gaps.

    Parameters
    ----------
    seen : array or Scratch (time, cell)
        NaN in the gaps and where kept back.
    held : array or Scratch (time, cell)
        Values of the cells kept back, NaN elsewhere.
    made : array or Scratch (time, cell), float32
        Zeros; taken as room to work in.
    modes : sequence of int
        Numbers to try; more than the shorter side of the matrix less one are left out.
    tolerance, iterations
        As in `fill_eof`.

    Returns
    -------
    dict of int to float
        Root mean square error at the cells kept back.
    """
    most = min(seen.shape) - 1
    tried = sorted({number for number in modes if number <= most})
    count = sum(np.count_nonzero(~np.isnan(held[block])) for block in _blocks(held.shape))
    if not tried or not count:
        raise UsageError(f"no number of modes up to {most} to choose from, or nothing kept back")
    errors = {}
    for number in tried:  # each begins with what the one before has filled
        fill_eof(seen, made, modes=number, tolerance=tolerance, iterations=iterations)
        squares = [
            np.nansum(np.square(made[block] - held[block], dtype=np.float64)) for block in _blocks(held.shape)
        ]
        errors[number] = float(np.sqrt(sum(squares) / count))
    return errors


def interpolate_in_time(anomalies: NDArray) -> NDArray[np.float32]:
    """Fill each cell linearly between the times that are there, and with the nearest beyond them.

    Parameters
    ----------
    anomalies : array (time, cell)
        NaN in the gaps; a cell without any value becomes 0.
    """
    filled = np.array(anomalies, np.float32)
    steps = np.arange(len(filled))
    for cell in np.flatnonzero(np.isnan(filled).any(0)):
        known = np.flatnonzero(~np.isnan(filled[:, cell]))
        filled[:, cell] = np.interp(steps, known, filled[known, cell]) if len(known) else 0.0
    return filled
