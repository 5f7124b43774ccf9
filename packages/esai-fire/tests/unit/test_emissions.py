from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from esai_core.errors import InputError, UsageError
from esai_core.testing import data_path
from esai_fire.factors import closure, combine_dry_matter, emissions_from_area, read_dry_matter, read_factors


def test_the_closure_with_published_co_holds_each_year() -> None:
    dry = read_dry_matter(data_path("fire/gfed41s_dm_region_source_annual_1997_2011.csv"))
    factors = read_factors(data_path("fire/GFED4_Emission_Factors.csv"))
    published = pd.read_csv(data_path("fire/gfed41s_co_region_annual_1997_2011.csv"))
    table = combine_dry_matter(dry, factors, species=["CO"])
    found = closure(table, published, species="CO")
    assert len(found) == 15
    assert found["percent"].abs().max() <= 1.5


def _world() -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = [(r, 2000, s, m) for r, s, m in (("A", "SAVA", 10.0), ("A", "PEAT", 1.0), ("B", "SAVA", 30.0))]
    dry = pd.DataFrame(rows, columns=["region", "year", "source", "DM_Tg"])
    factors = pd.DataFrame({"SAVA": [60.0], "PEAT": [200.0]}, index=pd.Index(["CO"], name="species"))
    return dry, factors


def test_uncertainty_is_that_of_drawn_worlds() -> None:
    dry, factors = _world()
    table = combine_dry_matter(dry, factors, species=["CO"], factor_sd=0.2, dry_matter_sd=0.3)
    table = table.set_index("region")
    assert table.loc["Global", "emission"] == pytest.approx((40 * 60 + 200) / 1000)
    random = np.random.default_rng(0)
    size = 400_000
    savanna, peat = 60 * (1 + 0.2 * random.normal(size=size)), 200 * (1 + 0.2 * random.normal(size=size))
    a, b, c = (m * (1 + 0.3 * random.normal(size=size)) for m in (10.0, 1.0, 30.0))
    assert table.loc["Global", "sd"] == pytest.approx(((a + c) * savanna + b * peat).std() / 1000, rel=0.01)
    assert table.loc["A", "sd"] == pytest.approx((a * savanna + b * peat).std() / 1000, rel=0.01)
    assert (table["lower"] < table["emission"]).all()
    assert (table["upper"] > table["emission"]).all()


def test_bad_tables_are_told(tmp_path: Path) -> None:
    dry, factors = _world()
    with pytest.raises(UsageError, match=r"did you mean 'CO'"):
        combine_dry_matter(dry, factors, species=["CO3"])
    with pytest.raises(InputError, match=r"source 'BORF'"):
        combine_dry_matter(dry.assign(source="BORF"), factors, species=["CO"])
    dry.assign(DM_Tg=[1.0, -2.0, 3.0]).to_csv(tmp_path / "dm.csv", index=False)
    with pytest.raises(InputError, match=r"dry matter of -2 .*A, 2000, PEAT"):
        read_dry_matter(tmp_path / "dm.csv")
    pd.concat([dry, dry]).to_csv(tmp_path / "dm.csv", index=False)
    with pytest.raises(InputError, match=r"occurs twice"):
        read_dry_matter(tmp_path / "dm.csv")


def test_emissions_from_area() -> None:
    kilograms = emissions_from_area(np.array([1e6]), fuel=2.0, completeness=0.5, factor=63.0)
    np.testing.assert_allclose(kilograms, 63_000.0)
    with pytest.raises(InputError, match=r"completeness"):
        emissions_from_area(np.array([1.0]), fuel=1.0, completeness=1.5, factor=1.0)
