"""What a user may say about training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from esai_core.config import Section

__all__ = ["TrainConfig"]

Positive = Annotated[int, Field(ge=1)]


class TrainConfig(Section):
    """The table ``[train]`` of a config."""

    epochs: Positive = 50
    """Times that every example is seen, at most."""
    batch_size: Positive = 32
    """Examples per step, over all workers together."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Start of every random number: weights, order of the examples, dropout."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Step size of Adam (its maximum, under a schedule)."""
    schedule: Literal["constant", "cosine"] = "constant"
    """How the learning rate goes on: unchanged, or along a half cosine to 0 at the last step."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps over which the learning rate rises from 0."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled decay of the weights (AdamW); biases and scales are left alone."""
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """Largest norm of the gradient over all weights and workers."""
    patience: Positive | None = None
    """Epochs without a better validation loss before training stops."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """How much lower a validation loss must be to count as better."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Momentum of a moving average of the weights; it is what is validated and kept."""
    mixed_precision: bool = False
    """Compute in bfloat16, keep weights in float32."""
    accumulate_steps: Positive = 1
    """Parts that a batch is worked through in, one after the other, to need less memory."""
    checkpoint_every: Positive | None = None
    """Steps between checkpoints; by default one at the end of each epoch."""
    deterministic: bool = False
    """Use deterministic operations only (slower on a GPU)."""
