from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from esai_core.errors import InputError, UsageError
from esai_core.testing import data_path
from esai_wwtp.reflectance import (
    BAND_IDS,
    Scaling,
    check_dark,
    check_reflectance,
    read_scaling,
    to_reflectance,
)

PRODUCTS = {
    "S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857.SAFE_MTD.xml": ("02.12", 0.0),
    "S2B_MSIL2A_20220413T150759_N0400_R025_T33XWJ_20220414T082126.SAFE_MTD.xml": ("04.00", -1000.0),
    "S2A_MSIL2A_20230821T221941_N0509_R029_T01KAB_20230822T021825.SAFE_MTD.xml": ("05.09", -1000.0),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_offsets_of_real_metadata(name: str) -> None:
    scaling = read_scaling(data_path(f"wwtp/safe_metadata/{name}"))
    baseline, offset = PRODUCTS[name]
    assert (scaling.baseline, scaling.level, scaling.quantification) == (baseline, "L2A", 10000.0)
    assert {scaling.offset(band) for band in BAND_IDS} == {offset}
    numbers = np.array([0, 1000, 1500, 65535], np.uint16)
    expected = [np.nan, (1000 + offset) / 1e4, (1500 + offset) / 1e4, np.nan]
    for band in ("B02", "B08"):
        np.testing.assert_allclose(to_reflectance(numbers, scaling, band), expected, rtol=1e-6)


L1C = """<?xml version="1.0"?><n1:Level-1C_User_Product xmlns:n1="x"><A>
<PROCESSING_BASELINE>04.00</PROCESSING_BASELINE>
<QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>
<RADIO_ADD_OFFSET band_id="1">-1000</RADIO_ADD_OFFSET>
<RADIO_ADD_OFFSET band_id="7">-900</RADIO_ADD_OFFSET></A>
</n1:Level-1C_User_Product>"""


def test_level_1_offsets_go_by_band(tmp_path: Path) -> None:
    path = tmp_path / "MTD_MSIL1C.xml"
    path.write_text(L1C)
    scaling = read_scaling(path)
    assert scaling.level == "L1C"
    assert (scaling.offset("B02"), scaling.offset("B08"), scaling.offset("B03")) == (-1000.0, -900.0, 0.0)


def test_metadata_that_is_truncated_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "MTD_MSIL1C.xml"
    path.write_text(L1C[:200])
    with pytest.raises(InputError, match="truncated"):
        read_scaling(path)
    path.write_text("<a/>")
    with pytest.raises(InputError, match="no quantification value"):
        read_scaling(path)
    with pytest.raises(InputError, match="no metadata here"):
        read_scaling(tmp_path / "absent.xml")


def test_units_of_255_are_refused() -> None:
    with pytest.raises(UsageError, match="quantification of 255"):
        Scaling(255.0)
    with pytest.raises(InputError, match="lost their units"):
        to_reflectance(np.zeros((2, 2), np.uint8), Scaling(), "B04")
    for values in (np.array([120.0, 40.0, 255.0]), np.array([900.0, 3000.0]), np.array([3, 4])):
        with pytest.raises(InputError, match="reflectance"):
            check_reflectance(values, where="scene")
    check_reflectance(np.array([0.05, 0.3, 1.1]), where="scene")


def test_dark_pixels_tell_a_wrong_offset() -> None:
    random = np.random.default_rng(0)
    land = random.integers(300, 3000, 5000).astype(np.uint16)
    assert check_dark(land, Scaling(), "B08", where="s") is None
    assert check_dark(land + 1000, Scaling().with_offset(-1000), "B08", where="s") is None
    with pytest.raises(InputError, match=r"set data\.offset = 0"):
        check_dark(land, Scaling().with_offset(-1000), "B08", where="s")
    assert "data.offset = -1000" in str(check_dark(land + 1000, Scaling(), "B08", where="s"))
