"""What drives corrected forecasts, on toy seasons whose drivers are known; classical methods and networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from esai_core.grid import Grid
from esai_core.hindcast import match_reference
from esai_core.synthetic import toy_season
from esai_seasonal.config import TrainSection
from esai_seasonal.data import Data, Static, on_fine_grid
from esai_seasonal.drivers import explain
from esai_seasonal.fitting import Fitted, Selection
from esai_seasonal.methods.correction import Correction

MONTHS = (1, 4, 7, 10)
FITTED, SCORED = np.arange(0, 72), np.arange(72, 96)


def season(**options: float) -> Data:
    """24 years of four start months."""
    toy = toy_season(seed=5, coarse=(3, 3), years=24, leads=2, members=7, start_months=MONTHS, **options)
    truth = match_reference(toy.hindcast, toy.reference)
    return Data(toy.hindcast, truth, "additive", "t2m", Static(), Static(toy.static_fine["orog"]))


def told(data: Data, method: str, folder: Path):
    fine, truth = data.on_fine(FITTED), data.truth.isel(start=FITTED)
    selection = Selection(method, "crps", {})
    if method == "network":
        from esai_seasonal.network.correction import CorrectionNetwork

        network = CorrectionNetwork.fit(
            fine, truth, static=data.fine, kind="additive", networks=1, width=4, folder=folder,
            config=TrainSection(epochs=12, batch_size=16, seed=1),
        )  # fmt: skip
        fitted = Fitted({}, network, selection)
    else:
        fitted = Fitted({method: Correction(method, "additive").fit(fine, truth)}, None, selection)
    scored = data.hindcast.isel(start=SCORED), data.truth.isel(start=SCORED)
    return explain(fitted, *scored, data, development=FITTED, seed=0)


@pytest.mark.parametrize("method", ["mean_bias", "mlr", "network"])
def test_a_skilful_signal_ranks_first(method: str, tmp_path: Path) -> None:
    found = told(season(skill=0.95, trend=0.0, model_trend=0.0), method, tmp_path)
    assert found is not None
    for one in found.attributions:
        first = "anomaly of the ensemble mean" if one.method == "integrated gradients" else "ensemble mean"
        if one.method == "integrated gradients":
            assert one.ranking()[0] in (first, "its mean over the domain")
            assert one.ranking()[-1] == "year (trend)"
            assert set(one.by) == {"lead 1", "lead 2"}
        else:
            assert one.ranking()[0] == first, one.method
    assert found.check is not None
    # Taking a mean error off hands the signal on, whatever was learnt: the check has to say so.
    assert found.check.passed == (method != "mean_bias")


@pytest.mark.parametrize("method", ["trend_climatology", "mlr"])
def test_a_trend_that_the_model_lacks_ranks_first(method: str, tmp_path: Path) -> None:
    found = told(season(skill=0.05, trend=0.4, model_trend=0.0), method, tmp_path)
    assert found is not None
    for one in found.attributions:
        assert one.ranking()[0] == "year (trend)", one.method


def test_without_whole_years_nothing_is_explained() -> None:
    data = season()
    fitted = Fitted({"raw": Correction("raw", "additive").fit(data.on_fine(FITTED), data.truth[:72])})
    few = np.arange(72, 78)
    scored = data.hindcast.isel(start=few), data.truth.isel(start=few)
    assert explain(fitted, *scored, data, development=FITTED, seed=0) is None
    assert Grid.from_dataset(on_fine_grid(scored[0], data.grid)).matches(data.grid)
