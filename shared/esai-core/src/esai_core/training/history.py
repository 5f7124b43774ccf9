"""What a training run was like, epoch by epoch."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esai_core.io.atomic import atomic_path

__all__ = ["History"]


@dataclass
class History:
    """Losses of a training run.

    Attributes
    ----------
    rows : list of dict
        One per epoch: ``epoch, step, loss, val_loss`` (and ``val_...`` of the metrics), ``lr, seconds``. Row
        0 is the untrained model (its loss is NaN). Losses are means over examples; seconds are of the epoch.
    best_epoch : int or None
        Epoch whose weights were kept (0: the untrained model); None without validation: the last.
    stopped : bool
        Whether patience ended the training early.
    model : keras.Model or None
        The trained model.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int | None = None
    stopped: bool = False
    model: Any = None

    @property
    def best(self) -> dict[str, float]:
        """The row of the epoch whose weights were kept."""
        return self.rows[-1] if self.best_epoch is None else self.rows[self.best_epoch]

    def column(self, name: str) -> list[float]:
        """Give one value of every row."""
        return [row[name] for row in self.rows]

    def write(self, path: Path) -> None:
        """Write the rows as CSV, NaN as an empty field."""
        names = list(self.rows[0]) if self.rows else ["epoch", "step", "loss", "val_loss", "lr", "seconds"]
        with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names, lineterminator="\n")
            writer.writeheader()
            for row in self.rows:
                writer.writerow({key: "" if math.isnan(value) else value for key, value in row.items()})
