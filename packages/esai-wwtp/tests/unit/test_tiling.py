"""Windows give what the whole scene gives, to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from esai_core.errors import EsaiError, InputError
from esai_core.testing import data_path
from esai_wwtp.network import Card, load_runner
from esai_wwtp.opening import open_scene
from esai_wwtp.scenes import Scene
from esai_wwtp.tiling import infer, tiles

BANDS = ("B02", "B03", "B04", "B08")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with random weights everywhere, also where training starts at zero."""
    from esai_core.nn import receptive_field, save
    from esai_core.training import TrainConfig, scope
    from esai_wwtp.graph import write_graph
    from esai_wwtp.network import build

    with scope(TrainConfig()):  # seeded
        model = build(mean=np.full(4, 0.1), spread=np.full(4, 0.05), prevalence=0.3, width=8, depth=3)
    random = np.random.default_rng(0)
    for weight in model.weights:
        if "head/kernel" in weight.path:
            weight.assign(random.normal(0, 3.0, weight.shape))
        elif "moving_mean" in weight.path:
            weight.assign(random.normal(0, 0.2, weight.shape))
        elif "moving_variance" in weight.path:
            weight.assign(np.exp(random.normal(-3, 0.3, weight.shape)))
    folder = tmp_path_factory.mktemp("network")
    write_graph(model, folder / "network.onnx")
    write_graph(model, folder / "again.onnx")
    save(model, folder / "network.keras")
    field = receptive_field(model)
    card = Card(list(BANDS), [0.1] * 4, [0.05] * 4, field.halo, field.alignment, 0.5, 0.3)
    card.save(folder / "network.json")
    return folder


def assemble(scene: Scene, folder: Path, size: int, **changes: int) -> NDArray[np.float32]:
    from dataclasses import replace

    from esai_wwtp.network import load_card

    card = replace(load_card(folder / "network.json"), **changes)
    result = np.full(scene.shape, np.nan, np.float32)
    for window, probability in infer(scene, load_runner(folder, threads=2), card, size=size):
        if probability is not None:
            result[window.top : window.bottom, window.left : window.right] = probability
    return result


@pytest.mark.parametrize("shape", [(1003, 997), (512, 333)])
def test_windows_equal_the_whole_real_scene_to_the_bit(network: Path, shape: tuple[int, int]) -> None:
    real = open_scene(data_path("wwtp/S2A_MSIL1C_20160112_T18SVG_B02.tif"), bands=BANDS, offset=0.0)
    values = np.stack([real.numbers(band, real.whole) for band in BANDS], axis=-1)
    part = values[200 : 200 + shape[0], 300 : 300 + shape[1]]
    scene = Scene("part", BANDS, real.scaling, values=part, place=(real.crs, real.transform))
    whole = load_runner(network, threads=2)(scene.read(scene.whole)[None])[0]
    assert whole.std() > 0.01  # a network that says nothing would prove nothing
    for size in (128, 200, 331):
        np.testing.assert_array_equal(assemble(scene, network, size), whole)
    assert not np.array_equal(assemble(scene, network, 128, halo=16), whole)  # the margin is needed


def test_the_graph_is_that_of_keras_and_keeps_the_order_of_the_data(network: Path, tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    x = np.random.default_rng(3).uniform(0, 0.3, (2, 45, 61, 4)).astype(np.float32)
    ours, keras = load_runner(network)(x), load_runner(network, runtime="keras")(x)
    assert ours.shape == (2, 45, 61)
    np.testing.assert_allclose(ours, keras, atol=2e-5)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "fast.onnx"), 3
    onnxruntime.InferenceSession(str(network / "network.onnx"), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "fast.onnx").graph.node]
    assert kinds.count("ReorderInput") + kinds.count("ReorderOutput") <= 2  # in and out, not at every level
    assert "BatchNormalization" not in kinds
    assert (network / "network.onnx").read_bytes() == (network / "again.onnx").read_bytes()


def test_cores_cover_every_pixel_once_and_windows_are_aligned() -> None:
    for shape in ((1, 1), (100, 37), (257, 512)):
        seen = np.zeros(shape, int)
        for tile in tiles(shape, size=60, halo=16, alignment=8):
            core, outer = tile.core, tile.outer
            seen[core.top : core.bottom, core.left : core.right] += 1
            assert outer.top % 8 == outer.left % 8 == 0
            assert outer.bottom == min(core.bottom + 16, shape[0])
        assert (seen == 1).all()
    with pytest.raises(EsaiError, match="no multiple"):
        tiles((10, 10), size=8, halo=5, alignment=8)


def test_no_data_and_open_sea_are_not_computed(network: Path) -> None:
    values = np.full((512, 384, 4), 1500, np.uint16)
    values[:256, :256] = 0
    values[256:, :256] = [900, 800, 500, 150]  # water
    values[300, 300] = 0
    from rasterio.crs import CRS

    from esai_wwtp.geo import from_corner
    from esai_wwtp.reflectance import Scaling

    place = (CRS.from_epsg(32630), from_corner(0, 0, 10))
    scene = Scene("s", BANDS, Scaling(), values=values, place=place)
    from esai_wwtp.network import load_card

    card, calls = load_card(network / "network.json"), []
    runner = load_runner(network)

    def counting(x: NDArray[np.float32]) -> NDArray[np.float32]:
        calls.append(x.shape)
        return runner(x)

    found = {(w.top, w.left): p for w, p in infer(scene, counting, card, size=128, skip_sea=True)}
    assert found[0, 0] is None
    sea, land = found[384, 0], found[256, 256]
    assert sea is not None
    assert land is not None
    assert not sea.any()
    assert np.isnan(land[300 - 256, 300 - 256])
    assert np.isfinite(land).sum() == land.size - 1
    assert len(calls) == 4  # the right column alone
    with pytest.raises(InputError, match="trained on B02"):
        list(infer(Scene("s", BANDS[::-1], Scaling(), values=values, place=place), runner, card, size=64))
