"""Treatment plants of the Urban Waste Water Treatment Directive: the EEA table, cleaned of its traps."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esai_core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Cleaned", "read_uwwtd"]

log = logging.getLogger(__name__)

COLUMNS = {
    "uwwCode": "code",
    "uwwName": "name",
    "rptMStateKey": "country",
    "uwwLatitude": "latitude",
    "uwwLongitude": "longitude",
    "uwwLoadEnteringUWWTP": "load",
    "uwwCapacity": "capacity",
    "uwwState": "state",
}
NO_CAPACITY = 9_999_999
"""What the table writes where the capacity is not known (besides 0)."""


@dataclass(frozen=True)
class Cleaned:
    """A cleaned table and what was found in it.

    Attributes
    ----------
    plants : DataFrame
        ``code, name, country, latitude, longitude, load, capacity, level, active``; load and capacity in
        population equivalents, NaN where they are not known; `level` is none, primary, secondary or tertiary.
    found : dict
        Counts: ``rows``, ``capacity_placeholder``, ``capacity_zero``, ``load_missing``,
        ``load_above_capacity``, ``inactive``, ``duplicates``.
    """

    plants: pd.DataFrame
    found: dict[str, int]


def read_uwwtd(path: str | Path) -> Cleaned:
    """Read a table of treatment plants as the EEA publishes it (Waterbase UWWTD, table UWWTPs).

    Placeholders of the capacity (9,999,999 and 0) become NaN; a load of 0 stays, a missing one is NaN; a
    load above the capacity is kept as reported, since either may be wrong, and counted.

    Parameters
    ----------
    path : path
        CSV in UTF-8 or latin-1.

    Returns
    -------
    Cleaned

    Raises
    ------
    InputError
        If columns are missing, a coordinate is missing or out of range, or a load is negative.
    """
    table = _read(Path(path))
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise InputError(
            f"no column {', '.join(missing)}", where=path, remedy="give the table UWWTPs of Waterbase UWWTD"
        )
    plants = table[list(COLUMNS)].rename(columns=COLUMNS)
    for name in ("latitude", "longitude", "load", "capacity", "state"):
        plants[name] = _numbers(plants[name], name, path)
    plants["country"] = plants["country"].astype("string").str.strip().str.upper()
    plants["level"] = _level(table)
    _check(plants, path)
    duplicate = plants["code"].duplicated()
    found = {
        "rows": len(plants),
        "capacity_placeholder": int((plants["capacity"] == NO_CAPACITY).sum()),
        "capacity_zero": int((plants["capacity"] == 0).sum()),
        "load_missing": int(plants["load"].isna().sum()),
        "load_above_capacity": int((plants["load"] > plants["capacity"]).sum()),
        "inactive": int((plants["state"] != 1).sum()),
        "duplicates": int(duplicate.sum()),
    }
    plants["capacity"] = plants["capacity"].where(
        (plants["capacity"] > 0) & (plants["capacity"] != NO_CAPACITY)
    )
    plants["active"] = plants.pop("state") == 1
    log.info("%s: %s", Path(path).name, ", ".join(f"{value} {name}" for name, value in found.items()))
    return Cleaned(plants[~duplicate].reset_index(drop=True), found)


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    from esai_core.config import missing_path

    if not path.is_file():
        raise missing_path(path)
    for encoding in ("utf-8", "latin-1"):
        try:
            return pd.read_csv(path, encoding=encoding, low_memory=False)
        except UnicodeDecodeError:
            continue
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise InputError(f"not a table: {error}", where=path) from error
    raise InputError("not a table in UTF-8 or latin-1", where=path)


def _numbers(column: pd.Series, name: str, path: str | Path) -> pd.Series:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce")
    wrong = column[numbers.isna() & column.notna()]
    if len(wrong):
        raise InputError(
            f"{name} is no number: {str(wrong.iloc[0])!r}", where=f"{path}, row {wrong.index[0] + 2}"
        )
    return numbers.astype(np.float64)


def _level(table: pd.DataFrame) -> pd.Series:
    """Give the highest level of treatment: tertiary where nitrogen or phosphorus is removed."""
    import pandas as pd

    def has(name: str) -> pd.Series:
        empty = pd.Series(0.0, index=table.index)
        return pd.to_numeric(table.get(name, empty), errors="coerce").fillna(0) > 0

    level = pd.Series("none", index=table.index)
    level = level.mask(has("uwwPrimaryTreatment"), "primary")
    level = level.mask(has("uwwSecondaryTreatment"), "secondary")
    advanced = has("uwwNRemoval") | has("uwwPRemoval") | has("uwwOtherTreatment")
    return level.mask(advanced & has("uwwSecondaryTreatment"), "tertiary")


def _check(plants: pd.DataFrame, path: str | Path) -> None:
    for name, limit in (("latitude", 90.0), ("longitude", 360.0)):
        bad = ~(plants[name].abs() <= limit)
        if bad.any():
            first = plants.index[bad][0]
            raise InputError(
                f"{name} is {plants[name][first]}",
                where=f"{path}, row {first + 2}",
                remedy="correct or remove the plant",
            )
    for name in ("load", "capacity"):
        if (plants[name] < 0).any():
            first = plants.index[plants[name] < 0][0]
            raise InputError(f"a {name} of {plants[name][first]:g}", where=f"{path}, row {first + 2}")
    if plants["country"].isna().any():
        raise InputError("a plant without a country", where=f"{path}, column rptMStateKey")
