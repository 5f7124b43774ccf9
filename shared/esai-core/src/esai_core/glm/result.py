"""What a batched fit returns, how it is saved, and how it predicts."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from esai_core.errors import InputError, UsageError
from esai_core.glm.families import get_family

__all__ = ["Folds", "GlmFit", "GlmPath", "GlmStatus", "load", "predict", "save"]


class GlmStatus:
    """Bits of a status: 0 is a converged fit.

    NOT_CONVERGED: the KKT violation stayed above the tolerance. SEPARATED: unpenalised coefficients ran away,
    because the data can be split perfectly; the values given are where the gradient vanished, not estimates.
    DEGENERATE: nothing to fit (all responses 0, one class only, or a constant), the null model is given.
    EMPTY: no usable row, all NaN. RANK_DEFICIENT: least squares of columns that explain one another; the
    solution of smallest norm.
    """

    NOT_CONVERGED = 1
    SEPARATED = 2
    DEGENERATE = 4
    EMPTY = 8
    RANK_DEFICIENT = 16


@dataclass(frozen=True)
class Folds:
    """Fits that leave rows out. L is the length of the path; for a `GlmFit` that axis is absent.

    Attributes
    ----------
    train : (F, n) 0 or 1 weight of each row in each fold's fit.
    weight : (cells, F) weight of the rows left out.
    deviance, null_deviance : (cells, F, L) and (cells, F) weighted deviance of the rows left out, under the
        fold's fit and under its null model (the mean or class shares of its training rows).
    kkt, status : (cells, F) largest over the path; bits of `GlmStatus`, united over the path.
    prediction : (cells, L, n) or (cells, L, n, K) means at rows left out, by the last fold that leaves them
        out; NaN elsewhere. Or None.
    null_prediction : (cells, n) or (cells, n, K) likewise by the null model. Or None.
    selected : (cells, L, p) folds in which a coefficient is not 0; or None (multinomial, least squares).
    intercept, coef : as of the whole fit, with the axis F after cells. Or None.
    """

    train: np.ndarray
    weight: np.ndarray
    deviance: np.ndarray
    null_deviance: np.ndarray
    kkt: np.ndarray
    status: np.ndarray
    prediction: np.ndarray | None = None
    null_prediction: np.ndarray | None = None
    selected: np.ndarray | None = None
    intercept: np.ndarray | None = None
    coef: np.ndarray | None = None


@dataclass(frozen=True)
class GlmFit:
    """One fit per cell.

    Attributes
    ----------
    family : str
    intercept : (cells,), or (cells, K) of K classes.
    coef : (cells, p), or (cells, K, p); in the units of X.
    penalty : (cells,) the lambda of the objective.
    deviance, null_deviance : (cells,) weighted, with the fitted mean and with the intercept alone.
    kkt : (cells,) largest violation of the optimality conditions, over lambda (over the null model's largest
        gradient where lambda is 0), in coefficients of unit scale.
    iterations : (cells,)
    status : (cells,) bits of `GlmStatus`.
    folds : Folds or None
    """

    family: str
    intercept: np.ndarray
    coef: np.ndarray
    penalty: np.ndarray
    deviance: np.ndarray
    null_deviance: np.ndarray
    kkt: np.ndarray
    iterations: np.ndarray
    status: np.ndarray
    folds: Folds | None = None

    @property
    def converged(self) -> np.ndarray:
        """(cells,) True where the KKT violation is within the tolerance and nothing ran away."""
        return (self.status & (GlmStatus.NOT_CONVERGED | GlmStatus.SEPARATED)) == 0


@dataclass(frozen=True)
class GlmPath:
    """A path of L penalties per cell: the attributes of `GlmFit` with the axis L after cells.

    `lambdas` (cells, L) stands for the penalty. It is NaN where a cell has nothing to fit (status DEGENERATE
    or EMPTY) and none were given.
    """

    family: str
    intercept: np.ndarray
    coef: np.ndarray
    lambdas: np.ndarray
    deviance: np.ndarray
    null_deviance: np.ndarray
    kkt: np.ndarray
    iterations: np.ndarray
    status: np.ndarray
    folds: Folds | None = None

    @property
    def converged(self) -> np.ndarray:
        """(cells, L) True where the KKT violation is within the tolerance and nothing ran away."""
        return (self.status & (GlmStatus.NOT_CONVERGED | GlmStatus.SEPARATED)) == 0

    def at(self, index: int | np.ndarray) -> GlmFit:
        """One penalty per cell.

        Parameters
        ----------
        index : int or (cells,) int array
            Position on the path, the same for all cells or each its own (as `select_lambda` gives).
        """
        cells = np.arange(self.lambdas.shape[0])
        at = np.broadcast_to(np.asarray(index, dtype=np.int64), cells.shape)
        folds = self.folds
        if folds is not None:
            folds = replace(
                folds,
                deviance=folds.deviance[cells, :, at],
                prediction=None if folds.prediction is None else folds.prediction[cells, at],
                selected=None if folds.selected is None else folds.selected[cells, at],
                intercept=None if folds.intercept is None else folds.intercept[cells, :, at],
                coef=None if folds.coef is None else folds.coef[cells, :, at],
            )
        return GlmFit(
            family=self.family,
            intercept=self.intercept[cells, at],
            coef=self.coef[cells, at],
            penalty=self.lambdas[cells, at],
            deviance=self.deviance[cells, at],
            null_deviance=self.null_deviance,
            kkt=self.kkt[cells, at],
            iterations=self.iterations[cells, at],
            status=self.status[cells, at],
            folds=folds,
        )


def predict(
    result: GlmFit | GlmPath,
    X: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    offset: np.ndarray | float = 0.0,
    kind: str = "mean",
) -> np.ndarray:
    """Fitted means (probabilities) or linear predictors at new rows.

    Parameters
    ----------
    result : GlmFit or GlmPath
        Of `fit` or `fit_path`.
    X : (m, p), (cells, m, p), or (groups, m, p) with `groups`
        New rows; a NaN in a row gives NaN.
    groups : (cells,) int array, optional
        Design of each cell.
    offset : array that broadcasts to (cells, m)
        Added to the linear predictor.
    kind : {"mean", "link"}

    Returns
    -------
    numpy.ndarray
        (cells, m); a path's axis comes after cells, the multinomial's classes come last.
    """
    if kind not in ("mean", "link"):
        raise UsageError(f"unknown kind {kind!r}", where="kind", remedy="use 'mean' or 'link'")
    rows = np.asarray(X, dtype=np.float64)
    coef = result.coef
    cells, p = coef.shape[0], coef.shape[-1]
    if rows.ndim not in (2, 3) or rows.shape[-1] != p:
        raise UsageError(
            f"X has shape {rows.shape}", where="predict", remedy=f"its last axis must have length {p}"
        )
    if rows.ndim == 3 and groups is not None:
        rows = rows[np.asarray(groups)]
    if rows.ndim == 3 and rows.shape[0] != cells:
        raise UsageError(
            f"X has {rows.shape[0]} designs", where="predict", remedy=f"give one for each of {cells} cells"
        )
    shape = coef.shape[1:-1]
    flat = coef.reshape(cells, -1, p)
    link = np.matmul(flat, rows.T if rows.ndim == 2 else rows.transpose(0, 2, 1))
    link = link.reshape(cells, *shape, rows.shape[-2]) + result.intercept[..., None]
    shift = np.asarray(offset, dtype=np.float64)
    if shift.ndim == 2:
        shift = shift.reshape(shift.shape[0], *(1 for _ in shape), shift.shape[1])
    link = link + shift
    if result.family == "multinomial":
        link = np.moveaxis(link, -2, -1)
    return link if kind == "link" else get_family(result.family).mean(link)


def save(result: GlmFit | GlmPath, path: str | Path) -> None:
    """Write a result to an .npz file of plain arrays (no pickle)."""
    arrays: dict[str, Any] = {}
    head = {"schema_version": 1, "kind": type(result).__name__, "family": result.family}
    for field in fields(result):
        value = getattr(result, field.name)
        if isinstance(value, np.ndarray):
            arrays[field.name] = value
    if result.folds is not None:
        for field in fields(result.folds):
            value = getattr(result.folds, field.name)
            if value is not None:
                arrays[f"folds.{field.name}"] = value
    with Path(path).open("wb") as stream:
        np.savez_compressed(stream, head=np.frombuffer(json.dumps(head).encode(), dtype=np.uint8), **arrays)


def load(path: str | Path) -> GlmFit | GlmPath:
    """Read what `save` wrote; `InputError` if the file is something else."""
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        head = json.loads(arrays.pop("head").tobytes())
        kinds: dict[str, type[GlmFit] | type[GlmPath]] = {"GlmFit": GlmFit, "GlmPath": GlmPath}
        kind = kinds[head["kind"]]
    except FileNotFoundError:
        raise InputError("no such file", where=path) from None
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            "not a saved GLM", where=path, remedy="give a file that esai_core.glm.save wrote"
        ) from error
    inside = {
        name.removeprefix("folds."): arrays.pop(name) for name in list(arrays) if name.startswith("folds.")
    }
    return kind(family=head["family"], **arrays, folds=Folds(**inside) if inside else None)
