"""The record of a run while it is made, and the rules of where it may be made."""

from __future__ import annotations

import datetime
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from esai_core.errors import UsageError
from esai_core.runs.digests import digest
from esai_core.runs.manifest import SCHEMA_VERSION, host, peak_memory, versions

__all__ = [
    "CHECKPOINTS",
    "STATE",
    "check_place",
    "clear",
    "disk_is_full",
    "left_over",
    "new_record",
    "now",
    "seal",
    "unshare",
    "write_json",
]

STATE = ".state.json"
CHECKPOINTS = "checkpoints"


def new_record(package: str, command: Sequence[str]) -> dict[str, Any]:
    """Give the manifest of a run that has done nothing yet."""
    return {
        "schema_version": SCHEMA_VERSION,
        "package": package,
        "version": versions(package).get(package, "unknown"),
        "command": list(command),
        "created": now(),
        "seed": 0,
        "steps": [],
        "inputs": [],
        "outputs": {},
        "timings_s": {},
        "peak_memory_bytes": 0,
        "varies": [],
    }


def now() -> str:
    """Give the time (UTC), to the second, as ISO 8601 text."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def check_place(folder: Path, overwrite: bool) -> None:
    """Refuse a place that holds something which the run may not replace."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError("this is a file, not a folder", where=folder, remedy="choose another --out")
    if not (folder / "manifest.json").exists() and any(folder.iterdir()):
        raise UsageError(
            "the folder exists and is no run folder", where=folder, remedy="choose another --out"
        )
    if not overwrite:
        raise UsageError(
            "the folder exists", where=folder, remedy="choose another --out, or give --overwrite"
        )


def left_over(partial: Path) -> dict[str, Any] | None:
    """Read what an interrupted run left, if it can be gone on with."""
    try:
        record = json.loads((partial / STATE).read_text())
    except (OSError, ValueError):
        return None
    whole = record.get("schema_version") == SCHEMA_VERSION and "finished" not in record
    worth = record.get("steps") or (partial / CHECKPOINTS).is_dir()
    return record if whole and worth else None


def clear(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def unshare(path: Path) -> None:
    """Give a file (or every file of a folder) its own copy where it is shared with another run folder."""
    files = (
        [Path(here, name) for here, _, names in os.walk(path) for name in names] if path.is_dir() else [path]
    )
    for file in files:
        if file.stat().st_nlink > 1:
            aside = file.with_name(f".{file.name}.own")
            shutil.copy2(file, aside)
            aside.replace(file)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON for people to read; NaN is refused."""
    path.write_text(
        json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def seal(partial: Path, record: dict[str, Any], *, names: Sequence[str]) -> None:
    """Write the manifest of a run that is whole, and remove what only a run in work needs.

    Parameters
    ----------
    partial : Path
        The folder.
    record : dict
        Its record; completed here.
    names : sequence of str
        Outputs within the folder.
    """
    metrics = partial / "metrics.json"
    if metrics.exists():
        unshare(metrics)
        write_json(metrics, json.loads(metrics.read_text()) | {"timings_s": record["timings_s"]})
    digests = digest(partial, varies=record["varies"])
    steps = {name: entry["step"] for name, entry in record["outputs"].items()}
    record["outputs"] = {name: {"step": steps.get(name), "sha256": digests.get(name)} for name in names}
    config = partial / "config.toml"
    text = config.read_text() if config.exists() else ""
    for step in record["steps"]:
        step["config"] = None if step["config"] == text else step["config"]
    record |= {"packages": versions(record["package"]), "host": host(), "finished": now()}
    record["peak_memory_bytes"] = max(record["peak_memory_bytes"], peak_memory())
    write_json(partial / "manifest.json", record)
    clear(partial / CHECKPOINTS)
    clear(partial / STATE)


def disk_is_full(folder: Path) -> bool:
    """Tell whether nothing can be written; the NetCDF library reports this as an error of HDF5."""
    try:
        return shutil.disk_usage(folder).free < 1 << 20
    except OSError:
        return False
