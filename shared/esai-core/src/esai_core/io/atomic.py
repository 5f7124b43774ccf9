"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from esai_core.errors import from_os_error

LITTLE = 1 << 20


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Write to a temporary sibling, which takes the place of `path` when the block ends well.

    Whatever stops the block (an error, Ctrl-C, a full disk), the sibling is removed and an earlier `path`
    stays as it was. On success the data are flushed to the disk before the rename. Works for folders (Zarr)
    too, where the earlier one is moved aside and removed after the rename.

    Parameters
    ----------
    path : str or Path
        Where the file is to be; folders above it are made.

    Yields
    ------
    Path
        The sibling to write; it does not exist yet, and has the suffix of `path`.

    Raises
    ------
    EsaiError
        If the disk is full, or the place cannot be written.

    Examples
    --------
    >>> with atomic_path("scores.csv") as temporary:  # doctest: +SKIP
    ...     temporary.write_text("rmse,0.4")
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    except OSError as error:
        raise from_os_error(error, path=target) from error
    temporary = folder / target.name
    try:
        yield temporary
        _flush(temporary)
        _replace(temporary, target, folder)
        _flush(target.parent, files=False)
    except (OSError, RuntimeError) as error:
        # the NetCDF library reports a full disk as "HDF error" or even "Permission denied"
        if shutil.disk_usage(target.parent).free < LITTLE:
            raise from_os_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), path=target) from error
        if isinstance(error, OSError):
            raise from_os_error(error, path=target) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replace(temporary: Path, target: Path, folder: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        aside = folder / f"{target.name}.earlier"
        target.rename(aside)
        try:
            temporary.rename(target)
        except BaseException:
            aside.rename(target)
            raise
    else:
        temporary.replace(target)


def _flush(path: Path, *, files: bool = True) -> None:
    """Have the system write a file, or a folder with all that is in it, to the disk."""
    if path.is_dir() and files:
        for entry in sorted(path.rglob("*")):
            _flush(entry, files=False)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
