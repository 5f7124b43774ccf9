from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from esai_core.testing import assert_light_cli, data_path, run_cli
from esai_wwtp.cli import main
from esai_wwtp.geo import from_corner


def test_help_is_light() -> None:
    assert_light_cli("esai_wwtp", verbs=["run", "proxy"])


def test_a_run_finds_the_plants_of_an_unseen_toy_scene(toy) -> None:
    import geopandas
    import rasterio

    metrics = json.loads((toy.run / "metrics.json").read_text())
    scores = metrics["scores"]
    assert set(scores["unet"]) >= {"iou", "f1", "pr_auc", "object_f1", "fp_per_1000km2", "load_recall"}
    assert scores["unet"]["pr_auc"] > 0.2  # a short training of a tiny network
    assert scores["unet"]["pr_auc"] > 3 * scores["maximum_likelihood"]["pr_auc"]
    assert metrics["split"]["unseen"]
    plants = geopandas.read_file(toy.run / "plants.gpkg")
    same = geopandas.read_parquet(toy.run / "plants.parquet")
    assert plants.crs == same.crs == "EPSG:3035"
    np.testing.assert_allclose(plants.geometry.area, plants["area_m2"], rtol=1e-9)
    np.testing.assert_allclose(plants["area_m2"], plants["pixels"] * 100.0, rtol=0.02)
    with rasterio.open(toy.run / "probability" / "toy_4_2.tif") as file:
        assert file.shape == (331, 331)
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert "made up" in (toy.run / "report.html").read_text()


def test_a_folder_of_a_run_predicts_other_scenes(toy, tmp_path: Path) -> None:
    done = run_cli(
        main,
        ["predict", toy.run, "--set", 'data.test_scenes=["toy_3_1.tif"]', "--out", tmp_path / "other"],
        cwd=toy.folder,
    )
    assert done.code == 0, done.err
    assert (tmp_path / "other" / "probability" / "toy_3_1.tif").is_file()


