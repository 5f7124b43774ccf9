"""Config, plan of the steps, checkpoints, schedule, history: what the loop is made of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from esai_core.errors import EsaiError, InputError, UsageError
from esai_core.training import Arrays, History, TrainConfig
from esai_core.training.data import Plan, as_source, make_dataset
from esai_core.training.files import read_checkpoint, write_checkpoint
from esai_core.training.schedule import Schedule, make_optimizer


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"learning_rate": -1}, {"ema": 1.0}, {"optimiser": "sgd"}])
def test_config_refuses_what_cannot_be(bad):
    with pytest.raises(ValidationError):
        TrainConfig(**bad)


def plans(examples, batch, replicas, workers, parts=1):
    count = replicas // workers
    return [
        Plan(batch_size=batch, replicas=replicas, parts=parts, first=w * count, count=count)
        for w in range(workers)
    ]


@pytest.mark.parametrize("examples", [1, 7, 32, 33])
@pytest.mark.parametrize(
    ("batch", "replicas", "workers", "parts"), [(8, 1, 1, 1), (8, 4, 2, 1), (7, 2, 2, 1), (6, 2, 1, 2)]
)
def test_every_example_is_in_one_step_of_one_worker_with_its_weight(
    examples, batch, replicas, workers, parts
):
    order = np.random.default_rng(0).permutation(examples)
    cuts = [plan.cut(order, mean_over_all=False) for plan in plans(examples, batch, replicas, workers, parts)]
    numbers, weights = (np.concatenate([cut[part] for cut in cuts], axis=1) for part in (0, 1))
    assert numbers.shape[2] % parts == 0
    np.testing.assert_allclose(weights.sum((1, 2)), 1, rtol=1e-6)
    for step in range(len(numbers)):
        real = numbers[step].T[weights[step].T > 0]
        np.testing.assert_array_equal(real, order[step * batch : (step + 1) * batch])
    total = sum(
        plan.cut(order, mean_over_all=True)[1].sum()
        for plan in plans(examples, batch, replicas, workers, parts)
    )
    assert total == pytest.approx(1, rel=1e-5)


def test_pipeline_goes_on_where_it_was_left():
    x = np.arange(10, dtype="f4")
    source, plan = Arrays((x, x)), Plan(batch_size=4)
    whole = [
        numbers.tolist() for numbers, *_ in make_dataset(source, plan, seed=5, epochs=3).as_numpy_iterator()
    ]
    assert len(whole) == 9
    for first in (0, 2, 3, 7):
        rest = make_dataset(source, plan, seed=5, epochs=3, first_step=first)
        assert [numbers.tolist() for numbers, *_ in rest.as_numpy_iterator()] == whole[first:]
    epochs = [[n for step in whole[e * 3 : e * 3 + 3] for n in step][:10] for e in range(3)]
    assert all(sorted(epoch) == x.tolist() for epoch in epochs)
    assert epochs[0] != epochs[1]


class Squares:
    """A source that reads on demand."""

    def __len__(self):
        return 9

    def order(self, epoch, seed):
        return np.roll(np.arange(9), epoch)

    def read(self, numbers):
        x = np.asarray(numbers, "f8")
        return {"x": x[:, None], "n": np.asarray(numbers)}, x[:, None] ** 2, np.full(len(x), 0.5)


def test_a_source_is_read_as_it_orders():
    batches = list(make_dataset(Squares(), Plan(batch_size=4), epochs=2).as_numpy_iterator())
    inputs, targets, weights = batches[3]
    assert inputs["x"].ravel().tolist() == [8, 0, 1, 2]
    assert inputs["x"].dtype == "f4"
    assert inputs["n"].dtype == "i8"
    np.testing.assert_array_equal(targets, inputs["x"] ** 2)
    np.testing.assert_allclose(weights, 0.125)


def test_augmentation_depends_on_the_place_in_the_run_alone():
    import tensorflow as tf

    x = np.zeros(10, "f4")

    def noise(inputs, targets, seed):
        return inputs + tf.random.stateless_normal([], seed), targets

    def run(first):
        data = make_dataset(
            Arrays((x, x)), Plan(batch_size=4), seed=5, epochs=2, first_step=first, augment=noise
        )
        return np.array([numbers for numbers, *_ in data.as_numpy_iterator()])

    whole = run(0)
    assert len(np.unique(whole)) == whole.size
    np.testing.assert_array_equal(run(4), whole[4:])


@pytest.mark.parametrize(
    "bad", [(np.zeros(3),), (np.zeros(3), np.zeros(4)), (np.zeros((0, 2)), np.zeros(0)), "data"]
)
def test_data_that_cannot_be_trained_on(bad):
    with pytest.raises(UsageError):
        as_source(bad)


def test_checkpoint_comes_back_as_it_was(tmp_path):
    arrays = {"model/0": np.arange(6.0).reshape(2, 3), "model/1": np.array(3, "i8")}
    meta = {"step": 3, "rows": [{"loss": math.nan}], "name": "é"}
    write_checkpoint(tmp_path / "c.npz", arrays, meta)
    again, told = read_checkpoint(tmp_path / "c.npz")
    assert set(again) == set(arrays)
    for name in arrays:
        np.testing.assert_array_equal(again[name], arrays[name])
        assert again[name].dtype == arrays[name].dtype
    assert math.isnan(told["rows"][0]["loss"])
    assert told["name"] == "é"


def test_truncated_checkpoint_is_named_and_a_failed_write_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "c.npz"
    write_checkpoint(path, {"a": np.zeros(100)}, {"step": 1})
    whole = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(EsaiError, match="disk is full"):
            write_checkpoint(path, {"a": np.ones(100)}, {"step": 2})
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]
    path.write_bytes(whole[:300])
    with pytest.raises(InputError, match=r"c\.npz"):
        read_checkpoint(path)
    with pytest.raises(InputError, match="no such file"):
        read_checkpoint(tmp_path / "absent.npz")


def test_schedule_rises_and_falls():
    rate = Schedule(0.1, "cosine", 10, 110)
    values = [float(rate(step)) for step in range(111)]
    np.testing.assert_allclose(values[:10], 0.01 * np.arange(1, 11), rtol=1e-5)
    expected = 0.05 * (1 + np.cos(np.pi * np.arange(101) / 100))
    np.testing.assert_allclose(values[10:], expected, atol=1e-7)
    assert float(Schedule(0.1, "constant", 0, 5)(3)) == pytest.approx(0.1)
    again = Schedule(**rate.get_config())
    assert float(again(50)) == values[50]


def test_optimizer_decays_weights_but_not_biases():
    from esai_core.nn._keras import keras

    layer = keras.layers.Dense(2, kernel_initializer="ones", bias_initializer="ones")
    layer.build((None, 3))
    optimizer = make_optimizer(TrainConfig(weight_decay=0.1, learning_rate=0.5), 10)
    optimizer.build(layer.trainable_variables)
    optimizer.apply([np.zeros((3, 2), "f4"), np.zeros(2, "f4")], layer.trainable_variables)
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(kernel, 0.95, rtol=1e-5)
    np.testing.assert_array_equal(bias, 1)


def test_history_is_written_with_empty_fields_for_what_is_not_known(tmp_path):
    rows = [
        {"epoch": 0, "step": 0, "loss": math.nan, "val_loss": 2.0},
        {"epoch": 1, "step": 5, "loss": 1.5, "val_loss": 1.0},
    ]
    history = History(rows, best_epoch=1)
    history.write(tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text() == "epoch,step,loss,val_loss\n0,0,,2.0\n1,5,1.5,1.0\n"
    assert history.best["loss"] == 1.5
    assert history.column("val_loss") == [2.0, 1.0]
