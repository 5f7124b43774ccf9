"""Units: CF spellings, conversion, and checks that the numbers fit the unit that a file claims."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esai_core.errors import InputError
from esai_core.io import names

if TYPE_CHECKING:
    import numpy as np
    import pint
    import xarray as xr

SPELLINGS = {
    "degC": (
        "c",
        "°c",
        "celsius",
        "degc",
        "deg_c",
        "deg c",
        "degree_celsius",
        "degrees_celsius",
        "degree c",
        "degrees c",
    ),
    "K": ("k", "kelvin", "degk", "deg_k", "deg k", "degree_kelvin", "degrees_kelvin"),
    "1": ("", "1", "none", "dimensionless", "fraction", "(0 - 1)", "(0-1)", "0-1", "~", "unitless", "-"),
    "%": ("%", "percent", "pct"),
    "m": ("m", "metre", "meter", "metres", "meters", "m of water equivalent", "m of water"),
    "mm": ("mm", "millimetre", "millimeter", "mm of water equivalent"),
    "mm day-1": ("mm/day", "mm/d", "mm d-1", "mm d**-1", "mm day**-1", "mm per day", "mm/24h"),
    "hPa": ("hpa", "mb", "mbar", "millibar", "millibars"),
}
_BY_SPELLING = {low: unit for unit, lows in SPELLINGS.items() for low in lows}
_EXPONENT = re.compile(r"(?<=[A-Za-zµ)])\s*(?:\*\*|\^)?\s*([+-]?\d+)\b")


@dataclass(frozen=True)
class Kind:
    """Units that a kind of variable may have, and the range of its values in the first of them."""

    units: tuple[str, ...]
    low: float
    high: float


KINDS: dict[str, Kind] = {
    "temperature": Kind(("K",), 140.0, 350.0),
    "precipitation": Kind(("m", "m s-1", "kg m-2", "kg m-2 s-1"), -1e-3, 30.0),
    "water": Kind(("m", "m s-1", "kg m-2", "kg m-2 s-1"), -30.0, 30.0),
    "pressure": Kind(("Pa",), 1e4, 1.2e5),
    "geopotential": Kind(("m2 s-2",), -2e4, 6e5),
    "wind": Kind(("m s-1",), -150.0, 150.0),
    "height": Kind(("m",), -12000.0, 9000.0),
    "fraction": Kind(("1",), -0.01, 1.01),
    "energy": Kind(("J m-2", "W m-2"), -1e10, 1e10),
}


def normalise_units(text: str) -> str:
    """One CF spelling of a unit: ``"W m**-2"`` gives ``"W m-2"``, ``"celsius"`` gives ``"degC"``.

    A unit that is not understood is returned as it is, without outer blanks.
    """
    text = " ".join(str(text).split())
    known = _BY_SPELLING.get(text.lower())
    if known is not None:
        return known
    if " since " in text or text.startswith("degree"):
        return text
    return _EXPONENT.sub(r"\1", text)


@functools.lru_cache(maxsize=1)
def _registry() -> pint.UnitRegistry:
    import pint

    registry: pint.UnitRegistry = pint.UnitRegistry(autoconvert_offset_to_baseunit=True)
    registry.define("dobson_unit = 446.2e-6 mol / m**2 = DU")
    return registry


def parse_units(text: str) -> Any:
    """Read a CF unit as a pint unit.

    Raises
    ------
    InputError
        If it is not a unit.
    """
    import pint

    known = normalise_units(text)
    expression = {"1": "dimensionless", "%": "percent"}.get(known, _EXPONENT.sub(r"**(\1)", known))
    try:
        return _registry().parse_units(expression)
    except (pint.errors.PintError, ValueError, TypeError, AttributeError, SyntaxError) as error:
        raise InputError(
            f"units {text!r} are not understood", remedy="use CF units such as K, degC or kg m-2"
        ) from error


def conversion(source: str, target: str) -> tuple[float, float]:
    """Factor and offset that convert values: ``target_value = factor * value + offset``.

    A mass of water per area is also converted to its depth and back (1 kg m-2 = 1 mm).

    Raises
    ------
    InputError
        If the two units measure different things.
    """
    if normalise_units(source) == normalise_units(target):
        return 1.0, 0.0
    registry = _registry()
    a, b = parse_units(source), parse_units(target)
    water = 1.0
    if a.dimensionality != b.dimensionality:
        ratio = (registry.Quantity(1, a) / registry.Quantity(1, b)).dimensionality
        density = registry.parse_units("kg/m**3").dimensionality
        if ratio == density:
            a, water = a / registry.parse_units("kg/m**3"), 1e-3
        elif ratio == (1 / registry.Quantity(1, "kg/m**3")).dimensionality:
            a, water = a * registry.parse_units("kg/m**3"), 1e3
        else:
            raise InputError(f"cannot convert units {source!r} to {target!r}")
    zero = registry.Quantity(0.0, a).to(b).magnitude
    one = registry.Quantity(1.0, a).to(b).magnitude
    return float(f"{(one - zero) * water:.15g}"), float(f"{zero:.15g}")


def convert_units(da: xr.DataArray, to: str, *, where: str | None = None) -> xr.DataArray:
    """Convert values to another unit; dask arrays stay lazy, the dtype stays.

    Parameters
    ----------
    da : xarray.DataArray
        Any dims; ``attrs["units"]`` names its unit.
    to : str
        Target unit in a CF spelling.
    where : str, optional
        File named in errors.

    Returns
    -------
    xarray.DataArray
        Same dims, ``attrs["units"]`` set to the CF spelling of `to`.

    Raises
    ------
    InputError
        If `da` has no units, or units that do not convert.
    """
    found = units_of(da, where=where)
    try:
        factor, offset = conversion(found, to)
    except InputError as error:
        raise InputError(f"{da.name}: {error}", where=where or names.source(da)) from error
    out = da
    if factor != 1.0:
        out = out * out.dtype.type(factor) if out.dtype.kind == "f" else out * factor
    if offset != 0.0:
        out = out + (out.dtype.type(offset) if out.dtype.kind == "f" else offset)
    return out.assign_attrs({**da.attrs, "units": normalise_units(to)})


def units_of(da: xr.DataArray, *, where: str | None = None) -> str:
    """Units of a variable, from ``units`` or, failing that, ``GRIB_units``.

    Raises
    ------
    InputError
        If neither is there; the message gives the range of the values, which shows the unit.
    """
    found = da.attrs.get("units") or da.attrs.get("GRIB_units")
    if found is None or str(found).lower() in ("unknown", "undefined", "missing"):
        low, high = _range(da)
        raise InputError(
            f"{da.name} has no units (its values run from {low:.6g} to {high:.6g})",
            where=where or names.source(da),
            remedy='set the attribute "units" of the variable in the file',
        )
    return normalise_units(str(found))


def check_units(da: xr.DataArray, kind: str, *, where: str | None = None) -> str:
    """Check that the units are those of a kind of variable, and return them.

    Raises
    ------
    InputError
        If they measure something else (a pressure where a temperature is expected).
    """
    found = units_of(da, where=where)
    expected = KINDS[kind].units
    for unit in expected:
        try:
            conversion(found, unit)
        except InputError:
            continue
        return found
    raise InputError(
        f"{da.name} has units {found!r}, which is no {kind}",
        where=where or names.source(da),
        remedy=f"expected {' or '.join(expected)}",
    )


def check_plausible(da: xr.DataArray, kind: str, *, where: str | None = None) -> None:
    """Check units and values of a variable against each other on a sample of at most about a million values.

    Parameters
    ----------
    da : xarray.DataArray
        Any dims; dask arrays compute the sample only.
    kind : str
        Key of :data:`KINDS`.
    where : str, optional
        File named in errors.

    Raises
    ------
    InputError
        If the units are missing or of another kind, or if the values cannot be in these units (degrees
        Celsius under ``units = "K"``, millimetres under ``"m"``, negative precipitation ...). The message
        says what they look like.
    """
    where = where or names.source(da)
    found = check_units(da, kind, where=where)
    low, high = _range(da)
    if low != low:
        raise InputError(f"{da.name} holds no values: all are missing", where=where)
    entry = KINDS[kind]
    unit = next(u for u in entry.units if _converts(found, u))
    # accumulations per time are judged as depths per day
    judged = {"m s-1": "m day-1", "kg m-2 s-1": "m day-1", "kg m-2": "m"}.get(unit, unit)
    if kind == "wind":
        judged = unit
    if _fits(low, high, found, judged, entry):
        return
    likely = next(
        (u for u in LIKELY.get(kind, ()) if u != found and _fits(low, high, u, judged, entry)), None
    )
    looks = f", which look like {likely}" if likely else ""
    raise InputError(
        f"wrong units: {da.name} has units {found!r} but values from {low:.6g} to {high:.6g}{looks}",
        where=where,
        remedy=f'set its attribute "units" to "{likely}"' if likely else f"expected a {kind}",
    )


def standard_units(
    da: xr.DataArray, variable: str | None = None, *, where: str | None = None
) -> xr.DataArray:
    """Check a variable with :func:`check_plausible` and convert it to the unit that this suite works in.

    Temperatures become K, pressures Pa, precipitation mm (amounts) or mm day-1 (rates); the other units are
    those of :data:`esai_core.io.VARIABLES`. A variable that is not listed there is returned as it is.

    Parameters
    ----------
    da : xarray.DataArray
        Any dims; dask arrays stay lazy but for the sample that is checked.
    variable : str, optional
        What it is, in any spelling; by default its name.
    where : str, optional
        File named in errors.

    Raises
    ------
    InputError
        As :func:`check_plausible`.
    """
    entry = names.VARIABLES.get(names.canonical(variable or str(da.name)))
    if entry is None:
        return da
    check_plausible(da, entry.kind, where=where)
    target = entry.units
    if entry.kind in ("precipitation", "water"):
        target = "mm" if _converts(units_of(da), "m") else "mm day-1"
    return convert_units(da, target, where=where)


LIKELY = {
    "temperature": ("degC", "K", "degF"),
    "precipitation": ("mm", "mm day-1", "kg m-2 s-1", "m"),
    "pressure": ("hPa", "Pa"),
    "fraction": ("%", "1"),
    "height": ("m", "km"),
}


def _converts(source: str, target: str) -> bool:
    try:
        conversion(source, target)
    except InputError:
        return False
    return True


def _fits(low: float, high: float, units: str, judged: str, kind: Kind) -> bool:
    if not _converts(units, judged):
        return False
    factor, offset = conversion(units, judged)
    return kind.low <= factor * low + offset and factor * high + offset <= kind.high


def _range(da: xr.DataArray, limit: int = 1_000_000) -> tuple[float, float]:
    """Smallest and largest value of a sample taken evenly along the first dimensions."""
    import numpy as np

    if da.size == 0:
        return float("nan"), float("nan")
    steps: dict[Any, slice] = {}
    size = da.size
    for dim in da.dims:
        if size <= limit:
            break
        step = min(da.sizes[dim], -(-size // limit))
        steps[dim] = slice(None, None, step)
        size = size // da.sizes[dim] * len(range(0, da.sizes[dim], step))
    values: np.ndarray = np.asarray(da.isel(steps).values, dtype=float)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return float("nan"), float("nan")
    return float(finite.min()), float(finite.max())
