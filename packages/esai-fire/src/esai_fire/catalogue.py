"""Names of the ocean climate indices (OCIs): the boxes that they are means of, their oceans and spellings."""

from __future__ import annotations

from dataclasses import dataclass

from esai_core.errors import unknown

__all__ = ["ALIASES", "BOXES", "OCEANS", "Box", "canonical", "ocean_of"]


@dataclass(frozen=True)
class Box:
    """A rectangle of the sea: latitudes south to north, longitudes west to east (degrees, -180 to 360)."""

    south: float
    north: float
    west: float
    east: float


#: Index -> rectangles of which it is the mean anomaly; with two, the first minus the second.
BOXES: dict[str, tuple[Box, ...]] = {
    "nino12": (Box(-10, 0, -90, -80),),
    "nino3": (Box(-5, 5, -150, -90),),
    "nino34": (Box(-5, 5, -170, -120),),
    "nino4": (Box(-5, 5, 160, 210),),
    "tna": (Box(5.5, 23.5, -57.5, -15),),
    "tsa": (Box(-20, 0, -30, 10),),
    "amo": (Box(0, 60, -80, 0),),
    "dmi": (Box(-10, 10, 50, 70), Box(-10, 0, 90, 110)),
    "wtio": (Box(-10, 10, 50, 70),),
    "setio": (Box(-10, 0, 90, 110),),
    "swio": (Box(-32, -25, 31, 45),),
    "nat": (Box(5, 20, -40, -20),),
    "sat": (Box(-15, 5, -20, 10),),
}

OCEANS: dict[str, tuple[str, ...]] = {
    "pacific": (
        "nino12", "nino3", "nino34", "nino4", "oni", "pdo", "soi", "tni", "meiv2", "pna", "epo", "wp",
    ),
    "atlantic": ("tna", "tsa", "amo", "nta", "car", "ammsst", "nao", "nat", "sat", "ea", "whwp"),
    "indian": ("dmi", "wtio", "setio", "swio"),
    "atmosphere": ("ao", "aao", "qbo"),
}  # fmt: skip

#: Spellings of the published files.
ALIASES = {
    "nina1": "nino12",
    "nina1.anom": "nino12",
    "nino1+2": "nino12",
    "nina3": "nino3",
    "nina3.anom": "nino3",
    "nina34": "nino34",
    "nina34.anom": "nino34",
    "nino3.4": "nino34",
    "nina4": "nino4",
    "nina4.anom": "nino4",
    "amon.us": "amo",
    "amon": "amo",
    "iod": "dmi",
    "nta_ersst": "nta",
    "car_ersst": "car",
}


def canonical(name: str) -> str:
    """Give the spelling of an index that this package uses; an unknown name comes back in lower case.

    Examples
    --------
    >>> canonical("nina34.anom")
    'nino34'
    """
    lower = name.strip().lower()
    return ALIASES.get(lower, lower)


def ocean_of(name: str) -> str:
    """Give the ocean of an index: a name that is in no list counts as an ocean of its own."""
    key = canonical(name)
    return next((ocean for ocean, names in OCEANS.items() if key in names), key)


def boxes_of(name: str) -> tuple[Box, ...]:
    """Give the boxes of an index.

    Raises
    ------
    UsageError
        If it is no mean of boxes.
    """
    key = canonical(name)
    if key not in BOXES:
        raise unknown("index", name, [*BOXES, "oni", "pdo"], where="indices")
    return BOXES[key]
