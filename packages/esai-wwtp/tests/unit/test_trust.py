"""What is told of trust is right: an injected driver leads, intervals cover, probabilities are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from esai_core.errors import InputError
from esai_wwtp.capacity import CapacityModel
from esai_wwtp.rasters import SCALE
from esai_wwtp.scoring import reliability_of
from esai_wwtp.treatment import TreatmentModel
from esai_wwtp.trust import band_importance


def test_the_band_that_the_network_reads_leads(tmp_path: Path) -> None:
    from esai_core.training import TrainConfig, scope
    from esai_wwtp.graph import write_graph
    from esai_wwtp.network import Card, build, load_runner

    with scope(TrainConfig()):
        model = build(mean=np.full(4, 0.2), spread=np.full(4, 0.1), prevalence=0.4, width=4, depth=1)
    random = np.random.default_rng(0)
    first = next(weight for weight in model.weights if weight.shape == (3, 3, 4, 4))
    kernel = first.numpy().copy()
    kernel[:, :, :3] = 0.0  # the network sees B08 alone
    first.assign(kernel)
    for weight in model.weights:
        if "head/kernel" in weight.path:
            weight.assign(random.normal(0, 4.0, weight.shape))
    write_graph(model, tmp_path / "network.onnx")
    Card(["B02", "B03", "B04", "B08"], [0.2] * 4, [0.1] * 4, 8, 2, 0.5, 0.4).save(tmp_path / "network.json")
    x = random.uniform(0, 0.4, (8, 32, 32, 4)).astype(np.float32)
    probability = load_runner(tmp_path)(x)
    target = (probability > np.median(probability)).astype(np.uint8)
    target[0] = 2  # does not count
    attributions, check = band_importance(x, target, tmp_path)
    for one in attributions:
        assert one.ranking()[0] == "B08"
        np.testing.assert_allclose(one.values[:3], 0.0, atol=1e-7)
        assert one.values[3] > 1e-3
    assert check is not None
    assert check.passed


def made_up(count: int) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    random = np.random.default_rng(1)
    plants = pd.DataFrame(
        {
            "area_m2": np.exp(random.normal(10.5, 0.6, count)),
            "perimeter_m": np.exp(random.normal(6.5, 0.3, count)),
            "elongation": random.uniform(1, 2, count),
            "water_fraction": random.uniform(0, 0.6, count),
        }
    )
    places = {"latitude": random.uniform(38, 42, count), "longitude": random.uniform(-6, -1, count)}
    return plants, places


def test_the_driver_of_made_up_loads_leads_and_intervals_cover() -> None:
    plants, places = made_up(240)
    noise = 0.3 * np.random.default_rng(2).standard_normal(240)
    plants["load"] = np.exp(8.0 + 5.0 * plants["water_fraction"] + noise)
    model = CapacityModel.fit(plants, **places, block_km=60.0)
    importance = dict(
        zip(model.drivers["importance"]["names"], model.drivers["importance"]["values"], strict=True)
    )
    assert max(importance, key=importance.get) == "water_fraction"
    assert model.drivers["passed"]
    assert 0.84 <= model.intervals["coverage"] <= 0.97
    assert model.intervals["width"] < 4 * 1.645 * 0.3 / np.log(10)


def test_treatment_is_learnt_where_it_can_be_and_else_the_most_frequent(tmp_path: Path) -> None:
    plants, places = made_up(240)
    plants["level"] = np.where(plants["area_m2"] > plants["area_m2"].median(), "tertiary", "secondary")
    plants.loc[:9, "level"] = None
    model = TreatmentModel.fit(plants, **places, block_km=60.0)
    assert model.scores["plants"] == 230
    assert model.scores["accuracy"] > 0.9
    model.save(tmp_path)
    told = TreatmentModel.load(tmp_path).predict(plants)
    pd.testing.assert_frame_equal(told, model.predict(plants))
    assert (told["level"] == plants["level"])[10:].mean() > 0.9
    random = np.random.default_rng(4)
    plants["level"] = np.where(random.random(240) < 0.7, "tertiary", "secondary")
    chance = TreatmentModel.fit(plants, **places, block_km=60.0)
    assert chance.booster is None
    assert set(chance.predict(plants)["level"]) == {"tertiary"}
    plants["level"] = "primary"
    with pytest.raises(InputError, match="of 1 classes"):
        TreatmentModel.fit(plants, **places, block_km=60.0)


def test_reliability_counts_pixels() -> None:
    hits, others = np.zeros(SCALE + 1, np.int64), np.zeros(SCALE + 1, np.int64)
    hits[200], others[200], others[0] = 30, 10, 60  # probability 0.8: 30 of 40
    told = reliability_of(hits, others)
    assert told["forecast"][8] == pytest.approx(0.8)
    assert told["observed"][8] == pytest.approx(0.75)
    assert told["count"][8] == 40
    assert told["observed"][4] is None
    assert told["brier"] == pytest.approx((30 * 0.04 + 10 * 0.64) / 100)
    assert told["calibration_error"] == pytest.approx(0.4 * 0.05)
