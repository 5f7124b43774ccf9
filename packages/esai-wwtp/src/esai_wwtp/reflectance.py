r"""From the digital numbers of Sentinel-2 to reflectance, by the metadata of the product.

.. math:: \rho = (DN + o_b) / Q

with the quantification value :math:`Q` (10000) and the offset :math:`o_b` of the band: absent, so 0, before
processing baseline 04.00, and -1000 since. Collections are reprocessed: the date says nothing about it. A
digital number of 0 is no data, 65535 is saturated; both become NaN.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import InputError, UsageError

__all__ = ["BAND_IDS", "Scaling", "check_dark", "check_reflectance", "read_scaling", "to_reflectance"]

log = logging.getLogger(__name__)

BAND_IDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""Bands in the order of ``band_id`` in the metadata."""
NO_DATA, SATURATED = 0, 65535
QUANTIFICATION = 10000.0


@dataclass(frozen=True)
class Scaling:
    """How the digital numbers of a product become reflectance.

    Attributes
    ----------
    quantification : float
        Digital numbers of a reflectance of 1.
    offsets : mapping
        Band to what is added to its digital numbers first; 0 for bands that are not in it.
    baseline, level : str
        Processing baseline ("04.00") and level ("L1C", "L2A"); for messages.
    """

    quantification: float = QUANTIFICATION
    offsets: Mapping[str, float] = field(default_factory=dict)
    baseline: str = ""
    level: str = ""

    def __post_init__(self) -> None:
        if not 1000 <= self.quantification <= 100000:
            raise UsageError(
                f"a quantification of {self.quantification:g} is not Sentinel-2's",
                where="reflectance",
                remedy="give digital numbers of 1/10000; pictures scaled to 255 have lost their units",
            )

    def offset(self, band: str) -> float:
        """Give the offset of a band in digital numbers."""
        return float(self.offsets.get(band, 0.0))

    def with_offset(self, offset: float) -> Scaling:
        """Give the same with another offset for all bands (an override by the user)."""
        return Scaling(self.quantification, dict.fromkeys(BAND_IDS, offset), self.baseline, self.level)


def read_scaling(path: str | Path) -> Scaling:
    """Read the scaling from ``MTD_MSIL1C.xml`` or ``MTD_MSIL2A.xml``.

    Parameters
    ----------
    path : path
        The product's main metadata file.

    Returns
    -------
    Scaling

    Raises
    ------
    InputError
        If the file is missing, no XML, or has no quantification value.
    """
    path = Path(path)
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise InputError("no metadata here", where=path) from None
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise InputError(f"not XML, or truncated: {error}", where=path) from error
    found: dict[str, list[ElementTree.Element]] = {}
    for element in root.iter():
        found.setdefault(element.tag.rpartition("}")[2], []).append(element)
    quantification = found.get("BOA_QUANTIFICATION_VALUE") or found.get("QUANTIFICATION_VALUE")
    if not quantification:
        raise InputError(
            "no quantification value",
            where=path,
            remedy="give MTD_MSIL1C.xml or MTD_MSIL2A.xml of the product",
        )
    level = "L2A" if "BOA_QUANTIFICATION_VALUE" in found else "L1C"
    offsets = found.get("BOA_ADD_OFFSET" if level == "L2A" else "RADIO_ADD_OFFSET", [])
    baseline = found.get("PROCESSING_BASELINE")
    try:
        values = {BAND_IDS[int(one.attrib["band_id"])]: float(one.text or "") for one in offsets}
        return Scaling(
            float(quantification[0].text or ""), values, (baseline[0].text or "") if baseline else "", level
        )
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"a quantification or offset that is no number: {error}", where=path) from error


def to_reflectance(numbers: NDArray, scaling: Scaling, band: str) -> NDArray[np.float32]:
    """Turn digital numbers into reflectance.

    Parameters
    ----------
    numbers : array of unsigned integers
        As the product stores them.
    scaling : Scaling
    band : str
        Name of the band (``"B04"``).

    Returns
    -------
    array of float32
        NaN where there is no data or the sensor was saturated; may be slightly negative.

    Raises
    ------
    InputError
        If the numbers are bytes: a picture, not a measurement.
    """
    if numbers.dtype.itemsize < 2 or numbers.dtype.kind not in "ui":
        raise InputError(
            f"{band} holds {numbers.dtype}, not 16-bit digital numbers",
            remedy="pictures scaled to 255 have lost their units: give the bands themselves",
        )
    value = (numbers.astype(np.float32) + np.float32(scaling.offset(band))) / np.float32(
        scaling.quantification
    )
    return np.where((numbers == NO_DATA) | (numbers == SATURATED), np.float32(np.nan), value)


def check_reflectance(values: NDArray, *, where: object) -> None:
    """Refuse what cannot be reflectance: bytes, values of 0 ... 255, digital numbers.

    Raises
    ------
    InputError
        If the values are integers, or their median is beyond 1.5.
    """
    if values.dtype.kind != "f":
        raise InputError(
            f"{values.dtype} is no reflectance", where=where, remedy="give floats, 1 for a white surface"
        )
    present = values[np.isfinite(values)]
    if present.size and float(np.median(present)) > 1.5:
        raise InputError(
            f"a median of {float(np.median(present)):.4g} is no reflectance",
            where=where,
            remedy="1 is a white surface; values of 0 ... 255 or 0 ... 10000 are refused",
        )


def check_dark(numbers: NDArray, scaling: Scaling, band: str, *, where: object) -> str | None:
    """Compare the darkest pixels with the offset that the metadata tell.

    With an offset of -1000, land and water have digital numbers above 1000: when more than 1 % lie below
    900, the offset was taken off already. Without one, water in the near infrared comes down to a few
    hundred: where nothing of a large window is below 1000, it may be missing.

    Parameters
    ----------
    numbers : array
        Digital numbers of a large part of the scene.
    scaling : Scaling
    band : str
    where : object
        For the message.

    Returns
    -------
    str or None
        What looks odd, which may still be right; it is logged.

    Raises
    ------
    InputError
        If the offset cannot be right.
    """
    present = numbers[(numbers != NO_DATA) & (numbers != SATURATED)]
    if present.size < 1000:
        return None
    offset = scaling.offset(band)
    below = float((present < -offset - 100).mean()) if offset < 0 else 0.0
    if below > 0.01:
        raise InputError(
            f"{below:.0%} of {band} would be below a reflectance of -0.01 with the offset {offset:g}",
            where=where,
            remedy="the offset was taken off already: set data.offset = 0",
        )
    darkest = float(np.quantile(present, 0.0005))
    if offset == 0 and band in ("B08", "B11", "B12") and darkest >= 1000:
        message = (
            f"{where}: no pixel of {band} is darker than {darkest / scaling.quantification:.2f}; "
            "if water or shadow is in view, the offset is missing: data.offset = -1000"
        )
        log.warning(message)
        return message
    return None
