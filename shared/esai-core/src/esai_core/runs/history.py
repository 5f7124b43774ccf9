"""history.csv: a line per epoch (or step) of a training."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from esai_core.errors import EsaiError, InputError

__all__ = ["add_row", "read_history"]


def add_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append a row; the first one fixes the columns.

    Parameters
    ----------
    path : Path
        ``history.csv``; made with a header when missing or empty.
    row : mapping of str to number
        ``epoch, step, loss, val_loss, ...``. Floats are written to the last bit.

    Raises
    ------
    EsaiError
        If the columns are not those of the file.
    """
    values = {name: value.item() if hasattr(value, "item") else value for name, value in row.items()}
    columns = _columns(path)
    if columns and columns != list(values):
        raise EsaiError(f"columns {list(values)} do not fit {columns}", where=path)
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    if not columns:
        writer.writerow(values)
    writer.writerow(["" if value is None else value for value in values.values()])
    with path.open("a", newline="") as file:
        file.write(line.getvalue())


def _columns(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return next(csv.reader(file), [])


def read_history(path: str | Path) -> list[dict[str, float | None]]:
    """Read history.csv; empty cells become None.

    Raises
    ------
    InputError
        If the file is missing or a cell is no number.
    """
    path = Path(path)
    try:
        with path.open(newline="") as file:
            return [{k: float(v) if v else None for k, v in row.items()} for row in csv.DictReader(file)]
    except FileNotFoundError:
        raise InputError("no such file", where=path) from None
    except (ValueError, TypeError) as error:
        raise InputError(f"not a training history: {error}", where=path) from None
