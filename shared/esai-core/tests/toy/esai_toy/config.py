from __future__ import annotations

from esai_core.config import Config, DataPath, Section


class Data(Section):
    points: DataPath
    """CSV with the columns x and y."""
    extra: tuple[DataPath, ...] = ()


class Train(Section):
    seed: int = 0
    epochs: int = 3
    pause_s: float = 0.0
    """Seconds to wait in each epoch."""


class ToyConfig(Config):
    data: Data
    train: Train = Train()
    fail: str | None = None


TEMPLATE = """\
# A line through points.
schema_version = 1

[data]
points = "points.csv"  # columns x and y

[train]
seed = 0
"""
