"""Long series in blocks: the numbers of one call, whatever the blocks; wholly written or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from esai_core.errors import InputError, UsageError
from esai_seasonal.streaming import correct_series, correct_values


def _series(seed: int, mean: float, shape: tuple[int, int, int] = (400, 5, 7)) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    return xr.DataArray(
        (mean + 4 * rng.standard_normal(shape)).astype("float32"),
        dims=("time", "latitude", "longitude"),
        coords={
            "time": xr.date_range("1990-01-01", periods=shape[0], use_cftime=False),
            "latitude": np.arange(5.0),
            "longitude": np.arange(7.0),
        },
        attrs={"units": "K"},
        name="t2m",
    )


@pytest.mark.parametrize("method", ["mean_bias", "mean_variance", "eqm", "qdm"])
@pytest.mark.parametrize("memory", [2e5, 1e9])
def test_blocks_do_not_change_the_numbers(tmp_path: Path, method: str, memory: float) -> None:
    model, reference, new = _series(0, 283), _series(1, 285), _series(2, 284)
    model[:, 1, 2] = np.nan
    paths = {}
    for name, da in (("model", model), ("reference", reference), ("new", new)):
        paths[name] = tmp_path / f"{name}.zarr"
        da.to_dataset().to_zarr(paths[name], zarr_format=3, consolidated=False)
    out = correct_series(method, **paths, out=tmp_path / "out.zarr", variable="t2m", memory=memory)
    with xr.open_zarr(out, consolidated=False) as ds:
        got = ds["t2m"].transpose("time", "latitude", "longitude").load()
    flat = [da.values.reshape(400, -1).T for da in (model, reference, new)]
    want = correct_values(method, *flat).T.reshape(got.shape)
    np.testing.assert_allclose(got.values, want, rtol=1e-6)
    assert np.isnan(got[:, 1, 2]).all()
    assert np.isfinite(got[:, 0]).all()
    np.testing.assert_array_equal(got["time"], new["time"])


def test_by_month_fits_each_month_alone(tmp_path: Path) -> None:
    model, reference, new = _series(0, 283), _series(1, 285), _series(2, 284)
    shift = xr.DataArray(np.where(reference.time.dt.month == 1, 10.0, 0.0).astype("float32"), dims="time")
    reference = (reference + shift).assign_attrs(units="K")
    correct_series(
        "mean_bias", model=model, reference=reference, new=new, out=tmp_path / "o.zarr", by_month=True
    )
    with xr.open_zarr(tmp_path / "o.zarr", consolidated=False) as ds:
        change = (ds["t2m"] - new).groupby("time.month").mean().mean(("latitude", "longitude")).load()
    assert float(change.sel(month=1) - change.sel(month=2)) == pytest.approx(10, abs=1)


def test_other_grids_units_and_methods_are_refused(tmp_path: Path) -> None:
    a = _series(0, 283)
    with pytest.raises(InputError, match="longitudes"):
        correct_series(
            "eqm", model=a, reference=a.assign_coords(longitude=a.longitude + 1), new=a, out=tmp_path / "o"
        )
    with pytest.raises(InputError, match="units"):
        correct_series("eqm", model=a, reference=a.assign_attrs(units="degC"), new=a, out=tmp_path / "o")
    with pytest.raises(UsageError, match="methods"):
        correct_series("mlr", model=a, reference=a, new=a, out=tmp_path / "o")
    assert not (tmp_path / "o").exists()