@pytest.mark.parametrize("name", ["network.onnx", "network.keras", "network.json"])
def test_a_replaced_model_file_is_refused(toy, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(toy.run, tmp_path / "copy")
    shutil.copy(folder / "model" / "maximum_likelihood.json", folder / "model" / name)
    done = run_cli(main, ["predict", folder])
    assert (done.code, len(done.err.strip().splitlines())) == (3, 1)
    assert "not the one that the run made" in done.error
    assert f"model/{name}" in done.error


def test_iberia_is_exact(tmp_path: Path) -> None:
    import geopandas
    import pandas as pd
    import xarray as xr

    data_path("wwtp/uwwtd_plants_iberia_v6.csv")
    example = Path(__file__).parents[2] / "examples" / "iberia_proxy.toml"
    out = tmp_path / "iberia"
    done = run_cli(main, ["proxy", example, "--out", out])
    assert done.code == 0, done.err
    metrics = json.loads((out / "metrics.json").read_text())
    spain, portugal = (metrics["by_country"][name]["plants"] for name in ("ES", "PT"))
    assert spain["ch4_kt"] == pytest.approx(25.31, rel=5e-3)
    assert portugal["ch4_kt"] == pytest.approx(4.76, rel=5e-3)
    assert spain["assigned"] + spain["off_grid"] + spain["no_emission"] == 2599
    assert portugal["assigned"] + portugal["off_grid"] + portugal["no_emission"] == 502
    assert metrics["cleaning"]["load_estimated"] > 0
    assert 0.85 <= metrics["scores"]["loads"]["coverage"] <= 0.95  # of held-out blocks of real plants
    with xr.open_dataset(out / "proxy.nc", engine="netcdf4") as proxy:
        assert proxy["weight"].dims == ("country", "latitude", "longitude")
        assert proxy["weight"].dtype == np.float64
        assert abs(proxy["weight"].sum(("latitude", "longitude")) - 1).max() <= 1e-12
        total = float(proxy["ch4"].sum())
        assert total == pytest.approx((spain["ch4_kt"] + portugal["ch4_kt"]) * 1e6, rel=1e-12)
        flux = (proxy["ch4_flux"] * proxy["cell_area"]).sum() * 365 * 86400
        assert float(flux) == pytest.approx(total, rel=1e-9)
        assert proxy["weight"].attrs["gnfr"] == "J_Waste"
        assert "latitude_bnds" in proxy
    points = pd.read_csv(out / "cams_reg_points.csv", sep=";")
    assert points["CH4"].sum() == pytest.approx(total, rel=1e-9)
    assert set(points["ISO3"]) == {"ESP", "PRT"}
    assert set(points["GNFR_Sector"]) == {"J"}
    cells = geopandas.read_file(out / "hermes" / "wwtp_weights.shp")
    sums = cells.groupby("country")["weight"].sum()
    assert sums.to_numpy() == pytest.approx([1.0, 1.0], abs=1e-9)
    hermes = pd.read_csv(out / "hermes" / "wwtp_points.csv")
    assert hermes["ch4"].sum() == pytest.approx(total, rel=1e-9)


def test_proxy_without_its_table_and_run_without_data_say_so(toy, tmp_path: Path) -> None:
    done = run_cli(main, ["proxy", toy.config, "--out", tmp_path / "a"])
    assert (done.code, "no table [proxy]" in done.error) == (2, True)
    example = Path(__file__).parents[2] / "examples" / "iberia_proxy.toml"
    data_path("wwtp/uwwtd_plants_iberia_v6.csv")
    done = run_cli(main, ["run", example, "--out", tmp_path / "b"])
    assert (done.code, "verb proxy" in done.error) == (2, True)


@pytest.mark.parametrize("units", ["/255", "0-255", "uint8"])
def test_asking_for_other_units_is_refused(toy, tmp_path: Path, units: str) -> None:
    done = run_cli(main, ["run", toy.config, "--out", tmp_path / "x", "--set", f'data.units="{units}"'])
    assert done.code == 2
    assert "data.units" in done.error


def test_bad_scenes_give_one_clear_line(toy_files: Path, tmp_path: Path) -> None:
    import rasterio

    def attempt(name: str, *extra: str) -> str:
        out = tmp_path / "out"
        words = ["run", toy_files / "toy.toml", "--out", out, "--set", f'data.scenes=["{name}"]', *extra]
        done = run_cli(main, words, cwd=toy_files)
        assert done.code == 3, (done.code, done.err)
        assert not out.exists()
        return done.error

    assert "no such file" in attempt("absent.tif")
    cut = toy_files / "cut.tif"
    cut.write_bytes((toy_files / "toy_3_0.tif").read_bytes()[:150_000])
    assert "cut.tif" in attempt("cut.tif")
    with rasterio.open(toy_files / "toy_3_0.tif") as file:
        profile, values = file.profile, file.read()
    folder = toy_files / "bands"
    folder.mkdir()
    profile = {key: profile[key] for key in ("dtype", "crs", "transform", "nodata")} | {"driver": "GTiff"}

    def write(band: str, array: np.ndarray, **changes: object) -> None:
        shape = {"count": 1, "height": array.shape[0], "width": array.shape[1]}
        with rasterio.open(folder / f"T_{band}.tif", "w", **{**profile, **shape, **changes}) as file:
            file.write(array, 1)

    for number, band in enumerate(("B02", "B03", "B04")):
        write(band, values[number])
    assert "no metadata" in attempt("bands")
    assert "no file of B08" in attempt("bands", "--set", "data.offset=-1000")
    fine = profile["transform"]
    coarse = from_corner(fine.c, fine.f, 20.0)
    write("B08", values[3, ::2, ::2], transform=coarse)
    assert "pixels of 20 m" in attempt("bands", "--set", "data.offset=-1000")
    write("B08", values[3], crs="EPSG:32629")
    assert "EPSG:32629" in attempt("bands", "--set", "data.offset=-1000")
    write("B08", (values[3] // 100).astype("uint8"), dtype="uint8", nodata=0)
    assert "lost their units" in attempt("bands", "--set", "data.offset=-1000")
    write("B08", values[3])
    write("SCL", np.full(values[3].shape, 9, "uint8"), dtype="uint8", nodata=0)
    assert "free of clouds" in attempt("bands", "--set", "data.offset=-1000")


def test_a_truncated_jp2_is_named(toy_files: Path, tmp_path: Path) -> None:
    import rasterio

    folder = toy_files / "jp2"
    folder.mkdir()
    with rasterio.open(toy_files / "toy_3_0.tif") as file:
        for number, band in enumerate(("B02", "B03", "B04", "B08"), 1):
            profile = {"driver": "JP2OpenJPEG", "dtype": "uint16", "count": 1, "height": 320, "width": 320}
            with rasterio.open(
                folder / f"T30_{band}_10m.jp2", "w", **profile, crs=file.crs, transform=file.transform,
                QUALITY=100, REVERSIBLE="YES",
            ) as target:  # fmt: skip
                target.write(file.read(number), 1)
    path = folder / "T30_B04_10m.jp2"
    path.write_bytes(path.read_bytes()[:30_000])
    words = ["--set", 'data.scenes=["jp2"]', "--set", "data.offset=-1000"]
    done = run_cli(main, ["run", toy_files / "toy.toml", "--out", tmp_path / "o", *words], cwd=toy_files)
    assert done.code == 3
    assert "B04" in done.error
    shutil.rmtree(folder)


def test_bad_labels_give_one_clear_line(toy_files: Path, tmp_path: Path) -> None:
    import geopandas

    shapes = geopandas.read_file(toy_files / "plants.geojson")
    away = shapes.assign(geometry=shapes.geometry.translate(30, 0))
    away.to_file(toy_files / "away.geojson", driver="GeoJSON")
    (toy_files / "empty.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    for name, words in {"away": "no plant of the labels lies in a scene", "empty": "hold no plant"}.items():
        done = run_cli(
            main,
            [
                "run",
                toy_files / "toy.toml",
                "--out",
                tmp_path / "o",
                "--set",
                f'data.labels=["{name}.geojson"]',
            ],
            cwd=toy_files,
        )
        assert (done.code, words in done.error) == (3, True), done.err


def test_scenes_under_cloud_are_not_predicted_in_silence(toy, tmp_path: Path) -> None:
    import rasterio

    with rasterio.open(toy.folder / "toy_4_2.tif") as file:
        options = {"height": 331, "width": 331, "crs": file.crs, "transform": file.transform}
    shutil.copy(toy.folder / "toy_4_2.tif", toy.folder / "cloudy.tif")
    classes = np.full((331, 331), 9, np.uint8)
    with rasterio.open(
        toy.folder / "cloudy_SCL.tif", "w", driver="GTiff", dtype="uint8", count=1, **options
    ) as file:
        file.write(classes, 1)
    words = ["predict", toy.run, "--out", tmp_path / "x", "--set", 'data.test_scenes=["cloudy.tif"]']
    done = run_cli(main, words, cwd=toy.folder)
    assert (done.code, "free of clouds" in done.error) == (3, True), done.err
    done = run_cli(main, [*words, "--set", "data.clouds=false"], cwd=toy.folder)
    assert done.code == 0, done.err
