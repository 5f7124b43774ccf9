"""Cells per CPU second of the Poisson lasso path: n = 36 years, p = 78 lagged indices, 20 penalties."""

from __future__ import annotations

import argparse
import json
import time
import warnings

import numpy as np

from esai_core import glm
from esai_fire.engines import fit_one

LAMBDAS, RATIO = 20, 0.1


def case(cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Twelve designs of red-noise predictors and dispersed targets that follow two of them."""
    random = np.random.default_rng(0)
    x = random.normal(size=(12, 36, 78))
    for j in range(1, 78):
        x[..., j] = 0.85 * x[..., j - 1] + 0.53 * x[..., j]
    group = random.integers(0, 12, cells)
    mean = np.exp(0.4 * x[group, :, 3] - 0.3 * x[group, :, 40])
    return x, random.gamma(2.0, 0.5, mean.shape) * mean, group


def cpu(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=("small", "full"), default="small")
    sizes = (250, 500, 1000) if parser.parse_args().size == "small" else (1000, 2500, 5000, 10_000)
    x, y, group = case(max(sizes))
    options = {"family": "poisson", "n_lambdas": LAMBDAS, "lambda_ratio": RATIO, "threads": 1}
    glm.fit_path(x, y[:24], groups=group[:24], **options)
    seconds = {}
    for cells in sizes:
        seconds[cells] = cpu(lambda cells=cells: glm.fit_path(x, y[:cells], groups=group[:cells], **options))
        print(json.dumps({"case": f"path, {cells} cells", "ours_s": seconds[cells],
                          "cells_per_cpu_s": cells / seconds[cells]}))  # fmt: skip
    ours = min(second / cells for cells, second in seconds.items())
    path = glm.fit_path(x, y[:4], groups=group[:4], standardise=False, **options)

    def peer(engine: str, cell: int) -> None:
        for penalty in path.lambdas[cell]:
            fit_one(x[group[cell]], y[cell], penalty=float(penalty), engine=engine)

    warnings.simplefilter("ignore")
    peer("glum", 0)
    glum = cpu(lambda: [peer("glum", c) for c in range(4)]) / 4
    print(json.dumps({"case": "path, one cell", "ours_s": ours, "peer": "glum", "peer_s": glum}))
    old = cpu(lambda: peer("pyglmnet", 0))
    print(json.dumps({"case": "path, one cell", "ours_s": ours, "peer": "pyglmnet", "peer_s": old}))
    folds = glm.leave_out_folds(np.arange(36) // 8)
    few = sizes[0]
    with_folds = cpu(
        lambda: glm.fit_path(x, y[:few], groups=group[:few], folds=folds, keep_predictions=False, **options)
    )
    print(json.dumps({"case": "100,000 cells with 5 folds, projected", "ours_s": with_folds / few * 100_000}))


if __name__ == "__main__":
    main()
