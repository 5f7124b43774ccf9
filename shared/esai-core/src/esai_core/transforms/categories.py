"""Categories between quantiles: terciles, quintiles, any K, fitted for each calendar group."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from esai_core.align import aligned
from esai_core.errors import InputError, UsageError
from esai_core.transforms.groups import GROUP, PERIODS, by_group, checked_window, group_labels, members_of
from esai_core.transforms.state import check_same, fitted_on, load_state, save_state

TERCILES = ("below normal", "near normal", "above normal")


@dataclass(frozen=True, eq=False)
class QuantileCategories:
    """The category of a value between the K-quantiles of a training sample.

    The rule is that of the S2S AI challenge: category 0 below the first edge (x < e0), category k from
    e(k-1) on (e(k-1) <= x < e(k)), K - 1 from the last edge on. A value or an edge that is NaN gives NaN,
    never a category.

    Attributes
    ----------
    edges : DataArray
        (edge, group, ...), K - 1 edges. NaN where fewer than K values were there.
    labels : tuple of str
        Names of the K categories.
    time, group : str
        As given to `fit`.
    name, units : str or None
        Of the data it was fitted on.
    """

    edges: xr.DataArray
    labels: tuple[str, ...]
    time: str
    group: str | None
    name: str | None = None
    units: str | None = None

    @classmethod
    def fit(
        cls,
        da: xr.DataArray,
        *,
        time: str = "time",
        over: Collection[str] = (),
        group: str | None = "week",
        window: int = 0,
        labels: Sequence[str] = TERCILES,
    ) -> QuantileCategories:
        """Fit the 1/K ... (K-1)/K quantiles of each group, linear between order statistics, leaving out NaN.

        Parameters
        ----------
        da : DataArray
            Training sample: of the fold alone, or the edges leak. Dask is read with `time` and `over` whole.
        time : str
            Dimension of the samples.
        over : collection of str
            Further dimensions to pool, such as ``("number",)`` for a model's own edges.
        group : {"month", "dayofyear", "week"}, coordinate name, or None
            See `group_labels`.
        window : int
            Also use the groups this many before and after, around the year.
        labels : sequence of str
            Names of the K categories in ascending order, terciles by default.

        Raises
        ------
        UsageError
            If a dimension or group is not known, or there are fewer than two different labels.
        InputError
            If no group of any cell has K values.
        """
        names = tuple(str(label) for label in labels)
        if len(names) < 2 or len(set(names)) < len(names):
            raise UsageError(f"categories {list(names)} must be two or more, all different")
        missing = [d for d in over if d not in da.dims]
        if missing:
            raise UsageError(f"no dimension {', '.join(missing)} to pool")
        groups = group_labels(da, time=time, group=group)
        window = checked_window(group, window, groups)
        core = [time, *over]
        if da.chunks is not None:
            da = da.chunk(dict.fromkeys(core, -1))
        values = np.unique(groups)
        period = None if group is None else PERIODS.get(group)
        rows = [members_of(groups, value, window=window, period=period) for value in values]
        edges = _quantiles(da, core, rows, len(names)).assign_coords({GROUP: values}).compute()
        edges = edges.transpose("edge", GROUP, ...).reset_coords(drop=True)
        if not bool(edges.notnull().any()):
            raise InputError(f"no category edges: no cell has {len(names)} values in a group", where=da.name)
        return cls(edges, names, time, group, **fitted_on(da))

    @property
    def degenerate(self) -> xr.DataArray:
        """(group, ...) True where two edges are equal, so that a category can hardly occur: dry places."""
        return (self.edges.diff("edge") <= 0).any("edge")

    def transform(self, da: xr.DataArray) -> xr.DataArray:
        """Return the category of each value, 0 to K - 1 as float32, NaN where value or edge is missing.

        Raises
        ------
        InputError
            If variable, units or coordinates are not those of the fit, or a group was not fitted.
        """
        check_same(da, name=self.name, units=self.units, what="these categories")
        groups = group_labels(da, time=self.time, group=self.group)
        edges = [
            aligned(da, self.edges.isel(edge=k), names=("the data", "the edges"), units=False, free=(GROUP,))
            for k in range(len(self.labels) - 1)
        ]
        codes = by_group(
            _digitised, da, time=self.time, labels=groups, parameters=edges, dtype=np.dtype(np.float32)
        )
        return codes.assign_attrs(
            flag_values=list(range(len(self.labels))), flag_meanings=", ".join(self.labels)
        )

    def one_hot(self, da: xr.DataArray, *, category: str = "category") -> xr.DataArray:
        """Return 1 for the category of each value and 0 for the others, NaN for all where it is missing."""
        return one_hot(self.transform(da), self.labels, category=category)

    def save(self, path: str | Path) -> None:
        """Write to one .npz file, without pickles."""
        meta = {key: getattr(self, key) for key in ("time", "group", "name", "units")}
        save_state(path, "categories", meta | {"labels": list(self.labels)}, {"edges": self.edges})

    @classmethod
    def load(cls, path: str | Path) -> QuantileCategories:
        """Read what `save` wrote; an `InputError` names a file that is something else."""
        meta, arrays = load_state(path, "categories")
        return cls(arrays["edges"], tuple(meta.pop("labels")), **meta)


def one_hot(codes: xr.DataArray, labels: Sequence[str], *, category: str = "category") -> xr.DataArray:
    """Return 1 for the category of each case and 0 for the others, along a new first dimension.

    Parameters
    ----------
    codes : DataArray
        0 to K - 1, or NaN: then all categories are NaN.
    labels : sequence of str
        Names of the K categories.
    category : str
        Name of the new dimension.
    """
    index = xr.DataArray(np.arange(len(labels)), dims=category, coords={category: list(labels)})
    return (codes == index).astype(np.float64).where(codes.notnull()).transpose(category, ...)


def _digitised(values: np.ndarray, *edges: np.ndarray) -> np.ndarray:
    code = np.zeros(values.shape, dtype=np.float32)
    missing = np.isnan(values)
    for edge in edges:
        code += values >= edge
        missing = missing | np.isnan(edge)
    code[missing] = np.nan
    return code


def _quantiles(da: xr.DataArray, core: list[str], rows: list[np.ndarray], size: int) -> xr.DataArray:
    """Return the edges (..., group, edge) of the samples at the rows of each group."""
    axes = len(core)

    def block(values: np.ndarray) -> np.ndarray:
        first = np.moveaxis(values, -axes, 0)  # samples are taken from the first axis at the least cost
        found = [_quantile_block(np.moveaxis(first[here], 0, -axes), axes=axes, size=size) for here in rows]
        return np.stack(found, axis=-2)

    return xr.apply_ufunc(
        block,
        da,
        input_core_dims=[core],
        output_core_dims=[[GROUP, "edge"]],
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {GROUP: len(rows), "edge": size - 1}},
    )


def _quantile_block(values: np.ndarray, *, axes: int, size: int) -> np.ndarray:
    """Return the k/size quantiles over the last `axes` (Hyndman and Fan 1996, type 7)."""
    flat = np.sort(values.reshape(*values.shape[: values.ndim - axes], -1), axis=-1)  # NaN sort last
    number = (~np.isnan(flat)).sum(axis=-1, keepdims=True)
    place = np.maximum(number - 1, 0) * np.arange(1, size) / size
    lower = np.floor(place).astype(np.int64)
    upper = np.minimum(lower + 1, np.maximum(number - 1, 0))
    low, high = (np.take_along_axis(flat, at, axis=-1).astype(np.float64) for at in (lower, upper))
    return np.where(number >= size, low + (high - low) * (place - lower), np.nan)
