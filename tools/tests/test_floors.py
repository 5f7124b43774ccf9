from __future__ import annotations

import check_floors


def test_a_floor_that_is_not_reached_is_named() -> None:
    lines = ["numpy>=2.1", "zarr[remote]>=3.0.5", "zarr>=3", "gone>=9; sys_platform == 'never'", "numpy>=2"]
    installed = {"numpy": "2.1.0", "zarr": "3.0.8", "gone": "0"}
    assert check_floors.unproved(lines, installed) == ["zarr>=3.0.5: the lowest version that fits is 3.0.8"]
