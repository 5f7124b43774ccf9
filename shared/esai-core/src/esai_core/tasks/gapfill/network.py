"""A U-Net that refines what the EOFs fill, trained on gaps that are made for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_core.tasks.gapfill.blobs import CHOOSE, cut_blobs, noise_blocks
from esai_core.tasks.gapfill.config import GapfillConfig
from esai_core.tasks.gapfill.eof import Matrix, fill_eof
from esai_core.tasks.gapfill.work import Work
from esai_core.tasks.scratch import Scratch
from esai_core.training.order import shuffled

__all__ = [
    "FILLING",
    "Filled",
    "Fillings",
    "draw_examples",
    "examples",
    "fill",
    "places",
    "refine",
    "targets",
    "train_network",
]

FILLING = "EOF filling (first guess)"
"""Name of the first guess among the inputs."""


@dataclass(frozen=True)
class Filled:
    """What is seen, and what the EOFs make of it: ``(time, cell)``, standardised; NaN where not seen."""

    seen: Matrix
    made: Matrix


def examples(
    filled: Filled, sea: NDArray[np.bool_], times: NDArray[np.int64], *, window: int
) -> dict[str, NDArray[np.float32]]:
    """Make the inputs of the network for some times.

    Parameters
    ----------
    filled : Filled
    sea : array (latitude, longitude) of bool
        Where the cells lie.
    times : array of int
    window : int
        Times before and after that are seen; those beyond the ends are not there.

    Returns
    -------
    dict
        ``values``, ``mask`` ``(time, latitude, longitude, 2 (2 window + 1))``: anomalies that are seen, and
        the EOF filling, of each time of the window; and whether they are there. ``baseline`` ``(..., 1)``:
        the filling of the time itself.
    """
    last = len(filled.seen) - 1
    values: list[NDArray] = []
    mask: list[NDArray] = []
    for offset in range(-window, window + 1):
        at = times + offset
        inside = ((at >= 0) & (at <= last))[:, None]
        seen, made = (part[at.clip(0, last)] for part in (filled.seen, filled.made))
        there = ~np.isnan(seen) & inside
        values += [np.where(there, seen, 0), np.where(inside, made, 0)]
        mask += [there, np.broadcast_to(inside, made.shape)]
    baseline = filled.made[times]
    return {
        "values": _on_grid(np.stack(values, axis=-1), sea),
        "mask": _on_grid(np.stack(mask, axis=-1), sea),
        "baseline": _on_grid(baseline[..., None], sea),
    }


def places(window: int) -> dict[str, list[tuple[str, Any]]]:
    """Name the inputs, and tell where each stands in `examples`: values go with their mask."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for number, offset in enumerate(range(-window, window + 1)):
        when = f"{abs(offset)} {'before' if offset < 0 else 'after'}" if offset else "of the time"
        for name, channel in (("seen", 2 * number), ("EOF filling", 2 * number + 1)):
            found[f"{name} {when}"] = [(part, (..., channel)) for part in ("values", "mask")]
    return found | {FILLING: [("baseline", ...)]}


