"""Toy scenes on files and a short run of them, shared by the tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

CONFIG = """\
[data]
scenes = ["toy_3_0.tif", "toy_3_1.tif"]
test_scenes = ["toy_4_2.tif"]
labels = ["plants.geojson"]

[split]
block_km = 1.5
buffer_km = 0.3

[model]
width = 4
depth = 2

[train]
epochs = 4
mining_epochs = 0
chip = 64
per_scene = 40
learning_rate = 1e-2

[tiling]
size = 128
"""


@dataclass(frozen=True)
class Toy:
    """Files of toy scenes and a finished run of them."""

    folder: Path
    config: Path
    run: Path


@pytest.fixture(scope="session")
def toy_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import pandas as pd

    from esai_wwtp.demo import write_toy
    from esai_wwtp.synthetic import toy_scene

    folder = tmp_path_factory.mktemp("toy")
    toys = [toy_scene(seed=3, size=320, plants=6, number=i) for i in range(2)]
    toys.append(toy_scene(seed=4, size=331, plants=4, number=2))
    for toy in toys:
        write_toy(toy, folder / f"{toy.scene.name}.tif")
    outlines = pd.concat([toy.outlines.to_crs(4326) for toy in toys], ignore_index=True)
    outlines.to_file(folder / "plants.geojson", driver="GeoJSON")
    (folder / "toy.toml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="session")
def toy(toy_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    from esai_core.testing import run_cli
    from esai_wwtp.cli import main

    out = tmp_path_factory.mktemp("runs") / "run"
    done = run_cli(main, ["run", toy_files / "toy.toml", "--out", out])
    assert done.code == 0, done.err
    return Toy(toy_files, toy_files / "toy.toml", out)
