"""Open datasets by what they contain, with errors that name the file and what is wrong with it."""

from __future__ import annotations

import contextlib
import errno
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import xarray as xr

from esai_core.errors import InputError, UsageError, nearest
from esai_core.io import names
from esai_core.io.cf import standardise
from esai_core.io.netcdf3 import expected_size

PathLike = str | Path
Chunks = Mapping[str, int] | Literal["auto"] | None
Obj = TypeVar("Obj", xr.Dataset, xr.DataArray)
Format = Literal["netcdf", "zarr", "grib", "folder"]

NOT_DATA = {
    b"PK\x03\x04": (
        "a zip archive, as the Climate Data Store delivers",
        "unzip it and name the files inside",
    ),
    b"\x1f\x8b": ("compressed with gzip", "decompress it first (gunzip)"),
    b"<!DO": ("a web page: the download failed", "download it again"),
    b"<htm": ("a web page: the download failed", "download it again"),
    b"BUFR": ("a BUFR file", "convert it to NetCDF first"),
    b"II*\x00": ("a GeoTIFF", "it holds no time series; convert it to NetCDF"),
}
READ_ERRORS = (OSError, RuntimeError, EOFError)


def open_dataset(
    path: PathLike | Sequence[PathLike],
    *,
    variable: str | None = None,
    chunks: Chunks = None,
    standard: bool = True,
) -> xr.Dataset:
    """Open NetCDF, Zarr or GRIB, told apart by content, as one dataset in the canonical data model.

    Parameters
    ----------
    path : str, path or sequence of them
        A file, a Zarr store, a folder of files, a glob pattern, or several files, joined along the
        coordinates in which they differ.
    variable : str, optional
        Read this variable alone, in any spelling that :mod:`esai_core.io.names` knows.
    chunks : mapping, "auto" or None
        Dask chunks by canonical dimension, those of the file for ``{}``; None reads lazily but without dask
        (several files always use dask).
    standard : bool
        Apply :func:`esai_core.io.standardise`.

    Returns
    -------
    xarray.Dataset
        Lazily opened. Use :func:`load` to read it, so that damage found late is reported as an
        :class:`InputError`.

    Raises
    ------
    InputError
        If there is no such file (near matches in its folder are named), or if it is empty, truncated or no
        dataset.
    UsageError
        If it is GRIB and the extra is not installed.
    """
    paths = find_files(path)
    if len(paths) == 1:
        return _open_one(paths[0], variable=variable, chunks=chunks, standard=standard)
    parts = [_open_one(p, variable=variable, chunks=chunks or {}, standard=standard) for p in paths]
    try:
        out = xr.combine_by_coords(
            parts,
            combine_attrs="override",
            join="outer",
            compat="no_conflicts",
            data_vars="all",
            coords="minimal",
        )
    except (ValueError, xr.MergeError) as error:
        raise InputError(
            f"{len(paths)} files do not join into one dataset: {' '.join(str(error).split())[:200]}",
            where=str(paths[0].parent),
        ) from error
    ds = cast(xr.Dataset, out)
    ds.encoding["source"] = str(path) if isinstance(path, str | Path) else str(paths[0].parent)
    return standardise(ds) if standard else ds


def find_files(path: PathLike | Sequence[PathLike]) -> list[Path]:
    """Files that a path, a glob pattern, a folder or a sequence of paths names, sorted within each.

    Raises
    ------
    InputError
        If one of them is not there.
    """
    if not isinstance(path, str | Path):
        found = [p for entry in path for p in find_files(entry)]
        if not found:
            raise InputError("no file given")
        return found
    text = str(path)
    target = Path(text).expanduser()
    if not target.exists() and any(c in text for c in "*?["):
        root = Path(target.anchor or ".")
        found = sorted(root.glob(str(target.relative_to(target.anchor) if target.anchor else target)))
        if not found:
            raise InputError("no file matches the pattern", where=text)
        return found
    if not target.exists():
        raise _missing(target)
    if target.is_dir() and sniff(target) == "folder":
        found = sorted(
            p for p in target.iterdir() if not p.name.startswith(".") and sniff(p, strict=False) is not None
        )
        if not found:
            raise InputError("the folder holds no NetCDF, Zarr or GRIB file", where=text)
        return found
    return [target]


def _missing(target: Path) -> InputError:
    folder = target.parent
    if not folder.is_dir():
        return InputError("no such file, nor its folder", where=str(target))
    options = [p.name for p in folder.iterdir()]
    return InputError("no such file", where=str(target), remedy=nearest(target.name, options) or None)


def sniff(path: Path, *, strict: bool = True) -> Format | None:
    """Format of a file or folder, by its first bytes.

    Raises
    ------
    InputError
        With `strict`, if it is empty or no dataset; else None is returned.
    """
    if path.is_dir():
        stores = (".zgroup", ".zmetadata", "zarr.json", ".zarray")
        return "zarr" if any((path / name).exists() for name in stores) else "folder" if strict else None
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror or error}", where=str(path)) from error
    if head.startswith((b"CDF\x01", b"CDF\x02", b"CDF\x05", b"\x89HDF\r\n\x1a\n")):
        return "netcdf"
    if b"GRIB" in head[:128]:
        return "grib"
    if not strict:
        return None
    if not head:
        raise InputError("the file is empty", where=str(path), remedy="download or write it again")
    for magic, (what, remedy) in NOT_DATA.items():
        if head.startswith(magic):
            raise InputError(f"not a dataset but {what}", where=str(path), remedy=remedy)
    raise InputError(
        f"not a dataset: the file starts with {head[:8]!r}",
        where=str(path),
        remedy="expected NetCDF, Zarr or GRIB",
    )


