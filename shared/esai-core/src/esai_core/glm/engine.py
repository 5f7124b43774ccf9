"""From a checked problem to a result: chunks of cells, threads, and the kernels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np

from esai_core.glm import _elastic, _paths, _softmax
from esai_core.glm._numeric import GAP, standardise_designs
from esai_core.glm.families import FAMILIES
from esai_core.glm.problem import Problem
from esai_core.glm.result import Folds, GlmPath, GlmStatus

__all__ = ["GlmConvergenceWarning", "Settings", "Troubles", "solve"]

#: Rows x columns of the designs that one chunk of cells builds for itself.
_CHUNK_VALUES = 2_000_000


class GlmConvergenceWarning(UserWarning):
    """Some cells did not reach the tolerance, or have no finite solution."""


@dataclass(frozen=True)
class Settings:
    """How to solve: see `fit_path`. `lambdas` (cells, L) starts with NaN where a sequence is to be made."""

    alpha: float
    lambdas: np.ndarray
    ratio: float
    absolute: bool
    standardise: bool
    tolerance: float
    max_iterations: int
    keep_predictions: bool
    keep_folds: bool
    threads: int | None


def _padded(rows: int) -> int:
    """Rows in memory: a multiple of 8, so that the kernels' loops have no remainder."""
    return max(-(-rows // 8), 1) * 8


def _pad(values: np.ndarray, rows: int, dtype: type = np.float64) -> np.ndarray:
    out: np.ndarray = np.zeros((values.shape[0] + GAP, rows), dtype)[: values.shape[0]]
    out[:, : values.shape[1]] = values
    return out


@dataclass(frozen=True)
class _Designs:
    values: np.ndarray  # (designs, first + p, rows)
    centre: np.ndarray  # (designs, p)
    spread: np.ndarray  # (designs, p)


def _make_designs(x: np.ndarray, first: int, rows: int) -> _Designs:
    groups, _, p = x.shape
    made = _Designs(
        np.zeros((groups + 1, first + p, rows))[:groups], np.zeros((groups, p)), np.ones((groups, p))
    )
    values = np.ascontiguousarray(x, dtype=np.float64)
    standardise_designs(values, first, made.values, np.zeros((groups, rows)), made.centre, made.spread)
    return made


def _allocate(problem: Problem, settings: Settings) -> dict[str, np.ndarray]:
    """Arrays that the kernels fill, cells first."""
    cells, n = problem.y.shape
    p, count, folds = problem.x.shape[2], settings.lambdas.shape[1], problem.folds.shape[0]
    classes = (problem.classes,) if problem.classes else ()
    kept = folds if settings.keep_folds else 0
    seen = n if folds and settings.keep_predictions else 0
    return {
        "intercept": np.zeros((cells, count, *classes)),
        "coef": np.zeros((cells, count, *classes, p)),
        "deviance": np.zeros((cells, count)),
        "null_deviance": np.zeros(cells),
        "kkt": np.zeros((cells, count)),
        "iterations": np.zeros((cells, count), np.int32),
        "status": np.zeros((cells, count), np.uint8),
        "fold_intercept": np.zeros((cells, kept, count, *classes)),
        "fold_coef": np.zeros((cells, kept, count, *classes, p)),
        "fold_deviance": np.zeros((cells, folds, count)),
        "fold_null": np.zeros((cells, folds)),
        "fold_kkt": np.zeros((cells, folds)),
        "fold_status": np.zeros((cells, folds), np.uint8),
        "prediction": np.full((cells, count if seen else 0, seen, *classes), np.nan),
        "null_prediction": np.full((cells, seen, *classes), np.nan),
        "selected": np.zeros((cells, count, 0 if problem.classes else p), np.int32),
    }


def _fit_chunk(
    problem: Problem, settings: Settings, shared: _Designs | None, lambdas: np.ndarray, out: dict, part: slice
) -> None:
    """Fit the cells of `part` and leave the results, in the units of X, in the arrays of `out`."""
    cells = problem.y[part].shape[0]
    n, p = problem.x.shape[1:]
    rows = _padded(n)
    softmax = problem.family == "multinomial"
    designs = shared if shared is not None else _make_designs(problem.x[part], int(softmax), rows)
    group = problem.group[part] if problem.group is not None else np.arange(cells)
    weights = _pad(problem.weights[part], rows)
    base = np.ones_like(designs.spread) / designs.spread
    folds = _pad(problem.folds, rows)
    got = {name: array[part] for name, array in out.items()}
    if softmax:
        contrasts = max(problem.classes - 1, 1) * (p + 1)
        del got["selected"]
        _softmax.fit_softmax(
            designs.values, group, _pad(problem.y[part], rows, np.int64), weights, folds, base,
            settings.standardise, lambdas[part], settings.ratio, settings.absolute, settings.tolerance,
            settings.max_iterations, n,
            _softmax.make_softmax(rows, p + 1, problem.classes), np.zeros(rows + GAP),
            np.zeros(problem.classes), np.zeros((lambdas.shape[1], contrasts)), *got.values(),
        )  # fmt: skip
    else:
        factors = problem.factors if problem.factors.shape[0] == 1 else problem.factors[part]
        offset = problem.offset if problem.offset.shape[0] == 1 else problem.offset[part]
        offset = _pad(np.broadcast_to(offset, (cells, n)), rows)
        _paths.fit_cells(
            FAMILIES[problem.family].code, designs.values, group, _pad(problem.y[part], rows), weights,
            offset, folds, factors, base, settings.standardise, settings.alpha, lambdas[part], settings.ratio,
            settings.absolute, settings.tolerance, settings.max_iterations, n, _elastic.make_work(rows, p),
            np.zeros(rows + GAP), np.zeros(lambdas.shape[1]), np.zeros((lambdas.shape[1], p)), *got.values(),
        )  # fmt: skip
    for prefix in ("", "fold_"):
        _to_units_of_x(got[f"{prefix}intercept"], got[f"{prefix}coef"], designs, group)


def _to_units_of_x(intercept: np.ndarray, coef: np.ndarray, designs: _Designs, group: np.ndarray) -> None:
    axes = (slice(None), *(None for _ in coef.shape[1:-1]))
    coef /= designs.spread[group][axes]
    intercept -= (coef * designs.centre[group][axes]).sum(axis=-1)


def _slices(problem: Problem, threads: int) -> list[slice]:
    cells, n = problem.y.shape
    width = n * max(problem.x.shape[2] if problem.group is None else 1, 4)
    size = max(1, min(_CHUNK_VALUES // width, -(-cells // threads)))
    return [slice(start, min(start + size, cells)) for start in range(0, cells, size)]


def run_chunks(work: Callable[[slice], None], parts: list[slice], threads: int) -> None:
    """Run `work` on every part, on that many threads; the kernels release the GIL."""
    if threads == 1 or len(parts) == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))


def solve(problem: Problem, settings: Settings) -> GlmPath:
    """Fit every cell of a problem; no warnings are given here (see `Troubles`)."""
    threads = settings.threads or int(numba.get_num_threads())
    lambdas = np.array(settings.lambdas, dtype=np.float64)
    out = _allocate(problem, settings)
    first = int(problem.family == "multinomial")
    shared = (
        _make_designs(problem.x, first, _padded(problem.x.shape[1])) if problem.group is not None else None
    )
    parts = _slices(problem, threads)
    run_chunks(lambda part: _fit_chunk(problem, settings, shared, lambdas, out, part), parts, threads)
    empty = (out["status"] & GlmStatus.EMPTY) > 0
    for name in ("intercept", "coef", "deviance", "kkt"):
        out[name][empty] = np.nan
    out["null_deviance"][empty.all(axis=1)] = np.nan
    return GlmPath(
        family=problem.family,
        lambdas=lambdas,
        folds=_folds(problem, out) if problem.folds.shape[0] else None,
        **{
            name: out[name]
            for name in ("intercept", "coef", "deviance", "null_deviance", "kkt", "iterations", "status")
        },
    )


def _folds(problem: Problem, out: dict[str, np.ndarray]) -> Folds:
    blind = (out["fold_status"] & GlmStatus.EMPTY) > 0
    for name in ("fold_deviance", "fold_null"):
        out[name][blind] = np.nan
    for name in ("fold_intercept", "fold_coef"):
        if out[name].shape[1]:
            out[name][blind] = np.nan
    kept = out["fold_coef"].shape[1] > 0
    seen = out["prediction"].shape[1] > 0
    return Folds(
        train=problem.folds,
        weight=problem.weights @ (1.0 - problem.folds).T,
        deviance=out["fold_deviance"],
        null_deviance=out["fold_null"],
        kkt=out["fold_kkt"],
        status=out["fold_status"],
        prediction=out["prediction"] if seen else None,
        null_prediction=out["null_prediction"] if seen else None,
        selected=None if problem.classes else out["selected"],
        intercept=out["fold_intercept"] if kept else None,
        coef=out["fold_coef"] if kept else None,
    )


@dataclass
class Troubles:
    """Counts of fits past the tolerance or without a finite solution, over one call."""

    family: str
    fits: int = 0
    late: int = 0
    apart: int = 0
    worst: float = 0.0

    def add(self, path: GlmPath) -> None:
        """Count those of a path and of its folds."""
        parts = [(path.status, path.kkt)]
        if path.folds is not None:
            parts.append((path.folds.status, path.folds.kkt))
        for status, kkt in parts:
            self.fits += status.size
            self.late += int(np.count_nonzero(status & GlmStatus.NOT_CONVERGED))
            self.apart += int(np.count_nonzero(status & GlmStatus.SEPARATED))
            self.worst = max(self.worst, float(np.fmax.reduce(kkt, axis=None, initial=0.0)))

    def warn(self, tolerance: float, *, stacklevel: int = 3) -> None:
        """Give the counts as `GlmConvergenceWarning`, where they are not 0."""
        if self.late:
            warnings.warn(
                f"{self.late} of {self.fits} {self.family} fits stopped past the tolerance {tolerance:g}: "
                f"largest KKT violation / lambda {self.worst:.2g}",
                GlmConvergenceWarning,
                stacklevel=stacklevel,
            )
        if self.apart:
            warnings.warn(
                f"{self.apart} of {self.fits} {self.family} fits are separated: their coefficients have no "
                "finite optimum (GlmStatus.SEPARATED); add a penalty",
                GlmConvergenceWarning,
                stacklevel=stacklevel,
            )
