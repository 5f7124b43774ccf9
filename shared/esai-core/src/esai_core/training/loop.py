"""The training loop: one for one processor, several devices and several hosts.

Keras 3's own ``fit`` fails under MultiWorkerMirroredStrategy (keras#20585, keras#20329), so this loop owns
the step: gradients of the per-example loss summed and divided by the global batch, on public API alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from esai_core.errors import UsageError
from esai_core.nn._keras import keras, quiet_start
from esai_core.training.config import TrainConfig
from esai_core.training.data import Source, as_source
from esai_core.training.files import value_of
from esai_core.training.history import History
from esai_core.training.inference import expect_retracing
from esai_core.training.launch import count_slurm_tasks, fit_with_workers
from esai_core.training.schedule import make_optimizer
from esai_core.training.signals import StopRequest
from esai_core.training.state import CHECKPOINT, State
from esai_core.training.strategies import cluster_from_environment, is_chief, make_strategy

with quiet_start():
    import tensorflow as tf

    from esai_core.training.adversarial import (
        Adversary,
        adversarial_update,
        check_adversary,
        make_discriminator_optimizer,
    )
    from esai_core.training.epochs import Epochs, plan_for
    from esai_core.training.steps import check_batch_statistics, supervised_update

__all__ = ["fit", "scope"]

log = logging.getLogger(__name__)


@contextlib.contextmanager
def scope(config: TrainConfig, strategy: Any | None = None) -> Iterator[None]:
    """Build a model as `fit` needs it: seeded, in the precision of the config, under the strategy.

    Parameters
    ----------
    config : TrainConfig
        Its `seed` and `mixed_precision` are used.
    strategy : tf.distribute.Strategy, optional
        The current one by default.
    """
    strategy = strategy or tf.distribute.get_strategy()
    keras.utils.set_random_seed(config.seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if config.mixed_precision else "float32")
    try:
        with strategy.scope():
            yield
    finally:
        keras.config.set_dtype_policy(before)


def fit(
    model: keras.Model | Callable[[], keras.Model],
    train: Any,
    validate: Any | None = None,
    *,
    loss: Callable[[Any, Any], Any],
    config: TrainConfig,
    folder: str | Path,
    resume: bool = False,
    strategy: Any | None = None,
    metrics: Mapping[str, Callable[[Any, Any], Any]] | None = None,
    augment: Callable[..., tuple] | None = None,
    workers: int | None = None,
    adversary: Adversary | None = None,
) -> History:
    """Train a model.

    Parameters
    ----------
    model : keras.Model or callable
        The model, or a function that builds it (called inside `scope`, so that seed, precision and strategy
        hold for it). A model is trained in place.
    train, validate : tuple or Source
        ``(inputs, targets)`` or ``(inputs, targets, weights)`` in memory, or a `Source` that reads on demand.
        With `validate`, the weights of the epoch with the lowest validation loss are kept, the untrained
        model (epoch 0) included.
    loss : callable
        ``loss(target, prediction) -> (batch,)``, one value per example, as `esai_core.nn.make_loss` gives.
    config : TrainConfig
    folder : path
        Where ``checkpoint.npz`` and ``history.csv`` are written; made if missing.
    resume : bool
        Go on from the checkpoint in `folder` if there is one. On the same machine the result is that of the
        uninterrupted run to the bit.
    strategy : tf.distribute.Strategy, optional
        The one in scope by default, else what the environment asks for: `make_strategy`.
    metrics : mapping of str to callable
        Further ``metric(target, prediction) -> (batch,)`` of the validation examples, for the history.
    augment : callable, optional
        ``augment(inputs, targets, seed) -> (inputs, targets)`` on one training example, in TensorFlow
        operations that take `seed` (``tf.random.stateless_...``).
    workers : int, optional
        Worker processes on this host, which share each batch. By default the tasks of the Slurm allocation,
        in its batch script; elsewhere this process trains alone (or with others, if ``TF_CONFIG`` says so).
    adversary : Adversary, optional
        Train against a discriminator too. The history then has ``pixel_loss`` and ``discriminator_loss``, and
        the last weights are kept: the validation loss, that of `loss` alone, does not see what is gained.

    Returns
    -------
    History
        Its `model` is the trained model with the kept weights.

    Raises
    ------
    UsageError
        If options do not fit together, a checkpoint belongs to another run, or the statistics of a batch
        normalisation would depend on the number of workers.
    EsaiError
        If the loss is not finite: names epoch and step.
    Interrupted
        After SIGINT or SIGTERM, once a checkpoint is written.
    """
    source = as_source(train)
    held_out = None if validate is None else as_source(validate)
    if config.patience is not None and held_out is None:
        raise UsageError("patience needs validation data", where=f"patience = {config.patience}")
    folder = Path(folder)
    tasks = count_slurm_tasks() if workers is None and strategy is None and not _has_cluster() else 0
    if max(workers or 1, tasks) > 1:
        return _with_workers(
            model,
            source,
            held_out,
            loss=loss,
            config=config,
            folder=folder,
            resume=resume,
            workers=workers or tasks,
            slurm=not workers,
            metrics=metrics,
            augment=augment,
            adversary=adversary,
        )
    strategy = strategy or _strategy()
    folder.mkdir(parents=True, exist_ok=True)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    per_epoch = plan_for(strategy, config).steps(len(source))
    with scope(config, strategy):
        trained = _in_scope(model, strategy, config)
        replicas = strategy.num_replicas_in_sync
        check_batch_statistics(trained, config, replicas)
        optimizer = make_optimizer(config, per_epoch * config.epochs)
        optimizer.build(trained.trainable_variables)
        averages = _averages(trained) if config.ema else []
        parts = (trained, loss, optimizer, averages, config)
        opposed: list = []
        names: tuple[str, ...] = ("loss",)
        if adversary is None:
            update = supervised_update(*parts, replicas)
        else:
            keras.utils.set_random_seed(config.seed + 1)
            discriminator = _in_scope(adversary.discriminator, strategy, config)
            check_adversary(trained, discriminator, config)
            check_batch_statistics(discriminator, config, replicas)
            judge = make_discriminator_optimizer(adversary)
            judge.build(discriminator.trainable_variables)
            update = adversarial_update(*parts, adversary, discriminator, judge, replicas)
            names = ("loss", "pixel_loss", "discriminator_loss")
            opposed = [*discriminator.variables, *judge.variables]
    state = State(
        model=trained,
        optimizer=optimizer,
        averages=averages,
        opposed=opposed,
        names=names,
        config=config,
        path=folder / CHECKPOINT,
        examples=len(source),
        per_epoch=per_epoch,
        chief=is_chief(strategy),
        keep_best=adversary is None,
    )
    scores = {"val_loss": loss} | {f"val_{name}": score for name, score in (metrics or {}).items()}
    run = Epochs(state, strategy, update, scores, source, held_out, augment)
    if resume and state.path.exists():
        state.load()
        log.info("resumed at epoch %d, step %d", state.epoch, state.step)
    _separate_seeds(trained, strategy)
    with StopRequest() as stop, expect_retracing():
        run.train(stop)
    state.finish()
    if isinstance(model, keras.Model) and trained is not model:
        model.set_weights(trained.get_weights())
        trained = model
    return History(state.rows, state.best_epoch, state.stopped, trained)


def _has_cluster() -> bool:
    return tf.distribute.has_strategy() or cluster_from_environment() is not None


def _with_workers(model: Any, source: Source, held_out: Source | None, **options: Any) -> History:
    """Build the model here, so that it starts the same with any number of workers, and train it elsewhere."""
    if tf.distribute.has_strategy():
        raise UsageError("worker processes and a strategy in scope", remedy="give one of them")
    if not options["slurm"] and tf.config.list_physical_devices("GPU"):
        raise UsageError(
            f"--workers {options['workers']} on a host with GPUs",
            remedy="leave it out: one process uses all GPUs of its host",
        )
    if not isinstance(model, keras.Model):
        with scope(options["config"]):
            model = model()
    opponent = options["adversary"]
    if opponent is not None and not isinstance(opponent.discriminator, keras.Model):
        with scope(options["config"]):
            keras.utils.set_random_seed(options["config"].seed + 1)
            options["adversary"] = dataclasses.replace(opponent, discriminator=opponent.discriminator())
    return fit_with_workers(model, source, held_out, **options)


def _strategy() -> Any:
    """Give the strategy that is in scope, else the one that the environment asks for."""
    return tf.distribute.get_strategy() if tf.distribute.has_strategy() else make_strategy()


def _separate_seeds(model: keras.Model, strategy: Any) -> None:
    """Give the dropout of each worker process numbers of its own; checkpoints hold those of the chief."""
    resolver = strategy.cluster_resolver
    index = (resolver.task_id or 0) if resolver is not None and not is_chief(strategy) else 0
    for variable in model.variables if index else ():
        if variable.path.endswith("seed_generator_state"):
            variable.assign(value_of(variable) + np.array([7919 * index, 0], "uint32"))


def _in_scope(model: Any, strategy: Any, config: TrainConfig) -> keras.Model:
    """Give the model with its variables under the strategy: itself, a copy, or what the function builds."""
    if not isinstance(model, keras.Model):
        return model()
    if config.mixed_precision and "bfloat16" not in {layer.compute_dtype for layer in model.layers}:
        raise UsageError(
            "mixed precision asked for a model built in float32",
            where="mixed_precision = true",
            remedy="build it inside esai_core.training.scope(config)",
        )
    if all(strategy.extended.variable_created_in_scope(weight.value) for weight in model.weights):
        return model
    copy = model.__class__.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


def _averages(model: keras.Model) -> list:
    return [
        tf.Variable(
            variable.value,
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_WRITE,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        for variable in model.trainable_variables
    ]
