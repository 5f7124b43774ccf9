"""Digests of outputs by what they say, so that equal runs have equal digests.

NetCDF and Zarr count by dimensions, coordinates, values and attributes (less those of provenance), JSON by
its values (less ``timings_s``), CSV by its cells (less columns of seconds), zip archives (``.npz``,
``.keras``) by their members (less addresses in memory that Keras notes), GeoPackages by their rows; any
other file by its bytes.
"""

from __future__ import annotations

import csv
import fnmatch
import hashlib
import json
import re
import sqlite3
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esai_core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["PROVENANCE", "digest", "digest_file", "is_model", "matches"]

PROVENANCE = frozenset(
    {
        "history",
        "creation_date",
        "date_created",
        "date_modified",
        "date_issued",
        "date_metadata_modified",
        "tracking_id",
        "uuid",
        "provenance",
        "esai_version",
        "esai_versions",
        "esai_command",
        "esai_created",
        "esai_run",
        "esai_host",
        "_NCProperties",
    }
)
"""Attributes that tell when, where and by what a file was written; not part of what it says."""

_NEVER = ("manifest.json", "config.toml", "*.html", "*.log", "checkpoints/*", ".*")
_BLOCK = 1 << 24
_ADDRESS = re.compile(rb'(?<="shared_object_id": )\d+')  # by which Keras tells shared objects of a model


def digest(folder: str | Path, *, varies: Iterable[str] = ()) -> dict[str, str]:
    """Give the digest of each output of a run folder.

    Parameters
    ----------
    folder : path
        A run folder.
    varies : iterable of str
        Patterns (``"maps/*.png"``) of outputs that differ between equal runs; left out, as are the manifest,
        the config, logs and HTML. Files of models are never left out: one that was replaced is refused.

    Returns
    -------
    dict of str to str
        Name within the folder to sha256; a Zarr store counts as one output.
    """
    folder = Path(folder)
    patterns = tuple(varies)
    found: dict[str, str] = {}
    for path in outputs(folder):
        name = path.relative_to(folder).as_posix()
        if not matches(name, _NEVER) and (is_model(name) or not matches(name, patterns)):
            found[name] = digest_file(path)
    return found


def is_model(name: str) -> bool:
    """Tell whether an output is a file of a model, which later steps load."""
    return name.startswith(("model/", "models/"))


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a name fits one of the patterns."""
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def outputs(folder: Path) -> list[Path]:
    """List the files and Zarr stores of a folder, by name."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not _is_zarr(path):
            found += outputs(path)
        else:
            found.append(path)
    return found


def _is_zarr(path: Path) -> bool:
    return path.is_dir() and any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray"))


def digest_file(path: str | Path) -> str:
    """Give the digest of one output.

    Parameters
    ----------
    path : path
        A file or a Zarr store.

    Returns
    -------
    str
        sha256 of its content as the module's text describes it.

    Raises
    ------
    InputError
        If the file is not what its name says.
    """
    path = Path(path)
    total = hashlib.sha256()
    kinds: dict[str, Callable[[Path, Any], None]] = {
        ".nc": _netcdf,
        ".nc4": _netcdf,
        ".json": _json,
        ".geojson": _json,
        ".csv": _csv,
        ".npz": _zip,
        ".zip": _zip,
        ".keras": _zip,
        ".gpkg": _sqlite,
    }
    reader = _zarr if _is_zarr(path) else kinds.get(path.suffix.lower(), _bytes)
    try:
        reader(path, total)
    except (ValueError, KeyError, OSError, RuntimeError, zipfile.BadZipFile, sqlite3.Error) as error:
        raise InputError(f"cannot read this output back: {error}", where=path) from error
    return total.hexdigest()


def _bytes(path: Path, total: Any) -> None:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            total.update(block)


def _json(path: Path, total: Any) -> None:
    total.update(_canonical(_without_timings(json.loads(path.read_text(encoding="utf-8")))))


def _without_timings(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_timings(item) for key, item in value.items() if key != "timings_s"}
    if isinstance(value, list):
        return [_without_timings(item) for item in value]
    return value


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode()


