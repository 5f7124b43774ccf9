"""Units of concentrations, as European directives convert them (20 degrees C, 101.3 kPa)."""

from __future__ import annotations

from esai_core.errors import UsageError

__all__ = ["UGM3_PER_PPB", "factor"]

UGM3_PER_PPB = {"o3": 1.995, "no2": 1.912, "so2": 2.66, "co": 1.164}
"""ug/m3 of one ppb at 20 degrees C and 101.3 kPa."""


def factor(source: str, target: str, *, species: str) -> float:
    """Give the number that values are multiplied by.

    Parameters
    ----------
    source, target : {"ppb", "ug/m3", "kg/m3"}
        Units.
    species : str
        ``"o3"``, ``"no2"``, ``"so2"``, ``"co"``; needed between ppb and mass.

    Raises
    ------
    UsageError
        For a species without a factor, where one is needed.
    """
    if source == target:
        return 1.0
    mass = {"ug/m3": 1.0, "kg/m3": 1e9}
    if "ppb" in (source, target) and species not in UGM3_PER_PPB:
        raise UsageError(f"no ppb of {species}", where="data.units", remedy="give both files in ug/m3")
    to_mass = mass[source] if source in mass else UGM3_PER_PPB[species]
    return to_mass / (mass[target] if target in mass else UGM3_PER_PPB[species])
