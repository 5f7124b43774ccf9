from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest

from esai_airquality.no2.demo import write_s5p
from esai_airquality.no2.s5p import apply_kernel, read_s5p, tropospheric_kernel
from esai_core.errors import InputError, UsageError


def small(path: Path, **changes: object) -> Path:
    y, x = np.meshgrid(np.arange(3) * 0.1 + 45, np.arange(4) * 0.1 + 9, indexing="ij")
    corners = ((0, 0), (0, 0.1), (0.1, 0.1), (0.1, 0))
    values: dict = {
        "latitude": np.stack([y + a for a, _ in corners], -1),
        "longitude": np.stack([x + b for _, b in corners], -1),
        "column": np.arange(12.0).reshape(3, 4) * 1e15 - 1e15,
        "precision": np.full((3, 4), 5e14),
        "qa": np.full((3, 4), 1.0),
        "start": np.datetime64("2019-03-04T12:10:00"),
    }
    write_s5p(path, **{**values, **changes})
    return path


def test_good_pixels_are_read_in_molecules(tmp_path: Path) -> None:
    qa = np.full((3, 4), 0.76)
    qa[0] = [0.75, 0.74, 0.0, 1.0]  # 0.75 itself is not above 0.75
    column = np.arange(12.0).reshape(3, 4) * 1e15 - 4e15
    column[2, 3] = np.nan
    swath = read_s5p(small(tmp_path / "a.nc", qa=qa, column=column))
    assert swath.total == 12
    assert len(swath) == 8
    expected = np.r_[column[0, 3], column[1], column[2, :3]]
    np.testing.assert_allclose(swath.column, expected, rtol=1e-6, atol=1e9)
    assert (swath.column < 0).any()  # noise about 0 is kept
    np.testing.assert_allclose(swath.precision, 5e14, rtol=1e-6)
    assert swath.time[0] == np.datetime64("2019-03-04T12:10:00")
    assert swath.time[-1] == np.datetime64("2019-03-04T12:10:01.680")
    assert swath.latitude.shape == (8, 4)
    assert len(read_s5p(tmp_path / "a.nc", qa=0.74)) == 9


def test_the_raw_file_is_in_mol_and_hundredths(tmp_path: Path) -> None:
    with netCDF4.Dataset(small(tmp_path / "a.nc")) as file:
        product = file["PRODUCT"]
        assert product["nitrogendioxide_tropospheric_column"].units == "mol m-2"
        product["qa_value"].set_auto_maskandscale(False)
        assert product["qa_value"][:].max() == 100
        assert "SUPPORT_DATA" in product.groups


def test_tropospheric_kernel_of_the_file(tmp_path: Path) -> None:
    swath = read_s5p(small(tmp_path / "a.nc"), kernels=True)
    assert swath.kernel is not None
    assert swath.pressure is not None
    layer = np.arange(34)
    expected = np.where(layer <= 22, (0.4 + 0.04 * layer) * 2.4 / 1.2, 0)
    np.testing.assert_allclose(swath.kernel, np.tile(expected, (12, 1)), rtol=1e-6)
    assert swath.pressure.shape == (12, 35)
    assert (np.diff(swath.pressure, axis=1) < 0).all()
    assert swath.pressure[0, 0] == pytest.approx(1e5)
    ones = np.ones((12, 34))
    np.testing.assert_allclose(apply_kernel(ones, swath.kernel), expected.sum(), rtol=1e-6)
    with pytest.raises(UsageError, match="layers of the kernel"):
        apply_kernel(ones[:, :10], swath.kernel)


def test_a_kernel_without_a_tropopause_is_missing() -> None:
    made = tropospheric_kernel(
        np.ones((3, 4)), total=[2.0, 2.0, np.nan], troposphere=[1.0, 1.0, 1.0], tropopause=[1, np.nan, 2]
    )
    np.testing.assert_array_equal(made[0], [2, 2, 0, 0])
    assert np.isnan(made[1:]).all()


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_s5p(tmp_path / "none.nc")
    (tmp_path / "torn.nc").write_bytes(b"CDF")
    with pytest.raises(InputError, match="truncated"):
        read_s5p(tmp_path / "torn.nc")
    with netCDF4.Dataset(tmp_path / "flat.nc", "w") as file:
        file.createDimension("x", 1)
    with pytest.raises(InputError, match="no group PRODUCT"):
        read_s5p(tmp_path / "flat.nc")
    path = small(tmp_path / "units.nc")
    with netCDF4.Dataset(path, "a") as file:
        file["PRODUCT"]["nitrogendioxide_tropospheric_column"].units = "molecules cm-2"
    with pytest.raises(InputError, match="mol m-2"):
        read_s5p(path)
    with netCDF4.Dataset(small(tmp_path / "a.nc"), "a") as file:
        file["PRODUCT"].renameVariable("qa_value", "qa_values")
    with pytest.raises(InputError, match=r"no variable 'qa_value'.*did you mean 'qa_values'"):
        read_s5p(tmp_path / "a.nc")
