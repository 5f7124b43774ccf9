"""Cells per CPU second of the Poisson lasso path: n = 36 years, p = 78 lagged indices, 20 penalties.

The peers fit the same cells, on the same penalties, as a user would loop over them: glum from cold and along
its own path, and pyglmnet 1.1 as corrected by `esai_fire.engines` (as released it cannot run on today's
numpy). pyglmnet is so slow that it is measured on few cells and given per cell.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable

import numpy as np
from glum import GeneralizedLinearRegressor

from esai_core import glm
from esai_fire.engines import fit_one, kkt_residual

LAMBDAS, RATIO = 20, 0.1
SIZES = {"small": (250, 500, 1000), "full": (1000, 2500, 5000, 10_000)}
PEER_CELLS = {"small": (4, 1), "full": (20, 2)}


def case(cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Twelve designs of red-noise predictors and dispersed targets that follow two of them."""
    random = np.random.default_rng(0)
    x = random.normal(size=(12, 36, 78))
    for j in range(1, 78):
        x[..., j] = 0.85 * x[..., j - 1] + 0.53 * x[..., j]
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    group = random.integers(0, 12, cells)
    mean = np.exp(0.4 * x[group, :, 3] - 0.3 * x[group, :, 40])
    return x, random.gamma(2.0, 0.5, mean.shape) * mean, group


def cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def timed(peer: Callable[[int, float], float], cells: int, tolerance: float) -> tuple[float, float]:
    """CPU seconds per cell, and the largest KKT residual."""
    start = time.process_time()
    worst = max(peer(cell, tolerance) for cell in range(cells))
    return (time.process_time() - start) / cells, worst


def tell(**values: object) -> None:
    print(json.dumps(values), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="small")
    size = parser.parse_args().size
    sizes, (glum_cells, pyglmnet_cells) = SIZES[size], PEER_CELLS[size]
    warnings.simplefilter("ignore")
    x, y, group = case(max(sizes))
    options = {"family": "poisson", "n_lambdas": LAMBDAS, "lambda_ratio": RATIO, "threads": 1}
    glm.fit_path(x, y[:24], groups=group[:24], **options)
    seconds = {}
    for cells in sizes:
        seconds[cells] = cpu(lambda cells=cells: glm.fit_path(x, y[:cells], groups=group[:cells], **options))
        tell(case=f"path, {cells} cells", ours_s=seconds[cells], cells_per_cpu_s=cells / seconds[cells])
    few, many = min(sizes), max(sizes)
    tell(
        case=f"time per cell, {many} cells over {few}",
        ratio_of_times=seconds[many] / many / (seconds[few] / few),
    )
    ours = seconds[many] / many
    path = glm.fit_path(x, y[:glum_cells], groups=group[:glum_cells], **options)

    def glum_cold(cell: int, tolerance: float) -> float:
        worst = 0.0
        for penalty in path.lambdas[cell]:
            model = GeneralizedLinearRegressor(
                family="poisson", alpha=float(penalty), l1_ratio=1.0, gradient_tol=tolerance, max_iter=1000
            ).fit(x[group[cell]], y[cell])
            worst = max(worst, residual(cell, float(model.intercept_), model.coef_, float(penalty)))
        return worst

    def glum_warm(cell: int, tolerance: float) -> float:
        model = GeneralizedLinearRegressor(
            family="poisson", l1_ratio=1.0, alpha_search=True, alpha=path.lambdas[cell].tolist(),
            gradient_tol=tolerance, max_iter=1000,
        ).fit(x[group[cell]], y[cell])  # fmt: skip
        found = zip(model.intercept_path_, model.coef_path_, path.lambdas[cell], strict=True)
        return max(residual(cell, float(b), beta, float(penalty)) for b, beta, penalty in found)

    def residual(cell: int, intercept: float, coef: np.ndarray, penalty: float) -> float:
        return kkt_residual(x[group[cell]], y[cell], intercept, np.asarray(coef), penalty)

    for name, peer, tolerance in (
        ("glum, cold starts", glum_cold, 1e-4),
        ("glum, its own path", glum_warm, 1e-4),
        ("glum, cold starts, to our residual", glum_cold, 1e-8),
        ("glum, its own path, to our residual", glum_warm, 1e-8),
    ):
        peer(0, tolerance)
        theirs, worst = timed(peer, glum_cells, tolerance)
        tell(
            case="path, one cell", ours_s=ours, peer=name, peer_s=theirs, cells_of_peer=glum_cells,
            kkt_of_peer=worst, kkt_of_ours=float(path.kkt.max()),
        )  # fmt: skip

    def pyglmnet(cell: int, tolerance: float) -> float:
        """Fit to the tolerance of the adapter, 1e-12; the argument is not used."""
        fits = [
            fit_one(x[group[cell]], y[cell], penalty=float(penalty), engine="pyglmnet")
            for penalty in path.lambdas[cell]
        ]
        return max(fit.kkt for fit in fits)

    theirs, worst = timed(pyglmnet, pyglmnet_cells, 1e-12)
    tell(
        case="path, one cell", ours_s=ours, peer="pyglmnet, corrected", peer_s=theirs,
        cells_of_peer=pyglmnet_cells, kkt_of_peer=worst, kkt_of_ours=float(path.kkt.max()),
    )  # fmt: skip
    folds = glm.leave_out_folds(np.arange(36) // 8)
    measured = min(sizes)
    with_folds = cpu(
        lambda: glm.fit_path(
            x, y[:measured], groups=group[:measured], folds=folds, keep_predictions=False, **options
        )
    )
    tell(
        case=f"100,000 cells with {len(folds)} folds, projected from {measured}",
        ours_s=with_folds / measured * 100_000,
    )


if __name__ == "__main__":
    main()
