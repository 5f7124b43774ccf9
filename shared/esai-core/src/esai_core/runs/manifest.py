"""manifest.json: what a run was made with and from, so that it can be judged and repeated."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import resource
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from esai_core.errors import InputError, UsageError, from_os_error

__all__ = ["describe_input", "host", "peak_memory", "read_manifest", "sha256", "versions"]

SCHEMA_VERSION = 1
_BLOCK = 1 << 20


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """Read the manifest of a run folder.

    Parameters
    ----------
    folder : path
        A run folder.

    Returns
    -------
    dict
        See `RunFolder` for its keys.

    Raises
    ------
    UsageError
        If `folder` is no run folder of this or an earlier version.
    """
    path = Path(folder) / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError("this is no run folder: it has no manifest.json", where=folder) from None
    except ValueError as error:
        raise UsageError(f"not valid JSON: {error}", where=path) from None
    found = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if found != SCHEMA_VERSION:
        raise UsageError(
            f"manifest of version {found}", where=path, remedy=f"this esai reads {SCHEMA_VERSION}"
        )
    return manifest


def describe_input(path: str | Path) -> dict[str, Any]:
    """Give path, size in bytes and sha256 of a file, or of all files of a folder together (Zarr, SAFE).

    Parameters
    ----------
    path : path
        An existing file or folder.

    Returns
    -------
    dict
        ``{"path", "size", "sha256"}``.

    Raises
    ------
    InputError
        If it does not exist or cannot be read.
    """
    path = Path(path).absolute()
    try:
        if not path.is_dir():
            return {"path": str(path), "size": path.stat().st_size, "sha256": sha256(path)}
        files = sorted(file for file in path.rglob("*") if file.is_file())
        total = hashlib.sha256()
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # hashing lets go of the GIL
            for file, each in zip(files, pool.map(sha256, files), strict=True):
                total.update(f"{file.relative_to(path).as_posix()} {each}\n".encode())
        size = sum(file.stat().st_size for file in files)
    except FileNotFoundError:
        raise InputError("no such file", where=path) from None
    except OSError as error:
        raise from_os_error(error, path=path) from None
    return {"path": str(path), "size": size, "sha256": total.hexdigest()}


def sha256(path: Path) -> str:
    """Give the sha256 of a file's bytes; remembered while the file does not change."""
    status = path.stat()
    return _sha256(str(path), status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256(path: str, inode: int, size: int, modified: int) -> str:
    total = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(_BLOCK):
            total.update(block)
    return total.hexdigest()


def versions(distribution: str) -> dict[str, str]:
    """List the installed versions of a distribution and of everything that it requires.

    Parameters
    ----------
    distribution : str
        Name of the package as an installer knows it (``"esai-seasonal"``).

    Returns
    -------
    dict of str to str
        Distribution to version, esai's own first, then by name. What is not installed is left out.
    """
    found: dict[str, str] = {}
    waiting: list[tuple[str, frozenset[str]]] = [(distribution, frozenset()), ("esai-core", frozenset())]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            installed = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        found[_normal(name)] = installed.version
        waiting += [need for text in installed.requires or [] if (need := _requirement(text, extras))]
    ours = {name: found[name] for name in sorted(found) if name.startswith("esai")}
    return ours | {name: found[name] for name in sorted(found)}


def _requirement(text: str, extras: frozenset[str]) -> tuple[str, frozenset[str]] | None:
    """Read `name[extra1,extra2]...; marker`; None if it is of an extra that was not asked for."""
    head, _, marker = text.partition(";")
    only_for = re.findall(r"""extra\s*==\s*["']([^"']+)["']""", marker)
    match = re.match(r"\s*([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?", head)
    if match is None or (only_for and not extras & {_normal(extra) for extra in only_for}):
        return None
    asked = frozenset(_normal(extra.strip()) for extra in (match[2] or "").split(",") if extra.strip())
    return _normal(match[1]), asked


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def host() -> dict[str, Any]:
    """Describe the machine: name, platform, Python, cores."""
    return {
        "name": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
    }


def peak_memory() -> int:
    """Give the largest memory in bytes that this process (or one that it waited for) has held."""
    unit = 1 if sys.platform == "darwin" else 1024
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(own, children) * unit
