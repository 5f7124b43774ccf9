"""Random fields by spectral synthesis, and relief made of them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from esai_core.grid import Grid


def correlated_fields(
    rng: np.random.Generator,
    count: int | tuple[int, ...],
    shape: tuple[int, int],
    *,
    length: float,
    slope: float = 0.0,
) -> np.ndarray:
    """Draw Gaussian random fields with mean 0, variance 1 at each point, and a known correlation.

    White noise is filtered in Fourier space on a domain of twice the size, of which one quarter is kept, so
    that opposite edges are independent.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    count : int or tuple of int
        Number of fields, or their leading shape.
    shape : (int, int)
        Rows and columns.
    length : float
        With `slope` 0, points `d` apart correlate as ``exp(-(d / length)²)``, in grid steps. With a slope,
        the scale beyond which the spectrum is flat.
    slope : float
        Exponent of a power-law spectrum (3 looks like relief); 0 for the Gaussian correlation.

    Returns
    -------
    numpy.ndarray
        ``(*count, *shape)``, float64.
    """
    lead = (count,) if isinstance(count, int) else tuple(count)
    size = tuple(max(2 * n, int(n + 4 * length) if slope == 0 else 2 * n) for n in shape)
    ky = 2 * np.pi * np.fft.fftfreq(size[0])[:, None]
    kx = 2 * np.pi * np.fft.rfftfreq(size[1])[None, :]
    k2 = ky**2 + kx**2
    # the spectrum of exp(-(d/L)^2) is exp(-(kL)^2/4); the filter is its square root
    amplitude = np.exp(-k2 * length**2 / 8.0) if slope == 0 else (k2 + (1.0 / length) ** 2) ** (-slope / 4.0)
    full = np.abs(np.fft.fft2(np.fft.irfft2(amplitude, s=size)))
    amplitude = amplitude / np.sqrt(np.mean(full**2))
    noise = rng.standard_normal((*lead, *size))
    fields = np.fft.irfft2(np.fft.rfft2(noise) * amplitude, s=size)
    return np.ascontiguousarray(fields[..., : shape[0], : shape[1]])


def relief(rng: np.random.Generator, grid: Grid, *, height: float = 2500.0, land: float = 0.65) -> xr.Dataset:
    """Make a relief and its land mask.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    grid : Grid
        Where.
    height : float
        Altitude of the highest point, m.
    land : float
        Share of points that are land, in (0, 1].

    Returns
    -------
    xarray.Dataset
        ``orog`` (m, 0 over the sea) and ``lsm`` (1 on land), ``(latitude, longitude)``.
    """
    raw = correlated_fields(rng, 1, grid.shape, length=max(grid.shape) / 4.0, slope=4.0)[0]
    shore = np.quantile(raw, 1.0 - land) if land < 1.0 else raw.min() - 1e-3 * np.ptp(raw)
    above = np.clip(raw - shore, 0.0, None)
    dims = ("latitude", "longitude")
    orog = {"standard_name": "surface_altitude", "long_name": "surface altitude", "units": "m"}
    lsm = {"standard_name": "land_area_fraction", "long_name": "land area fraction", "units": "1"}
    return xr.Dataset(
        {
            "orog": (dims, (height * above / above.max()).astype("float32"), orog),
            "lsm": (dims, (raw > shore).astype("float32"), lsm),
        },
        coords=grid.coords(),
    )
