"""Gap filling: blobs, EOFs and the network's inputs against closed forms; nothing hidden is ever seen."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from esai_core.config import load_config
from esai_core.errors import EsaiError, InputError, UsageError
from esai_core.tasks import fields
from esai_core.tasks.fields import FieldCycle, open_field
from esai_core.tasks.gapfill import pipeline
from esai_core.tasks.gapfill.blobs import CHOOSE, LEARN, TEST, draw_blobs, part_cells
from esai_core.tasks.gapfill.config import GapfillConfig
from esai_core.tasks.gapfill.demo import prepare, toy_field
from esai_core.tasks.gapfill.eof import choose_modes, fill_eof, interpolate_in_time
from esai_core.tasks.gapfill.network import make_examples


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


def test_parts_are_apart_and_of_their_size(rng):
    observed = rng.random((80, 24, 24)) > 0.1
    parts = part_cells(observed, share=0.3, choose=0.25, length=4.0, duration=2.0, seed=0)
    share = {kind: (parts == kind).sum() / observed.sum() for kind in (LEARN, CHOOSE, TEST)}
    np.testing.assert_allclose([share[TEST], share[CHOOSE], share[LEARN]], [0.225, 0.075, 0.7], atol=0.01)
    chooses = (parts == CHOOSE).any((1, 2))
    assert not (parts[chooses] == TEST).any()
    assert (chooses.reshape(-1, 4).all(1) | ~chooses.reshape(-1, 4).any(1)).all()
    with pytest.raises(UsageError, match="longer series"):
        part_cells(observed[:3], share=0.3, choose=0.25, length=4.0, duration=2.0, seed=0)
    assert not parts[~observed].any()


@pytest.mark.parametrize("shape", [(60, 200), (200, 60)])
def test_eofs_complete_a_matrix_of_their_rank(rng, shape):
    whole = (rng.normal(size=(shape[0], 4)) @ rng.normal(size=(4, shape[1]))).astype("f4")
    gaps = rng.random(shape) < 0.3
    seen = np.where(gaps, np.nan, whole)
    found = fill_eof(seen, modes=4, tolerance=1e-6, iterations=500)
    np.testing.assert_allclose(found, whole, atol=2e-3)
    held = ~gaps & (rng.random(shape) < 0.1)
    seen = seen + 0.3 * rng.normal(size=shape)
    errors = choose_modes(seen, held, [1, 2, 3, 4, 7, 500], tolerance=1e-4, iterations=300)
    assert min(errors, key=errors.get) == 4
    assert 500 not in errors


def test_without_gaps_eofs_are_the_truncated_svd(rng):
    x = rng.normal(size=(12, 30)).astype("f4")
    u, s, v = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(fill_eof(x, modes=3), (u[:, :3] * s[:3]) @ v[:3], atol=1e-5)


def test_interpolation_is_linear_in_time_and_flat_beyond():
    x = np.array([[np.nan, 1.0], [1.0, np.nan], [np.nan, np.nan], [4.0, 4.0]])
    x = np.column_stack([x, np.full(4, np.nan)])
    expected = [[1, 1, 0], [1, 2, 0], [2.5, 3, 0], [4, 4, 0]]
    np.testing.assert_allclose(interpolate_in_time(x), expected)


def test_examples_look_only_at_the_times_around(rng):
    seen = rng.normal(size=(5, 3, 4)).astype("f4")
    seen[2, 1, 1] = np.nan
    land = np.zeros((3, 4), bool)
    land[0, 0] = True
    seen[:, 0, 0] = np.nan
    made = make_examples(seen, np.full_like(seen, 10), land, window=1)
    assert made.values.shape == made.mask.shape == (5, 3, 4, 6)
    np.testing.assert_array_equal(made.values[2, 2, 2, ::2], seen[1:4, 2, 2])
    assert made.mask[2, 1, 1].tolist() == [1, 1, 0, 1, 1, 1]
    assert made.mask[0, 2, 2].tolist() == [0, 0, 1, 1, 1, 1]
    assert not made.mask[:, 0, 0].any()
    assert np.isfinite(made.values).all()


def test_cycle_of_a_cell_never_seen_in_a_month_is_borrowed():
    field = toy_field(times=36)
    whole = FieldCycle.fit(field, name="month").level(field)
    xr.testing.assert_allclose(
        whole.isel(time=slice(12)).drop_vars("time"),
        field.groupby("time.month").mean().rename(month="time").drop_vars("time").transpose(*field.dims),
        rtol=1e-4,
    )
    cell = dict(zip(("latitude", "longitude"), np.argwhere(field[0].notnull().values)[0], strict=True))
    january = field["time"].dt.month == 1
    here = xr.zeros_like(field[0], dtype=bool)
    here[cell] = True
    borrowed = FieldCycle.fit(field.where(~(january & here)), name="month").level(field)
    assert abs(float((borrowed - whole).isel(time=0, **cell))) < 1.0
    assert float(abs(borrowed - whole).where(~here).max()) < 1e-4


@pytest.fixture
def config(tmp_path):
    return load_config(prepare(tmp_path), GapfillConfig)


def test_hidden_cells_are_never_seen(config, monkeypatch):
    """Poison the test's cells: cycle, scale and everything that is learnt from stay what they were."""
    before = pipeline.prepare_work(config, LEARN, CHOOSE)
    field = before.field

    def poisoned(*args, **options):
        return field.where(before.parts != TEST, 1e6)

    monkeypatch.setattr(pipeline, "open_field", poisoned)
    after = pipeline.prepare_work(config, LEARN, CHOOSE)
    np.testing.assert_array_equal(before.parts, after.parts)
    xr.testing.assert_equal(before.level, after.level)
    assert before.scale == after.scale
    np.testing.assert_array_equal(before.only(LEARN, CHOOSE), after.only(LEARN, CHOOSE))
    np.testing.assert_array_equal(pipeline.local_scale(before), pipeline.local_scale(after))


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
