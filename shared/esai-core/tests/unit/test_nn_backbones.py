"""Whole networks: sizes, start at the baseline, files, receptive field; every backend."""

from __future__ import annotations

import numpy as np
import pytest

from esai_core.errors import EsaiError, InputError, UsageError
from esai_core.nn import BACKBONES, blocks, build, load, over_members, receptive_field, save
from esai_core.nn._keras import keras

SIZES = [(13, 17), (33, 49), (5, 3)]
RNG = np.random.default_rng(2)


def values(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def shake(model):
    """Give every weight a random value: a zero head would hide everything."""
    model.set_weights([RNG.normal(size=w.shape, scale=0.2).astype("f4") for w in model.get_weights()])


def normal(*shape):
    return RNG.normal(size=shape).astype("f4")


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("size", SIZES)
def test_network_keeps_odd_sizes_and_starts_at_its_baseline(name, size):
    model = build(name, fields=(*size, 2), condition=3, width=4, depth=2, outputs=2)
    baseline = normal(3, *size, 2)
    inputs = {"fields": normal(3, *size, 2), "condition": normal(3, 3), "baseline": baseline}
    np.testing.assert_array_equal(values(model(inputs)), baseline)
    shake(model)
    moved = values(model(inputs))
    assert moved.shape == baseline.shape
    assert (moved != baseline).all()
    inputs["condition"] = inputs["condition"] + 1
    assert np.abs(values(model(inputs)) - moved).max() > 1e-4


@pytest.mark.parametrize("method", blocks.UPSAMPLINGS)
@pytest.mark.parametrize(("node", "fine"), [(True, (13, 17)), (False, (16, 20))])
def test_upsampling_reaches_the_fine_grid(method, node, fine):
    model = build(
        "convnet", fields=(4, 5, 2), factor=4, node=node, upsampling=method, width=4, depth=1, fine=(*fine, 1)
    )
    inputs = {"fields": normal(2, 4, 5, 2), "fine": normal(2, *fine, 1), "baseline": normal(2, *fine, 1)}
    assert values(model(inputs)).shape == (2, *fine, 1)


def test_window_static_fields_and_localised_head():
    model = build(
        "resnet",
        fields=(5, 6, 2),
        window=3,
        width=4,
        depth=1,
        static=normal(5, 6, 1),
        static_coarse=normal(5, 6, 2),
        localised=True,
        baseline=False,
        attention=True,
        dropout=0.1,
        norm="group",
    )
    assert not values(model({"fields": normal(2, 3, 5, 6, 2)})).any()
    assert {"head", "localised"} <= {layer.name for layer in model.layers}


@pytest.mark.parametrize("norm", ["batch", "layer", "group"])
def test_norms_and_bias(norm):
    model = build("unet", fields=(8, 9, 2), width=4, depth=2, norm=norm, baseline=False, bias=-3.0)
    np.testing.assert_array_equal(values(model({"fields": normal(2, 8, 9, 2)})), np.full((2, 8, 9, 1), -3.0))


def test_network_of_any_size_on_a_grid_it_was_not_built_on():
    model = build("unet", fields=(None, None, 1), width=4, depth=3, baseline=False)
    shake(model)
    assert values(model({"fields": normal(1, 19, 30, 1)})).shape == (1, 19, 30, 1)


def test_saved_file_gives_the_same_network(tmp_path):
    options = {"static": normal(6, 7, 1), "localised": True, "attention": True, "padding": "reflect"}
    model = build("convnext", fields=(6, 7, 2), condition=2, width=4, depth=1, **options)
    shake(model)
    whole = over_members(model, members=3)
    inputs = {"fields": normal(2, 3, 6, 7, 2), "condition": normal(2, 2), "baseline": normal(2, 3, 6, 7, 1)}
    save(whole, tmp_path / "model.keras")
    again = load(tmp_path / "model.keras")
    np.testing.assert_array_equal(values(again(inputs)), values(whole(inputs)))


def test_files_that_are_no_models_are_named(tmp_path):
    with pytest.raises(InputError, match="no such model"):
        load(tmp_path / "absent.keras")
    broken = tmp_path / "broken.keras"
    save(build("convnet", fields=(4, 5, 1), width=4, depth=1), broken)
    broken.write_bytes(broken.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"broken\.keras"):
        load(broken)
    with pytest.raises(UsageError, match=r"\.keras file"):
        save(build("convnet", fields=(4, 5, 1), width=4, depth=1), tmp_path / "model.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.keras"]


def test_members_share_the_network_and_missing_ones_stay_missing():
    model = build("convnet", fields=(4, 5, 1), condition=2, width=4, depth=1)
    shake(model)
    whole = over_members(model)
    fields, baseline, vector = normal(2, 3, 4, 5, 1), normal(2, 3, 4, 5, 1), normal(2, 2)
    fields[1, 2] = np.nan
    y = values(whole({"fields": fields, "baseline": baseline, "condition": vector}))
    assert np.isnan(y[1, 2]).all()
    one = values(model({"fields": fields[:, 1], "baseline": baseline[:, 1], "condition": vector}))
    np.testing.assert_allclose(y[:, 1], one, atol=1e-6)
    assert np.isfinite(y).sum() == 5 * 20


def test_members_need_an_input_of_their_own():
    with pytest.raises(UsageError, match="fields"):
        over_members(build("convnet", fields=(4, 5, 1), baseline=False, depth=1), each=["members"])


def _seen_rows(model, rows, outputs):
    """For each of `outputs`, the rows of the input that change it when a large value is added to them."""
    x = normal(1, rows, rows, 1)
    changed = x + 1e3 * np.eye(rows, dtype="f4")[:, :, None, None]
    y = values(model({"fields": np.concatenate([x, changed])}))
    differs = (y[1:] != y[:1]).any((2, 3))
    return [np.flatnonzero(differs[:, at]) for at in outputs]


@pytest.mark.parametrize(("name", "depth"), [("unet", 2), ("resnet", 2), ("convnext", 1), ("densenet", 1)])
def test_receptive_field_is_what_the_output_depends_on(name, depth):
    model = build(name, fields=(None, None, 1), width=4, depth=depth, baseline=False, activation="tanh")
    shake(model)
    field = receptive_field(model)
    outputs = range(32, 32 + field.alignment)
    widest = max(
        max(at - seen.min(), seen.max() - at)
        for at, seen in zip(outputs, _seen_rows(model, 64, outputs), strict=True)
    )
    assert widest == field.radius
    assert field.halo % field.alignment == 0
    assert field.halo >= field.radius


def test_halo_of_the_unet_of_16_and_4_levels():
    model = build(
        "unet", fields=(None, None, 4), width=4, depth=4, baseline=False, norm="batch", padding="zero"
    )
    assert (receptive_field(model).radius, receptive_field(model).alignment, receptive_field(model).halo) == (
        107,
        16,
        112,
    )


def test_receptive_field_of_a_network_that_sees_everything():
    model = build("convnet", fields=(None, None, 1), width=4, depth=1, baseline=False, attention=True)
    with pytest.raises(EsaiError, match="sees the whole grid"):
        receptive_field(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "resnett"}, "did you mean 'resnet'"),
        ({"kernel": 4}, "odd kernel"),
        ({"depth": 0}, "depth = 0"),
        ({"norm": "btch"}, "did you mean 'batch'"),
        ({"factor": 2, "upsampling": "bicubic"}, "unknown upsampling"),
        ({"padding": "wrap"}, "unknown padding"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(UsageError, match=message):
        build(**{"name": "resnet", "fields": (5, 6, 1), "width": 4, "depth": 1} | options)
