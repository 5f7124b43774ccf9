"""Splits by years and by days."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from esai_core.config import dump_toml, load_config
from esai_core.errors import UsageError
from esai_seasonal.config import SeasonalConfig, SplitConfig
from esai_seasonal.splitting import split_times

HOURS = np.arange("2019-03-01", "2019-03-25", dtype="datetime64[h]")


def test_days_hold_whole_days() -> None:
    days = SplitConfig(
        train=(date(2019, 3, 1), date(2019, 3, 16)),
        validate=(date(2019, 3, 17), date(2019, 3, 19)),
        test=(date(2019, 3, 20), date(2019, 3, 24)),
    )
    parts = split_times(HOURS, days)
    assert [p.size for p in (parts.train, parts.validate, parts.test)] == [384, 72, 120]
    assert parts.development.size == 456


@pytest.mark.parametrize(
    ("validate", "message"),
    [
        ((date(2019, 3, 10), date(2019, 3, 19)), "validate days inside the train days"),
        ((date(2019, 3, 19), date(2019, 3, 17)), "no range"),
        ((date(2020, 3, 17), date(2020, 3, 19)), "no sample"),
        ((2019, 2019), "mixed"),
    ],
)
def test_days_that_cannot_be(validate: tuple, message: str) -> None:
    days = SplitConfig(
        train=(date(2019, 3, 1), date(2019, 3, 16)),
        validate=validate,
        test=(date(2019, 3, 20), date(2019, 3, 24)),
    )
    with pytest.raises(UsageError, match=message):
        split_times(HOURS, days)


@pytest.mark.parametrize("name", ["colombia", "uk_superresolution"])
def test_the_examples_are_read_and_written_alike(name: str, request: pytest.FixtureRequest, tmp_path) -> None:
    example = request.path.parents[2] / "examples" / f"{name}.toml"
    config = load_config(example, SeasonalConfig)
    (tmp_path / "again.toml").write_text(dump_toml(config))
    assert load_config(tmp_path / "again.toml", SeasonalConfig) == config
    assert config.train.epochs == (20 if name == "uk_superresolution" else 6)
    assert config.model.select_by == ("rmse" if name == "uk_superresolution" else "crps")
