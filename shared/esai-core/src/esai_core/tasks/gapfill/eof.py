"""Filling by empirical orthogonal functions (DINEOF), and by interpolation in time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import UsageError

__all__ = ["choose_modes", "fill_eof", "interpolate_in_time"]


def fill_eof(
    anomalies: NDArray,
    *,
    modes: int,
    start: NDArray | None = None,
    tolerance: float = 1e-3,
    iterations: int = 100,
) -> NDArray[np.float32]:
    r"""Reconstruct a series from its leading EOFs, found with its gaps in place.

    Gaps start at 0 (the climatology); then, until they change no more: truncate the singular value
    decomposition of the filled matrix after `modes`, and put its values into the gaps (Beckers & Rixen, 2003,
    J. Atmos. Ocean. Technol., section 2).

    Parameters
    ----------
    anomalies : array (time, cell)
        NaN in the gaps.
    modes : int
        Number of EOFs.
    start : array (time, cell), optional
        First guess of the gaps.
    tolerance : float
        Root mean square change of the gaps at which it stops, in standard deviations of what is there.
    iterations : int
        Most rounds.

    Returns
    -------
    array (time, cell), float32
        The reconstruction everywhere, observed cells too.
    """
    gaps = np.isnan(anomalies)
    filled: NDArray[np.float32] = np.where(gaps, 0.0 if start is None else start, anomalies).astype(
        np.float32
    )
    scale = float(np.sqrt(np.nanmean(np.square(anomalies, dtype=np.float64)))) or 1.0
    truncated: NDArray[np.float32] = filled
    for _ in range(iterations):
        truncated = _truncated(filled, modes)
        change = truncated[gaps] - filled[gaps]
        filled[gaps] = truncated[gaps]
        if not gaps.any() or np.sqrt(np.mean(np.square(change))) < tolerance * scale:
            break
    return truncated


def _truncated(matrix: NDArray[np.float32], modes: int) -> NDArray[np.float32]:
    """Best approximation of a rank, by the eigenvectors of the smaller Gram matrix."""
    wide = matrix.shape[0] <= matrix.shape[1]
    gram = matrix @ matrix.T if wide else matrix.T @ matrix
    size = len(gram)
    _, vectors = np.linalg.eigh(gram.astype(np.float64))
    leading = vectors[:, max(0, size - modes) :].astype(np.float32)
    made = leading @ (leading.T @ matrix) if wide else (matrix @ leading) @ leading.T
    return np.asarray(made, np.float32)


def choose_modes(
    anomalies: NDArray, held: NDArray[np.bool_], modes: Sequence[int], *, tolerance: float, iterations: int
) -> dict[int, float]:
    """Score numbers of modes on cells kept back, as DINEOF does, but in blobs like the gaps.

    Parameters
    ----------
    anomalies : array (time, cell)
        NaN in the gaps.
    held : array (time, cell) of bool
        Observed cells to keep back.
    modes : sequence of int
        Numbers to try; more than the shorter side of the matrix less one are left out.
    tolerance, iterations
        As in `fill_eof`.

    Returns
    -------
    dict of int to float
        Root mean square error at the cells kept back.
    """
    most = min(anomalies.shape) - 1
    tried = sorted({number for number in modes if number <= most})
    if not tried or not held.any():
        raise UsageError(f"no number of modes up to {most} to choose from, or nothing kept back")
    seen = np.where(held, np.nan, anomalies)
    errors, guess = {}, None
    for number in tried:
        guess = fill_eof(seen, modes=number, start=guess, tolerance=tolerance, iterations=iterations)
        errors[number] = float(np.sqrt(np.mean(np.square(guess[held] - anomalies[held], dtype=np.float64))))
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
