"""The parts of a split: positions of samples, checked when made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import UsageError

Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fold:
    """Positions of the training and of the test samples of one fold.

    Attributes
    ----------
    train, test : array of int
        Sorted, disjoint, not empty.
    name : str
        What is held out, for messages and tables.
    inner : tuple of Fold
        Folds within `train` (positions in the whole sample) for choices made inside this fold.
    """

    train: Positions
    test: Positions
    name: str = ""
    inner: tuple[Fold, ...] = ()

    def __post_init__(self) -> None:
        _check_parts({"train": self.train, "test": self.test}, where=self.name)


@dataclass(frozen=True, eq=False)
class Split:
    """Positions of the training, validation (may be empty) and test samples."""

    train: Positions
    validate: Positions
    test: Positions

    def __post_init__(self) -> None:
        parts = {"train": self.train, "test": self.test}
        if len(self.validate):
            parts["validate"] = self.validate
        _check_parts(parts, where="split")

    @property
    def development(self) -> Positions:
        """Training and validation samples together: what a chosen method is refitted on."""
        return np.union1d(self.train, self.validate)


def _check_parts(parts: dict[str, Positions], *, where: str) -> None:
    for name, part in parts.items():
        if len(part) == 0:
            raise UsageError(f"the {name} part is empty", where=where or None)
    together = np.concatenate(list(parts.values()))
    if len(np.unique(together)) < len(together):
        raise UsageError(f"{', '.join(parts)} share samples", where=where or None)


def positions(mask: NDArray[np.bool_]) -> Positions:
    """Return where `mask` is true, as sorted positions."""
    return np.flatnonzero(mask).astype(np.int64)


def with_inner(fold: Fold, make: Callable[[Positions], Sequence[Fold]]) -> Fold:
    """Return `fold` with folds of its training samples, for choices that may not see its test samples.

    Parameters
    ----------
    fold : Fold
        The outer fold.
    make : callable
        From the positions of the training samples to folds of them, counted within those positions, for
        example ``lambda train: k_fold(stations[train], k=5)``.
    """
    inner = tuple(
        Fold(fold.train[part.train], fold.train[part.test], name=part.name) for part in make(fold.train)
    )
    return replace(fold, inner=inner)
