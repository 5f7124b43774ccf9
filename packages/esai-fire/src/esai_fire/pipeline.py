"""The steps of a run, in terms of its folder; the task of the config says which ones they are."""

from __future__ import annotations

import importlib
from types import ModuleType

from esai_core.runs import RunFolder
from esai_fire.config import FireConfig

__all__ = ["evaluate", "predict", "report", "train"]

TASKS = {"burned_area": "esai_fire.burning", "emissions": "esai_fire.emitting"}


def _task(config: FireConfig) -> ModuleType:
    return importlib.import_module(TASKS[config.task])


def train(config: FireConfig, run: RunFolder) -> None:
    """Open, check, split and fit: writes ``model/``."""
    _task(config).train(config, run)


def predict(config: FireConfig, run: RunFolder) -> None:
    """Forecast with every method: writes the output files."""
    _task(config).predict(config, run)


def evaluate(config: FireConfig, run: RunFolder) -> None:
    """Score all methods: writes ``metrics.json`` and maps of skill."""
    _task(config).evaluate(config, run)


def report(config: FireConfig, run: RunFolder) -> None:
    """Draw and tell: writes ``report.html``."""
    _task(config).report(config, run)
