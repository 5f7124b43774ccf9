"""Splits in space: blocks of equal size, with a buffer between training and test places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esai_core.errors import InputError, UsageError
from esai_core.splits.folds import Fold
from esai_core.splits.groups import k_fold

_EARTH_RADIUS_KM = 6371.0088


def block_labels(latitude: ArrayLike, longitude: ArrayLike, *, size_km: float) -> NDArray[np.int64]:
    """Label each place with its block of `size_km`.

    Rows of latitude are cut into columns of about `size_km`, of equal width all around the Earth, so that no
    block is cut in two at the dateline.
    """
    lat, lon = _places(latitude, longitude)
    if not size_km > 0:
        raise UsageError(f"a block of {size_km} km", remedy="give a size above 0")
    height = np.degrees(size_km / _EARTH_RADIUS_KM)
    row = np.floor((lat + 90) / height).astype(np.int64)
    middle = np.clip((row + 0.5) * height - 90, -90, 90)
    around = 2 * np.pi * _EARTH_RADIUS_KM * np.cos(np.radians(middle))
    columns = np.maximum(1, np.rint(around / size_km)).astype(np.int64)
    column = np.minimum(np.floor(lon % 360 / 360 * columns).astype(np.int64), columns - 1)
    return row * 1_000_000 + column


def _places(latitude: ArrayLike, longitude: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    lat, lon = np.asarray(latitude, dtype=np.float64), np.asarray(longitude, dtype=np.float64)
    if lat.shape != lon.shape or lat.ndim != 1:
        raise UsageError(f"latitudes {lat.shape} and longitudes {lon.shape} must be lists of equal length")
    if not (np.isfinite(lat).all() and np.isfinite(lon).all()):
        raise InputError(
            "a place has no coordinates (NaN)", where="latitude, longitude", remedy="drop it first"
        )
    if (np.abs(lat) > 90).any():
        raise InputError(f"latitude {lat[np.argmax(np.abs(lat))]:g} is out of range", where="latitude")
    return lat, lon


def spatial_blocks(
    latitude: ArrayLike,
    longitude: ArrayLike,
    *,
    size_km: float,
    buffer_km: float = 0.0,
    k: int = 5,
    seed: int = 0,
) -> list[Fold]:
    """Hold out blocks of space in `k` parts; training places near a test place are left out of the fold.

    Parameters
    ----------
    latitude, longitude : array, shape (n,)
        Places in degrees; any longitude convention.
    size_km : float
        Size of the blocks, see `block_labels`: more than the distance over which errors are alike.
    buffer_km : float
        Training places within this great-circle distance of a test place are dropped.
    k, seed : int
        As in `k_fold`.

    Raises
    ------
    UsageError
        If there are fewer blocks than parts, or the buffer leaves nothing to train on.
    InputError
        If coordinates are missing or out of range.
    """
    from scipy.spatial import cKDTree

    lat, lon = _places(latitude, longitude)
    if buffer_km < 0:
        raise UsageError(f"a buffer of {buffer_km} km", remedy="give 0 or more")
    folds = k_fold(block_labels(lat, lon, size_km=size_km), k=k, seed=seed)
    if buffer_km == 0:
        return folds
    phi, theta = np.radians(lat), np.radians(lon)
    points = np.stack([np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)], axis=1)
    chord = 2 * np.sin(min(buffer_km / _EARTH_RADIUS_KM, np.pi) / 2)
    kept = []
    for fold in folds:
        distance, _ = cKDTree(points[fold.test]).query(points[fold.train])
        train = fold.train[distance > chord]
        if len(train) == 0:
            raise UsageError(
                f"the buffer of {buffer_km:g} km leaves no place to train on", where=f"fold {fold.name}"
            )
        kept.append(replace(fold, train=train))
    return kept
