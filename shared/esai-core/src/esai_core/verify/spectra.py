"""Power spectra of fields: at which scales a forecast has too little or too much variance."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr

from esai_core.errors import InputError, UsageError
from esai_core.verify._average import over


def power_spectrum(
    field: xr.DataArray,
    *,
    dims: tuple[str, str] = ("latitude", "longitude"),
    kind: Literal["radial", "zonal"] = "radial",
    window: Literal["hann"] | None = "hann",
    spacing: tuple[float, float] = (1.0, 1.0),
) -> xr.DataArray:
    """Return the power spectrum of each field, with its mean removed.

    The density is normalised so that its sum over all two-dimensional (zonal: one-dimensional, both signs)
    wavenumbers is the variance of the field, window accounted for. `radial` averages it over rings of the
    wavenumber (ky^2 + kx^2)^1/2 (Ruzanski and Chandrasekar 2011; as pySTEPS); `zonal` transforms each row and
    averages the rows, with both signs of the wavenumber added.

    Parameters
    ----------
    field : DataArray
        With the two `dims` (rows, columns), 4 or more points each, on an even grid; any other dimensions.
    dims : (str, str)
        Rows and columns. Need not be square: rings are as wide as the longer side's fundamental.
    kind : {"radial", "zonal"}
        Average over directions, or along the columns alone.
    window : {"hann", None}
        Taper, for fields that are not periodic.
    spacing : (float, float)
        Distance between rows and between columns, in any unit of length.

    Returns
    -------
    DataArray
        float64 along `wavenumber` (cycles per unit of `spacing`, mean of its ring) and the other dimensions;
        rings without a wavenumber are left out. NaN for a field that is all NaN.

    Raises
    ------
    InputError
        If only a part of a field is NaN, or it is too small.
    UsageError
        If the kind, window, dimensions or spacing are not of the above.
    """
    if kind not in ("radial", "zonal") or window not in ("hann", None):
        raise UsageError(f"unknown kind {kind!r} or window {window!r} of a spectrum")
    if not all(step > 0 for step in spacing):
        raise UsageError(f"a spacing must be positive, not {spacing}")
    over(field, dims)
    rows, columns = (field.sizes[d] for d in dims)
    if min(rows, columns) < 4:
        raise InputError(f"a field of {rows} x {columns} is too small for a spectrum", remedy="4 x 4 or more")
    which, wavenumber = _rings(rows, columns, spacing, kind)
    if field.chunks is not None:
        field = field.chunk(dict.fromkeys(dims, -1))
    spectrum = xr.apply_ufunc(
        _spectrum_block,
        field,
        input_core_dims=[list(dims)],
        output_core_dims=[["wavenumber"]],
        kwargs={"which": which, "size": len(wavenumber), "kind": kind, "window": window},
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {"wavenumber": len(wavenumber)}},
    )
    return spectrum.assign_coords(wavenumber=wavenumber)


def _rings(rows: int, columns: int, spacing: tuple[float, float], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the ring of each wavenumber (-1: none) and the mean wavenumber of each ring."""
    kx = np.abs(np.fft.fftfreq(columns, spacing[1]))
    if kind == "zonal":
        size = np.broadcast_to(kx, (rows, columns))
        width, highest = 1 / (columns * spacing[1]), kx.max()
    else:
        ky = np.abs(np.fft.fftfreq(rows, spacing[0]))
        size = np.hypot(ky[:, np.newaxis], kx)
        width = 1 / max(rows * spacing[0], columns * spacing[1])
        highest = min(ky.max(), kx.max())  # beyond it a ring is cut off by the edge of the spectrum
    which = np.rint(size / width).astype(np.int64) - 1
    which[(size > highest * (1 + 1e-9)) | (which < 0)] = -1
    there, which_dense = np.unique(which, return_inverse=True)
    which_dense = which_dense.reshape(which.shape) - int(there[0] == -1)
    inside = which_dense >= 0
    number = np.bincount(which_dense[inside])
    return which_dense, np.bincount(which_dense[inside], weights=size[inside]) / number


def _spectrum_block(
    field: np.ndarray, *, which: np.ndarray, size: int, kind: str, window: str | None
) -> np.ndarray:
    rows, columns = field.shape[-2:]
    flat = np.asarray(field, dtype=np.float64).reshape(-1, rows, columns)
    missing = np.isnan(flat)
    none = missing.all(axis=(1, 2))
    if (missing.any(axis=(1, 2)) & ~none).any():
        raise InputError("a field is NaN in some places", remedy="fill or crop it before its spectrum")
    out = np.full((len(flat), size), np.nan)
    inside = which >= 0
    number = np.bincount(which[inside], minlength=size)
    taper_rows = _taper(rows, window if kind == "radial" else None)
    taper = taper_rows[:, np.newaxis] * _taper(columns, window)
    for i in np.flatnonzero(~none):
        if kind == "radial":
            image = (flat[i] - flat[i].mean()) * taper
            density = np.abs(np.fft.fft2(image)) ** 2 / (rows * columns) ** 2
            sums = np.bincount(which[inside], weights=density[inside], minlength=size)
            out[i] = sums / number
        else:
            image = (flat[i] - flat[i].mean(axis=1, keepdims=True)) * taper
            density = np.abs(np.fft.fft(image, axis=1)) ** 2 / columns**2
            out[i] = np.bincount(which[inside], weights=density[inside], minlength=size) / rows
    return out.reshape(*field.shape[:-2], size)


def _taper(size: int, window: str | None) -> np.ndarray:
    if window is None:
        return np.ones(size)
    taper = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    return taper / np.sqrt(np.mean(taper**2))
