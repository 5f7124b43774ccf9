"""Find the bands and the metadata of a scene in SAFE folders, STAC items, folders and GeoTIFFs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from esai_core.config import missing_path
from esai_core.errors import InputError
from esai_wwtp.reflectance import QUANTIFICATION, Scaling, read_scaling
from esai_wwtp.scenes import Scene

__all__ = ["open_scene", "scene_of"]

BAND_FILE = re.compile(r"(?:^|_)(B\d\d|B8A|SCL)(?:_(\d\d)m)?\.(?:jp2|tiff?)$", re.IGNORECASE)
DATE = re.compile(r"_(\d{4})(\d\d)(\d\d)(?:T\d{6})?[_.]")


def open_scene(
    path: str | Path, *, bands: tuple[str, ...], offset: float | None = None, units: str = "auto"
) -> Scene:
    """Open a scene; nothing is read yet but its metadata.

    Parameters
    ----------
    path : path
        A SAFE folder; a STAC item (``.json``); a folder of one file per band; one of such files, which stands
        for its siblings; or a GeoTIFF whose bands are named in their descriptions.
    bands : tuple of str
        What is needed (``"B02"``), in the order of the channels.
    offset : float, optional
        Overrides the offset of the metadata, in digital numbers. Without metadata it has to be given.
    units : {"auto", "reflectance"}
        Digital numbers by the metadata, or floats that are reflectance.

    Returns
    -------
    Scene

    Raises
    ------
    InputError
        If the scene or a band is missing, or nothing tells the offset.
    """
    path = Path(path)
    if not path.exists():
        raise missing_path(path, key="data.scenes")
    if units == "reflectance":
        return replace(_locate(path, bands, 0.0), units=units)
    return _locate(path, bands, offset)


def _locate(path: Path, bands: tuple[str, ...], offset: float | None) -> Scene:
    if path.suffix.lower() == ".json":
        from esai_wwtp.stac import open_item, read_items

        items = read_items(path)
        if len(items) != 1:
            raise InputError(f"{len(items)} STAC items", where=path, remedy="give a file with one")
        return open_item(items[0], path, bands, offset)
    if path.is_file() and not BAND_FILE.search(path.name):
        return _open_stacked(path, bands, offset)
    found = _band_files(path)
    scaling = _scaling(path, offset)
    name = path.stem if path.is_dir() else BAND_FILE.sub("", path.name)
    return scene_of(name, bands, found, scaling, path)


def scene_of(
    name: str, bands: tuple[str, ...], found: dict[str, Path], scaling: Scaling, path: Path
) -> Scene:
    """Give a scene of one file per band, and ``SCL`` where there is one; InputError if a band is missing."""
    missing = [band for band in bands if band not in found]
    if missing:
        here = ", ".join(sorted(set(found) - {"SCL"})) or "no band"
        raise InputError(f"no file of {', '.join(missing)}", where=path, remedy=f"there is {here}")
    files = {band: (found[band], 1) for band in bands}
    return Scene(name, bands, scaling, files, found.get("SCL"), sensed=_date(f"{name}_"))


def _date(text: str) -> str:
    found = DATE.search(text)
    return "-".join(found.groups()) if found else ""


def _band_files(path: Path) -> dict[str, Path]:
    """Find one file per band: the finest resolution of each (L2A repeats bands at 20 and 60 m)."""
    if path.is_file():
        stem = BAND_FILE.sub("", path.name)
        listed = [one for one in path.parent.iterdir() if BAND_FILE.sub("", one.name) == stem]
    elif any(path.glob("GRANULE/*/IMG_DATA")):
        listed = [one for folder in path.glob("GRANULE/*/IMG_DATA") for one in folder.rglob("*.jp2")]
    else:
        listed = [one for one in path.iterdir() if one.is_file()]
    best: dict[str, tuple[int, Path]] = {}
    for one in sorted(listed):
        match = BAND_FILE.search(one.name)
        if match is None:
            continue
        band, metres = match.group(1).upper(), int(match.group(2) or 0)
        if band in best and metres == best[band][0]:
            raise InputError(
                f"two files of {band}: {best[band][1].name} and {one.name}",
                where=path,
                remedy="name one file of the scene: it stands for its siblings",
            )
        if band not in best or metres < best[band][0]:
            best[band] = (metres, one)
    return {band: one for band, (_, one) in best.items()}


def _scaling(path: Path, offset: float | None) -> Scaling:
    folder = path if path.is_dir() else path.parent
    files = [one for one in sorted(folder.glob("MTD_MSIL*.xml")) if one.is_file()]
    if files:
        scaling = read_scaling(files[0])
        return scaling if offset is None else scaling.with_offset(offset)
    if offset is None:
        raise InputError(
            "no metadata (MTD_MSIL1C.xml, MTD_MSIL2A.xml) tells the offset",
            where=path,
            remedy="set data.offset = 0 (baselines before 04.00) or -1000",
        )
    return Scaling().with_offset(offset)


def _open_stacked(path: Path, bands: tuple[str, ...], offset: float | None) -> Scene:
    """Open a GeoTIFF of several bands, named by their descriptions; its scale and offset are its metadata."""
    from esai_wwtp.scenes import _open_raster

    with _open_raster(path) as file:
        names = {str(text).upper(): i for i, text in enumerate(file.descriptions, 1) if text}
        scales, offsets = file.scales, file.offsets
        classes = path.with_name(f"{path.stem}_SCL{path.suffix}")
    missing = [band for band in bands if band not in names]
    if missing:
        raise InputError(
            f"no band described as {', '.join(missing)}",
            where=path,
            remedy=f"there is {', '.join(names) or 'no description'}",
        )
    first = names[bands[0]] - 1
    if scales[first] == 1.0 and offset is None:
        raise InputError(
            "no scale in the file tells its units",
            where=path,
            remedy="set data.offset = 0 (baselines before 04.00) or -1000",
        )
    quantification = QUANTIFICATION if scales[first] == 1.0 else round(1.0 / scales[first], 6)
    shifts = {band: offsets[names[band] - 1] * quantification for band in bands}
    scaling = Scaling(quantification, shifts)
    return Scene(
        path.stem,
        bands,
        scaling if offset is None else scaling.with_offset(offset),
        {band: (path, names[band]) for band in bands},
        classes if classes.is_file() else None,
        sensed=_date(path.name),
    )
