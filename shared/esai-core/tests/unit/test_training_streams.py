"""Examples from chunked stores: each once an epoch, mixed across chunks, a chunk decoded by one worker."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from esai_core.errors import InputError, UsageError
from esai_core.training import Stream
from esai_core.training.data import Plan, make_dataset

FIELDS = np.random.default_rng(0).normal(size=(7, 5, 3, 6, 8)).astype("f4")
DIMS = ("start", "lead", "number", "latitude", "longitude")


@pytest.fixture
def store(tmp_path):
    ds = xr.Dataset({"tas": (DIMS, FIELDS), "truth": (DIMS[:2] + DIMS[3:], FIELDS.mean(2))})
    ds.to_zarr(
        tmp_path / "a.zarr",
        encoding={"tas": {"chunks": (2, 5, 3, 6, 8)}, "truth": {"chunks": (2, 5, 6, 8)}},
        zarr_format=2,
    )
    return xr.open_zarr(tmp_path / "a.zarr", chunks=None)


def prepare(values, index):
    return {"x": values["tas"], "lead": index["lead"]}, values["truth"]


def stream(store, **options):
    return Stream({"tas": store.tas, "truth": store.truth}, prepare, sample=("start", "lead"), **options)


def test_examples_are_those_of_the_store_in_any_order(store):
    source = stream(store)
    assert len(source) == 35
    assert source.chunks == (2, 5)
    numbers = np.array([34, 0, 7, 7, 12])
    inputs, targets = source.read(numbers)
    flat = FIELDS.reshape(35, 3, 6, 8)
    np.testing.assert_array_equal(inputs["x"], flat[numbers])
    np.testing.assert_array_equal(inputs["lead"], numbers % 5)
    np.testing.assert_allclose(targets, flat[numbers].mean(1), atol=1e-6)


@pytest.mark.parametrize("lanes", [1, 2, 4, 9])
def test_epoch_holds_every_example_once_and_epochs_differ(store, lanes):
    source = stream(store, lanes=lanes)
    first, second = source.order(0, 3), source.order(1, 3)
    assert sorted(first) == list(range(35))
    assert sorted(second) == list(range(35, 70))
    assert (first != second - 35).any()
    np.testing.assert_array_equal(first, source.order(0, 3))
    np.testing.assert_array_equal(
        source.read(second[:4])[0]["x"], FIELDS.reshape(35, 3, 6, 8)[second[:4] - 35]
    )


def test_batches_mix_chunks_and_workers_share_them_out(store):
    source = stream(store, lanes=2, mix=1)
    order = source.order(0, 1)
    chunk = order // 5 // 2
    assert len(set(chunk[:2])) == 2
    seen = []
    for worker in range(2):
        numbers, weights = Plan(batch_size=4, replicas=2, first=worker).cut(order[:20], mean_over_all=False)
        seen.append(set((numbers[weights > 0] // 5 // 2).tolist()))
    assert not seen[0] & seen[1]


def test_memory_holds_few_chunks(store):
    source = stream(store, lanes=1, mix=1)
    source.read(np.arange(35))
    assert len(source._blocks) == 2


def test_members_become_examples_and_a_split_selects_some(store):
    tas = store.tas

    def alone(values, index):
        return values["tas"], index["number"]

    source = Stream({"tas": tas}, alone, sample=("start", "lead", "number"), select=np.arange(0, 105, 2))
    x, number = source.read(np.array([1, 50]))
    np.testing.assert_array_equal(x, FIELDS.reshape(105, 6, 8)[[2, 100]])
    assert number.tolist() == [2, 1]
    assert len(source) == 53


def test_patches_are_windows_of_the_fields_and_change_with_the_epoch(store):
    source = stream(store, patch=(3, 4))
    inputs, targets = source.read(np.arange(35))
    assert inputs["x"].shape == (35, 3, 3, 4)
    np.testing.assert_allclose(inputs["x"].mean(1), targets, atol=1e-6)
    again, other = source.read(np.arange(35))[1], source.read(np.arange(35, 70))[1]
    np.testing.assert_array_equal(again, targets)
    assert (other != targets).any()
    whole = FIELDS.mean(2).reshape(35, 6, 8)
    windows = np.lib.stride_tricks.sliding_window_view(whole, (3, 4), (1, 2))
    for field, patch in zip(windows, targets, strict=True):
        assert np.isclose(field, patch, atol=1e-6).all((2, 3)).any()


def test_pipeline_reads_a_stream_and_goes_on_where_it_was_left(store):
    source, plan = stream(store), Plan(batch_size=8)
    whole = list(make_dataset(source, plan, seed=2, epochs=2).as_numpy_iterator())
    rest = list(make_dataset(source, plan, seed=2, epochs=2, first_step=6).as_numpy_iterator())
    assert len(whole) == 10
    for ours, theirs in zip(rest, whole[6:], strict=True):
        np.testing.assert_array_equal(ours[0]["x"], theirs[0]["x"])
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_arrays_that_do_not_fit_are_named(store):
    with pytest.raises(InputError, match="no dim number"):
        Stream({"truth": store.truth}, prepare, sample=("start", "number"))
    with pytest.raises(InputError, match="examples along start, lead"):
        Stream(
            {"tas": store.tas, "truth": store.truth.isel(lead=slice(3))}, prepare, sample=("start", "lead")
        )
    with pytest.raises(UsageError, match="a patch of"):
        stream(store, patch=(7, 4))
