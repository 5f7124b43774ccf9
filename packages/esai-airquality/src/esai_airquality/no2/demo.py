"""The embedded example: a made-up valley, its stations, and Sentinel-5P files in the layout of the product.

The files are synthetic: structure, units, packing and names follow the level-2 NO2 product, the numbers are
drawn from a known field, so that what comes out can be compared with what went in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from esai_airquality.no2.s5p import MOLECULES_PER_CM2
from esai_core.grid import Grid
from esai_core.io import write_netcdf, write_table

__all__ = ["CONFIG", "Valley", "prepare", "write_s5p"]

CONFIG = """\
# A made-up valley: 45 stations, 40 days of synthetic Sentinel-5P swaths, weather, roads and people on a grid.
schema_version = 1

[data]
observations = "observations.parquet"
target = "no2"
station = "station"
time = "time"
fields = "fields.nc"
swaths = "s5p"

[no2]
delivered = "xgboost"
windowed = ["no2_column"]
rounds = 150
depth = 4
min_weight = 5
trees = 30
threads = 1

[validation]
blocks = [0.5]
last_year = false
"""
LAYERS = 34


class Valley:
    """A seeded valley with known NO2.

    Parameters
    ----------
    days : int
        Length.
    seed : int
        Of the towns, the weather and the noise.
    """

    def __init__(self, *, days: int = 40, seed: int = 5) -> None:
        self.rng = np.random.default_rng(seed)
        self.grid = Grid(np.arange(44.525, 46.0, 0.05), np.arange(8.025, 12.0, 0.05))
        self.days = np.datetime64("2022-01-10") + np.arange(days)
        self.towns = np.c_[
            self.rng.uniform(44.7, 45.8, 14), self.rng.uniform(8.3, 11.7, 14), self.rng.uniform(0.3, 1, 14)
        ]
        weather = np.zeros((days, 2))
        for d in range(1, days):
            weather[d] = 0.7 * weather[d - 1] + self.rng.normal(size=2)
        self.wind = 2.0 + 0.9 * np.abs(weather[:, 0])
        self.mixing = 600.0 * np.exp(0.35 * weather[:, 1])

    def people(self, lat: NDArray, lon: NDArray) -> NDArray[np.float64]:
        """Density of people, 0 to about 1."""
        total = np.full(np.shape(lat), 0.03)
        for y, x, size in self.towns:
            total = total + size * np.exp(-((lat - y) ** 2 + (0.7 * (lon - x)) ** 2) / 0.018)
        return total

    def roads(self, lat: NDArray, lon: NDArray) -> NDArray[np.float64]:
        """Density of roads, 0 to about 1: two motorways."""
        one = np.exp(-((lat - 45.45 - 0.05 * np.sin(2 * lon)) ** 2) / 0.002)
        two = np.exp(-((lat - 44.75 - 0.25 * (lon - 8.5) / 3.5) ** 2) / 0.002)
        return one + 0.8 * two

    def height(self, lat: NDArray, lon: NDArray) -> NDArray[np.float64]:
        """Height of the ground, m: mountains in the north."""
        return 60 + 1800 / (1 + np.exp(-(np.asarray(lat) - 45.85) / 0.05)) + 0 * np.asarray(lon)

    def column(self, lat: NDArray, lon: NDArray, day: int) -> NDArray[np.float64]:
        """Tropospheric column, molecules/cm2: broad plumes of the towns, thinned by the wind."""
        broad = np.full(np.shape(lat), 1.2)
        for y, x, size in self.towns:
            shift = 0.04 * self.wind[day]
            broad = broad + 9 * size * np.exp(-((lat - y) ** 2 + (0.7 * (lon - x - shift)) ** 2) / 0.06)
        weekend = 0.75 if (self.days[day].astype(int) + 3) % 7 >= 5 else 1.0
        return 1e15 * broad * weekend * (2.5 / self.wind[day])

    def surface(self, lat: NDArray, lon: NDArray, day: int) -> NDArray[np.float64]:
        """Surface NO2, µg/m3: the column in a shallow layer, and what is emitted near by."""
        near = 14 * np.sqrt(self.people(lat, lon)) + 9 * self.roads(lat, lon)
        shallow = (600 / self.mixing[day]) ** 0.6
        total = (2.3e-15 * self.column(lat, lon, day) + near) * shallow
        return total * np.exp(-self.height(lat, lon) / 2500)

    def observations(self, stations: int = 45) -> pd.DataFrame:
        """Daily means at stations, most of them in or near towns, some missing."""
        town = self.towns[self.rng.integers(0, len(self.towns), stations)]
        lat = np.clip(town[:, 0] + self.rng.normal(0, 0.12, stations), 44.55, 45.9)
        lon = np.clip(town[:, 1] + self.rng.normal(0, 0.2, stations), 8.05, 11.9)
        own = self.rng.normal(1.0, 0.12, stations)
        frames = []
        for number, day in enumerate(self.days):
            truth = self.surface(lat, lon, number) * own * np.exp(self.rng.normal(0, 0.15, stations))
            truth[self.rng.random(stations) < 0.05] = np.nan
            frames.append(
                pd.DataFrame(
                    {
                        "station": [f"V{n:02d}" for n in range(stations)],
                        "latitude": lat,
                        "longitude": lon,
                        "time": np.full(stations, day.astype("datetime64[ns]")),
                        "no2": truth,
                    }
                )
            )
        return pd.concat(frames, ignore_index=True)

    def fields(self) -> xr.Dataset:
        """Gridded predictors: roads, people, height; wind and mixing height by day."""
        lat, lon = np.meshgrid(self.grid.latitude, self.grid.longitude, indexing="ij")
        fixed = {"roads": self.roads(lat, lon), "people": self.people(lat, lon)}
        still = {"height": (("latitude", "longitude"), self.height(lat, lon), {"units": "m"})} | {
            name: (("latitude", "longitude"), values, {"units": "1"}) for name, values in fixed.items()
        }
        dims = ("time", "latitude", "longitude")
        shape = (len(self.days), *self.grid.shape)
        daily = {
            "wind": (dims, np.broadcast_to(self.wind[:, None, None], shape), {"units": "m s-1"}),
            "mixing_height": (dims, np.broadcast_to(self.mixing[:, None, None], shape), {"units": "m"}),
        }
        coords = {**self.grid.coords(), "time": self.days.astype("datetime64[ns]")}
        return xr.Dataset(still | daily, coords)

    def swath(self, day: int, path: Path, *, scanlines: int = 36, pixels: int = 70) -> None:
        """Write the orbit of a day: slanted pixels of about 6 by 5 km, a bank of cloud, noise."""
        v = np.arange(scanlines + 1)[:, None] * 0.052 + 44.2
        u = np.arange(pixels + 1)[None, :] * 0.068 + 7.6 + 0.3 * self.rng.random()
        lat, lon = v + 0.035 * (u - 9.8), u - 0.16 * (v - 45.2)
        corners = [(0, 0), (0, 1), (1, 1), (1, 0)]
        span = (slice(None, -1), slice(1, None))
        at = [tuple(span[part] for part in corner) for corner in corners]
        bounds = [np.stack([values[place] for place in at], axis=-1) for values in (lat, lon)]
        y, x = (values.mean(axis=-1) for values in bounds)
        bank = np.sin(1.3 * x + day) + np.cos(2.1 * y - 0.7 * day)
        qa = np.where(bank > 0.9, 0.5, np.where(bank > 0.7, 0.74, 1.0))
        error = 4e14 + 0.1 * self.column(y, x, day)
        noisy = self.column(y, x, day) + self.rng.normal(0, 1, y.shape) * error
        write_s5p(
            path, latitude=bounds[0], longitude=bounds[1], column=noisy, precision=error, qa=qa,
            start=self.days[day].astype("datetime64[s]") + np.timedelta64(12 * 3600 + 600, "s"),
        )  # fmt: skip


def write_s5p(
    path: Path,
    *,
    latitude: NDArray,
    longitude: NDArray,
    column: NDArray,
    precision: NDArray,
    qa: NDArray,
    start: np.datetime64,
) -> None:
    """Write a synthetic file in the layout of the level-2 NO2 product.

    Parameters
    ----------
    path : Path
        File to write.
    latitude, longitude : array (scanline, pixel, 4)
        Corners, degrees.
    column, precision : array (scanline, pixel)
        molecules/cm2; stored in mol m-2, NaN as fill value.
    qa : array (scanline, pixel)
        0 to 1; stored in whole hundredths.
    start : datetime64
        UTC, of the first scanline; one is seen each 840 ms.
    """
    import netCDF4

    rows, pixels = column.shape
    with netCDF4.Dataset(path, "w") as file:
        file.title = "synthetic data in the layout of TROPOMI/S5P NO2 L2"
        product = file.createGroup("PRODUCT")
        sizes = {
            "scanline": rows,
            "ground_pixel": pixels,
            "corner": 4,
            "time": 1,
            "vertices": 2,
            "layer": LAYERS,
        }
        for name, size in sizes.items():
            product.createDimension(name, size)
        support = product.createGroup("SUPPORT_DATA")
        geo, inputs = support.createGroup("GEOLOCATIONS"), support.createGroup("INPUT_DATA")
        flat, deep = ("time", "scanline", "ground_pixel"), ("time", "scanline", "ground_pixel", "layer")
        quads = ("time", "scanline", "ground_pixel", "corner")

        def put(
            group: Any,
            name: str,
            dims: tuple[str, ...],
            values: Any,
            units: str,
            kind: str = "f4",
            fill: Any = None,
            **attributes: Any,
        ) -> None:
            variable = group.createVariable(name, kind, dims, zlib=True, complevel=1, fill_value=fill)
            variable.setncatts({"units": units, **attributes})
            variable[:] = values

        epoch = np.datetime64("2010-01-01T00:00:00", "ms")
        day = start.astype("datetime64[D]").astype("datetime64[ms]")
        since = int((start.astype("datetime64[ms]") - day) / np.timedelta64(1, "ms"))
        put(
            product,
            "time",
            ("time",),
            int((day - epoch) / np.timedelta64(1000, "ms")),
            "seconds since 2010-01-01 00:00:00",
            "i4",
        )
        put(
            product,
            "delta_time",
            ("time", "scanline"),
            (since + 840 * np.arange(rows))[None],
            "milliseconds",
            "i8",
        )
        put(
            product,
            "latitude",
            flat,
            latitude.mean(axis=-1)[None],
            "degrees_north",
            fill=np.float32(9.96921e36),
        )
        put(
            product,
            "longitude",
            flat,
            longitude.mean(axis=-1)[None],
            "degrees_east",
            fill=np.float32(9.96921e36),
        )
        quality = product.createVariable("qa_value", "u1", flat, zlib=True, fill_value=np.uint8(255))
        quality.setncatts({"units": "1", "scale_factor": np.float32(0.01), "add_offset": np.float32(0)})
        quality.set_auto_maskandscale(False)
        quality[:] = np.round(qa * 100).astype(np.uint8)[None]
        name, fill = "nitrogendioxide_tropospheric_column", np.float32(9.96921e36)
        factor: dict[str, Any] = {
            "multiplication_factor_to_convert_to_molecules_percm2": np.float32(MOLECULES_PER_CM2)
        }
        for suffix, values in (("", column), ("_precision", precision)):
            packed = np.where(np.isfinite(values), values / MOLECULES_PER_CM2, fill)
            put(product, name + suffix, flat, packed[None], "mol m-2", fill=fill, **factor)
        layer, bounds = np.arange(LAYERS), np.arange(LAYERS + 1)
        put(
            product,
            "averaging_kernel",
            deep,
            np.broadcast_to(0.4 + 0.04 * layer, (1, rows, pixels, LAYERS)),
            "1",
            fill=fill,
        )
        put(product, "air_mass_factor_total", flat, np.full((1, rows, pixels), 2.4), "1", fill=fill)
        put(product, "air_mass_factor_troposphere", flat, np.full((1, rows, pixels), 1.2), "1", fill=fill)
        put(
            product,
            "tm5_tropopause_layer_index",
            flat,
            np.full((1, rows, pixels), 22),
            "1",
            "i4",
            fill=np.int32(-2147483647),
        )
        put(
            product,
            "tm5_constant_a",
            ("layer", "vertices"),
            _layered(800.0 * bounds * np.exp(-bounds / 12)),
            "Pa",
        )
        put(product, "tm5_constant_b", ("layer", "vertices"), _layered(1 - bounds / LAYERS), "1")
        put(inputs, "surface_pressure", flat, np.full((1, rows, pixels), 100000.0), "Pa", fill=fill)
        put(geo, "latitude_bounds", quads, latitude[None], "degrees_north")
        put(geo, "longitude_bounds", quads, longitude[None], "degrees_east")


def _layered(bounds: NDArray) -> NDArray:
    """Give the lower and the upper bound (layer, 2) of each layer."""
    return np.c_[bounds[:-1], bounds[1:]]


def prepare(folder: Path) -> Path:
    """Write the swaths, the fields, the observations and a config.

    Parameters
    ----------
    folder : Path
        An empty folder.

    Returns
    -------
    Path
        The config.
    """
    valley = Valley()
    write_table(valley.observations(), folder / "observations.parquet")
    write_netcdf(valley.fields(), folder / "fields.nc")
    (folder / "s5p").mkdir()
    for number, day in enumerate(valley.days):
        name = f"S5P_TEST_L2__NO2____{str(day).replace('-', '')}T121000.nc"
        valley.swath(number, folder / "s5p" / name)
    path = folder / "demo.toml"
    path.write_text(CONFIG, "utf-8")
    return path
