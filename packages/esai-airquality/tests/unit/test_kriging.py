from __future__ import annotations

import numpy as np
import pytest
from pykrige.ok import OrdinaryKriging
from scipy.spatial.distance import cdist

from esai_airquality.reanalysis.kriging import Covariance, fit_covariance, great_circle, krige


@pytest.mark.parametrize("nugget", [0.0, 0.7])
def test_kriging_is_that_of_pykrige(nugget: float) -> None:
    rng = np.random.default_rng(3)
    here, there = rng.uniform(0, 1000, (40, 2)), rng.uniform(0, 1000, (25, 2))
    values = 20 + np.sin(here[:, 0] / 200) * 5 + rng.normal(0, 1, 40)
    sill, length = 4.0, 150.0
    peer = OrdinaryKriging(
        *here.T,
        values,
        variogram_model="exponential",
        variogram_parameters={"psill": sill, "range": 3 * length, "nugget": nugget},
    )
    expected, variance = peer.execute("points", *there.T)
    covariance = Covariance(sill, nugget, length)
    found, spread = krige(covariance, cdist(here, here), cdist(there, here), values, ordinary=True)
    assert np.allclose(found, expected.data, rtol=0, atol=1e-6)
    assert np.allclose(spread, variance.data, rtol=0, atol=1e-6)


def test_simple_kriging_goes_to_zero_and_its_variance_to_the_sill_far_away() -> None:
    covariance = Covariance(4.0, 1.0, 100.0)
    among = np.array([[0.0, 50.0], [50.0, 0.0]])
    estimate, variance = krige(
        covariance, among, np.array([[10.0, 45.0], [1e5, 1e5]]), np.array([3.0, 3.0]), ordinary=False
    )
    assert estimate[0] > 2.0
    assert np.isclose(estimate[1], 0.0)
    assert variance[0] < variance[1]
    assert np.isclose(variance[1], 5.0)


def test_the_covariance_of_a_made_up_field_is_found_again() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 2000, (150, 2))
    distance = cdist(places, places)
    root = np.linalg.cholesky(3.0 * np.exp(-distance / 200) + 1.0 * np.eye(150))
    samples = [(distance, root @ rng.normal(size=150)) for _ in range(12)]
    found = fit_covariance(samples)
    assert found.length in (100.0, 200.0, 400.0)
    assert abs(found.sill + found.nugget - 4.0) < 0.6
    assert 0.6 < found.sill / 4.0 < 0.9


def test_distances_are_those_of_the_sphere() -> None:
    lat, lon = np.array([0.0, 0.0, 51.5]), np.array([0.0, 179.0, -0.1])
    distance = great_circle(lat, lon, lat, lon)
    assert np.allclose(np.diag(distance), 0)
    assert np.isclose(distance[0, 1], 2 * np.pi * 6371.0088 * 179 / 360)
    across = great_circle(np.array([10.0]), np.array([179.5]), np.array([10.0]), np.array([-179.5]))
    assert across[0, 0] < 111
