"""The steps of a run, in terms of its folder: train, predict, evaluate, report."""

from __future__ import annotations

import importlib
from types import ModuleType

from esai_core.errors import UsageError
from esai_core.runs import RunFolder
from esai_wwtp.config import WwtpConfig

__all__ = ["evaluate", "predict", "report", "train"]


def _task(config: WwtpConfig) -> ModuleType:
    if config.data.chips is not None:
        return importlib.import_module("esai_wwtp.on_chips")
    if config.data.scenes or config.data.synthetic:
        return importlib.import_module("esai_wwtp.on_scenes")
    raise UsageError(
        "the config has neither data.scenes nor data.chips",
        remedy="a config with [proxy] alone goes with the verb proxy",
    )


def train(config: WwtpConfig, run: RunFolder) -> None:
    """Split and fit: writes ``model/``, ``split.csv`` and ``history.csv``."""
    _task(config).train(config, run)


def predict(config: WwtpConfig, run: RunFolder) -> None:
    """Apply the network: writes probabilities (COG) and, of scenes, plants."""
    _task(config).predict(config, run)


def evaluate(config: WwtpConfig, run: RunFolder) -> None:
    """Score network and baselines: writes ``metrics.json``."""
    _task(config).evaluate(config, run)


def report(config: WwtpConfig, run: RunFolder) -> None:
    """Draw and tell: writes ``report.html``."""
    _task(config).report(config, run)
