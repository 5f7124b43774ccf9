"""Gap filling: blobs, EOFs and the network's inputs against closed forms; nothing hidden is ever seen."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import ndimage

from esai_core.config import load_config
from esai_core.errors import EsaiError, InputError, UsageError
from esai_core.synthetic import correlated_fields
from esai_core.tasks import fields, scratch
from esai_core.tasks.fields import FieldCycle, open_field
from esai_core.tasks.gapfill import work as work_module
from esai_core.tasks.gapfill.blobs import CHOOSE, LEARN, TEST, draw_blobs, part_cells
from esai_core.tasks.gapfill.config import GapfillConfig
from esai_core.tasks.gapfill.demo import prepare, toy_field
from esai_core.tasks.gapfill.eof import choose_modes, fill_eof, interpolate_in_time
from esai_core.tasks.gapfill.network import Filled, Fillings, examples
from esai_core.tasks.gapfill.work import prepare_work


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def test_blobs_hide_their_share_of_what_is_there_and_stay(rng):
    there = rng.random((40, 30, 30)) > 0.2
    hidden = draw_blobs(rng, there, share=0.3, length=5.0, duration=8.0)
    assert not (hidden & ~there).any()
    np.testing.assert_allclose(hidden.sum((1, 2)), 0.3 * there.sum((1, 2)), atol=1)
    full = draw_blobs(rng, np.ones((40, 30, 30), bool), share=0.3, length=5.0, duration=8.0)
    beside, later = (full[:, :, 1:] == full[:, :, :-1]).mean(), (full[1:] == full[:-1]).mean()
    assert min(beside, later) > 0.85  # independent cells would agree in 58 %
    empty = np.zeros((2, 5, 5), bool)
    assert not draw_blobs(rng, empty, share=0.3, length=2.0).any()
    with pytest.raises(UsageError, match="share"):
        draw_blobs(rng, there, share=1.5, length=5.0)


@pytest.mark.parametrize("duration", [1.0, 5.0])
def test_blobs_do_not_depend_on_the_blocks_they_are_drawn_in(rng, duration, monkeypatch):
    there = rng.random((50, 12, 9)) > 0.2
    options = {"share": 0.3, "length": 3.0, "duration": duration}
    whole = draw_blobs(np.random.default_rng(0), there, **options)
    monkeypatch.setattr(scratch, "BLOCK_BYTES", 7 * there[0].size * 64)
    np.testing.assert_array_equal(draw_blobs(np.random.default_rng(0), there, **options), whole)


def test_blobs_are_cut_from_fields_smoothed_in_time(rng):
    """Against the plain filter on all times."""
    noise = correlated_fields(np.random.default_rng(3), 40, (8, 10), length=3.0)
    smooth = ndimage.gaussian_filter1d(noise, 2.5, axis=0, mode="nearest")
    hidden = draw_blobs(
        np.random.default_rng(3), np.ones((40, 8, 10), bool), share=0.25, length=3.0, duration=5.0
    )
    limits = np.sort(smooth.reshape(40, -1), axis=1)[:, 19]
    np.testing.assert_array_equal(hidden, smooth <= limits[:, None, None])


def parted(observed, **options):
    parts = observed.astype(np.int8)
    part_cells(parts, **options)
    return parts


def test_parts_are_apart_and_of_their_size(rng):
    observed = rng.random((80, 24, 24)) > 0.1
    parts = parted(observed, share=0.3, choose=0.25, length=4.0, duration=2.0, seed=0)
    share = {kind: (parts == kind).sum() / observed.sum() for kind in (LEARN, CHOOSE, TEST)}
    np.testing.assert_allclose([share[TEST], share[CHOOSE], share[LEARN]], [0.225, 0.075, 0.7], atol=0.01)
    chooses = (parts == CHOOSE).any((1, 2))
    assert not (parts[chooses] == TEST).any()
    assert (chooses.reshape(-1, 4).all(1) | ~chooses.reshape(-1, 4).any(1)).all()
    with pytest.raises(UsageError, match="longer series"):
        parted(observed[:3], share=0.3, choose=0.25, length=4.0, duration=2.0, seed=0)
    assert not parts[~observed].any()


def filled(seen, **options):
    made = np.zeros(seen.shape, np.float32)
    fill_eof(seen, made, **options)
    return made


@pytest.mark.parametrize("shape", [(60, 200), (200, 60)])
def test_eofs_complete_a_matrix_of_their_rank(rng, shape):
    whole = (rng.normal(size=(shape[0], 4)) @ rng.normal(size=(4, shape[1]))).astype("f4")
    gaps = rng.random(shape) < 0.3
    seen = np.where(gaps, np.nan, whole)
    np.testing.assert_allclose(filled(seen, modes=4, tolerance=1e-6, iterations=500), whole, atol=2e-3)
    held = ~gaps & (rng.random(shape) < 0.1)
    noisy = seen + 0.3 * rng.normal(size=shape)
    errors = choose_modes(
        np.where(held, np.nan, noisy),
        np.where(held, noisy, np.nan),
        np.zeros(shape, np.float32),
        [1, 2, 3, 4, 7, 500],
        tolerance=1e-4,
        iterations=300,
    )
    assert min(errors, key=errors.get) == 4
    assert 500 not in errors


@pytest.mark.parametrize("shape", [(12, 30), (30, 12)])
def test_eofs_of_a_file_in_blocks_are_those_in_memory(rng, shape, tmp_path, monkeypatch):
    seen = np.where(rng.random(shape) < 0.2, np.nan, rng.normal(size=shape)).astype("f4")
    whole = filled(seen, modes=3)
    monkeypatch.setattr(scratch, "BLOCK_BYTES", 12 * 8 * 7)
    stored, made = (scratch.Scratch.create(tmp_path / name, shape) for name in ("seen.npy", "made.npy"))
    stored[:] = seen
    fill_eof(stored, made, modes=3)
    np.testing.assert_allclose(made[:], whole, atol=1e-5)


def test_without_gaps_eofs_are_the_truncated_svd(rng):
    x = rng.normal(size=(12, 30)).astype("f4")
    u, s, v = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(filled(x, modes=3), (u[:, :3] * s[:3]) @ v[:3], atol=1e-5)


def test_interpolation_is_linear_in_time_and_flat_beyond():
    x = np.array([[np.nan, 1.0], [1.0, np.nan], [np.nan, np.nan], [4.0, 4.0]])
    x = np.column_stack([x, np.full(4, np.nan)])
    expected = [[1, 1, 0], [1, 2, 0], [2.5, 3, 0], [4, 4, 0]]
    np.testing.assert_allclose(interpolate_in_time(x), expected)


def test_examples_look_only_at_the_times_around(rng):
    sea = np.ones((3, 4), bool)
    sea[0, 0] = False
    seen = rng.normal(size=(5, 11)).astype("f4")
    grid = np.full((5, 3, 4), np.nan, "f4")
    grid[:, sea] = seen
    grid[2, 1, 1] = np.nan
    seen = grid[:, sea]
    made = examples(Filled(seen, np.full_like(seen, 10)), sea, np.arange(5), window=1)
    assert made["values"].shape == made["mask"].shape == (5, 3, 4, 6)
    np.testing.assert_array_equal(made["values"][2, 2, 2, ::2], grid[1:4, 2, 2])
    assert made["mask"][2, 1, 1].tolist() == [1, 1, 0, 1, 1, 1]
    assert made["mask"][0, 2, 2].tolist() == [0, 0, 1, 1, 1, 1]
    assert made["mask"][4, 2, 2].tolist() == [1, 1, 1, 1, 0, 0]
    assert not made["mask"][:, 0, 0].any()
    assert np.isfinite(made["values"]).all()
    assert made["baseline"][:, 2, 2, 0].tolist() == [10] * 5


def test_a_network_is_asked_for_what_it_does_not_see(rng):
    sea = np.ones((2, 3), bool)
    truth = rng.normal(size=(4, 6)).astype("f4")
    draws = [Filled(np.where(rng.random((4, 6)) < 0.5, np.nan, truth), np.zeros((4, 6), "f4")) for _ in "ab"]
    source = Fillings(truth, draws, np.array([1, 2, 3]), sea, 0)
    assert len(source) == 6
    numbers = np.array([5, 0, 4])
    inputs, asked = source.read(numbers)
    for row, number in enumerate(numbers):
        seen = draws[number // 3].seen[1 + number % 3].reshape(2, 3)
        there = inputs["mask"][row, ..., 0] > 0
        np.testing.assert_array_equal(there, ~np.isnan(seen))
        np.testing.assert_array_equal(
            asked[row, ..., 0], np.where(there, np.nan, truth[1 + number % 3].reshape(2, 3))
        )
    assert sorted(source.order(3, 0)) == list(range(6))


def level_of(field):
    cycle = FieldCycle.fit(field, name="month")
    return field.copy(data=cycle.at(field["time"].values))


def test_cycle_of_a_cell_never_seen_in_a_month_is_borrowed():
    field = toy_field(times=36)
    whole = level_of(field)
    xr.testing.assert_allclose(
        whole.isel(time=slice(12)).drop_vars("time"),
        field.groupby("time.month").mean().rename(month="time").drop_vars("time").transpose(*field.dims),
        rtol=1e-4,
    )
    cell = dict(zip(("latitude", "longitude"), np.argwhere(field[0].notnull().values)[0], strict=True))
    january = field["time"].dt.month == 1
    here = xr.zeros_like(field[0], dtype=bool)
    here[cell] = True
    borrowed = level_of(field.where(~(january & here)))
    assert abs(float((borrowed - whole).isel(time=0, **cell))) < 1.0
    assert float(abs(borrowed - whole).where(~here).max()) < 1e-4


@pytest.fixture
def config(tmp_path):
    return load_config(prepare(tmp_path), GapfillConfig)


def test_hidden_cells_are_never_seen(config, tmp_path, monkeypatch):
    """Poison the test's cells: cycle, scale and everything that is learnt from stay what they were."""
    before = prepare_work(config, tmp_path / "before", LEARN, CHOOSE)
    poisoned = before.field.load().where(before.parts[:] != TEST, 1e6)
    monkeypatch.setattr(work_module, "open_field", lambda *args, **options: poisoned)
    after = prepare_work(config, tmp_path / "after", LEARN, CHOOSE)
    np.testing.assert_array_equal(before.parts[:], after.parts[:])
    np.testing.assert_array_equal(before.cycle.levels, after.cycle.levels)
    assert before.scale == after.scale
    every = slice(0, len(before.parts))
    np.testing.assert_array_equal(before.only(every, LEARN, CHOOSE), after.only(every, LEARN, CHOOSE))
    np.testing.assert_array_equal(before.spread, after.spread)
    assert np.nanmax(after.only(every, TEST)) > 1e4


