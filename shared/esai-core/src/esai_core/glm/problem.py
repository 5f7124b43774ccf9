"""Arguments of a batched fit, checked and brought to the arrays that the kernels take."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from esai_core.errors import InputError, UsageError
from esai_core.glm.families import check_response, get_family

__all__ = ["Problem", "check_settings", "make_problem", "make_sequence"]


@dataclass(frozen=True)
class Problem:
    """Checked input of one call; rows that miss a response, an offset or a predictor have weight 0 and y = 0.

    Attributes
    ----------
    family : str
    x : (designs, n, p) float
    group : (cells,) int64, design of each cell, or None where cell c has design c
    y, weights, offset : (cells, n) float64; offset may have one row for all
    folds : (F, n) float64, 0 or 1
    factors : (1 or cells, 1 or 1 + F, p) float64 penalty factors, inf excludes
    classes : int, 0 but for the multinomial
    """

    family: str
    x: np.ndarray
    group: np.ndarray | None
    y: np.ndarray
    weights: np.ndarray
    offset: np.ndarray
    folds: np.ndarray
    factors: np.ndarray
    classes: int

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.y.shape[0]

    def part(self, cells: slice) -> Problem:
        """Give the problem of some of the cells."""
        return replace(
            self,
            x=self.x if self.group is not None else self.x[cells],
            group=None if self.group is None else self.group[cells],
            y=self.y[cells],
            weights=self.weights[cells],
            offset=self.offset if self.offset.shape[0] == 1 else self.offset[cells],
            factors=self.factors if self.factors.shape[0] == 1 else self.factors[cells],
        )


def _floats(values: object, name: str) -> np.ndarray:
    try:
        array = np.asarray(values)
        return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("not an array of numbers", where=name) from error


def _shape_error(name: str, shape: tuple, wanted: str) -> UsageError:
    return UsageError(f"{name} has shape {shape}", where="glm", remedy=f"give {wanted}")


def _designs(X: object, groups: object, cells: int, n: int) -> tuple[np.ndarray, np.ndarray | None]:
    x = _floats(X, "X")
    wanted = f"(n, p), (cells, n, p) or (groups, n, p) with groups=, for y of {cells} cells and {n} rows"
    if x.ndim == 2:
        x = x[None]
        group: np.ndarray | None = np.zeros(cells, np.int64)
    elif x.ndim == 3 and groups is not None:
        group = np.asarray(groups)
        if group.shape != (cells,) or group.dtype.kind not in "iu":
            raise _shape_error("groups", group.shape, "one integer for each cell")
        if cells and (group.min() < 0 or group.max() >= x.shape[0]):
            raise UsageError(
                "groups names a design that is not there", where="glm", remedy=f"X holds {x.shape[0]}"
            )
        group = group.astype(np.int64)
    elif x.ndim == 3 and x.shape[0] == cells:
        group = None
    else:
        raise _shape_error("X", x.shape, wanted)
    if x.shape[1] != n:
        raise _shape_error("X", x.shape, wanted)
    return x, group


def _over_rows(values: object, name: str, cells: int, n: int) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in ((), (n,), (1, n), (cells, n)):
        raise _shape_error(name, array.shape, f"({n},) or ({cells}, {n})")
    return array


def _factors(values: object, cells: int, folds: int, p: int) -> np.ndarray:
    if values is None:
        return np.ones((1, 1, p))
    array = np.asarray(values, dtype=np.float64)
    shape = array.shape
    if array.ndim == 2:
        array = array[:, None]
    elif array.ndim == 1:
        array = array[None, None]
    allowed = array.ndim == 3 and array.shape[0] in (1, cells) and array.shape[1] in (1, 1 + folds)
    if not allowed or array.shape[2] != p:
        raise _shape_error(
            "penalty_factor", shape, f"({p},), ({cells}, {p}) or ({cells}, 1 + {folds} folds, {p})"
        )
    if not (array >= 0.0).all():
        raise UsageError(
            "penalty factors must be 0 or more", where="penalty_factor", remedy="use inf to exclude"
        )
    return np.ascontiguousarray(array)


def make_problem(
    X: object,
    y: object,
    *,
    family: str,
    groups: object = None,
    weights: object = None,
    folds: object = None,
    offset: object = None,
    penalty_factor: object = None,
    n_classes: int | None = None,
) -> Problem:
    """Check the arguments of `fit_path` (which documents them) and fill in what was left out."""
    get_family(family)
    target = _floats(y, "y").astype(np.float64)
    if target.ndim != 2:
        raise _shape_error("y", target.shape, "(cells, rows)")
    cells, n = target.shape
    x, group = _designs(X, groups, cells, n)
    check_response(family, target)
    mass = np.ones((cells, n)) if weights is None else _over_rows(weights, "weights", cells, n)
    if not (np.isfinite(mass) & (mass >= 0.0)).all():
        raise UsageError(
            "weights must be finite and 0 or more", where="weights", remedy="use 0 to leave a row out"
        )
    shift = np.zeros((1, n)) if offset is None else _over_rows(offset, "offset", cells, n)
    shift = np.broadcast_to(shift, (cells if shift.shape[:1] == (cells,) and shift.ndim == 2 else 1, n))
    whole = np.isfinite(x).all(axis=2)
    missing = np.isnan(target) | ~np.isfinite(shift) | ~(whole if group is None else whole[group])
    classes = 0
    if family == "multinomial":
        if offset is not None:
            raise UsageError("the multinomial takes no offset", where="offset", remedy="leave it out")
        missing |= target < 0
        known = target[~missing]
        if (known != np.floor(known)).any():
            raise InputError(
                "multinomial responses are class numbers", where="y", remedy="give 0, 1, ..., K - 1"
            )
        highest = int(known.max()) + 1 if known.size else 1
        classes = highest if n_classes is None else int(n_classes)
        if highest > classes:
            raise InputError(
                f"class {highest - 1} in y", where="y", remedy=f"n_classes={classes} allows 0..{classes - 1}"
            )
    training = np.ones((0, n)) if folds is None else np.asarray(folds, dtype=np.float64)
    if training.ndim != 2 or training.shape[1] != n:
        raise _shape_error(
            "folds", training.shape, f"(folds, {n}), 1 where a row is fitted and 0 where left out"
        )
    if not np.isin(training, (0.0, 1.0)).all():
        raise UsageError("folds must be 0 or 1", where="folds", remedy="put other weights into weights=")
    return Problem(
        family=family,
        x=x,
        group=group,
        y=np.where(missing, 0.0, target),
        weights=np.where(missing, 0.0, np.broadcast_to(mass, (cells, n))),
        offset=np.where(np.isfinite(shift), shift, 0.0),
        folds=np.ascontiguousarray(training),
        factors=_factors(penalty_factor, cells, training.shape[0], x.shape[2]),
        classes=classes,
    )


def check_settings(
    problem: Problem, alpha: float, tolerance: float, max_iterations: int, threads: int | None
) -> None:
    """Refuse settings of a fit that are out of range."""
    if not 0.0 <= alpha <= 1.0:
        raise UsageError(
            f"alpha is {alpha}", where="alpha", remedy="give the l1 share of the penalty, 0 to 1"
        )
    if problem.family == "multinomial" and alpha != 0.0:
        raise UsageError("the multinomial takes a ridge penalty only", where="alpha", remedy="give alpha=0.0")
    if problem.family == "multinomial" and (problem.factors != 1.0).any():
        raise UsageError(
            "the multinomial takes no penalty factors", where="penalty_factor", remedy="leave them out"
        )
    if not 0.0 < tolerance < 1.0:
        raise UsageError(f"tolerance is {tolerance}", where="tolerance", remedy="give a number such as 1e-6")
    if max_iterations < 1 or (threads is not None and threads < 1):
        raise UsageError("max_iterations and threads start at 1", where="glm")


def make_sequence(lambdas: object, cells: int, n_lambdas: int, ratio: float) -> np.ndarray:
    """Penalties (cells, L): those given, checked, or NaN where the kernel is to make them."""
    if lambdas is None:
        if n_lambdas < 1 or not 0.0 < ratio < 1.0:
            raise UsageError("n_lambdas starts at 1 and lambda_ratio lies in (0, 1)", where="fit_path")
        return np.full((cells, n_lambdas), np.nan)
    values = np.asarray(lambdas, dtype=np.float64)
    if values.ndim == 1:
        values = np.broadcast_to(values, (cells, values.size))
    if values.ndim != 2 or values.shape[0] != cells or values.shape[1] == 0:
        raise UsageError(
            f"lambdas has shape {values.shape}", where="lambdas", remedy=f"give (L,) or ({cells}, L)"
        )
    if not (np.isfinite(values) & (values >= 0.0)).all() or (np.diff(values, axis=1) > 0.0).any():
        raise UsageError(
            "lambdas must be 0 or more and not rise", where="lambdas", remedy="sort them, largest first"
        )
    return values.copy()
