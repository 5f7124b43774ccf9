"""A toy network of stations that observe a gridded field."""

from __future__ import annotations

import numpy as np
import xarray as xr

from esai_core.synthetic.season import LAPSE


def station_network(
    field: xr.DataArray,
    orography: xr.DataArray,
    *,
    count: int = 40,
    seed: int = 0,
    noise: float = 0.3,
    missing: float = 0.05,
) -> xr.Dataset:
    """Let stations observe a field of temperature.

    Parameters
    ----------
    field : xarray.DataArray
        ``(time, latitude, longitude)``, K.
    orography : xarray.DataArray
        Altitude of the field's points ``(latitude, longitude)``, m.
    count : int
        Number of stations, at random places inside the domain.
    seed : int
        The same seed gives the same network.
    noise : float
        Standard deviation of the error of observation, K.
    missing : float
        Share of observations that are missing.

    Returns
    -------
    xarray.Dataset
        ``t2m (station, time)`` with the coordinates `latitude`, `longitude`, `altitude` (m) of each station:
        the field there, bilinear, less 6.5 K per km that the station lies above the field's own relief.
    """
    rng = np.random.default_rng(seed)
    lat, lon = (np.sort(field[name].values) for name in ("latitude", "longitude"))
    place = {
        "latitude": ("station", rng.uniform(lat[0], lat[-1], count)),
        "longitude": ("station", rng.uniform(lon[0], lon[-1], count)),
    }
    points = {name: xr.DataArray(values, dims=dim) for name, (dim, values) in place.items()}
    ground = orography.interp(points).drop_vars(["latitude", "longitude"])
    altitude = (ground + rng.normal(0.0, 150.0, count)).clip(min=0.0)
    observed = field.interp(points).drop_vars(["latitude", "longitude"]).transpose("station", "time")
    observed = observed - LAPSE * (altitude - ground) + noise * rng.standard_normal(observed.shape)
    observed = observed.where(rng.random(observed.shape) >= missing).astype("float32")
    out = observed.rename("t2m").assign_attrs(field.attrs).to_dataset()
    names = np.array([f"TOY{i:03d}" for i in range(count)])
    height = ("station", altitude.values, {"units": "m"})
    out = out.assign_coords({"station": names, "altitude": height, **place})
    out["latitude"].attrs = {"standard_name": "latitude", "units": "degrees_north"}
    out["longitude"].attrs = {"standard_name": "longitude", "units": "degrees_east"}
    return out