def _csv(path: Path, total: Any) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        kept = [
            i for i, name in enumerate(header) if not (name.endswith("_s") or name in {"seconds", "time_s"})
        ]
        total.update(_canonical([header[i] for i in kept]))
        for row in rows:
            total.update(_canonical([row[i] if i < len(row) else None for i in kept]))


def _zip(path: Path, total: Any) -> None:
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name != "metadata.json":  # of Keras: the date of saving
                total.update(f"{name}\n".encode())
                with archive.open(name) as member:
                    if name == "config.json":
                        total.update(_ADDRESS.sub(b"", member.read()))
                    while block := member.read(_BLOCK):
                        total.update(block)


def _sqlite(path: Path, total: Any) -> None:
    """Hash a GeoPackage row by row; the time of its last change does not count."""
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    try:
        connection.text_factory = bytes
        tables = connection.execute(
            "select name from sqlite_master where type='table' order by name"
        ).fetchall()
        for (raw,) in tables:
            table = raw.decode()
            cursor = connection.execute(f'select * from "{table}"')
            names = [column[0] for column in cursor.description]
            kept = [i for i, name in enumerate(names) if name != "last_change"]
            total.update(f"{table} {[names[i] for i in kept]}\n".encode())
            for row in sorted(repr([row[i] for i in kept]) for row in cursor):
                total.update(row.encode())
    finally:
        connection.close()


def _netcdf(path: Path, total: Any) -> None:
    import netCDF4

    with netCDF4.Dataset(path) as dataset:
        _netcdf_group(dataset, total)


def _netcdf_group(group: Any, total: Any) -> None:
    group.set_auto_maskandscale(False)
    _attributes({name: group.getncattr(name) for name in group.ncattrs()}, total)
    for name in sorted(group.variables):
        variable = group.variables[name]
        _array(name, variable.dimensions, variable, variable.dtype, total)
        _attributes({key: variable.getncattr(key) for key in variable.ncattrs()}, total)
    for name in sorted(group.groups):
        total.update(f"group {name}\n".encode())
        _netcdf_group(group.groups[name], total)


def _zarr(path: Path, total: Any) -> None:
    import zarr

    root = zarr.open(path, mode="r")
    arrays = {"": root} if isinstance(root, zarr.Array) else dict(root.members(max_depth=None))
    _attributes(dict(root.attrs), total)
    for name in sorted(arrays):
        member = arrays[name]
        if isinstance(member, zarr.Array):
            attributes: dict[str, Any] = dict(member.attrs)
            dimensions = attributes.pop("_ARRAY_DIMENSIONS", None) or getattr(
                member.metadata, "dimension_names", None
            )
            _array(name, dimensions or (), member, member.dtype, total)
            _attributes(attributes, total)


def _attributes(attributes: dict[str, Any], total: Any) -> None:
    kept = {key: value for key, value in attributes.items() if key not in PROVENANCE}
    plain = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in kept.items()}
    total.update(_canonical(plain))


def _array(name: str, dimensions: Iterable[str], values: Any, dtype: Any, total: Any) -> None:
    """Hash an array by blocks along its first dimension; every NaN counts the same."""
    import numpy as np

    total.update(f"{name} {list(dimensions)} {tuple(values.shape)} {_type_name(dtype)}\n".encode())
    if 0 in values.shape:
        return
    if not values.shape:
        _update(np.asarray(values[...]), total)
        return
    row = max(1, int(np.prod(values.shape[1:], dtype=np.int64)) * 8)
    step = max(1, _BLOCK // row)
    for start in range(0, values.shape[0], step):
        _update(np.asarray(values[start : start + step]), total)


def _type_name(dtype: Any) -> str:
    import numpy as np

    return "str" if dtype is str else np.dtype(dtype).newbyteorder("=").str.lstrip("<>=|")


def _update(block: np.ndarray, total: Any) -> None:
    import numpy as np

    if block.dtype.kind in "OSUT":
        total.update("\x00".join(map(str, block.ravel().tolist())).encode())
        return
    if block.dtype.kind in "fc":
        block = np.where(np.isnan(block), np.array(np.nan, block.dtype), block)
    total.update(np.ascontiguousarray(block.astype(block.dtype.newbyteorder("<"), copy=False)).tobytes())
