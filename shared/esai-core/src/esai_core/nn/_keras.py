"""The one place that imports Keras: with the start-up notices of TensorFlow filtered, its errors not."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

__all__ = ["keras", "ops", "quiet_start"]

_OURS = "ESAI_TF_QUIET"  # tells processes that we start that the level was not the user's choice

_FILTER = r"""
import re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
noise = re.compile(rb"WARNING: All log messages before absl|[IW]\d{4} \d\d:\d\d|\d{4}-\d\d-\d\d \S+: [IW] |"
                   rb"To enable the following instructions")
for line in sys.stdin.buffer:
    if not noise.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Drop the information and warning lines that TensorFlow's libraries print while they are loaded.

    They are written by C++ before any setting is read, so file descriptor 2 goes through a small process that
    drops lines of level I and W and passes every other line on, at once: an error, even a crash, is seen.
    Nothing is changed when the user has set ``TF_CPP_MIN_LOG_LEVEL``, or when TensorFlow is there already.
    """
    chosen = "TF_CPP_MIN_LOG_LEVEL" in os.environ and _OURS not in os.environ
    if chosen or "tensorflow" in sys.modules:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"], os.environ[_OURS] = "2", "1"
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", _FILTER], stdin=subprocess.PIPE, stderr=saved
        ) as process:
            if process.stdin is None:
                raise RuntimeError("the filter of stderr has no input")
            os.dup2(process.stdin.fileno(), 2)
            try:
                yield
            finally:
                sys.stderr.flush()
                os.dup2(saved, 2)
                process.stdin.close()
    finally:
        os.close(saved)


with quiet_start():
    import keras
    from keras import ops
