"""Helpers for the tests of all packages: real data, the command line, a browser; `pytest` is loaded late."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esai_core.config import data_root

__all__ = [
    "HEAVY",
    "Page",
    "Result",
    "assert_light_cli",
    "attack_files",
    "data_path",
    "open_in_browser",
    "run_cli",
]

HEAVY = frozenset(
    {
        "cartopy",
        "dask",
        "distributed",
        "geopandas",
        "jax",
        "keras",
        "matplotlib",
        "netCDF4",
        "numba",
        "numpy",
        "onnxruntime",
        "pandas",
        "rasterio",
        "scipy",
        "shap",
        "sklearn",
        "tensorflow",
        "xarray",
        "xgboost",
        "zarr",
    }
)
"""Modules that ``--help`` must not import."""


def data_path(name: str) -> Path:
    """Give a real data file under ``ESAI_DATA``; skip the test, saying why, where it is not.

    Parameters
    ----------
    name : str
        Relative to ``ESAI_DATA`` (``"seasonal/static_uk_0p25.nc"``).

    Returns
    -------
    Path
        An existing file or folder.
    """
    import pytest

    root = data_root()
    if root is None:
        pytest.skip(f"needs real data: ESAI_DATA is not set (wanted {name})")
    if not (root / name).exists():
        pytest.skip(f"needs real data: no {name} under ESAI_DATA")
    return root / name


@dataclass(frozen=True)
class Result:
    """What a command gave back.

    Attributes
    ----------
    code : int
        Exit code.
    out, err : str
        stdout and stderr.
    """

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line of stdout: what was written."""
        return self.out.strip().splitlines()[-1] if self.out.strip() else ""

    @property
    def error(self) -> str:
        """The one line of a failure."""
        lines = [line for line in self.err.splitlines() if ": error: " in line or ": interrupted" in line]
        return lines[-1] if lines else ""


def run_cli(
    command: str | Callable[[Sequence[str]], int],
    args: Sequence[object],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 600,
) -> Result:
    """Run a package's command, in this process or in one of its own.

    Parameters
    ----------
    command : str or callable
        A module run with ``python -m`` (``"esai_seasonal.cli"``) in a process of its own; a ``main(argv)``
        function in this one.
    args : sequence
        The words after the command; paths and numbers are turned to text.
    cwd : Path, optional
        Working directory.
    env : mapping, optional
        Environment variables to add.
    timeout : float
        Seconds after which a process is ended (`subprocess.TimeoutExpired`).

    Returns
    -------
    Result
    """
    words = [str(word) for word in args]
    if isinstance(command, str):
        done = subprocess.run(
            [sys.executable, "-m", command, *words],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)
    out, err = io.StringIO(), io.StringIO()
    before = {name: os.environ.get(name) for name in env or {}}
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        if cwd is not None:
            stack.enter_context(contextlib.chdir(cwd))
        os.environ.update(env or {})
        try:
            code = command(words)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
    return Result(code, out.getvalue(), err.getvalue())


def assert_light_cli(package: str, *, module: str | None = None, verbs: Sequence[str] = ()) -> None:
    """Assert that ``--help`` and ``import package`` load no heavy module, and that help is there in 0.5 s.

    Parameters
    ----------
    package : str
        Import name.
    module : str, optional
        Module of the command with ``main(argv)``; ``package.cli`` by default.
    verbs : sequence of str
        Words before ``--help``, each tried alone too (``["run"]``, or ``["mos run"]`` where there are jobs).

    Raises
    ------
    AssertionError
        Naming the modules that were loaded, or the time that was taken.
    """
    module = module or f"{package}.cli"
    calls = [[], *(verb.split() for verb in verbs)]
    code = f"""
import contextlib, io, json, sys, time
start = time.perf_counter()
import {package}
from {module} import main
text = io.StringIO()
codes, first = [], None
for words in {calls!r}:
    with contextlib.redirect_stdout(text):
        codes.append(main([*words, "--help"]))
    first = first or time.perf_counter() - start
loaded = sorted({{name.partition(".")[0] for name in sys.modules}})
print(json.dumps([codes, first, loaded, len(text.getvalue())]))
"""
    best, loaded = float("inf"), set()
    for _ in range(3):  # the machine may be busy: the fastest of three counts
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        codes, seconds, modules, length = json.loads(done.stdout)
        assert set(codes) == {0}, f"--help of {package} ended with {codes}"
        assert length, f"--help of {package} says nothing"
        best, loaded = min(best, seconds), set(modules) & HEAVY
        if best < 0.4:
            break
    assert not loaded, f"--help of {package} imports {', '.join(sorted(loaded))}"
    assert best < 0.5, f"--help of {package} takes {best:.2f} s"


