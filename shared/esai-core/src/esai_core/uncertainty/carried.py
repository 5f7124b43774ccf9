"""Products that carry their interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import UsageError
from esai_core.uncertainty.interval import Interval
from esai_core.uncertainty.quantile import check_coverage

__all__ = ["with_interval"]


def with_interval(
    ds: xr.Dataset, name: str, interval: Interval, *, coverage: float = 0.9, comment: str = ""
) -> xr.Dataset:
    """Put the ends of an interval beside the variable that they belong to.

    The variables ``NAME_lower`` and ``NAME_upper`` have its units, and it names them in its attribute
    ``ancillary_variables`` (CF-1.11, section 3.4).

    Parameters
    ----------
    ds : Dataset
        The product; a new one is given back.
    name : str
        Variable of the prediction.
    interval : Interval
        DataArrays, or arrays on the dims of the variable.
    coverage : float
        What the interval claims.
    comment : str
        How it was calibrated.

    Returns
    -------
    Dataset

    Raises
    ------
    UsageError
        If there is no such variable.
    """
    if name not in ds:
        raise UsageError(f"no variable {name!r} for an interval")
    check_coverage(coverage)
    main = ds[name]
    what = str(main.attrs.get("long_name", name))
    made = ds.assign({name: main.copy()})
    for side, end in zip(("lower", "upper"), interval, strict=True):
        attrs: dict[str, Any] = {key: main.attrs[key] for key in ("units",) if key in main.attrs}
        attrs["long_name"] = f"{side} end of the {100 * coverage:g} % prediction interval of {what}"
        attrs |= {"comment": comment} if comment else {}
        values = end if isinstance(end, xr.DataArray) else xr.DataArray(np.asarray(end), dims=main.dims)
        xr.align(main, values, join="exact", copy=False)
        made[f"{name}_{side}"] = (values.dims, values.values.astype(main.dtype), attrs)
    made[name].attrs["ancillary_variables"] = f"{name}_lower {name}_upper"
    return made
