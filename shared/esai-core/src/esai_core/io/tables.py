"""Tables as CSV (also compressed) and Parquet."""

from __future__ import annotations

import gzip
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esai_core.errors import InputError, UsageError, nearest
from esai_core.io.atomic import atomic_path

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (",", ";", "\t", "|")


def read_table(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    dates: Sequence[str] = (),
    encoding: str = "utf-8-sig",
    separator: str | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Read a table, told apart by its suffix: ``.csv``, ``.csv.gz``, ``.txt``, ``.parquet``.

    Parameters
    ----------
    path : str or Path
        The file.
    columns : sequence of str, optional
        Columns that must be there; they alone are read, in this order.
    dates : sequence of str
        Columns to read as dates; CSV dates must be in ISO order, others are the caller's to parse.
    encoding : str
        Encoding of a CSV file; a byte-order mark is skipped.
    separator : str, optional
        Separator of a CSV file; found from its first line by default.
    **options
        Passed on to pandas (``na_values``, ``dtype``, ``skiprows`` ...).

    Raises
    ------
    InputError
        If the file is missing, empty, damaged, in another encoding, or lacks a column.
    UsageError
        If it is Parquet and pyarrow is not installed, or if the suffix is unknown.
    """
    import pandas as pd

    target = Path(path)
    if not target.is_file():
        options_there = [p.name for p in target.parent.iterdir()] if target.parent.is_dir() else []
        raise InputError(
            "no such file", where=path, remedy=nearest(target.name, options_there) if options_there else None
        )
    if _suffix(target) == "parquet":
        table = _read_parquet(target)
    else:
        try:
            separator = separator or _separator(target, encoding, options.get("skiprows", 0))
            table = pd.read_csv(target, encoding=encoding, sep=separator, **options)
        except UnicodeDecodeError as error:
            raise InputError(
                f"the file is not {encoding}: byte {error.start} is {error.object[error.start]:#x}",
                where=path,
                remedy='name its encoding, for instance "cp1252"',
            ) from error
        except pd.errors.EmptyDataError as error:
            raise InputError("the file is empty", where=path) from error
        except (pd.errors.ParserError, EOFError, gzip.BadGzipFile, OSError) as error:
            raise InputError(f"the table is damaged: {error}", where=path) from error
    _require(table, [*(columns or ()), *dates], path)
    for name in dates:
        try:
            table[name] = pd.to_datetime(table[name], format="ISO8601")
        except (ValueError, TypeError) as error:
            raise InputError(f"column {name} holds no ISO date: {str(error)[:120]}", where=path) from error
    return table[list(columns)] if columns else table


def write_table(table: pd.DataFrame, path: str | Path, *, index: bool = False) -> Path:
    """Write a table by the suffix of `path`, whole or not at all; the same table gives the same bytes.

    Raises
    ------
    UsageError
        As in :func:`read_table`.
    """
    kind = _suffix(Path(path))
    with atomic_path(path) as temporary:
        if kind == "parquet":
            _need_pyarrow(path)
            table.to_parquet(temporary, index=index, engine="pyarrow")
        elif kind == "csv.gz":
            buffer = io.StringIO()
            table.to_csv(buffer, index=index, lineterminator="\n")
            temporary.write_bytes(gzip.compress(buffer.getvalue().encode(), mtime=0))
        else:
            table.to_csv(temporary, index=index, lineterminator="\n", encoding="utf-8")
    return Path(path)


def _suffix(path: Path) -> str:
    name = path.name.lower()
    if name.endswith((".csv.gz", ".txt.gz")):
        return "csv.gz"
    if name.endswith((".csv", ".txt", ".tsv")):
        return "csv"
    if name.endswith((".parquet", ".pq")):
        return "parquet"
    raise UsageError(
        f"a table cannot be {path.suffix or 'without a suffix'}",
        where=path,
        remedy="use .csv, .csv.gz or .parquet",
    )


def _separator(path: Path, encoding: str, skip: Any) -> str:
    opener: Any = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rt", encoding=encoding) as file:
        for _ in range(skip if isinstance(skip, int) else 0):
            file.readline()
        line = file.readline()
    return max(SEPARATORS, key=line.count) if any(s in line for s in SEPARATORS) else ","


def _need_pyarrow(path: str | Path) -> None:
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError("Parquet needs pyarrow", where=path, remedy="pip install 'esai-core[tables]'")


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    _need_pyarrow(path)
    import pyarrow

    try:
        return pd.read_parquet(path, engine="pyarrow")
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"the file is truncated or damaged ({str(error)[:120]})", where=path) from error


def _require(table: pd.DataFrame, names: Sequence[str], path: str | Path) -> None:
    for name in names:
        if name not in table.columns:
            listed = ", ".join(map(str, table.columns[:20]))
            raise InputError(
                f"no column {name!r}; the table has {listed}",
                where=path,
                remedy=nearest(name, map(str, table.columns)),
            )
