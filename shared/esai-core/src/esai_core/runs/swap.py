"""Put a folder in the place of another so that a kill at any moment leaves one of the two whole.

The names beside a run folder ``DIR``: ``.DIR.partial`` (being written), ``.DIR.old`` (replaced, about to be
removed), ``.DIR.lock`` (held by the process that writes).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from esai_core.errors import UsageError, from_os_error

__all__ = ["copy_tree", "exclusive", "old_of", "partial_of", "recover", "replace_folder", "sync_tree"]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.EMLINK, errno.ENOSYS, errno.EACCES}


def partial_of(folder: Path) -> Path:
    """Give the name under which `folder` is written until it is whole."""
    return folder.with_name(f".{folder.name}.partial")


def old_of(folder: Path) -> Path:
    """Give the name under which the replaced `folder` waits to be removed."""
    return folder.with_name(f".{folder.name}.old")


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the right to write `folder`; it ends with the process, however that ends.

    Parameters
    ----------
    folder : Path
        The final place of the folder.

    Raises
    ------
    UsageError
        If another process holds it, or the place cannot be written.
    """
    path = folder.with_name(f".{folder.name}.lock")
    handle = _lock(path, folder)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: who opens a new file finds this one gone
        os.close(handle)


def _lock(path: Path, folder: Path) -> int:
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise from_os_error(error, path=path.parent) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode(errors="replace") or "unknown"
            os.close(handle)
            raise UsageError(
                "another process is writing this folder",
                where=f"{folder}, {holder}",
                remedy="wait for it or choose another --out",
            ) from None
        except OSError as error:
            os.close(handle)
            raise UsageError(
                f"files cannot be locked here: {error.strerror}",
                where=folder.parent,
                remedy="choose another --out, on a file system that has locks",
            ) from None
        if path.exists() and os.path.samestat(path.stat(), os.fstat(handle)):
            os.truncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
            return handle
        os.close(handle)  # it was removed between opening and locking: try the new one


def recover(folder: Path) -> None:
    """Mend what a kill inside `replace_folder` left: no folder is lost, none is left over."""
    old = old_of(folder)
    if old.exists():
        if folder.exists():
            shutil.rmtree(old)
        else:
            old.rename(folder)


def replace_folder(partial: Path, folder: Path) -> None:
    """Rename `partial` to `folder`; an earlier `folder` is replaced in one step where the system can.

    Parameters
    ----------
    partial, folder : Path
        Siblings on one file system.
    """
    old = old_of(folder)
    if not folder.exists():
        partial.rename(folder)
    elif _exchange(partial, folder):
        partial.rename(old)
    else:  # two steps: `recover` puts the old one back after a kill between them
        folder.rename(old)
        partial.rename(folder)
    _sync(folder.parent)
    if old.exists():
        shutil.rmtree(old)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names at once (Linux); False where the system or the file system cannot."""
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap is None:
        return False
    if swap(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(other))


def copy_tree(source: Path, target: Path, *, link: bool) -> None:
    """Copy a folder.

    Parameters
    ----------
    source, target : Path
        An existing folder, and one that does not exist.
    link : bool
        Make hard links where the file system has them. A linked file is shared with `source`: replace it,
        never write into it (`RunFolder.path` sees to that).

    Raises
    ------
    UsageError
        If there is a symbolic link in `source`.
    """
    for folder, folders, names in os.walk(source):
        for name in (*folders, *names):
            if Path(folder, name).is_symlink():  # what is written through it would land elsewhere
                raise UsageError(
                    "the run folder holds a link",
                    where=Path(folder, name),
                    remedy="put the file itself there, or do not use this folder",
                )
        here = target / Path(folder).relative_to(source)
        here.mkdir(parents=True, exist_ok=True)
        for name in names:
            _copy(Path(folder, name), here / name, link)


def _copy(source: Path, target: Path, link: bool) -> None:
    if link:
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        else:
            return
    shutil.copy2(source, target, follow_symlinks=False)


def sync_tree(folder: Path) -> None:
    """Bring everything in `folder` to the disk, so that a rename never outruns its content."""
    for here, _, names in os.walk(folder):
        for name in names:
            _sync(Path(here, name))
        _sync(Path(here))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
