"""What drives maps and corrected reanalyses, on made-up places whose driver is known."""

from __future__ import annotations

import numpy as np
import pytest

from esai_airquality.no2 import drivers as no2
from esai_airquality.no2.config import No2Section
from esai_airquality.no2.crossval import Sample as Rows
from esai_airquality.reanalysis import drivers as reanalysis
from esai_airquality.reanalysis.config import ModelSection
from esai_airquality.reanalysis.sample import Sample
from esai_core.splits import k_fold


@pytest.mark.parametrize("method", ["linear", "rf", "xgboost"])
def test_the_injected_predictor_ranks_first_in_every_method(method: str) -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(900, 5)).astype(np.float32)
    rows[random.random(rows.shape) < 0.03] = np.nan
    target = 40.0 + 8.0 * np.nan_to_num(rows[:, 2]) + random.normal(size=900)
    sample = Rows(rows, target, np.arange(900) % 12)
    config = No2Section(trees=30, rounds=40, threads=1)
    names = ["decoy_a", "decoy_b", "column", "decoy_c", "decoy_d"]
    folds = k_fold(np.arange(900) // 30, k=5, seed=0)
    found = no2.explain(sample, folds, method, names, config=config, units="ug/m3", seed=0)
    assert found is not None
    for one in found.attributions:
        assert one.ranking()[0] == "column", one.method
    assert len(found.attributions[0].by) == 12
    assert found.check is not None
    assert found.check.passed
    assert no2.explain(sample, folds, "climatology", names, config=config, units="", seed=0) is None


@pytest.mark.parametrize(
    ("method", "first"), [("ridge", "altitude"), ("forest", "altitude"), ("idw", reanalysis.NEIGHBOURS)]
)
def test_the_injected_cause_of_a_residual_ranks_first(method: str, first: str) -> None:
    random = np.random.default_rng(1)
    places = 120
    latitude, longitude = random.uniform(40, 44, places), random.uniform(0, 5, places)
    predictors = random.normal(size=(places, 3))
    smooth = 9.0 * np.sin(2.0 * latitude) if method == "idw" else 9.0 * predictors[:, 1]
    modelled = 30.0 + random.normal(size=places)
    observed = modelled + smooth + random.normal(size=places)
    sample = Sample(
        tuple(map(str, range(places))), latitude, longitude, ("2018",), np.array([6.5]), np.arange(places),
        np.zeros(places, np.int64), observed, modelled, True, ("decoy_a", "altitude", "decoy_b"), predictors,
    )  # fmt: skip
    found = reanalysis.explain(sample, method, config=ModelSection(trees=60), units="ug/m3", seed=0)
    assert found is not None
    assert found.attributions[0].ranking()[0] == first
    assert found.check is not None
    assert found.check.passed
    assert reanalysis.explain(sample, "raw", config=ModelSection(), units="", seed=0) is None
