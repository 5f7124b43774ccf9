"""Scenes of STAC items: one by one, or the items of a day joined to one scene by odc-stac."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from esai_core.errors import InputError, UsageError
from esai_wwtp.decoding import write_bands
from esai_wwtp.opening import scene_of
from esai_wwtp.reflectance import BAND_IDS, QUANTIFICATION, Scaling
from esai_wwtp.scenes import Scene, Window

__all__ = ["join_items", "open_item", "read_items"]

COMMON_NAMES = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08", "scl": "SCL"}
METRES = 10.0
CHUNK = 1024

Item = dict[str, Any]


def read_items(path: Path) -> list[Item]:
    """Read a STAC item, or the items of a search (a FeatureCollection).

    Raises
    ------
    InputError
        If the file holds neither.
    """
    try:
        content = json.loads(path.read_text())
        items: list[Item] = content.get("features", [content])
        whole = all(isinstance(item["assets"], dict) for item in items)
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise InputError("not a STAC item", where=path, remedy="give an item with assets") from error
    if not items or not whole:
        raise InputError(
            "no STAC item with assets", where=path, remedy="give an item, or a search that found one"
        )
    return items


def _assets(item: Item) -> dict[str, str]:
    """Give the key of the asset of each band: by ``eo:bands``, by common names, or by the key itself."""
    found: dict[str, str] = {}
    for key, asset in item["assets"].items():
        listed = asset.get("eo:bands") or [{}]
        for name in (listed[0].get("name", ""), COMMON_NAMES.get(key, ""), key.upper()):
            name = str(name).upper()
            if name in (*BAND_IDS, "SCL") and "jp2" not in key:
                found.setdefault(name, key)
    return found


def open_item(item: Item, path: Path, bands: tuple[str, ...], offset: float | None) -> Scene:
    """Open an item by its assets; ``raster:bands`` gives scale and offset, in reflectance.

    Parameters
    ----------
    item : dict
    path : Path
        Of its file: addresses are relative to it.
    bands, offset
        As in `esai_wwtp.opening.open_scene`.

    Raises
    ------
    InputError
        If a band is missing, or nothing tells the offset.
    """
    keys = _assets(item)
    properties = item.get("properties", {})
    offsets, quantification = {}, QUANTIFICATION
    for band in bands:
        told = (item["assets"].get(keys.get(band, ""), {}).get("raster:bands") or [{}])[0]
        if "scale" in told:
            quantification = 1.0 / float(told["scale"])
            offsets[band] = float(told.get("offset", 0.0)) * quantification
    if properties.get("earthsearch:boa_offset_applied") is True:  # the pixels had it taken off: then it is 0
        offsets = dict.fromkeys(bands, 0.0)
    elif offset is None and not offsets:
        raise InputError(
            "no asset tells scale and offset (raster:bands)",
            where=path,
            remedy="set data.offset = 0 (baselines before 04.00) or -1000",
        )
    scaling = Scaling(round(quantification, 6), offsets, str(properties.get("s2:processing_baseline", "")))
    scene = scene_of(
        str(item.get("id", path.stem)),
        bands,
        {band: _href(item["assets"][key]["href"], path) for band, key in keys.items()},
        scaling if offset is None else scaling.with_offset(offset),
        path,
    )
    day = str(properties.get("datetime") or "")[:10]
    return replace(scene, sensed=day or scene.sensed)


def _href(href: str, item: Path) -> Any:
    """Resolve an address: relative to the item, or one that GDAL reads over the network."""
    if href.startswith("s3://"):
        return f"/vsis3/{href.removeprefix('s3://')}"
    if re.match(r"https?://", href):
        return f"/vsicurl/{href}"
    return (item.parent / href).resolve()


def join_items(
    items: list[Item], path: Path, bands: tuple[str, ...], offset: float | None, *, folder: Path
) -> list[Scene]:
    """Join the items of each day and zone to one scene of 10 m pixels, by odc-stac.

    Bands of other resolutions, and the scene classification, take the nearest pixel. Where tiles overlap, the
    first with data counts.

    Parameters
    ----------
    items : list of dict
        Of a search.
    path, bands, offset
        As in `open_item`.
    folder : Path
        Gets a GeoTIFF of each scene; one that is there is used again.

    Raises
    ------
    UsageError
        If odc-stac is not installed.
    InputError
        If an item lacks its projection, or the items of a scene differ in scale and offset.
    """
    try:
        import odc.stac  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "data.join needs odc-stac", remedy='pip install "esai-wwtp[stac]"', where="data.join"
        ) from error
    groups: dict[tuple[str, str], list[tuple[Item, Scene]]] = {}
    for item in items:
        scene = open_item(item, path, bands, offset)
        groups.setdefault((scene.sensed, _projection(item, path)), []).append((item, scene))
    return [_join(day, crs, pairs, path, folder) for (day, crs), pairs in sorted(groups.items())]


def _projection(item: Item, path: Path) -> str:
    properties = item.get("properties", {})
    code = properties.get("proj:code") or properties.get("proj:epsg")
    if code is None:
        raise InputError(f"{item.get('id')} tells no projection (proj:code)", where=path)
    return str(code) if ":" in str(code) else f"EPSG:{code}"


def _join(day: str, crs: str, pairs: list[tuple[Item, Scene]], path: Path, folder: Path) -> Scene:
    first = pairs[0][1]
    for _, other in pairs[1:]:
        if any(other.scaling.offset(band) != first.scaling.offset(band) for band in first.bands):
            raise InputError(
                f"{first.name} and {other.name} of one day have different offsets",
                where=path,
                remedy="give items of one processing baseline, or set data.offset",
            )
    keys = _assets(pairs[0][0])
    names = [keys[band] for band in first.bands]
    loaded = _load([item for item, _ in pairs], names, path, crs, "uint16")
    target = folder / f"{crs.replace(':', '_')}_{day}.tif"
    folder.mkdir(parents=True, exist_ok=True)
    _write(loaded, target, names)
    classes = None
    if "SCL" in keys:
        classes = target.with_name(f"{target.stem}_SCL.tif")
        _write(_load([item for item, _ in pairs], [keys["SCL"]], path, crs, "uint8"), classes, [keys["SCL"]])
    files = {band: (target, number) for number, band in enumerate(first.bands, 1)}
    return Scene(target.stem, first.bands, first.scaling, files, classes, sensed=day)


def _load(items: Iterable[Item], names: list[str], path: Path, crs: str, dtype: str) -> Any:
    import odc.stac
    import pystac

    parsed = []
    for item in items:
        one = pystac.Item.from_dict(item)
        for asset in one.assets.values():
            if "://" not in asset.href:
                asset.href = str(_href(asset.href, path))
        parsed.append(one)
    return odc.stac.load(
        parsed,
        bands=names,
        crs=crs,
        resolution=METRES,
        anchor="edge",
        dtype=dtype,
        nodata=0,
        resampling="nearest",
        groupby="solar_day",
        chunks={"x": CHUNK, "y": CHUNK},
    ).isel(time=0)


def _write(loaded: Any, target: Path, names: list[str]) -> None:
    if target.exists():
        return

    def read(name: str, window: Window) -> NDArray:
        part = loaded[name][window.top : window.bottom, window.left : window.right]
        return part.compute(scheduler="threads").to_numpy()

    box = loaded.odc.geobox
    write_bands(
        target,
        names,
        read,
        shape=tuple(box.shape),
        crs=str(box.crs),
        transform=box.transform,
        dtype=str(loaded[names[0]].dtype),
    )
