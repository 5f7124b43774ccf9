"""Maps of surface NO2 with their uncertainty and the area in which they may be used."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from esai_airquality.no2.config import DataSection
from esai_airquality.no2.predictors import rows_of_map
from esai_airquality.no2.satellite import daily_columns, find_swaths
from esai_airquality.no2.store import Learnt
from esai_core.config import missing_path
from esai_core.errors import InputError
from esai_core.grid import Grid
from esai_core.io import open_dataset
from esai_core.uncertainty import Interval, with_interval

__all__ = ["make_map", "open_fields"]


def open_fields(data: DataSection) -> xr.Dataset | None:
    """Open the gridded predictors, with the columns of swaths on their days, or None where there are none.

    Raises
    ------
    InputError
        If a file is missing, a field has other dimensions than (time,) latitude, longitude, or fields and
        swaths
        share no day.
    """
    if data.fields is None:
        return None
    if not data.fields.exists():
        raise missing_path(data.fields, key="data.fields")
    fields = open_dataset(data.fields).load()
    for name, field in fields.data_vars.items():
        if set(field.dims) not in ({"latitude", "longitude"}, {"time", "latitude", "longitude"}):
            raise InputError(
                f"the field {name!r} has the dimensions {', '.join(map(str, field.dims))}", where=data.fields,
                remedy="(time, latitude, longitude) or (latitude, longitude) are taken",
            )  # fmt: skip
    fields = fields.transpose("time", "latitude", "longitude", missing_dims="ignore")
    if "time" in fields.dims:
        fields = fields.assign_coords(
            time=fields["time"].values.astype("datetime64[D]").astype("datetime64[ns]")
        )
    if data.swaths is None:
        return fields
    columns = daily_columns(find_swaths(data.swaths), Grid.from_dataset(fields), qa=data.qa)
    if "time" not in fields.dims:
        return fields.merge(columns, join="exact", compat="no_conflicts")
    shared = np.intersect1d(fields["time"].values, columns["time"].values)
    if not len(shared):
        raise InputError(
            "the swaths and the fields share no day", where=f"{data.swaths}, {data.fields}",
            remedy="give fields of the days that the satellite saw",
        )  # fmt: skip
    return fields.merge(columns.reindex(time=fields["time"]), join="exact", compat="no_conflicts")


def make_map(learnt: Learnt, fields: xr.Dataset, *, units: str, coverage: float) -> xr.Dataset:
    """Predict every cell and day.

    Parameters
    ----------
    learnt : Learnt
        Model, intervals and area of applicability.
    fields : Dataset
        Gridded predictors.
    units : str
        Of the result.
    coverage : float
        What the intervals claim.

    Returns
    -------
    Dataset
        ``(time, latitude, longitude)``, or ``(latitude, longitude)`` of fields without days: ``no2``, its
        interval ``no2_lower`` to ``no2_upper``, ``dissimilarity`` and ``inside`` (1 within the area of
        applicability).
    """
    grid = Grid.from_dataset(fields)
    parts: dict[str, list[np.ndarray]] = {
        name: [] for name in ("no2", "lower", "upper", "dissimilarity", "inside")
    }
    days = []
    for day, rows in rows_of_map(fields, learnt.design):
        month = 0 if day is None or not learnt.design.start else pd.Timestamp(day).month - 1
        made = learnt.model.predict(rows, np.full(len(rows), month, np.int64))
        lower, upper = learnt.intervals.apply(made)
        index = learnt.applicability.index(rows)
        inside = (index <= learnt.applicability.threshold).astype(np.int8)
        days.append(day)
        results: tuple[np.ndarray, ...] = (made, lower, upper, index, inside)
        for name, values in zip(parts, results, strict=True):
            parts[name].append(values.reshape(grid.shape))
    timed = days[0] is not None
    dims = ("time", "latitude", "longitude") if timed else ("latitude", "longitude")
    coords = grid.coords() | ({"time": np.asarray(days, "datetime64[ns]")} if timed else {})
    texts = {
        "no2": "surface NO2",
        "dissimilarity": "dissimilarity index",
        "inside": "1 within the area of applicability",
    }
    made_of = {name: np.stack(values) if timed else values[0] for name, values in parts.items()}
    whole = xr.Dataset(
        {
            name: (dims, made_of[name], {"units": units if name == "no2" else "1", "long_name": text})
            for name, text in texts.items()
        },
        coords,
    )
    ends = Interval(made_of["lower"], made_of["upper"])
    comment = "from errors at places that were held out, by level of the prediction"
    return with_interval(whole, "no2", ends, coverage=coverage, comment=comment)
