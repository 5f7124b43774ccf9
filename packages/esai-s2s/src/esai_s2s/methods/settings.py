"""Settings of the methods, resolved for one variable."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Settings"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a method needs to know besides its cases; names as in the table ``[model]`` of a config.

    Attributes
    ----------
    cycle : bool
        Whether the data have an annual cycle to take out.
    threads : int
        Threads of a fit.
    """

    logistic_predictors: tuple[str, ...] = ("mean",)
    tree_predictors: tuple[str, ...] = ("mean", "spread")
    power: str = "none"
    cycle: bool = True
    logistic_c: float = 1.0
    logistic_window: int = 0
    trees: int = 200
    leaf: int = 20
    rounds: int = 80
    depth: int = 2
    rate: float = 0.05
    max_rows: int = 100_000
    emos_objective: str = "crps"
    seed: int = 0
    threads: int = 1
