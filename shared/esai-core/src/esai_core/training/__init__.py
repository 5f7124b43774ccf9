"""One training loop for one processor, many devices and many hosts, on public Keras and TensorFlow API."""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Adversary": "adversarial",
        "Arrays": "data",
        "History": "history",
        "Interrupted": "signals",
        "Source": "data",
        "Stream": "streams",
        "TrainConfig": "config",
        "fit": "loop",
        "make_strategy": "strategies",
        "predict": "inference",
        "predict_batches": "inference",
        "scope": "loop",
        "shuffled": "order",
    },
)
