"""Typed errors: one line that says what is wrong, where, and what would be right.

The command line turns them into exit codes: `UsageError` 2, `InputError` 3, any other `EsaiError` 1.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["EsaiError", "InputError", "UsageError", "from_os_error", "nearest", "reading", "unknown"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class EsaiError(Exception):
    """Something that stops the work and has a clear cause.

    Parameters
    ----------
    message : str
        What is wrong.
    where : object, optional
        File, config key, variable or value it was found in.
    remedy : str, optional
        What would be right, or what to do.

    Examples
    --------
    >>> str(EsaiError("no space left", where="runs/a", remedy="free some"))
    'no space left (runs/a); free some'
    """

    exit_code = 1

    def __init__(self, message: str, *, where: object = None, remedy: str | None = None) -> None:
        self.message = _one_line(message)
        self.where = None if where is None else _one_line(str(where))
        self.remedy = None if remedy is None else _one_line(remedy)
        super().__init__(self.message)

    def __str__(self) -> str:
        text = self.message if not self.where else f"{self.message} ({self.where})"
        return text if not self.remedy else f"{text}; {self.remedy}"

    def __reduce__(self) -> tuple:
        # Errors cross process borders (dask workers): keyword-only arguments need help with pickling.
        return _rebuild, (type(self), self.message, self.where, self.remedy)


class UsageError(EsaiError):
    """A mistake on the command line, in a config, or in the arguments of a function (exit code 2)."""

    exit_code = 2


class InputError(EsaiError):
    """Data that cannot be used as it is: missing, truncated, of a wrong unit or shape (exit code 3)."""

    exit_code = 3


def _rebuild(kind: type[EsaiError], message: str, where: str | None, remedy: str | None) -> EsaiError:
    return kind(message, where=where, remedy=remedy)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def nearest(name: str, options: Iterable[str]) -> str:
    """Suggest what a mistyped name may have meant.

    Parameters
    ----------
    name : str
        The name given.
    options : iterable of str
        The names that exist.

    Returns
    -------
    str
        ``"did you mean 'rmse'?"``, or the list of options when none is close.

    Examples
    --------
    >>> nearest("rsme", ["rmse", "bias"])
    "did you mean 'rmse'?"
    >>> nearest("x", ["rmse", "bias"])
    'choose from bias, rmse'
    """
    known = sorted(set(map(str, options)))
    folded = {option.casefold(): option for option in reversed(known)}
    close = difflib.get_close_matches(str(name).casefold(), folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean {folded[close[0]]!r}?"
    if not known:
        return "there is none to choose from"
    shown = ", ".join(known[:12])
    return f"choose from {shown}" + (f" and {len(known) - 12} more" if len(known) > 12 else "")


def unknown(
    kind: str, name: str, options: Iterable[str], *, where: object = None, error: type[EsaiError] = UsageError
) -> EsaiError:
    """Make the error for a name that a registry does not hold.

    Parameters
    ----------
    kind : str
        What the name stands for (``"score"``).
    name : str
        The name given.
    options : iterable of str
        The names that exist; the nearest one is suggested.
    where : object, optional
        File or config key.
    error : type, default UsageError
        Class of the error; `InputError` for names looked for in data.

    Returns
    -------
    EsaiError
        To be raised by the caller.
    """
    return error(f"unknown {kind} {name!r}", where=where, remedy=nearest(name, options))


def from_os_error(error: OSError, *, path: str | Path | None = None) -> EsaiError:
    """Turn an error of the operating system into a line for the user.

    Parameters
    ----------
    error : OSError
        As raised by a read or a write.
    path : path, optional
        The file, where the error itself does not name it.

    Returns
    -------
    EsaiError
        A full disk is an `EsaiError`, a missing or unreadable file an `InputError`, a place that cannot be
        written a `UsageError`.
    """
    where = error.filename if error.filename is not None else path
    what = error.strerror or str(error) or type(error).__name__
    if error.errno in _FULL:
        return EsaiError(
            f"the disk is full: {what}",
            where=where,
            remedy="free some space or choose another place with --out; earlier results are untouched",
        )
    if isinstance(error, FileNotFoundError):
        return InputError("no such file", where=where)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UsageError(f"not allowed: {what}", where=where, remedy="check the permissions of this place")
    return EsaiError(what, where=where)


@contextlib.contextmanager
def reading(path: str | Path, what: str) -> Iterator[None]:
    """Have whatever goes wrong while a saved file is taken apart name the file.

    Put it around the reading of a file that may come from elsewhere: another package, an older version.

    Parameters
    ----------
    path : path
        The file or folder.
    what : str
        What it should be (``"a saved correction"``).

    Raises
    ------
    InputError
        In place of the errors of parsers, archives, tables and arrays.
    """
    import zipfile

    wrong = (ValueError, LookupError, TypeError, AttributeError, EOFError, zipfile.BadZipFile)
    try:
        yield
    except OSError as error:
        raise from_os_error(error, path=path) from error
    except wrong as error:
        found = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(
            f"not {what} ({found})",
            where=path,
            remedy="give the file that the same package wrote, or train again",
        ) from error
