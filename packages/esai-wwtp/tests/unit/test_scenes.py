"""SAFE folders, STAC items, masks of the scene classification, labels with regions to ignore."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from shapely import Point, box
from shapely.geometry import mapping

from esai_core.errors import InputError
from esai_core.verify import match_objects, pr_auc
from esai_wwtp.geo import from_corner, to_pixels
from esai_wwtp.labels import read_labels
from esai_wwtp.opening import open_scene
from esai_wwtp.reflectance import Scaling
from esai_wwtp.scene_scoring import Tally
from esai_wwtp.scenes import Scene, Window

BANDS = ("B02", "B03", "B04", "B08")
MTD = """<a><PROCESSING_BASELINE>05.09</PROCESSING_BASELINE>
<BOA_QUANTIFICATION_VALUE>10000</BOA_QUANTIFICATION_VALUE>
{}</a>"""


def write(
    path: Path, values: np.ndarray, step: float = 10.0, *, west: float = 500_000, **options: str
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    driver = "JP2OpenJPEG" if path.suffix == ".jp2" else "GTiff"
    profile = {"driver": driver, "dtype": values.dtype, "count": 1, "crs": "EPSG:32630"}
    rows, columns = values.shape
    place = {"height": rows, "width": columns, "transform": from_corner(west, 4_500_000, step)}
    with rasterio.open(path, "w", **profile, **place, **options) as file:
        file.write(values, 1)


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = (
        tmp_path_factory.mktemp("safe") / "S2A_MSIL2A_20230821T110621_N0509_R137_T30TVK_20230821T171819.SAFE"
    )
    images = root / "GRANULE" / "L2A_T30TVK" / "IMG_DATA"
    lossless = {"QUALITY": "100", "REVERSIBLE": "YES"}
    random = np.random.default_rng(0)
    for number, band in enumerate(BANDS):
        values = random.integers(1000, 4000, (120, 100)).astype(np.uint16) + number
        write(images / "R10m" / f"T30TVK_20230821_{band}_10m.jp2", values, **lossless)
        write(images / "R20m" / f"T30TVK_20230821_{band}_20m.jp2", values[::2, ::2], 20.0, **lossless)
    classes = np.full((60, 50), 4, np.uint8)
    classes[10:20, 30:40] = 9
    write(images / "R20m" / "T30TVK_20230821_SCL_20m.jp2", classes, 20.0, **lossless)
    offsets = "".join(f'<BOA_ADD_OFFSET band_id="{i}">-1000</BOA_ADD_OFFSET>' for i in range(13))
    (root / "MTD_MSIL2A.xml").write_text(MTD.format(offsets))
    return root


def test_safe_is_read_by_its_metadata_at_10_m(safe: Path) -> None:
    scene = open_scene(safe, bands=BANDS)
    scene.check()
    assert scene.shape == (120, 100)
    assert scene.sensed == "2023-08-21"
    values = scene.read(scene.whole)
    with rasterio.open(next(safe.rglob("*B08_10m.jp2"))) as file:
        expected = (file.read(1).astype(float) - 1000) / 10000
    cloud = np.zeros((120, 100), bool)
    cloud[20:40, 60:80] = True
    assert np.isnan(values[cloud]).all()
    np.testing.assert_allclose(values[~cloud][:, 3], expected[~cloud], atol=1e-6)
    odd = Window(13, 45, 57, 90)  # the classification has other pixels
    np.testing.assert_array_equal(scene.read(odd), values[13:45, 57:90])
    assert np.isfinite(scene.read(scene.whole, clouds=False)).all()


def test_an_override_of_the_offset_wins(safe: Path) -> None:
    plain, other = open_scene(safe, bands=BANDS), open_scene(safe, bands=BANDS, offset=0.0)
    window = Window(0, 4, 0, 4)
    np.testing.assert_allclose(other.read(window) - plain.read(window), 0.1, atol=1e-6)


def test_stac_items_tell_scale_and_offset(safe: Path, tmp_path: Path) -> None:
    def item(extra: dict[str, object], **properties: object) -> Path:
        assets = {
            name: {"href": str(next(safe.rglob(f"*{band}_10m.jp2"))), "eo:bands": [{"name": band}], **extra}
            for name, band in zip(("blue", "green", "red", "nir"), BANDS, strict=True)
        }
        path = tmp_path / "item.json"
        path.write_text(json.dumps({"id": "S2A_T30TVK_20230821", "assets": assets, "properties": properties}))
        return path

    told = {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}
    assert open_scene(item(told), bands=BANDS).scaling.offset("B08") == -1000
    applied = item(told, **{"earthsearch:boa_offset_applied": True})
    assert open_scene(applied, bands=BANDS).scaling.offset("B08") == 0
    with pytest.raises(InputError, match="raster:bands"):
        open_scene(item({}), bands=BANDS)
    assert open_scene(item({}), bands=BANDS, offset=-1000.0).scaling.offset("B02") == -1000


@pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning")  # of odc-geo
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # of odc-geo, about affine
def test_items_of_a_day_are_joined_at_10_m(tmp_path: Path) -> None:
    pytest.importorskip("odc.stac")
    from esai_wwtp.stac import join_items, read_items

    random = np.random.default_rng(4)
    whole = random.integers(1001, 4000, (40, 60, 4)).astype(np.uint16)
    classes = np.full((20, 30), 4, np.uint8)
    classes[3, 20] = 9
    features = []
    for tile, (left, right) in {"a": (0, 40), "b": (30, 60)}.items():  # they overlap by 10 columns
        assets = {}
        for number, (key, band) in enumerate(zip(("blue", "green", "red", "nir"), BANDS, strict=True)):
            write(tmp_path / f"{tile}_{band}.tif", whole[:, left:right, number], west=500_000 + 10 * left)
            told = [{"scale": 0.0001, "offset": -0.1}]
            assets[key] = {"href": f"./{tile}_{band}.tif", "eo:bands": [{"name": band}], "raster:bands": told}
        write(
            tmp_path / f"{tile}_SCL.tif", classes[:, left // 2 : right // 2], 20.0, west=500_000 + 10 * left
        )
        assets["scl"] = {"href": f"./{tile}_SCL.tif"}
        outline = box(500_000 + 10 * left, 4_499_600, 500_000 + 10 * right, 4_500_000)
        place = geopandas.GeoSeries([outline], crs=32630).to_crs(4326)
        features.append(
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "id": f"S2_{tile}",
                "geometry": mapping(place.iloc[0]),
                "bbox": place.total_bounds.tolist(),
                "properties": {
                    "datetime": "2023-08-21T11:06:21Z",
                    "proj:epsg": 32630,
                    "proj:shape": [40, right - left],
                    "proj:transform": [10, 0, 500_000 + 10 * left, 0, -10, 4_500_000],
                },
                "links": [],
                "assets": assets,
            }
        )
    path = tmp_path / "search.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    items = read_items(path)
    (scene,) = join_items(items, path, BANDS, None, folder=tmp_path / "joined")
    scene.check()
    assert scene.sensed == "2023-08-21"
    row, column = (round(float(one)) for one in to_pixels(scene.transform, 500_000, 4_500_000))
    values = scene.read(scene.whole)[row : row + 40, column : column + 60]
    expected = (whole - 1000.0) / 10_000
    cloud = np.zeros((40, 60), bool)
    cloud[6:8, 40:42] = True
    assert np.isnan(values[cloud]).all()
    np.testing.assert_allclose(values[~cloud], expected[~cloud], atol=1e-6)
    items[1]["assets"]["nir"]["raster:bands"] = [{"scale": 0.0001, "offset": 0.0}]
    with pytest.raises(InputError, match="different offsets"):
        join_items(items, path, BANDS, None, folder=tmp_path / "other")
    del items[0]["properties"]["proj:epsg"]
    with pytest.raises(InputError, match="no projection"):
        join_items(items, path, BANDS, None, folder=tmp_path / "other")


def scene_in_memory() -> Scene:
    place = (CRS.from_epsg(32630), from_corner(500_000, 4_500_000, 10))
    return Scene("m", BANDS, Scaling(), values=np.full((100, 100, 4), 1500, np.uint16), place=place)


def test_polygons_are_plants_and_points_without_an_outline_are_ignored(tmp_path: Path) -> None:
    shapes = [
        box(500_100, 4_499_700, 500_200, 4_499_900),
        Point(500_150, 4_499_800),
        Point(500_700, 4_499_500),
    ]
    frame = geopandas.GeoDataFrame({"load": [np.nan, 5000.0, 70.0]}, geometry=shapes, crs=32630)
    frame.to_crs(4326).to_file(tmp_path / "labels.geojson", driver="GeoJSON")
    labels = read_labels((tmp_path / "labels.geojson",), radius=100.0)
    assert labels.polygons["load"].tolist() == [5000.0]  # the point inside is the same plant
    target = labels.on(scene_in_memory()).read(Window(0, 100, 0, 100))
    rows, columns = np.nonzero(target == 1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 29, 10, 19)
    disc = np.nonzero(target == 2)
    assert len(disc[0]) == pytest.approx(np.pi * 100, rel=0.03)
    assert (disc[0].mean(), disc[1].mean()) == pytest.approx((49.5, 69.5), abs=0.01)


def test_of_osm_layers_the_plants_are_taken(tmp_path: Path) -> None:
    from esai_core.testing import data_path

    labels = read_labels((data_path("wwtp/osm_wwtp_california_sample14.geojson"),), radius=200.0)
    assert len(labels.polygons) == 14
    pixels = labels.polygons.to_crs(labels.polygons.estimate_utm_crs()).geometry.area / 100
    assert pixels.median() == pytest.approx(373, rel=0.05)


def test_a_tally_agrees_with_the_scores_of_the_core() -> None:
    random = np.random.default_rng(5)
    target = np.zeros((200, 200), np.uint8)
    target[20:40, 20:40], target[100:130, 50:70], target[150:160, 150:160] = 1, 1, 2
    p = np.round(np.clip(0.6 * (target == 1) + random.uniform(0, 0.45, target.shape), 0, 1) * 250) / 250
    found = np.zeros(target.shape, bool)
    found[22:42, 20:40], found[150:158, 150:158], found[60:70, 180:190] = True, True, True
    tally = Tally()
    tally.add(p.astype(np.float32), found, target, np.array([10.0, 30.0]), pixel_m=10.0)
    scores = tally.scores(0.5)
    counted = target != 2
    assert scores["pr_auc"] == pytest.approx(pr_auc(p[counted], target[counted] == 1), rel=1e-9)
    hits = ((p >= 0.5) & (target == 1)).sum()
    assert scores["iou"] == pytest.approx(hits / ((p >= 0.5) & counted | (target == 1)).sum())
    without = found & ~((np.indices(found.shape)[0] >= 150) & (np.indices(found.shape)[1] < 160))
    assert scores["object_f1"] == pytest.approx(match_objects(without, target == 1, threshold=0.3).f1)
    assert scores["load_recall"] == pytest.approx(0.25)
    assert scores["fp_per_1000km2"] == pytest.approx(1000 / ((200 * 200 - 100) * 1e-4))


def test_jpeg_2000_is_decoded_once_without_a_change(safe: Path, tmp_path: Path) -> None:
    from esai_wwtp.decoding import decode_once

    scene = open_scene(safe, bands=BANDS)
    decoded = decode_once(scene, tmp_path)
    assert (tmp_path / f"{scene.name}.tif").is_file()
    np.testing.assert_array_equal(decoded.read(decoded.whole), scene.read(scene.whole))
    written = (tmp_path / f"{scene.name}.tif").stat().st_mtime_ns
    again = decode_once(scene, tmp_path)
    assert (tmp_path / f"{scene.name}.tif").stat().st_mtime_ns == written
    assert decode_once(again, tmp_path) is again


def test_the_catalogue_tells_what_was_read(safe: Path) -> None:
    from esai_wwtp.catalogue import catalogue

    row = catalogue([open_scene(safe, bands=BANDS)]).iloc[0]
    assert (row["baseline"], row["offset"], row["sensed"]) == ("05.09", -1000.0, "2023-08-21")
    assert row["seen"] == pytest.approx(1 - 400 / 12000)
    assert row.geometry.bounds[0] == pytest.approx(-3.0, abs=1e-6)  # 500 km east of zone 30's edge


def test_answers_of_overpass_are_read(tmp_path: Path) -> None:
    ring = [{"lon": x, "lat": y} for x, y in ((0, 0), (0.01, 0), (0.01, 0.01), (0, 0.01), (0, 0))]
    halves = [{"role": "outer", "geometry": ring[:3]}, {"role": "outer", "geometry": ring[2:]}]
    tags = {"man_made": "wastewater_plant", "name": "P"}
    elements = [
        {"type": "way", "id": 1, "geometry": ring, "tags": tags},
        {"type": "relation", "id": 2, "members": halves, "tags": tags},
        {"type": "way", "id": 3, "geometry": ring[:3], "tags": tags},  # not closed: no area
    ]
    path = tmp_path / "osm.json"
    path.write_text(json.dumps({"elements": elements}))
    labels = read_labels((path,), radius=10.0)
    assert len(labels.polygons) == 2
    areas = [shape.area for shape in labels.polygons.geometry]  # in degrees
    np.testing.assert_allclose(areas, 1e-4)
