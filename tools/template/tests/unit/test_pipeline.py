from __future__ import annotations

import numpy as np

from esai_template.demo import TREND, field
from esai_template.pipeline import fit_trend, forecast


def test_the_fit_is_that_of_numpy() -> None:
    observed = field(noise=0.5)
    model = fit_trend(observed)
    january = observed[observed["time"].dt.month == 1]
    years = january["time"].dt.year.values
    for i, j in [(0, 0), (2, 3)]:
        slope, intercept = np.polyfit(years, january.values[:, i, j], 1)
        assert np.isclose(model["slope"].values[0, i, j], slope, rtol=1e-9)
        assert np.isclose(model["mean"].values[0, i, j], intercept + slope * years.mean(), rtol=1e-12)


def test_without_noise_the_trend_is_found_and_continued() -> None:
    observed = field(noise=0.0)
    model = fit_trend(observed.sel(time=slice("1981", "1995")))
    later = observed.sel(time=slice("1996", "2000"))
    assert np.allclose(model["slope"], TREND)
    assert np.allclose(forecast(model, later["time"], method="trend"), later)
    behind = later - forecast(model, later["time"], method="climatology")
    assert np.isclose(behind.mean(), TREND * (1998 - 1988))
