from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from esai_core.errors import InputError
from esai_fire.folds import make_plan
from esai_fire.species import chain_conversion, emitted_by_sources, gfas_conversion

YEARS = np.arange(2000, 2015)


def _world(*, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Burned area, emissions of two species that follow it to the power 0.8, and biomes."""
    random = np.random.default_rng(seed)
    area = random.gamma(1.0, 1e7, size=(10, YEARS.size))
    biome = np.array([-1, -2, 1, 1, 1, 1, 2, 2, 2, 2])
    scale = np.where(biome == 2, 5.0, 1.0)[:, None]
    emission = np.stack([scale * k * area**0.8 for k in (2.0, 0.1)])
    return area, emission * np.exp(random.normal(0, noise, emission.shape)), biome


def test_the_regression_is_that_of_least_squares_with_biome_intercepts() -> None:
    area, emission, biome = _world(noise=0.3)
    plan = make_plan(YEARS, train=np.ones(YEARS.size, bool))
    found = gfas_conversion(area, emission, biome, plan)
    for k in (0, 7, plan.outer.size - 1):
        rows = plan.sets[plan.outer[k]] > 0
        cells = np.flatnonzero(biome > 0)
        x, y = (np.log(values[cells][:, rows]).ravel() for values in (area, emission[0]))
        dummies = np.repeat(np.stack([biome[cells] == b for b in (1, 2)], axis=1), rows.sum(), axis=0)
        solved, *_ = np.linalg.lstsq(np.column_stack([x, dummies]), y, rcond=None)
        assert found.slope[0, cells[0], k] == pytest.approx(solved[0], rel=1e-9)
        # The totals of the training rows are kept in each biome.
        made = found.of(area, 0, np.full(YEARS.size, k))
        for b in (1, 2):
            own = biome == b
            assert made[own][:, rows].sum() == pytest.approx(emission[0][own][:, rows].sum(), rel=1e-9)


def test_known_exponents_are_recovered_and_the_left_out_row_does_not_matter() -> None:
    area, emission, biome = _world(noise=0.0)
    plan = make_plan(YEARS, train=np.ones(YEARS.size, bool))
    found = gfas_conversion(area, emission, biome, plan)
    np.testing.assert_allclose(found.slope, 0.8, rtol=1e-9)
    np.testing.assert_allclose(found.of(area, 1, plan.of_row), emission[1], rtol=1e-9)
    changed = emission.copy()
    changed[:, :, 4] *= 9.0
    again = gfas_conversion(area, changed, biome, plan)
    k = plan.of_row[4]
    np.testing.assert_array_equal(again.log_scale[..., k], found.log_scale[..., k])
    assert not np.allclose(again.log_scale, found.log_scale)


def test_nothing_burned_nothing_emitted_and_nothing_known_nothing_said() -> None:
    area, emission, biome = _world(noise=0.1)
    emission[:, 6:, :] = np.nan
    area[2, 3] = 0.0
    area[3, 5] = np.nan
    plan = make_plan(YEARS, train=np.ones(YEARS.size, bool))
    made = gfas_conversion(area, emission, biome, plan).of(area, 0, plan.of_row)
    assert made[2, 3] == 0.0
    assert np.isnan(made[3, 5])
    assert np.isnan(made[6:]).all()
    assert np.isfinite(made[4]).all()


def test_the_chain_is_dry_matter_per_area_times_factors() -> None:
    random = np.random.default_rng(1)
    area = random.gamma(1.0, 1.0, size=(3, YEARS.size))
    matter = np.stack([area * 2.0, area * np.array([1.0, 0.5, 0.0])[:, None]])
    factors = pd.DataFrame({"SAVA": [1700.0, 60.0], "PEAT": [1500.0, 200.0]}, index=["CO2", "CO"])
    plan = make_plan(YEARS, train=np.ones(YEARS.size, bool))
    observed = emitted_by_sources(matter, ["SAVA", "PEAT"], factors)
    np.testing.assert_allclose(observed[1, 0], (2.0 * 60.0 + 200.0) * area[0] / 1000.0)
    conversion, sd = chain_conversion(area, matter, ["SAVA", "PEAT"], factors, plan, factor_sd=0.25)
    for s in range(2):
        np.testing.assert_allclose(conversion.of(area, s, plan.of_row), observed[s], rtol=1e-9)
    # One source alone errs as its factor does; two that err apart less.
    assert sd[0, 2, 0] == pytest.approx(0.25)
    assert sd[1, 0, 0] == pytest.approx(0.25 * np.hypot(120.0, 200.0) / 320.0)
    with pytest.raises(InputError, match=r"source 'DEFO'"):
        emitted_by_sources(matter, ["SAVA", "DEFO"], factors)
