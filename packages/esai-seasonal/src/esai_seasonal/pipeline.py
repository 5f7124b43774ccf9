"""The steps of a run, in terms of its folder: train, predict, evaluate, report."""

from __future__ import annotations

import importlib
from types import ModuleType

from esai_core.runs import RunFolder
from esai_seasonal.config import SeasonalConfig

__all__ = ["evaluate", "predict", "report", "train"]

TASKS = {"correction": "esai_seasonal.correcting", "superresolution": "esai_seasonal.superresolving"}


def _task(config: SeasonalConfig) -> ModuleType:
    return importlib.import_module(TASKS[config.task])


def train(config: SeasonalConfig, run: RunFolder) -> None:
    """Open, check, split and fit: writes ``models/``, ``selection.json`` and ``history.csv``."""
    _task(config).train(config, run)


def predict(config: SeasonalConfig, run: RunFolder) -> None:
    """Apply the delivered method: writes ``forecast.nc``."""
    _task(config).predict(config, run)


def evaluate(config: SeasonalConfig, run: RunFolder) -> None:
    """Score all methods: writes ``metrics.json`` and ``verification.nc``."""
    _task(config).evaluate(config, run)


def report(config: SeasonalConfig, run: RunFolder) -> None:
    """Draw and tell: writes ``report.html``."""
    _task(config).report(config, run)
