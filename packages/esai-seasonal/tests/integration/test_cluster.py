"""The classical methods and their scores on a dask cluster of two processes: the numbers of NumPy arrays."""

from __future__ import annotations

import os

import dask
import numpy as np
import xarray as xr

from esai_core.cluster import connect
from esai_core.synthetic import toy_season
from esai_seasonal.data import on_fine_grid
from esai_seasonal.methods.correction import METHODS, Correction
from esai_seasonal.scoring import scores

NAMES = ("rmse", "crps", "crps_fair", "bias")


def test_methods_and_scores_are_those_of_numpy() -> None:
    from esai_core.grid import Grid
    from esai_core.hindcast import match_reference

    toy = toy_season(seed=2, coarse=(3, 4), years=12, leads=2, members=5, start_months=(1, 7))
    truth = match_reference(toy.hindcast, toy.reference)
    fine = on_fine_grid(toy.hindcast, Grid.from_dataset(truth))
    early, late = {"start": slice(0, 18)}, {"start": slice(18, None)}

    def corrected(fine: xr.DataArray, truth: xr.DataArray) -> dict[str, xr.DataArray]:
        return {
            name: Correction(name, "additive")
            .fit(fine.isel(early), truth.isel(early))
            .predict(fine.isel(late))
            for name in METHODS
        }

    expected = corrected(fine, truth)
    table = scores(expected, truth.isel(late), names=NAMES)
    with connect("local:2") as client:
        assert os.getpid() not in client.run(os.getpid).values()
        lazy = corrected(fine.chunk(latitude=4, lead=1), truth.chunk(latitude=4, lead=1))
        assert all(forecast.chunks for forecast in lazy.values())
        found = scores(lazy, truth.isel(late), names=NAMES)
        (got,) = dask.compute(lazy)
    for name, forecast in expected.items():
        np.testing.assert_allclose(got[name].transpose(*forecast.dims), forecast, rtol=1e-6, err_msg=name)
    for name, row in table["scores"].items():
        for score, value in row.items():
            np.testing.assert_allclose(
                found["scores"][name][score], value, rtol=1e-6, err_msg=f"{name} {score}"
            )
