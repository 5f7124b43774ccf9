"""Standardising: mean 0 and standard deviation 1 over the fitted sample."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from esai_core.align import aligned, spelled_dims
from esai_core.errors import InputError, UsageError
from esai_core.transforms.state import check_same, fitted_on, load_state, save_state

_ROUNDING = 1e-12  # what a mean in double precision leaves of a constant, relative to it


@dataclass(frozen=True, eq=False)
class Standardiser:
    """(x - mean) / scale, with mean and standard deviation of a training sample.

    Attributes
    ----------
    mean, scale : DataArray
        float64, on the dimensions that were not averaged over. A place that was constant in training has
        scale 1; one that was all NaN has NaN, and gives NaN.
    name, units : str or None
        Of the data it was fitted on; other data is refused.
    """

    mean: xr.DataArray
    scale: xr.DataArray
    name: str | None = None
    units: str | None = None

    @classmethod
    def fit(cls, da: xr.DataArray, *, dim: str | Collection[str]) -> Standardiser:
        """Fit mean and population standard deviation over `dim`, leaving out NaN.

        Parameters
        ----------
        da : DataArray
            Training sample: of the fold alone. May be dask-backed; it is read in chunks, twice.
        dim : str or collection of str
            Dimensions to average over, for example ``("start", "number")``.

        Raises
        ------
        UsageError
            If a dimension is not there.
        InputError
            If all values are NaN.
        """
        dims = _dims(da, dim)
        mean = da.mean(dims, skipna=True, dtype=np.float64).compute()
        square = ((da - mean) ** 2).mean(dims, skipna=True, dtype=np.float64) ** 0.5
        scale = square.compute()
        if not bool(mean.notnull().any()):
            raise InputError("all values are NaN: nothing to standardise by", where=da.name)
        return cls(mean, scale.where(~(scale <= _ROUNDING * abs(mean)), 1.0), **fitted_on(da))

    def transform(self, da: xr.DataArray) -> xr.DataArray:
        """Return (da - mean) / scale in the precision of `da`, without units.

        Raises
        ------
        InputError
            If variable, units or coordinates are not those of the fit.
        """
        check_same(da, name=self.name, units=self.units, what="this standardiser")
        mean, scale = self._for(da)
        return (
            ((da - mean) / scale)
            .astype(_floating(da))
            .assign_attrs({**da.attrs, "units": "1"})
            .rename(da.name)
        )

    def inverse(self, da: xr.DataArray) -> xr.DataArray:
        """Return da * scale + mean, in the units of the fit."""
        check_same(da, name=self.name, units=None, what="this standardiser")
        mean, scale = self._for(da)
        units = {} if self.units is None else {"units": self.units}
        attrs = {key: value for key, value in da.attrs.items() if key != "units"} | units
        return (da * scale + mean).astype(_floating(da)).assign_attrs(attrs).rename(da.name)

    def _for(self, da: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        names = ("the data", "the standardiser")
        return aligned(da, self.mean, names=names, units=False), aligned(
            da, self.scale, names=names, units=False
        )

    def save(self, path: str | Path) -> None:
        """Write to one .npz file, without pickles."""
        meta = {"name": self.name, "units": self.units}
        save_state(path, "standardiser", meta, {"mean": self.mean, "scale": self.scale})

    @classmethod
    def load(cls, path: str | Path) -> Standardiser:
        """Read what `save` wrote; an `InputError` names a file that is something else."""
        meta, arrays = load_state(path, "standardiser")
        return cls(arrays["mean"], arrays["scale"], **meta)


def _dims(da: xr.DataArray, dim: str | Collection[str]) -> list[str]:
    dims = [dim] if isinstance(dim, str) else list(dim)
    unknown = [d for d in dims if d not in da.dims]
    if unknown:
        raise UsageError(f"no dimension {', '.join(unknown)} to fit over", where=spelled_dims(da))
    return dims


def _floating(da: xr.DataArray) -> np.dtype:
    return da.dtype if da.dtype.kind == "f" else np.dtype(np.float64)
