from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from esai_template.demo import field
from esai_template.pipeline import fit_trend, forecast


@settings(max_examples=20, deadline=None)
@given(shift=st.floats(-50, 50), scale=st.floats(0.1, 10), seed=st.integers(0, 99))
def test_units_do_not_matter(shift: float, scale: float, seed: int) -> None:
    observed = field(seed=seed)
    one = forecast(fit_trend(observed), observed["time"], method="trend")
    other = forecast(fit_trend(observed * scale + shift), observed["time"], method="trend")
    assert np.allclose(other, one * scale + shift, rtol=1e-9)


@settings(max_examples=20, deadline=None)
@given(cell=st.tuples(st.integers(0, 4), st.integers(0, 6)), month=st.integers(0, 11))
def test_a_missing_value_stays_in_its_cell_and_month(cell: tuple[int, int], month: int) -> None:
    observed = field()
    observed.values[month, *cell] = np.nan
    missing = np.isnan(fit_trend(observed)["slope"].transpose("month", "latitude", "longitude").values)
    assert missing[month, *cell]
    assert missing.sum() == 1
