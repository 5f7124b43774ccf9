"""The embedded example: a seeded toy season, small enough for a minute."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CONFIG", "prepare"]

CONFIG = """\
# A toy season: known bias, drift and trend, on 1 degree and on 0.25 degree.
schema_version = 1
task = "correction"

[data]
hindcast = "hindcast.nc"
reference = "reference.nc"
static_coarse = "static_coarse.nc"
static_fine = "static_fine.nc"
variable = "t2m"

[split]
train = [1981, 2002]
validate = [2003, 2007]
test = [2008, 2012]

[model]
networks = 1

[train]
seed = 0
epochs = 40
batch_size = 32
"""


def prepare(folder: Path) -> Path:
    """Write a toy hindcast as the CDS lays it out, its reference and static fields, and a config.

    Parameters
    ----------
    folder : Path
        An empty folder.

    Returns
    -------
    Path
        The config.
    """
    from esai_core.io import write_netcdf
    from esai_core.synthetic import as_new_cds, toy_season

    toy = toy_season(
        seed=7,
        coarse=(5, 7),
        years=32,
        leads=3,
        members=11,
        start_months=(2, 5, 8, 11),
        skill=0.7,
        trend=0.03,
        model_trend=0.01,
    )
    source = {"source": "esai_core.synthetic.toy_season, seed 7: no real data"}
    write_netcdf(as_new_cds(toy.hindcast), folder / "hindcast.nc", provenance=source)
    write_netcdf(toy.reference, folder / "reference.nc", provenance=source)
    write_netcdf(toy.static_coarse, folder / "static_coarse.nc", provenance=source)
    write_netcdf(toy.static_fine, folder / "static_fine.nc", provenance=source)
    path = folder / "demo.toml"
    path.write_text(CONFIG)
    return path
