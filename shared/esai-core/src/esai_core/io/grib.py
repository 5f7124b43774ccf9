"""GRIB through cfgrib: every message in the right hypercube, and no index file beside the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import xarray as xr

from esai_core.errors import InputError, UsageError, nearest
from esai_core.io import names

SEASONAL_MONTHLY = ("forecastMonth", "indexing_time")
KEYS = (
    "paramId",
    "shortName",
    "cfVarName",
    "typeOfLevel",
    "stepType",
    "dataType",
    "forecastMonth",
    "indexingDate",
)


def open_grib(path: Path, *, variable: str | None = None) -> xr.Dataset:
    """Open a GRIB file as one dataset.

    Monthly seasonal forecasts are indexed by month of forecast and nominal start: indexed by valid step, as
    by default, lagged starts and months of unequal length leave a hypercube that is 75 to 99 % empty.

    Parameters
    ----------
    path : Path
        The file.
    variable : str, optional
        Read this variable alone.

    Raises
    ------
    InputError
        If the file is truncated, or if its fields do not fit one dataset.
    UsageError
        If cfgrib or eccodes is missing.
    """
    try:
        import eccodes
        from cfgrib.xarray_plugin import CfGribBackend
    except (ImportError, RuntimeError) as error:
        raise UsageError(
            "reading GRIB needs cfgrib", where=str(path), remedy="pip install esai-core[grib]"
        ) from error
    check_messages(path)
    groups = _scan(path, eccodes)
    if variable is not None:
        groups = _matching(groups, variable, path)
    parts = []
    for (param, level, step_type), keys in groups.items():
        options: dict[str, Any] = {
            "indexpath": "",
            "filter_by_keys": {"paramId": param, "typeOfLevel": level, "stepType": step_type},
        }
        if keys["forecastMonth"] is not None and keys["indexingDate"] is not None:
            options["time_dims"] = SEASONAL_MONTHLY
        elif keys["forecastMonth"] is not None:
            options["time_dims"] = ("forecastMonth", "time")
        backend: Any = CfGribBackend
        try:
            part = xr.open_dataset(path, engine=backend, decode_timedelta=True, backend_kwargs=options)
        except (ValueError, KeyError, EOFError, OSError, eccodes.CodesInternalError) as error:
            text = " ".join(str(error).split())[:200]
            raise InputError(
                f"the GRIB fields of {keys['shortName']} do not fit one array ({text})", where=str(path)
            ) from error
        parts.append(_drop_scalars(part))
    return _merge(parts, path)


def check_messages(path: Path) -> int:
    """Walk over the messages of a GRIB file by their lengths and return their number.

    Raises
    ------
    InputError
        If the last message is cut off, or if something between the messages is no GRIB: cfgrib would read on
        silently.
    """
    count = 0
    size = path.stat().st_size
    with path.open("rb") as file:
        position = max(file.read(128).find(b"GRIB"), 0)
        while position < size:
            file.seek(position)
            head = file.read(512)
            gap = len(head) - len(head.lstrip(b"\x00\r\n "))  # tapes pad messages to whole blocks
            if gap:
                position += gap
                continue
            edition = head[7] if len(head) > 7 else 0
            if head[:4] != b"GRIB" or edition not in (1, 2):
                raise InputError(
                    f"the GRIB file is damaged after {count} messages (byte {position})",
                    where=str(path),
                    remedy="download it again",
                )
            length = int.from_bytes(head[4:7] if edition == 1 else head[8:16], "big")
            if edition == 1 and length & 0x800000:
                length = _large_message(file, position, length)
            file.seek(position + length - 4)
            if file.read(4) != b"7777":
                raise InputError(
                    f"the GRIB file is truncated: message {count + 1} is cut off",
                    where=str(path),
                    remedy="download it again",
                )
            position += length
            count += 1
    return count


def _large_message(file: BinaryIO, position: int, coded: int) -> int:
    """Length of a GRIB 1 message beyond 8 MB: coded in 120 bytes, the remainder in section 4."""

    def section(at: int) -> int:
        file.seek(at)
        return int.from_bytes(file.read(3), "big")

    at = position + 8
    file.seek(at + 7)
    flags = file.read(1)[0]
    at += section(at)
    for present in (0x80, 0x40):
        if flags & present:
            at += section(at)
    rest = section(at)
    return (coded & 0x7FFFFF) * 120 - rest + 4 if rest < 120 else coded


def _scan(path: Path, eccodes: Any) -> dict[tuple[int, str, str], dict[str, Any]]:
    """Group the messages by parameter, kind of level and kind of step; give the keys of the first of each."""
    groups: dict[tuple[int, str, str], dict[str, Any]] = {}
    with path.open("rb") as file:
        while True:
            try:
                handle = eccodes.codes_new_from_file(file, eccodes.CODES_PRODUCT_GRIB, headers_only=True)
            except eccodes.CodesInternalError as error:
                raise InputError(
                    f"damaged GRIB file ({error})", where=str(path), remedy="download it again"
                ) from error
            if handle is None:
                return groups
            try:
                keys = {
                    k: eccodes.codes_get(handle, k) if eccodes.codes_is_defined(handle, k) else None
                    for k in KEYS
                }
            finally:
                eccodes.codes_release(handle)
            group = (int(keys["paramId"] or 0), str(keys["typeOfLevel"]), str(keys["stepType"]))
            groups.setdefault(group, keys)


def _matching(groups: dict[Any, dict[str, Any]], variable: str, path: Path) -> dict[Any, dict[str, Any]]:
    key = names.canonical(variable)
    found = {
        group: keys
        for group, keys in groups.items()
        if variable in (keys["shortName"], keys["cfVarName"], f"var{keys['paramId']}")
        or key in (names.canonical(str(keys["shortName"])), names.canonical(str(keys["cfVarName"])))
    }
    if not found:
        listed = ", ".join(dict.fromkeys(str(k["cfVarName"]) for k in groups.values()))
        hint = nearest(variable, listed.split(", "))
        raise InputError(
            f"no variable {variable!r}; the file has {listed}", where=str(path), remedy=hint or None
        )
    return found


def _drop_scalars(part: xr.Dataset) -> xr.Dataset:
    keep = {"number", "time", "indexing_time", "forecastMonth", "latitude", "longitude"}
    return part.drop_vars([c for c in part.coords if part[c].ndim == 0 and c not in keep])


def _merge(parts: list[xr.Dataset], path: Path) -> xr.Dataset:
    if not parts:
        raise InputError("the file holds no GRIB message", where=str(path))
    if len(parts) == 1:
        return parts[0]
    try:
        return xr.merge(parts, compat="no_conflicts", join="outer", combine_attrs="override")
    except (ValueError, xr.MergeError) as error:
        listed = ", ".join(dict.fromkeys(str(n) for part in parts for n in part.data_vars))
        raise InputError(
            f"its variables ({listed}) do not share one grid or time axis",
            where=str(path),
            remedy="read one variable by name",
        ) from error
