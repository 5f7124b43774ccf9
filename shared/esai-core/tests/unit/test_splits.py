from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import LeaveOneGroupOut

from esai_core import splits
from esai_core.errors import InputError, UsageError

STARTS = pd.date_range("1981-01-01", "2008-12-01", freq="MS")


def test_by_year_takes_whole_years_in_any_order() -> None:
    shuffled = np.random.default_rng(0).permutation(len(STARTS))
    split = splits.by_year(STARTS[shuffled], train=(1981, 1999), validate=(2000, 2002), test=(2003, 2008))
    assert set(STARTS[shuffled][split.train].year) == set(range(1981, 2000))
    assert set(STARTS[shuffled][split.validate].year) == {2000, 2001, 2002}
    assert len(split.test) == 72
    assert sorted(split.development) == sorted([*split.train, *split.validate])


def test_by_year_without_validation() -> None:
    split = splits.by_year(STARTS.values, train=(1981, 2002), test=(2003, 2008))
    assert len(split.validate) == 0
    assert len(split.development) == len(split.train) == 264


def test_by_year_reads_cftime_and_years() -> None:
    cftime = pytest.importorskip("cftime")
    noleap = [cftime.DatetimeNoLeap(year, 7, 1) for year in (1981, 1982, 1983)]
    for starts in (noleap, [1981, 1982, 1983]):
        split = splits.by_year(starts, train=(1981, 1982), test=(1983, 1983))
        assert split.test.tolist() == [2]


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ({"train": (1981, 2003), "test": (2003, 2008)}, ["test years inside the train years", "2003"]),
        ({"train": (1981, 1999), "validate": (1998, 2002), "test": (2003, 2008)}, ["1998-1999"]),
        ({"train": (1981, 1999), "test": (2020, 2022)}, ["no sample in the test years", "1981-2008"]),
        ({"train": (1999, 1981), "test": (2003, 2008)}, ["split.train", "[first year, last year]"]),
        ({"train": (1981,), "test": (2003, 2008)}, ["split.train"]),
    ],
)
def test_by_year_refuses(ranges: dict, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        splits.by_year(STARTS, **ranges)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("times", [[], [[1981, 1982]], ["a", "b"], np.array(["1981-01-01", "NaT"], "M8[D]")])
def test_years_of_refuses(times: object) -> None:
    with pytest.raises(UsageError):
        splits.years_of(times)


def test_fold_refuses_shared_and_empty_parts() -> None:
    with pytest.raises(UsageError, match="share samples"):
        splits.Fold(np.array([0, 1]), np.array([1, 2]))
    with pytest.raises(UsageError, match="test part is empty"):
        splits.Fold(np.array([0, 1]), np.array([], dtype=int))


def test_blocks_cross_new_year() -> None:
    times = pd.to_datetime(
        ["1999-11-05", "1999-12-31", "2000-01-01", "2000-03-20", "2000-06-30", "2000-07-01"]
    )
    assert splits.year_blocks(times, first_month=7).tolist() == [2000, 2000, 2000, 2000, 2000, 2001]
    assert splits.year_blocks(times).tolist() == [1999, 1999, 2000, 2000, 2000, 2000]
    assert splits.season_blocks(times).tolist() == [
        "1999-SON", "2000-DJF", "2000-DJF", "2000-MAM", "2000-JJA", "2000-JJA",
    ]  # fmt: skip


def test_leave_one_out_is_scikit_learn() -> None:
    groups = np.random.default_rng(1).integers(0, 7, 60)
    theirs = LeaveOneGroupOut().split(groups, groups=groups)
    for ours, (train, test) in zip(splits.leave_one_out(groups), theirs, strict=True):
        np.testing.assert_array_equal(ours.train, train)
        np.testing.assert_array_equal(ours.test, test)


def test_leave_one_year_out_with_gap_and_inner_folds() -> None:
    folds = splits.leave_one_year_out(STARTS, gap=1, nested=True)
    assert [fold.name for fold in folds] == [str(year) for year in range(1981, 2009)]
    fold = folds[10]
    assert {1990, 1991, 1992}.isdisjoint(STARTS[fold.train].year)
    assert len(fold.inner) == 25
    for inner in fold.inner:
        assert set(inner.test) <= set(fold.train)
        assert set(inner.train).isdisjoint(fold.test)
        assert STARTS[inner.test].year.nunique() == 1


def test_expanding_window_grows_or_slides() -> None:
    days = np.repeat(np.arange(10), 3)[::-1]
    folds = splits.expanding_window(days, min_train=4, test_size=2, gap=1)
    assert [sorted(set(days[f.test])) for f in folds] == [[5, 6], [7, 8], [9]]
    assert [sorted(set(days[f.train])) for f in folds] == [list(range(4)), list(range(6)), list(range(8))]
    sliding = splits.expanding_window(days, min_train=4, test_size=2, gap=1, window=3)
    assert sorted(set(days[sliding[-1].train])) == [5, 6, 7]
    with pytest.raises(UsageError, match="too few"):
        splits.expanding_window(days, min_train=9, gap=1)
    with pytest.raises(UsageError, match="1 or more"):
        splits.expanding_window(days, min_train=0)


def test_k_fold_depends_on_labels_not_on_order() -> None:
    stations = np.array([f"s{i % 23}" for i in range(200)])
    order = np.random.default_rng(3).permutation(200)
    for ours, shuffled in zip(
        splits.k_fold(stations, k=5, seed=7), splits.k_fold(stations[order], k=5, seed=7), strict=True
    ):
        assert set(stations[ours.test]) == set(stations[order][shuffled.test])
        assert set(stations[ours.test]).isdisjoint(stations[ours.train])
    with pytest.raises(UsageError, match="k = 30"):
        splits.k_fold(stations, k=30)


def test_hold_out_names_the_nearest_group() -> None:
    zones = np.array(["29N", "30N", "30N", "31N"])
    assert splits.hold_out(zones, ["30N"]).test.tolist() == [1, 2]
    with pytest.raises(UsageError, match="did you mean '29N'"):
        splits.hold_out(zones, ["29M"])
    with pytest.raises(UsageError, match="train part is empty"):
        splits.hold_out(zones, ["29N", "30N", "31N"])


def _great_circle_km(lat1: float, lon1: float, lat2: np.ndarray, lon2: np.ndarray) -> np.ndarray:
    a, b, c, d = (np.radians(x) for x in (lat1, lon1, lat2, lon2))
    cosine = np.sin(a) * np.sin(c) + np.cos(a) * np.cos(c) * np.cos(b - d)
    return 6371.0088 * np.arccos(np.clip(cosine, -1, 1))


def test_spatial_blocks_keep_the_buffer_also_over_the_dateline() -> None:
    rng = np.random.default_rng(5)
    lat, lon = rng.uniform(50, 70, 400), (rng.uniform(170, 190, 400) + 180) % 360 - 180
    folds = splits.spatial_blocks(lat, lon, size_km=300, buffer_km=100, k=4)
    assert sorted(np.concatenate([f.test for f in folds])) == list(range(400))
    for fold in folds:
        nearest = min(
            _great_circle_km(lat[i], lon[i], lat[fold.test], lon[fold.test]).min() for i in fold.train
        )
        assert nearest > 100
        dropped = np.setdiff1d(np.arange(400), np.concatenate([fold.train, fold.test]))
        for i in dropped:
            assert _great_circle_km(lat[i], lon[i], lat[fold.test], lon[fold.test]).min() <= 100.001


def test_spatial_blocks_do_not_depend_on_the_longitude_convention() -> None:
    lat, lon = np.linspace(-60, 60, 50), np.linspace(-180, 179, 50)
    a, b = (splits.block_labels(lat, x, size_km=500) for x in (lon, lon % 360))
    np.testing.assert_array_equal(a, b)


def test_spatial_blocks_refuse() -> None:
    lat, lon = np.array([40.0, 41.0, 50.0]), np.array([0.0, 1.0, 9.0])
    with pytest.raises(InputError, match="no coordinates"):
        splits.spatial_blocks([40.0, np.nan], [0.0, 1.0], size_km=10)
    with pytest.raises(InputError, match="latitude 95"):
        splits.spatial_blocks([40.0, 95.0], [0.0, 1.0], size_km=10)
    with pytest.raises(UsageError, match="no place to train on"):
        splits.spatial_blocks(lat, lon, size_km=50, buffer_km=5000, k=2)
    with pytest.raises(UsageError, match="equal length"):
        splits.block_labels(lat, lon[:2], size_km=10)


def test_seasonal_split_leaks_over_new_year_until_overlap_is_dropped() -> None:
    split = splits.by_year(STARTS, train=(1981, 2002), test=(2003, 2008))
    months = STARTS.values.astype("M8[M]")
    valid = (months[:, None] + np.arange(6)).astype("M8[ns]")
    with pytest.raises(UsageError, match="5 training samples share truth"):
        splits.assert_no_leak(split.train, split.test, valid)
    fold = splits.drop_overlap(splits.Fold(split.train, split.test), valid)
    assert len(split.train) - len(fold.train) == 5
    splits.assert_no_leak(fold.train, fold.test, valid)
    with pytest.raises(UsageError, match="share truth"):
        splits.assert_no_leak(fold.train, fold.test, valid, embargo=np.timedelta64(40, "D"))
    wider = splits.drop_overlap(fold, valid, embargo=np.timedelta64(40, "D"))
    assert len(fold.train) - len(wider.train) == 1


def test_leak_guard_looks_on_both_sides_and_ignores_missing_times() -> None:
    days = np.array(["2000-01-01", "2000-01-10", "2000-01-12", "2000-01-20", "NaT"], "M8[D]").astype("M8[ns]")
    fold = splits.drop_overlap(
        splits.Fold(np.array([0, 1, 3, 4]), np.array([2])), days, embargo=np.timedelta64(8, "D")
    )
    assert fold.train.tolist() == [0, 4]
    with pytest.raises(UsageError, match="datetime64"):
        splits.assert_no_leak(np.array([0]), np.array([1]), [1, 2])