def test_anomalies_are_those_of_the_series_in_memory(config, tmp_path, monkeypatch):
    """Against the plain computation on the whole array, whatever the blocks."""
    monkeypatch.setattr(scratch, "BLOCK_BYTES", 4 * 24 * 32 * 5)
    work = prepare_work(config, tmp_path / "work", LEARN)
    field = work.field.load()
    seen = field.where(work.parts[:] == LEARN)
    away = seen - level_of_seen(seen)
    sea = seen.notnull().any("time").values
    np.testing.assert_array_equal(work.sea, sea)
    np.testing.assert_allclose(work.scale, float(away.std()), rtol=1e-5)
    every = slice(0, len(field))
    np.testing.assert_allclose(work.only(every, LEARN), away.values[:, sea] / work.scale, atol=1e-4)
    spread = np.nanstd(away.values[:, sea].astype("f8"), axis=0)
    np.testing.assert_allclose(work.spread[sea], np.maximum(spread, 0.1 * work.scale), rtol=1e-4)
    np.testing.assert_allclose(
        work.whole(every, work.anomalies[every])[work.parts[:] > 0],
        field.values[work.parts[:] > 0],
        rtol=1e-5,
    )


def level_of_seen(seen):
    mean = seen.groupby("time.month").mean(dtype="f8")
    return mean.sel(month=seen["time"].dt.month).drop_vars("month")


def test_a_series_must_be_even_and_long_enough(tmp_path):
    field = toy_field(times=20)
    path = tmp_path / "f.nc"
    field.isel(time=[0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]).to_netcdf(path, engine="netcdf4")
    with pytest.raises(InputError, match="even series"):
        open_field(path, None, least=5)
    with pytest.raises(InputError, match="at least 50"):
        open_field(path, None, least=50)


def test_without_the_extra_for_networks_nothing_is_begun(monkeypatch):
    monkeypatch.setattr(fields, "find_spec", lambda name: None if name == "keras" else object())
    with pytest.raises(EsaiError, match=r"keras is not installed; pip install 'esai-core\[tensorflow\]'"):
        fields.need_networks()