def targets(
    seen: Matrix, truth: Matrix, sea: NDArray[np.bool_], times: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Give the truth of what is not seen: ``(time, latitude, longitude, 1)``, NaN elsewhere."""
    asked = np.where(np.isnan(seen[times]), truth[times], np.nan)
    return _on_grid(asked[..., None], sea, np.nan)


def _on_grid(values: NDArray, sea: NDArray[np.bool_], land: float = 0.0) -> NDArray[np.float32]:
    """Put ``(time, cell, channel)`` onto the grid."""
    made = np.full((len(values), *sea.shape, values.shape[-1]), land, np.float32)
    made[:, sea] = values
    return made


@dataclass(frozen=True)
class Fillings:
    """A `esai_core.training.data.Source` that reads the examples of a batch from files.

    Attributes
    ----------
    truth : array or Scratch (time, cell)
        What the network is asked for, where it is not seen; NaN where nothing is known.
    draws : sequence of Filled
        Different gaps in the same series.
    times : array of int
        Times to take of each draw.
    sea : array (latitude, longitude) of bool
    window : int
    """

    truth: Matrix
    draws: Sequence[Filled]
    times: NDArray[np.int64]
    sea: NDArray[np.bool_]
    window: int

    def __len__(self) -> int:
        return len(self.draws) * len(self.times)

    def order(self, epoch: int, seed: int) -> NDArray[np.int64]:
        """Shuffle the examples for an epoch."""
        return shuffled(len(self), epoch=epoch, seed=seed)

    def read(self, numbers: NDArray[np.int64]) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
        """Give inputs and targets of some examples; targets are NaN where nothing is asked."""
        drawn, places = np.divmod(numbers, len(self.times))
        parts = []
        for draw in np.unique(drawn):
            here = np.flatnonzero(drawn == draw)
            parts.append((here, *self._of(self.draws[draw], self.times[places[here]])))
        back = np.argsort(np.concatenate([here for here, _, _ in parts]))
        inputs = {name: np.concatenate([made[name] for _, made, _ in parts])[back] for name in parts[0][1]}
        return inputs, np.concatenate([asked for _, _, asked in parts])[back]

    def _of(self, filled: Filled, times: NDArray[np.int64]) -> tuple[dict[str, NDArray], NDArray]:
        inputs = examples(filled, self.sea, times, window=self.window)
        return inputs, targets(filled.seen, self.truth, self.sea, times)


def fill(seen: Matrix, path: Path, modes: int, config: GapfillConfig) -> Filled:
    """Fill by EOFs, into a file."""
    made = Scratch.create(path, seen.shape)
    fill_eof(seen, made, modes=modes, tolerance=config.eof.tolerance, iterations=config.eof.iterations)
    return Filled(seen, made)


def draw_gaps(
    rng: np.random.Generator, work: Work, learn: Scratch, path: Path, config: GapfillConfig
) -> Scratch:
    """Write what may be learnt from with new gaps, of the size of the test's."""
    hide, seen = config.hide, Scratch.create(path, learn.shape)
    shape = (work.sea.shape[0], work.sea.shape[1])
    for times, noise in noise_blocks(rng, len(learn), shape, length=hide.length, duration=hide.duration):
        block = learn[times]
        there = np.zeros((len(block), *shape), bool)
        there[:, work.sea] = ~np.isnan(block)
        block[cut_blobs(noise, there, share=hide.share)[:, work.sea]] = np.nan
        seen[times] = block
    return seen


def draw_examples(
    work: Work, learn: Scratch, folder: Path, modes: int, config: GapfillConfig
) -> list[Filled]:
    """Hide other blobs in what may be learnt from, and fill them by EOFs that have not seen them.

    Parameters
    ----------
    work : Work
    learn : Scratch (time, cell)
        What may be learnt from, NaN elsewhere.
    folder : path
        Where the draws are kept.
    modes : int
        Of the EOFs.
    config : GapfillConfig
    """
    rng = np.random.default_rng(config.hide.seed + 1)
    draws = []
    for number in range(config.network.draws):
        seen = draw_gaps(rng, work, learn, folder / f"seen-{number}.npy", config)
        draws.append(fill(seen, folder / f"filled-{number}.npy", modes, config))
    return draws


def train_network(
    work: Work,
    learn: Filled,
    held: Scratch,
    draws: Sequence[Filled],
    *,
    weights: NDArray,
    config: GapfillConfig,
    folder: Path,
    resume: bool,
    workers: int | None,
) -> Any:
    """Train on gaps made in what may be learnt from; validate on the cells kept back to choose by.

    Parameters
    ----------
    work : Work
    learn : Filled
        What may be learnt from, and its filling.
    held : Scratch (time, cell)
        The cells kept back to choose by, NaN elsewhere.
    draws : sequence of Filled
        Of `draw_examples`.
    weights : array (latitude, 1, 1)
        Of the cells in the loss.
    config : GapfillConfig
    folder, resume, workers
        As of `esai_core.training.fit`.

    Returns
    -------
    esai_core.training.History
        With the model.
    """
    from esai_core import nn, training

    network, every = config.network, np.arange(len(held))
    some = np.concatenate([(work.parts[times] == CHOOSE).any((1, 2)) for times in work.blocks()])
    train = Fillings(learn.seen, draws, every, work.sea, network.window)
    check = Fillings(held, [learn], every[some], work.sea, network.window)
    shape = (*work.sea.shape, 2 * (2 * network.window + 1))

    return training.fit(
        lambda: nn.gap_unet(shape, width=network.width, depth=network.depth),
        train,
        check,
        loss=nn.make_loss("mse", weights=weights),
        config=config.train,
        folder=folder,
        resume=resume,
        workers=workers,
    )


def refine(model: Any, filled: Filled, work: Work, path: Path, config: GapfillConfig) -> Scratch:
    """Refine a filling by the network, into a file ``(time, cell)``.

    Parameters
    ----------
    model : keras.Model
    filled : Filled
    work : Work
    path : path
    config : GapfillConfig
    """
    from esai_core import training

    made, window = Scratch.create(path, filled.made.shape), config.network.window
    for times in work.blocks():
        inputs = examples(filled, work.sea, np.arange(times.start, times.stop), window=window)
        refined = training.predict(model, inputs, batch_size=config.train.batch_size)
        made[times] = refined[..., 0][:, work.sea]
    return made