def _open_one(path: Path, *, variable: str | None, chunks: Chunks, standard: bool) -> xr.Dataset:
    kind = sniff(path)
    if kind == "grib":
        from esai_core.io.grib import open_grib

        ds = open_grib(path, variable=variable)
    elif kind == "zarr":
        ds = _open_zarr(path)
    else:
        ds = _open_netcdf(path)
    ds.encoding["source"] = str(path)
    if variable is not None:
        ds = ds[[names.find_variable(ds, variable, where=str(path))]]
        ds.encoding["source"] = str(path)
    if not ds.variables:
        raise InputError("the file holds no variables", where=str(path))
    ds = standardise(ds, where=str(path)) if standard else ds
    return rechunked(ds, chunks)


def rechunked(obj: Obj, chunks: Chunks) -> Obj:
    """Put lazily opened data into dask arrays; `chunks` may name dimensions that are not there."""
    if chunks is None:
        return obj
    if isinstance(chunks, str):
        return obj.chunk(chunks)
    return obj.chunk({d: n for d, n in chunks.items() if d in obj.dims})


def _open_netcdf(path: Path) -> xr.Dataset:
    # The class and not the name: by name xarray loads the plug-ins of all installed packages, and rasterio's
    # libraries beside eccodes' end the process with a double free.
    engine: Any = xr.backends.NetCDF4BackendEntrypoint
    try:
        _check_size(path)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=xr.SerializationWarning)
            try:
                return xr.open_dataset(path, engine=engine, decode_timedelta=False)
            except ValueError as error:
                if "decode" not in str(error):
                    raise
                raw = xr.open_dataset(path, engine=engine, decode_times=False)
                return xr.decode_cf(_months_since(raw), decode_timedelta=False)
    except READ_ERRORS as error:
        raise _damaged(path, error) from error
    except ValueError as error:
        raise InputError(
            f"cannot be decoded: {' '.join(str(error).split())[:200]}", where=str(path)
        ) from error


def _months_since(ds: xr.Dataset) -> xr.Dataset:
    """Decode ``months since`` (NMME), which xarray refuses, to the first day of the month."""
    import numpy as np
    import pandas as pd

    for name, variable in ds.variables.items():
        units = str(variable.attrs.get("units", ""))
        if not units.startswith(("months since ", "month since ")):
            continue
        origin = pd.Period(units.split(" since ", 1)[1].split()[0], "M")
        stamps = [(origin + int(np.floor(v))).to_timestamp() for v in variable.values.ravel()]
        array = np.array(stamps, dtype="datetime64[ns]").reshape(variable.shape)
        attrs = {k: v for k, v in variable.attrs.items() if k not in ("units", "calendar")}
        ds = ds.assign_coords({name: (variable.dims, array, attrs)})
    return ds


def _check_size(path: Path) -> None:
    expected = expected_size(path)
    found = path.stat().st_size
    if expected is not None and found < expected:
        raise EOFError(f"{found} bytes of {expected}")


def _open_zarr(path: Path) -> xr.Dataset:
    try:
        import zarr
    except ImportError as error:
        raise UsageError(
            "Zarr is not installed", where=str(path), remedy="pip install esai-core[zarr]"
        ) from error
    _refuse_pickles(path)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*[Cc]onsolidated")
            return xr.open_zarr(path, chunks=None, decode_timedelta=False)
    except (zarr.errors.BaseZarrError, KeyError, ValueError, *READ_ERRORS) as error:
        raise _damaged(path, error) from error


def _refuse_pickles(path: Path) -> None:
    """Refuse a store of Zarr 2 with pickled chunks: reading them could run any code (older numcodecs do)."""

    def pickled(value: Any) -> bool:
        if isinstance(value, dict):
            return value.get("id") == "pickle" or any(map(pickled, value.values()))
        return isinstance(value, list) and any(map(pickled, value))

    for file in (path / ".zmetadata", path / ".zarray", *path.glob("*/.zarray")):
        with contextlib.suppress(OSError, ValueError):  # absent or damaged: reading it says so
            if pickled(json.loads(file.read_text(encoding="utf-8"))):
                raise InputError(
                    "the store holds pickled chunks, which could run code",
                    where=str(file),
                    remedy="write it again with numbers and dates",
                )


def _damaged(path: PathLike, error: BaseException, variable: str | None = None) -> InputError:
    text = " ".join(str(error).split())
    if isinstance(error, PermissionError):
        return InputError("no permission to read the file", where=str(path))
    where = f"{path}: {variable}" if variable else str(path)
    return InputError(
        f"the file is truncated or damaged ({text[:160]})", where=where, remedy="download or write it again"
    )


@contextlib.contextmanager
def checked(path: PathLike | None, variable: str | None = None) -> Iterator[None]:
    """Turn low-level errors of reading into an :class:`InputError` that names file and variable.

    Put it around any step that may read lazily opened data.
    """
    try:
        yield
    except MemoryError as error:
        raise InputError(f"not enough memory to read {variable or 'the data'}", where=str(path)) from error
    except READ_ERRORS as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        foreign = isinstance(error, RuntimeError) and "NetCDF" not in str(error) and "HDF" not in str(error)
        if full or foreign:  # no matter of reading
            raise
        raise _damaged(path or "input", error, variable) from error


def load(obj: Obj) -> Obj:
    """Read lazily opened data into memory.

    Raises
    ------
    InputError
        If the file turns out to be damaged; it names the file and the variable.
    """
    where = names.source(obj)
    if isinstance(obj, xr.DataArray):
        with checked(where or names.source(obj), str(obj.name)):
            return obj.load()
    for name in obj.variables:
        with checked(where or names.source(obj[name]), str(name)):
            obj[name].load()
    return obj