@dataclass(frozen=True)
class Page:
    """What a browser made of a page.

    Attributes
    ----------
    dom : str
        The document after loading.
    console : list of str
        Messages on the console: errors, refused resources.
    requests : list of str
        Addresses that were asked for over the network.
    """

    dom: str
    console: list[str]
    requests: list[str]


def open_in_browser(
    path: str | Path,
    *,
    screenshot: str | Path | None = None,
    dark: bool = False,
    width: int = 1280,
    height: int = 2000,
) -> Page:
    """Open a file in headless Chromium; skip the test, saying why, where there is none.

    Parameters
    ----------
    path : path
        An HTML file.
    screenshot : path, optional
        PNG to write.
    dark : bool, default False
        Ask for the dark colours.
    width, height : int
        Window in CSS pixels (a window is at least 500 wide).

    Returns
    -------
    Page
        Every request but that for the file itself goes to a proxy that notes and refuses it.
    """
    import pytest

    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    browser = next((found for name in names if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    asked: list[str] = []
    with _noting_proxy(asked) as port, tempfile.TemporaryDirectory() as profile:
        command = [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-default-apps",
            "--disable-sync",
            "--no-first-run",
            "--hide-scrollbars",
            "--disable-dev-shm-usage",
            f"--user-data-dir={profile}",
            f"--proxy-server=http://127.0.0.1:{port}",
            "--proxy-bypass-list=<-loopback>",
            "--enable-logging=stderr",
            "--virtual-time-budget=2000",
            f"--window-size={width},{height}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--dump-dom" if screenshot is None else f"--screenshot={Path(screenshot).absolute()}",
            Path(path).absolute().as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"the browser ended with {done.returncode}: {done.stderr[-2000:]}"
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return Page(done.stdout, console, [url for url in asked if not _BROWSERS_OWN.search(url)])


_BROWSERS_OWN = re.compile(
    r"^(https?://)?(update|optimizationguide-pa|content-autofill|safebrowsing|edgedl|clients\d?|accounts|redirector"
    r"|android|mtalk)\.(me\.)?(google|googleapis|gvt1|clients\.google)\.com"
)


@contextlib.contextmanager
def _noting_proxy(asked: list[str]) -> Iterator[int]:
    """Run a proxy on loopback that notes what it is asked for and refuses it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def refuse(self) -> None:
            asked.append(self.path)
            self.send_error(502)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    for method in ("GET", "POST", "HEAD", "CONNECT"):
        setattr(Handler, f"do_{method}", Handler.refuse)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Bomb:
    """Unpickling it makes a folder: the proof that code from the file was run."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.proof),)


def attack_files(proof: Path, *names: str) -> dict[str, bytes]:
    """Make files that a stranger could pass off as a model; no loader may run what is in them.

    Parameters
    ----------
    proof : Path
        A folder that comes to be if code from a file is run.
    *names : str
        Arrays that the archives hold, as the loader looks for them.

    Returns
    -------
    dict of str to bytes
        By kind of attack: a bare pickle, an archive of pickled arrays, one of another package, no archive.
    """
    import pickle

    import numpy as np

    stored = np.array([None], dtype=object)
    stored[0] = _Bomb(proof)
    archives = {
        "pickled arrays": dict.fromkeys(names or ("a",), stored),
        "another's": {"line": np.arange(2.0)},
    }
    files = {"a pickle": pickle.dumps(_Bomb(proof)), "no archive": b"PK\x03\x04 and nothing more"}
    for name, arrays in archives.items():
        file = io.BytesIO()
        np.savez(file, allow_pickle=True, **arrays)
        files[name] = file.getvalue()
    return files
