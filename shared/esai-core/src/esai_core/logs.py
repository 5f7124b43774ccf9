"""Logging to stderr: what our packages say, and the warnings of the others."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

__all__ = ["is_quiet", "to_stderr"]

_LEVELS = {-2: logging.ERROR, -1: logging.WARNING, 0: logging.INFO, 1: logging.DEBUG}

_open: list[int] = []  # verbosity of each context that is open


class _OursOrWarning(logging.Filter):
    """Let esai loggers speak at the chosen level, and other libraries from WARNING on."""

    def __init__(self, everything: bool) -> None:
        super().__init__()
        self.everything = everything

    def filter(self, record: logging.LogRecord) -> bool:
        return self.everything or record.levelno >= logging.WARNING or record.name.startswith("esai")


class _Line(logging.Formatter):
    """`12:30:01 message`; warnings and errors carry their level's name."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.name == "py.warnings":  # "file:line: Category: text\n  source line"
            message = " ".join(message.split("\n")[0].split(": ", 1)[-1].split())
        if record.levelno >= logging.WARNING:
            message = f"{record.levelname.lower()}: {message}"
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        return f"{self.formatTime(record, '%H:%M:%S')} {message}"


@contextlib.contextmanager
def to_stderr(verbosity: int = 0) -> Iterator[None]:
    """Send log records (and Python warnings) to stderr while the context is open.

    Parameters
    ----------
    verbosity : int, default 0
        Count of ``-v`` minus count of ``-q``: -1 warnings only, 0 what is done, 1 details, 2 other libraries'
        details too.
    """
    root = logging.getLogger()
    level = _LEVELS[max(-2, min(1, verbosity))]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    handler.addFilter(_OursOrWarning(verbosity >= 2))
    handler.setLevel(level)
    before = root.level
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)
    _open.append(verbosity)
    try:
        yield
    finally:
        _open.pop()
        logging.captureWarnings(bool(_open))
        root.setLevel(before)
        root.removeHandler(handler)


def is_quiet() -> bool:
    """Tell whether the command line was asked (``-q``) to say nothing but warnings."""
    return bool(_open) and _open[-1] < 0
