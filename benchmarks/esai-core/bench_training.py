"""Throughput of the training loop and of prediction against Keras's own fit and predict, on one worker.

Same model, batches and arrays in memory; the best epoch after the first (which compiles) of each side counts,
the two taking turns. Keras runs as it does by default and, as a second peer, without XLA.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time

import numpy as np

from esai_core import nn
from esai_core.nn._keras import keras
from esai_core.training import TrainConfig, fit, predict

# name: network, rows, columns, channels, width, depth, examples, batch
CASES = {
    "small": {
        "resnet 13x17, batch 32": ("resnet", 13, 17, 3, 16, 2, 1024, 32),
        "unet 32x48, batch 8": ("unet", 32, 48, 4, 8, 2, 64, 8),
    },
    "full": {
        "resnet 13x17, batch 32": ("resnet", 13, 17, 3, 16, 2, 4096, 32),
        "resnet 80x200, batch 8": ("resnet", 80, 200, 3, 16, 3, 128, 8),
        "unet 256x256x4 base 16, batch 4": ("unet", 256, 256, 4, 16, 4, 16, 4),
    },
}


def network(name: str, rows: int, columns: int, channels: int, width: int, depth: int) -> keras.Model:
    """Build the network of a case, seeded."""
    keras.utils.set_random_seed(0)
    return nn.build(name, fields=(rows, columns, channels), width=width, depth=depth, padding="zero")


def our_epochs(model: keras.Model, data: tuple, batch: int, epochs: int) -> list[float]:
    """Seconds of each epoch of our loop but the first."""
    config = TrainConfig(epochs=epochs, batch_size=batch, checkpoint_every=10**9)
    with tempfile.TemporaryDirectory() as folder:
        history = fit(model, data, loss=nn.make_loss("mse"), config=config, folder=folder)
    return history.column("seconds")[2:]


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock."""
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Note the time."""
        self.seconds = [*getattr(self, "seconds", []), time.perf_counter() - self.start]


def keras_epochs(model: keras.Model, data: tuple, batch: int, epochs: int, jit: bool | str) -> list[float]:
    """Seconds of each epoch of ``model.fit`` but the first."""
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=nn.make_loss("mse"), jit_compile=jit)
    clock = Clock()
    model.fit(*data, batch_size=batch, epochs=epochs, verbose=0, callbacks=[clock])
    return clock.seconds[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=list(CASES), default="full")
    options = parser.parse_args()
    epochs = 4 if options.size == "small" else 5
    for case, (name, rows, columns, channels, width, depth, examples, batch) in CASES[options.size].items():
        rng = np.random.default_rng(0)
        x = rng.normal(size=(examples, rows, columns, channels)).astype("f4")
        y = x[..., :1] * x[..., 1:2]
        data = ({"fields": x, "baseline": np.zeros_like(y)}, y)
        shape = (name, rows, columns, channels, width, depth)
        ours, default, plain = [], [], []
        for _ in range(2):
            ours += our_epochs(network(*shape), data, batch, epochs)
            default += keras_epochs(network(*shape), data, batch, epochs, "auto")
            plain += keras_epochs(network(*shape), data, batch, epochs, jit=False)
        for peer, seconds in (("keras fit", default), ("keras fit without XLA", plain)):
            report(f"training {case}", min(ours), peer, min(seconds), examples / min(ours))
        model = network(*shape)
        predict(model, data[0], batch_size=batch)
        model.predict(data[0], batch_size=batch, verbose=0)
        ours = [timed(lambda m=model, d=data[0], b=batch: predict(m, d, batch_size=b)) for _ in range(3)]
        peer = [
            timed(lambda m=model, d=data[0], b=batch: m.predict(d, batch_size=b, verbose=0)) for _ in range(3)
        ]
        report(f"prediction {case}", min(ours), "keras predict", min(peer), examples / min(ours))


def timed(call: object) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def report(case: str, ours: float, peer: str, theirs: float, rate: float) -> None:
    """Print one result."""
    print(
        json.dumps({"case": case, "ours_s": ours, "peer": peer, "peer_s": theirs, "examples_per_s": rate}),
        flush=True,
    )


if __name__ == "__main__":
    main()
