"""Multinomial logistic regressions per CPU second against a loop over scikit-learn, 1060 starts, 3 classes.

One fit of each cell, and leave-one-year-out over 20 years (warm-started folds); coefficients are compared.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression

from esai_core import glm

YEARS, WEEKS, PREDICTORS = 20, 53, 3
GLOBAL_FITS = 121 * 240 * 2 * 2


def case(cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return predictors (cells, n, p) and classes (cells, n) of cells with more and less skill."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(cells, YEARS * WEEKS, PREDICTORS))
    skill = rng.uniform(0, 1.2, cells)[:, None]
    latent = skill * x[..., 0] + 0.2 * x[..., 1] + rng.logistic(size=x.shape[:2])
    return x, np.stack([np.digitize(row, np.quantile(row, [1 / 3, 2 / 3])) for row in latent]).astype(float)


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def loop(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fit each cell with scikit-learn, as accurately as ours."""
    found = []
    for rows, codes in zip(x, y, strict=True):
        fitted = LogisticRegression(C=1.0, tol=1e-6, max_iter=500).fit(rows, codes)
        found.append(fitted.coef_ - fitted.coef_.mean(axis=0))
    return np.stack(found)


def main() -> None:
    """Print one JSON object for each case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=("small", "full"), default="full")
    size = parser.parse_args().size
    cells, few, fewer = (2000, 40, 3) if size == "full" else (300, 20, 2)
    x, y = case(cells)
    options = {"family": "multinomial", "C": 1.0, "n_classes": 3, "threads": 1}
    folds = glm.leave_out_folds(np.repeat(np.arange(YEARS), WEEKS))
    glm.fit(x[:2], y[:2], folds=folds, **options)  # compile
    warnings.simplefilter("ignore")
    loop(x[:1], y[:1])

    ours = cpu(lambda: glm.fit(x, y, **options)) / cells
    theirs = cpu(lambda: loop(x[:few], y[:few])) / few
    fitted = glm.fit(x[:few], y[:few], **options).coef
    apart = float(np.abs(fitted - fitted.mean(axis=1, keepdims=True) - loop(x[:few], y[:few])).max())
    peer = {"peer": "scikit-learn loop", "coefficients_apart": apart}
    print(json.dumps({"case": "one cell, one fit", "ours_s": ours, "peer_s": theirs, **peer}))

    part = cells // 8
    ours_folds = (
        cpu(lambda: glm.fit(x[:part], y[:part], folds=folds, keep_predictions=False, **options)) / part
    )
    theirs_folds = cpu(lambda: [loop(x[:fewer][:, f > 0], y[:fewer][:, f > 0]) for f in folds]) / fewer
    theirs_folds += theirs
    name = f"one cell, leave-one-year-out of {YEARS}"
    print(
        json.dumps({"case": name, "ours_s": ours_folds, "peer_s": theirs_folds, "peer": "scikit-learn loop"})
    )
    for text, own, peer_s in (("one fit", ours, theirs), ("leave-one-year-out", ours_folds, theirs_folds)):
        print(
            json.dumps(
                {
                    "case": f"121 x 240 cells, 2 windows, 2 variables, {text}, projected",
                    "ours_s": own * GLOBAL_FITS,
                    "peer_s": peer_s * GLOBAL_FITS,
                    "peer": "scikit-learn loop",
                }
            )
        )


if __name__ == "__main__":
    main()
