"""Batched GLM fits of `esai_core.glm` against the loops that they replace, on the same cells in one process.

Seconds are CPU seconds of one thread for 1,000 cells; the loops run on the first cells and are scaled up.
Both sides solve the same problems: the largest difference of objectives (paths, relative) or of coefficients
(against scikit-learn at a tight tolerance, apart from the timing) is printed beside the times.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import glum
import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from esai_core import glm


def cpu_seconds(work: Callable[[], Any], repeats: int = 1) -> float:
    """Least CPU seconds of a few runs."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def fire_cells(cells: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """36 years, 11 indices at 7 lags and a trend; counts that three of the 78 columns drive."""
    rng = np.random.default_rng(seed)
    x = np.repeat(rng.standard_normal((36, 11)), 7, axis=1) * np.sqrt(0.7)
    x = np.c_[x + np.sqrt(0.3) * rng.standard_normal(x.shape), np.linspace(-1, 1, 36)]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    beta = np.zeros((cells, 78))
    for row in beta:
        row[rng.choice(78, 3, replace=False)] = rng.normal(0, 0.5, 3)
    return x, rng.poisson(np.exp(3 + beta @ x.T)).astype(float)


def tercile_cells(cells: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """1,060 rows (20 years of 53 weeks), 3 classes, 3 predictors of each cell's own."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((cells, 1060, 3))
    score = np.exp(np.einsum("cnp,ckp->cnk", x, rng.normal(0, 0.5, (cells, 3, 3))))
    edges = np.cumsum(score / score.sum(axis=2, keepdims=True), axis=2)
    return x, (rng.random((cells, 1060, 1)) > edges[:, :, :2]).sum(axis=2)


def poisson_objectives(
    x: np.ndarray, y: np.ndarray, b: np.ndarray, beta: np.ndarray, lam: np.ndarray
) -> np.ndarray:
    """Penalised mean loss along one path."""
    eta = b[:, None] + beta @ x.T
    return (np.exp(eta) - y * eta).mean(axis=1) + lam * np.abs(beta).sum(axis=1)


def paths(cells: int, compared: int) -> list[dict[str, Any]]:
    """Poisson lasso paths of 20 penalties: one fit, and with 36 folds."""
    x, y = fire_cells(cells)
    options: dict[str, Any] = {"family": "poisson", "standardise": False, "threads": 1}
    folds = glm.leave_out_folds(np.arange(36))
    glm.fit_path(x, y[:1], folds=folds, **options)  # compiles
    made = glm.fit_path(x, y, **options)
    ours = cpu_seconds(lambda: glm.fit_path(x, y, **options), 3) / cells
    half = cpu_seconds(lambda: glm.fit_path(x, y[: cells // 4], **options), 3) / (cells // 4)
    oracles: list[Any] = []

    def loop() -> None:
        oracles.clear()
        for c in range(compared):
            model = glum.GeneralizedLinearRegressor(
                family="poisson", l1_ratio=1.0, alpha_search=True, alphas=made.lambdas[c], gradient_tol=1e-6,
                max_iter=1000, scale_predictors=False,
            )  # fmt: skip
            oracles.append(model.fit(x, y[c]))

    peer = cpu_seconds(loop) / compared
    gaps = []
    for c, model in enumerate(oracles):
        theirs = poisson_objectives(x, y[c], model.intercept_path_, model.coef_path_, made.lambdas[c])
        mine = poisson_objectives(x, y[c], made.intercept[c], made.coef[c], made.lambdas[c])
        gaps.append(np.max(np.abs(mine - theirs) / np.abs(theirs)))
    few = min(cells, 100)
    held = cpu_seconds(lambda: glm.fit_path(x, y[:few], folds=folds, **options), 2) / few
    return [
        {
            "case": "poisson lasso path, n 36, p 78, 20 penalties, 1,000 cells",
            "ours_s": 1000 * ours, "peer": "glum loop", "peer_s": 1000 * peer,
            "cells_per_cpu_s": 1 / ours, "cells_per_cpu_s_at_a_quarter": 1 / half, "cells": cells,
            "kkt_max": float(made.kkt.max()), "objective_gap": float(max(gaps)),
        },
        {
            "case": "the same with leave-one-year-out (37 paths a cell), 1,000 cells",
            "ours_s": 1000 * held, "peer": "glum loop x 37", "peer_s": 37_000 * peer,
            "cells_per_cpu_s": 1 / held,
        },
    ]  # fmt: skip


def five_folds(cells: int) -> dict[str, Any]:
    """Paths with 5 folds, as many cells as a large region has."""
    x, y = fire_cells(cells, seed=1)
    folds = glm.leave_out_folds(np.arange(36) // 8)
    spent = cpu_seconds(lambda: glm.fit_path(x, y, family="poisson", folds=folds, threads=1))
    return {
        "case": f"poisson lasso path with 5 folds, {cells:,} cells",
        "ours_s": spent,
        "cells_per_cpu_s": cells / spent,
    }


def multinomial(cells: int, compared: int) -> list[dict[str, Any]]:
    """Ridge logistic regressions of three classes: one fit, and with 20 folds."""
    x, y = tercile_cells(cells)
    years = np.arange(1060) // 53
    folds = glm.leave_out_folds(years)
    options: dict[str, Any] = {"family": "multinomial", "C": 1.0, "n_classes": 3, "threads": 1}
    glm.fit(x[:1], y[:1], folds=folds, **options)  # compiles
    made = glm.fit(x, y, **options)
    ours = cpu_seconds(lambda: glm.fit(x, y, **options), 3) / cells
    few = max(cells // 5, 1)
    held = cpu_seconds(lambda: glm.fit(x[:few], y[:few], folds=folds, **options), 2) / few

    def loop() -> None:
        for c in range(compared):
            LogisticRegression(C=1.0).fit(x[c], y[c])

    def folded() -> None:
        for train in (np.ones(1060), *folds):
            rows = train == 1
            LogisticRegression(C=1.0).fit(x[0, rows], y[0, rows])

    peer, peer_held = cpu_seconds(loop, 2) / compared, cpu_seconds(folded, 2)
    worst = 0.0
    for c in range(compared):
        tight = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(x[c], y[c])
        worst = max(worst, np.abs(tight.coef_ - made.coef[c]).max())
    return [
        {
            "case": "multinomial ridge, 1,060 rows, 3 classes, p 3, 1,000 cells",
            "ours_s": 1000 * ours, "peer": "scikit-learn loop (default tolerance)", "peer_s": 1000 * peer,
            "coefficient_gap": float(worst), "cells_per_cpu_s": 1 / ours,
        },
        {
            "case": "the same with leave-one-year-out (21 fits a cell), 1,000 cells",
            "ours_s": 1000 * held, "peer": "scikit-learn loop (default tolerance)",
            "peer_s": 1000 * peer_held, "cells_per_cpu_s": 1 / held,
        },
    ]  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run all cases and print one JSON object a line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", choices=["small", "full"], default="full")
    options = parser.parse_args(arguments)
    full = options.size == "full"
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glum and scikit-learn on their own line searches
        results = paths(2000 if full else 400, 20 if full else 5)
        results.append(five_folds(10_000 if full else 500))
        results += multinomial(400 if full else 100, 60 if full else 15)
    for result in results:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
