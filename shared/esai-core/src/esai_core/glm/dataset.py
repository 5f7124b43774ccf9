"""The batched fits on xarray objects: cells are all dims but the rows', dask-backed ones stay lazy."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import UsageError
from esai_core.glm.fitting import fit, fit_path

__all__ = ["fit_dataset"]


def _flat(array: np.ndarray, cells: tuple[int, ...], core: int) -> np.ndarray:
    """Cells in one axis; the last `core` axes stay."""
    tail = array.shape[array.ndim - core :]
    return np.broadcast_to(array, (*cells, *tail)).reshape(-1, *tail)


def _outputs(
    *, path: bool, multinomial: bool, folds: bool, sample: Hashable, feature: Hashable
) -> dict[str, tuple]:
    """Name of each result and the dims that it has after the cells'."""
    along: tuple[Hashable, ...] = ("path",) if path else ()
    each: tuple[Hashable, ...] = ("class",) if multinomial else ()
    made: dict[str, tuple] = {
        "intercept": (*along, *each),
        "coef": (*along, *each, feature),
        "penalty": along,
        "deviance": along,
        "null_deviance": (),
        "kkt": along,
        "iterations": along,
        "status": along,
    }
    if folds:
        made |= {
            "prediction": (*along, sample, *each),
            "null_prediction": (sample, *each),
            "fold_deviance": ("fold", *along),
            "fold_null_deviance": ("fold",),
            "fold_weight": ("fold",),
            "fold_kkt": ("fold",),
            "fold_status": ("fold",),
        }
    return made


def _fit_block(
    y: np.ndarray, x: np.ndarray, weights: np.ndarray, offset: np.ndarray, *, path: bool,
    options: dict[str, Any], names: tuple[str, ...],
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """Fit one block: y (cells..., n), x (..., n, p) and the rest with axes that broadcast to the cells'."""
    cells = y.shape[:-1]
    given: dict[str, Any] = {
        "weights": _flat(weights, cells, 1) if weights.ndim else None,
        "offset": _flat(offset, cells, 1) if offset.ndim else None,
    }
    designs = np.arange(int(np.prod(x.shape[:-2]))).reshape(x.shape[:-2])
    result = (fit_path if path else fit)(
        x.reshape(-1, *x.shape[-2:]),
        y.reshape(-1, y.shape[-1]),
        groups=np.broadcast_to(designs, cells).reshape(-1),
        **given,
        **options,
    )
    arrays: dict[str, Any] = {
        "penalty": getattr(result, "lambdas" if path else "penalty"),
        **{name: getattr(result, name) for name in names if hasattr(result, name)},
    }
    if result.folds is not None:
        kept = result.folds
        arrays |= {"prediction": kept.prediction, "null_prediction": kept.null_prediction}
        arrays |= {
            f"fold_{name}": getattr(kept, name)
            for name in ("deviance", "null_deviance", "weight", "kkt", "status")
        }
    return tuple(arrays[name].reshape(*cells, *arrays[name].shape[1:]) for name in names)


def fit_dataset(
    X: xr.DataArray,
    y: xr.DataArray,
    *,
    family: str,
    sample: Hashable = "time",
    feature: Hashable = "feature",
    weights: xr.DataArray | None = None,
    folds: np.ndarray | xr.DataArray | None = None,
    offset: xr.DataArray | None = None,
    path: bool = False,
    n_classes: int | None = None,
    **options: Any,
) -> xr.Dataset:
    """`fit`, or `fit_path`, of every cell of a DataArray.

    Parameters
    ----------
    X : DataArray (sample, feature), with any of the dims of the cells
        Without dims of the cells the design is shared.
    y : DataArray (sample, ...)
        Responses; every other dim is one of cells. Dask-backed arrays give a lazy result with the same
        numbers; the sample must then be one chunk.
    family : str
    sample, feature : hashable
        The dims of rows and of columns.
    weights, offset : DataArray (sample), with any of the dims of the cells, optional
    folds : (F, n), optional
        As in `fit_path`, in the order of y's samples.
    path : bool
        Call `fit_path` and not `fit`.
    n_classes : int, optional
        Needed for the multinomial.
    **options
        Of `fit` or `fit_path`; threads is 1 on dask-backed input by default.

    Returns
    -------
    Dataset
        Over the cells' dims: intercept, coef (feature), penalty, deviance, null_deviance, kkt, iterations,
        status, with dims ``path`` and ``class`` where they apply; with folds also prediction (sample),
        null_prediction, fold_deviance (fold), fold_null_deviance, fold_weight, fold_kkt and fold_status. See
        `GlmFit` and `Folds`.
    """
    for name, array, dims in (("X", X, (sample, feature)), ("y", y, (sample,))):
        absent = [dim for dim in dims if dim not in array.dims]
        if absent:
            raise UsageError(
                f"{name} has no dim {absent[0]!r}", where="fit_dataset", remedy=f"its dims are {array.dims}"
            )
    extra = [dim for dim in X.dims if dim not in (sample, feature) and dim not in y.dims]
    if extra:
        raise UsageError(f"X has a dim {extra[0]!r} that y lacks", where="fit_dataset")
    if family == "multinomial" and n_classes is None:
        raise UsageError("the number of classes is not given", where="fit_dataset", remedy="pass n_classes=")
    arguments = [y, X, *(xr.DataArray(np.nan) if given is None else given for given in (weights, offset))]
    cells = [dim for dim in y.dims if dim != sample]
    lazy = any(array.chunks is not None for array in arguments)
    if lazy:
        arguments = [
            array.chunk({dim: -1 for dim in (sample, feature) if dim in array.dims})
            if array.chunks
            else array
            for array in arguments
        ]
        options.setdefault("threads", 1)
    options |= {"family": family, "n_classes": n_classes}
    if folds is not None:
        options["folds"] = np.asarray(folds)
    names = _outputs(
        path=path,
        multinomial=family == "multinomial",
        folds=folds is not None,
        sample=sample,
        feature=feature,
    )
    lambdas = options.get("lambdas")
    sizes = {
        "path": len(lambdas) if lambdas is not None else options.get("n_lambdas", 20),
        "class": n_classes or 1,
        "fold": 0 if folds is None else len(options["folds"]),
        sample: y.sizes[sample],
        feature: X.sizes[feature],
    }
    types = {"iterations": np.int32, "status": np.uint8, "fold_status": np.uint8}
    made = xr.apply_ufunc(
        _fit_block,
        *arguments,
        input_core_dims=[
            [sample],
            [sample, feature],
            *([] if array.ndim == 0 else [sample] for array in arguments[2:]),
        ],
        output_core_dims=[list(dims) for dims in names.values()],
        kwargs={"path": path, "options": options, "names": tuple(names)},
        dask="parallelized",
        output_dtypes=[types.get(name, np.float64) for name in names],
        dask_gufunc_kwargs={"output_sizes": {dim: sizes[dim] for dims in names.values() for dim in dims}},
        join="exact",
    )
    out = xr.Dataset(dict(zip(names, made, strict=True)))
    out = out.transpose(*cells, ...)
    return out.assign_attrs(family=family)
