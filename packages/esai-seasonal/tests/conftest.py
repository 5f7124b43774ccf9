"""A small toy season on files, and a run made from it, shared by the integration tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

CONFIG = """\
[data]
hindcast = "hindcast.nc"
reference = "reference.nc"
variable = "t2m"

[split]
train = [1981, 1990]
validate = [1991, 1993]
test = [1994, 1996]

[model]
methods = ["climatology", "mean_bias", "eqm", "mlr"]
network = false
"""


@dataclass(frozen=True)
class Toy:
    """Files of a toy season and a finished run of them."""

    folder: Path
    config: Path
    run: Path


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    from esai_core.io import write_netcdf
    from esai_core.synthetic import as_new_cds, toy_season
    from esai_core.testing import run_cli
    from esai_seasonal.cli import main

    folder = tmp_path_factory.mktemp("toy")
    made = toy_season(seed=3, coarse=(3, 4), years=16, leads=2, members=5, start_months=(1, 7))
    write_netcdf(as_new_cds(made.hindcast), folder / "hindcast.nc")
    write_netcdf(made.reference, folder / "reference.nc")
    write_netcdf(made.static_fine, folder / "static_fine.nc")
    write_netcdf(made.static_coarse, folder / "static_coarse.nc")
    config = folder / "toy.toml"
    config.write_text(CONFIG)
    done = run_cli(main, ["run", config, "--out", folder / "run"])
    assert done.code == 0, done.err
    return Toy(folder, config, folder / "run")
